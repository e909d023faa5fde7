"""What upstreams of the fault tests say in OpenAI's dialect, and how it is put on the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rig import chat
from rig.script import Answer, Cut, Pause, Step, plain, sse

WORDS = ("Water ", "finds ", "its ", "level", ".")
TEXT = "".join(WORDS)
"""What the failing upstream says when it does not fail."""
BEGUN_TEXT = "".join(WORDS[:3])

SPARE_WORDS = ("A second ", "spring, ", "clear.")
SPARE_TEXT = "".join(SPARE_WORDS)
"""What the fallback says."""

JSON_TYPE = [("content-type", "application/json")]
SSE_TYPE = [("content-type", "text/event-stream")]
HTML = b"<!doctype html><html><body><h1>Bad Gateway</h1><hr>nginx</body></html>"

BREATH = Pause(0.1)
"""Lets what was sent be read before the connection goes: what was not read by then may be discarded.

A stream that has begun to speak takes it until its client has heard `MARK`, however busy the machine is.
"""
MARK = WORDS[2].encode()
HEARD = bytearray()
"""What the client of the moment has heard so far: whoever asks clears it, and writes it down."""
_LONGEST_BREATH_S = 5.0


@dataclass(frozen=True)
class _Breathing:
    """The steps of a stream, each breath as long as it has to be."""

    steps: list[Step]

    def __iter__(self) -> Iterator[Step]:
        said = b""
        for step in self.steps:
            said += step if isinstance(step, bytes) else b""
            if step is BREATH and MARK in said:
                yield from _until_heard()
            else:
                yield step


def _until_heard() -> Iterator[Step]:
    last_s = time.monotonic() + _LONGEST_BREATH_S
    while MARK not in HEARD and time.monotonic() < last_s:
        yield Pause(0.005)


def said(text: str = TEXT, **more: Any) -> bytes:
    """A whole answer."""
    return json.dumps(chat.completion(content=text) | more, ensure_ascii=False).encode()


def deltas(*words: str) -> list[bytes]:
    """The first chunk, which has the role alone, and one for each word."""
    chunks = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    return sse(*map(chat.chunk, chunks), done=False)


FINISH = sse(chat.chunk({}, "stop"), done=False)
USAGE = sse(chat.chunk(None, usage=chat.USAGE), done=False)
DONE = [b"data: [DONE]\n\n"]
ROLE = deltas()
STREAM = [*deltas(*WORDS), *FINISH, *USAGE, *DONE]
"""A whole stream; its beginning, of three tokens."""
BEGUN = deltas(*WORDS[:3])


def whole(body: bytes | Any, **more: Any) -> Answer:
    """A body that is not streamed."""
    return plain(body, **more)


def stream(*steps: Step | list[bytes]) -> Answer:
    """A stream of these pieces, in chunks; it ends in order unless it is cut."""
    flat = [piece for step in steps for piece in (step if isinstance(step, list) else [step])]
    return Answer(200, SSE_TYPE, _Breathing(flat) if BREATH in flat else flat, "chunked")


def raw(*steps: Step) -> Answer:
    """Exactly these bytes, head and all. The last step has to be a cut."""
    assert isinstance(steps[-1], Cut), "what follows would be a head"
    return Answer(before=steps)


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The bytes of a head."""
    return ("\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def well(text: tuple[str, ...], *, streamed: bool) -> Answer:
    """What an upstream answers that is well."""
    if streamed:
        return stream(deltas(*text), FINISH, USAGE, DONE)
    return whole(said("".join(text)))

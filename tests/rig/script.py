"""What a fake upstream is told to answer, down to the pieces of the body and the way it breaks off.

Data only: no sockets here. An `Answer` is a head and an iterable of steps; `plain` and `events` build
the usual ones.
"""

from __future__ import annotations

import enum
import gzip
import itertools
import json
import random
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@dataclass(frozen=True)
class Pause:
    """Send nothing for a while; a client that leaves ends the pause."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """Send nothing until the test opens the gate; a client that leaves opens it too."""

    opened: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self.opened.set()


class Cut(enum.Enum):
    """How an answer breaks off before its end."""

    FIN = "the connection is closed in good order, the message is not at its end"
    RESET = "the connection is reset"
    HANG = "nothing more comes, the connection stays open"


Step = bytes | Pause | Gate | Cut
Header = tuple[str, str]
Framing = Literal["length", "chunked", "close"]
Coding = Literal["gzip", "br", "zstd"]

_ENCODERS = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}


def encode(coding: Coding, body: bytes) -> bytes:
    """Compress `body` the way a `Content-Encoding` of that name says."""
    return _ENCODERS[coding](body)


@dataclass(frozen=True)
class Answer:
    """One scripted answer. `before` runs before the status line: a `Cut` there means no head at all.

    `length_bytes` is what Content-Length says; None means the sum of the pieces, and a good deal more
    when the script cuts the body, so that the cut can be seen.
    """

    status: int = 200
    headers: Sequence[Header] = ()
    steps: Iterable[Step] = ()
    framing: Framing = "length"
    before: Sequence[Step] = ()
    length_bytes: int | None = None

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in self.headers)]
        if self.framing == "length":
            lines.append(f"content-length: {self._declared_bytes()}")
        elif self.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        else:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _declared_bytes(self) -> int:
        if self.length_bytes is not None:
            return self.length_bytes
        steps = list(self.steps)
        whole = sum(len(step) for step in steps if isinstance(step, bytes))
        return whole + 1000 if any(isinstance(step, Cut) for step in steps) else whole


def plain(
    body: Any,
    status: int = 200,
    *,
    headers: Sequence[Header] = (),
    coding: Coding | None = None,
    content_type: str = "application/json",
) -> Answer:
    """Answer with a whole body: bytes as they are, anything else as JSON."""
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra: list[Header] = [("content-type", content_type), *headers]
    if coding is not None:
        whole = encode(coding, whole)
        extra.append(("content-encoding", coding))
    return Answer(status, extra, [whole])


def events(
    steps: Iterable[Step],
    *,
    headers: Sequence[Header] = (),
    framing: Framing = "chunked",
    content_type: str = "text/event-stream",
) -> Answer:
    """Answer with an event stream, sent step by step."""
    return Answer(200, [("content-type", content_type), *headers], steps, framing)


def sse(*messages: Any, done: bool = True) -> list[bytes]:
    """One piece per event: JSON values as `data:` lines, then `[DONE]`."""
    pieces = [b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages]
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


def split_at_random(body: bytes, seed: int, largest_bytes: int) -> list[bytes]:
    """Cut `body` into pieces of 1 to `largest_bytes` bytes, the same ones for the same seed."""
    chance = random.Random(seed)
    pieces = []
    at = 0
    while at < len(body):
        size = chance.randint(1, largest_bytes)
        pieces.append(body[at : at + size])
        at += size
    return pieces


def split_in_bytes(body: bytes) -> list[bytes]:
    """Cut `body` into single bytes."""
    return [body[at : at + 1] for at in range(len(body))]


def forever(piece: bytes) -> Iterable[bytes]:
    """Repeat a piece without end."""
    return itertools.repeat(piece)

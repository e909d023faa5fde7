"""Read and write the lines of an Ollama chat stream.

Each line is an answer with the next words; the last one is `done` and has the counts. Thinking and text
have no beginning and no end of their own: one ends where the other begins. Calls come whole. A failure
is a line with an `error`.

Source: Ollama API reference, "Streaming" and "Errors" (checked 2026-11), recorded streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from gateway.errors import Broken, GatewayError
from gateway.exchange import Usage
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.lines import LineFramer
from gateway.formats.framing.whole import is_object
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import TokenLogprob
from gateway.formats.neutral.events import (
    Began,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.ollama import types
from gateway.formats.ollama.answer import (
    read_extra,
    read_finish,
    read_logprobs,
    read_time,
    read_usage,
    write_call,
    write_end,
    write_finish,
    write_logprobs,
    write_time,
)
from gateway.formats.ollama.messages import read_call

_decoder = msgspec.json.Decoder(types.Chunk)


class LineReader:
    """One stream on its way in."""

    __slots__ = ("_began", "_calls", "_ended", "_framer", "_kind", "_parts", "finished", "skipped")

    def __init__(self, limit_bytes: int) -> None:
        self._framer = LineFramer(limit_bytes)
        self._began = self._ended = self.finished = False
        self.skipped = 0
        self._kind = ""
        self._parts = 0
        self._calls = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say. Raises Broken."""
        return [] if self._ended else self._read(self._framer.feed(piece))

    def close(self) -> list[Event]:
        """Return what a line says that only lacks its newline. Raises Broken."""
        rest = self._framer.rest()
        return self._read([rest]) if rest and not self._ended else []

    def _read(self, lines: Sequence[bytes]) -> list[Event]:
        said: list[Event] = []
        for line in lines:
            try:
                chunk = _decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if isinstance(error, msgspec.ValidationError) and is_object(line):
                    raise Broken(f"the upstream's stream holds a line that is no answer: {error}") from None
                self.skipped += 1
                continue
            self._take(chunk, said)
            if self._ended:
                break
        return said

    def _take(self, chunk: types.Chunk, said: list[Event]) -> None:
        if chunk.error is not None:
            self._ended = True
            said.append(Faulted(fault("", chunk.error, chunk.status_code or 0)))
            return
        if not self._began:
            self._began = True
            said.append(Began(model=chunk.model, created_unix_s=read_time(chunk.created_at)))
        message = chunk.message
        if message is not None:
            words = [(kind, text) for kind, text in _words_of(message) if text]
            logprobs = read_logprobs(chunk.logprobs)
            for left, (kind, text) in enumerate(words, 1 - len(words)):
                # They are those of all the line's tokens: told once, with its last words.
                self._grow(kind, text, None if left else logprobs, said)
            for call in message.tool_calls or ():
                self._call(call, chunk, said)
        if chunk.done:
            self._end(chunk, said)

    def _grow(
        self, kind: str, text: str, logprobs: tuple[TokenLogprob, ...] | None, said: list[Event]
    ) -> None:
        if self._kind != kind:
            self._close(said)
            self._open(kind, Text("") if kind == "text" else Reasoning(origin="ollama"), said)
        said.append(Grew(self._parts - 1, text, logprobs=logprobs))

    def _call(self, call: types.ToolCall, chunk: types.Chunk, said: list[Event]) -> None:
        self._close(said)
        self._open("call", read_call(call, self._calls, chunk.created_at), said)
        self._calls += 1
        self._close(said)

    def _open(self, kind: str, content: Part, said: list[Event]) -> None:
        self._kind = kind
        said.append(Opened(self._parts, content))
        self._parts += 1

    def _close(self, said: list[Event]) -> None:
        if self._kind:
            said.append(Closed(self._parts - 1))
            self._kind = ""

    def _end(self, chunk: types.Chunk, said: list[Event]) -> None:
        self._close(said)
        self._ended = self.finished = True
        usage = read_usage(chunk)
        if usage is not None:
            said.append(Metered(usage))
        said.append(Finished(read_finish(chunk.done_reason, self._calls > 0), chunk.done_reason or ""))
        said.append(Ended(read_extra(chunk)))


def _words_of(message: types.Message) -> tuple[tuple[str, str | None], ...]:
    return ("thinking", message.thinking), ("text", message.content)


class LineWriter:
    """One stream on its way out. No client of the gateway speaks this format: see `cohere.writer`.

    Calls have to be whole here: each is held back until its part ends.
    """

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._head = _head_of(Began(), heading)
        self._kinds: dict[int, str] = {}
        self._calls: dict[int, tuple[ToolCall, list[str]]] = {}
        self._called = 0
        self._finished = Finished("stop")
        self._usage: Usage | None = None

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events. The finish and the usage are said together, at the end."""
        return b"".join(
            [write(self, event) for event in events if (write := self._WRITERS.get(type(event))) is not None]
        )

    def fail(self, error: GatewayError) -> bytes:
        """Write an error: the last line."""
        return msgspec.json.encode({"error": error.message}) + b"\n"

    def _began(self, event: Began) -> bytes:
        self._head = _head_of(event, self._heading)
        return b""

    def _opened(self, event: Opened) -> bytes:
        part = event.content
        if isinstance(part, ToolCall):
            self._calls[event.part] = (part, [part.arguments])
            return b""
        if isinstance(part, Text | Refusal | Reasoning):
            self._kinds[event.part] = "thinking" if isinstance(part, Reasoning) else "text"
            return self._grew(Grew(event.part, part.text)) if part.text else b""
        return b""

    def _grew(self, event: Grew) -> bytes:
        if event.what == "arguments" and event.part in self._calls:
            self._calls[event.part][1].append(event.text)
        kind = self._kinds.get(event.part)
        if kind is None or event.what not in {"text", "summary"}:
            return b""
        member = b'"content":' if kind == "text" else b'"content":"","thinking":'
        said = self._head + member + msgspec.json.encode(event.text) + b'},"done":false'
        if event.logprobs:
            said += b',"logprobs":' + msgspec.json.encode(write_logprobs(event.logprobs))
        return said + b"}\n"

    def _closed(self, event: Closed) -> bytes:
        call, texts = self._calls.pop(event.part, (None, []))
        if call is None:
            return b""
        whole = msgspec.structs.replace(call, arguments="".join(texts))
        written = msgspec.json.encode([write_call(whole, self._called)])
        self._called += 1
        return self._head + b'"content":"","tool_calls":' + written + b'},"done":false}\n'

    def _finish(self, event: Finished) -> bytes:
        self._finished = event
        return b""

    def _metered(self, event: Metered) -> bytes:
        self._usage = event.usage
        return b""

    def _faulted(self, event: Faulted) -> bytes:
        return self.fail(event.error)

    def _ended(self, event: Ended) -> bytes:
        end = {
            "done": True,
            "done_reason": write_finish(self._finished.finish, self._finished.finish_raw),
            **write_end(self._usage, event.extra),
        }
        return self._head + b'"content":""},' + msgspec.json.encode(end)[1:] + b"\n"

    _WRITERS: ClassVar[Mapping[type, Callable[[LineWriter, Any], bytes]]] = {
        Began: _began,
        Opened: _opened,
        Grew: _grew,
        Closed: _closed,
        Finished: _finish,
        Metered: _metered,
        Faulted: _faulted,
        Ended: _ended,
    }


def _head_of(event: Began, heading: Heading) -> bytes:
    """Write what all lines begin with, up to the members of the message."""
    made = write_time(event.created_unix_s or heading.created_unix_s)
    head = msgspec.json.encode({"model": heading.model_of(event.model), "created_at": made})
    return head[:-1] + b',"message":{"role":"assistant",'

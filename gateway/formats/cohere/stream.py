"""Read the events of a Cohere chat stream.

Content parts and calls are numbered apart in the stream; here both are parts. The plan has no beginning
and no end of its own: it ends where anything else begins. Citations come while their text grows. A
failure is told in `message-end`, where the end would be; then it is no end.

Source: Cohere API reference, "Chat with Streaming" (checked 2026-11), recorded streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from gateway.errors import BadRequest, Broken
from gateway.formats.cohere import types
from gateway.formats.cohere.citations import LOOSE, OF_TEXT, read_citation
from gateway.formats.cohere.messages import PLAN, listed, read_call, read_content
from gateway.formats.cohere.usage import read_extra, read_finish, read_logprob, read_usage
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_object
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Text

_decoder = msgspec.json.Decoder(types.Chunk)
_NOTHING = types.Message()

_Place = tuple[str, int]
"""Where a part is in the stream: in the content, among the calls, or the plan; and its number there."""


class EventReader:
    """One stream on its way in."""

    __slots__ = (
        "_data",
        "_ended",
        "_framer",
        "_loose",
        "_numbers",
        "_open",
        "_parts",
        "_texts",
        "finished",
        "skipped",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._ended = self.finished = False
        self.skipped = 0
        self._data = b""
        self._parts = 0
        self._open: dict[_Place, int] = {}
        self._texts: dict[int, int] = {}
        self._numbers: dict[int, Part] = {}
        self._loose: list[Any] = []

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say. Raises Broken."""
        return [] if self._ended else self._read(self._framer.feed(piece))

    def close(self) -> list[Event]:
        """Return what an event says that only lacks its blank line. Raises Broken."""
        return [] if self._ended else self._read(self._framer.rest())

    def _read(self, ready: bytes) -> list[Event]:
        said: list[Event] = []
        for event in split_events(ready) if ready else ():
            self._data = data_of(event)
            if not self._data or self._data == b"[DONE]":
                continue
            try:
                chunk = _decoder.decode(self._data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if isinstance(error, msgspec.ValidationError) and is_object(self._data):
                    raise Broken(f"the upstream's stream holds an event that is none: {error}") from None
                self.skipped += 1
                continue
            read = self._READERS.get(chunk.type)
            if read is not None:
                read(self, chunk, said)
            if self._ended:
                break
        return said

    def _message_start(self, chunk: types.Chunk, said: list[Event]) -> None:
        said.append(Began(chunk.id or ""))

    def _content_start(self, chunk: types.Chunk, said: list[Event]) -> None:
        self._end_plan(said)
        content = _message_in(chunk).content
        try:
            parts = read_content(content, self._original, "content")
        except BadRequest as error:  # base64 that is none: here it is the upstream's
            raise Broken(error.message) from None
        number = self._begin(("content", chunk.index or 0), parts[0] if parts else Text(""), said)
        if not parts or isinstance(parts[0], Text):
            self._texts[chunk.index or 0] = number

    def _original(self) -> Any:
        try:
            return msgspec.json.decode(self._data)["delta"]["message"]["content"]
        except (UnicodeDecodeError, RecursionError) as error:
            raise Broken(f"the upstream's stream holds an event that cannot be read: {error}") from None

    def _content_delta(self, chunk: types.Chunk, said: list[Event]) -> None:
        content = _message_in(chunk).content
        if not isinstance(content, types.Part):
            return
        number = self._open.get(("content", chunk.index or 0))
        if number is None:  # it was not said to begin
            self._end_plan(said)
            empty: Part = Text("") if content.thinking is None else Reasoning(origin="cohere")
            number = self._begin(("content", chunk.index or 0), empty, said)
            if content.thinking is None:
                self._texts[chunk.index or 0] = number
        if isinstance(self._numbers[number], Opaque):
            said.append(Grew(number, "", "opaque", value=self._original()))
            return
        grown = content.text if content.text is not None else content.thinking
        logprobs = (read_logprob(chunk.logprobs),) if chunk.logprobs is not None else None
        if grown or logprobs:
            said.append(Grew(number, grown or "", logprobs=logprobs))

    def _content_end(self, chunk: types.Chunk, said: list[Event]) -> None:
        self._end(("content", chunk.index or 0), said)

    def _plan_delta(self, chunk: types.Chunk, said: list[Event]) -> None:
        number = self._open.get((PLAN, 0))
        if number is None:
            number = self._begin((PLAN, 0), Reasoning(id=PLAN, origin="cohere"), said)
        if grown := _message_in(chunk).tool_plan:
            said.append(Grew(number, grown))

    def _call_start(self, chunk: types.Chunk, said: list[Event]) -> None:
        self._end_plan(said)
        calls = listed(_message_in(chunk).tool_calls)
        self._begin(("call", chunk.index or 0), read_call(calls[0] if calls else types.ToolCall()), said)

    def _call_delta(self, chunk: types.Chunk, said: list[Event]) -> None:
        calls = listed(_message_in(chunk).tool_calls)
        number = self._open.get(("call", chunk.index or 0))
        if number is None:
            raise Broken("the upstream's stream goes on with a call that has not begun")
        if calls and calls[0].function is not None and calls[0].function.arguments:
            said.append(Grew(number, calls[0].function.arguments, "arguments"))

    def _call_end(self, chunk: types.Chunk, said: list[Event]) -> None:
        self._end(("call", chunk.index or 0), said)

    def _citation_start(self, chunk: types.Chunk, said: list[Event]) -> None:
        for seen in listed(_message_in(chunk).citations):
            first = next(iter(self._texts.values()), None)
            number = first if seen.content_index is None else self._texts.get(seen.content_index)
            if number is None or seen.type not in OF_TEXT:
                self._loose.append(msgspec.to_builtins(seen))
            else:
                said.append(Cited(number, read_citation(seen)))

    def _message_end(self, chunk: types.Chunk, said: list[Event]) -> None:
        for place in list(self._open):
            self._end(place, said)
        delta = chunk.delta or types.Delta()
        usage = read_usage(delta.usage)
        if usage is not None:
            said.append(Metered(usage))
        self._ended = True
        if delta.error is not None:
            said.append(Faulted(fault(delta.error_type or "", delta.error)))
            return
        if delta.finish_reason:
            self.finished = True
            raw = {LOOSE: self._loose} if self._loose else None
            said.append(Finished(read_finish(delta.finish_reason), delta.finish_reason, raw=raw))
        said.append(Ended(read_extra(delta.usage)))

    def _begin(self, place: _Place, content: Part, said: list[Event]) -> int:
        number = self._parts
        self._parts += 1
        self._open[place] = number
        self._numbers[number] = content
        said.append(Opened(number, content))
        return number

    def _end(self, place: _Place, said: list[Event]) -> None:
        number = self._open.pop(place, None)
        if number is not None:
            del self._numbers[number]
            said.append(Closed(number))

    def _end_plan(self, said: list[Event]) -> None:
        self._end((PLAN, 0), said)

    _READERS: ClassVar[Mapping[str, Callable[[EventReader, types.Chunk, list[Event]], None]]] = {
        "message-start": _message_start,
        "content-start": _content_start,
        "content-delta": _content_delta,
        "content-end": _content_end,
        "tool-plan-delta": _plan_delta,
        "tool-call-start": _call_start,
        "tool-call-delta": _call_delta,
        "tool-call-end": _call_end,
        "citation-start": _citation_start,
        "message-end": _message_end,
    }
    """What each event does; `citation-end`, `debug` and what is new say nothing."""


def _message_in(chunk: types.Chunk) -> types.Message:
    return chunk.delta.message or _NOTHING if chunk.delta is not None else _NOTHING

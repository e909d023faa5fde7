"""Streams of the Responses API into events.

An item of the output is a part, but a message: there each part of its content is one. The deltas are what
a part grows by; what an item says once it is done fills in only what no delta said, so that hosts which
skip some of the events lose nothing. `response.completed` tells usage and end.

A stream without an end is none: `Ended` comes with `response.completed` or `response.incomplete` only.
Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import Broken
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_object
from gateway.formats.neutral.completion import TokenLogprob
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Growth,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.responses.answer import CALLS, finish_of, read_error, read_extra, read_metered
from gateway.formats.responses.content import read_citation, read_logprobs
from gateway.formats.responses.items import kind_of, read_item
from gateway.formats.responses.types import Answer, Chunk

_decoder = msgspec.json.Decoder(Chunk)


class _Kind(msgspec.Struct):
    type: str = ""


_kind = msgspec.json.Decoder(_Kind)

_MESSAGE, _REASONING = "message", "reasoning"


class _Growing:
    """A part under way: its number, and how much of it has been told."""

    __slots__ = ("chars", "citations", "number", "summaries", "summary_chars")

    def __init__(self, number: int) -> None:
        self.number = number
        self.chars = 0
        self.citations = 0
        self.summaries = -1
        self.summary_chars = 0


class StreamReader:
    """Reads one stream. Holds numbers only, and the unfinished event at its end."""

    def __init__(self, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._events: list[Event] = []
        self._parts: dict[int, dict[int, _Growing]] = {}
        self._kinds: dict[int, str] = {}
        self._done: set[int] = set()
        self._told: list[Part] = []
        self._began = False
        self._over = self.finished = False
        self.skipped = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say. Raises Broken for events that are none."""
        ready = self._framer.feed(piece)
        if not ready:
            return []
        for event in split_events(ready):
            data = data_of(event)
            if data and data != b"[DONE]":
                self._take(data)
        events, self._events = self._events, []
        return events

    def close(self) -> list[Event]:
        """Return what the last event said that only lacked its blank line; half an event says nothing."""
        rest = self._framer.rest()
        try:
            whole = bool(rest) and isinstance(_kind.decode(data_of(rest)), _Kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        return self.feed(rest.rstrip(b"\r\n") + b"\n\n") if whole else []

    def _take(self, data: bytes) -> None:
        try:
            chunk = _decoder.decode(data)
            take = _TAKEN.get(chunk.type or ("error" if chunk.error else ""))
            if take is not None and not self._over:
                take(self, chunk)
        except msgspec.ValidationError as error:
            if not is_object(data):
                self.skipped += 1
            elif not _is_unknown(data):
                raise Broken(f"the upstream sent an event that its format does not know: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.skipped += 1

    # What the events of the response say.

    def began(self, chunk: Chunk) -> None:
        """Take who answers, from the first event that says so."""
        if self._began:
            return
        answer = msgspec.convert(chunk.response or {}, Answer)
        self._began = True
        self._events.append(
            Began(
                answer.id or "",
                answer.model or "",
                int(answer.created_at or 0),
                answer.service_tier or "",
                read_extra(chunk.response or {}),
            )
        )

    def ended(self, chunk: Chunk) -> None:
        """Take the end, which repeats everything: what no event has told is told now."""
        self.began(chunk)
        answer = msgspec.convert(chunk.response or {}, Answer)
        untold = list(enumerate(answer.output or ())) if not self._kinds else []
        for index, item in untold:
            self._finish_item(index, item)
        for index in list(self._kinds):
            self._close(index)
        usage = read_metered(answer)
        if usage is not None:
            self._events.append(Metered(usage))
        finish, finish_raw = finish_of(answer, self._told)
        if finish is None:
            raise msgspec.ValidationError(f"the end of a stream cannot have the status {finish_raw!r}")
        self._events += [Finished(finish, finish_raw), Ended(read_extra(chunk.response or {}))]
        self._over = self.finished = True

    def failed(self, chunk: Chunk) -> None:
        """Take a failure; `response.failed` repeats what `error` has said."""
        response = chunk.response if isinstance(chunk.response, dict) else {}
        usage = read_metered(msgspec.convert(response, Answer))
        if usage is not None:
            self._events.append(Metered(usage))
        error = response.get("error") or chunk.error or {"code": chunk.code, "message": chunk.message}
        self._events.append(Faulted(read_error(error)))
        self._over = True

    # What the events of items say.

    def item_added(self, chunk: Chunk) -> None:
        """Take the beginning of an item; a message begins with its first content."""
        if chunk.output_index not in self._kinds:
            self._begin_item(chunk.output_index, chunk.item)

    def item_done(self, chunk: Chunk) -> None:
        """Take the whole of an item."""
        self._finish_item(chunk.output_index, chunk.item)

    def content_added(self, chunk: Chunk) -> None:
        """Take the beginning of a part of a message."""
        part = chunk.part if isinstance(chunk.part, dict) else {}
        if self._kinds.get(chunk.output_index, _MESSAGE) == _MESSAGE and part.get("type") in _CONTENTS:
            self._content(chunk, _CONTENTS[part["type"]])

    def _begin_item(self, index: int, item: Any) -> None:
        self._need_began()
        kind = self._kinds[index] = kind_of(item)
        if kind == _MESSAGE:
            return
        # What may have grown when the item is done is left out: it would be told twice.
        stripped = {name: item[name] for name in ("type", "id", "call_id", "name") if name in item}
        _, parts, _ = read_item(stripped if kind in CALLS or kind == _REASONING else item, "item")
        self._open(index, 0, parts[0])

    def _open(self, index: int, inner: int, part: Part) -> _Growing:
        self._need_began()
        growing = _Growing(len(self._told))
        self._parts.setdefault(index, {})[inner] = growing
        self._told.append(part)
        self._events.append(Opened(growing.number, part))
        return growing

    def _need_began(self) -> None:
        if not self._began:
            self.began(Chunk())

    def _content(self, chunk: Chunk, empty: Text | Refusal) -> _Growing:
        index, inner = chunk.output_index, chunk.content_index
        found = self._parts.get(index, {}).get(inner)
        if found is not None and self._kinds[index] == _MESSAGE:
            return found
        if self._kinds.setdefault(index, _MESSAGE) != _MESSAGE or index in self._done:
            raise msgspec.ValidationError(f"{chunk.type} is of an item that is no message, or is done")
        return self._open(index, inner, empty)

    def _item(self, chunk: Chunk) -> _Growing:
        found = self._parts.get(chunk.output_index, {}).get(0)
        if found is None or self._kinds[chunk.output_index] == _MESSAGE:
            raise msgspec.ValidationError(f"{chunk.type} is of an item that has not begun")
        return found

    # What deltas say.

    def text(self, chunk: Chunk) -> None:
        """Take words of a text."""
        growing = self._content(chunk, _TEXT)
        growing.chars += len(chunk.delta)
        logprobs = read_logprobs(chunk.logprobs) if chunk.logprobs else None
        self._events.append(Grew(growing.number, chunk.delta, logprobs=logprobs))

    def refusal(self, chunk: Chunk) -> None:
        """Take words of a refusal."""
        self._grow(self._content(chunk, _REFUSAL), chunk.delta)

    def arguments(self, chunk: Chunk) -> None:
        """Take arguments of a function, or the input of a custom tool."""
        if self._kinds.get(chunk.output_index) in CALLS:  # MCP calls have arguments too
            self._grow(self._item(chunk), chunk.delta, "arguments")

    def reasoning(self, chunk: Chunk) -> None:
        """Take words of a thought."""
        self._grow(self._item(chunk), chunk.delta)

    def summary(self, chunk: Chunk) -> None:
        """Take words of a summary."""
        self._grow_summary(self._item(chunk), chunk.delta, chunk.summary_index)

    def cited(self, chunk: Chunk) -> None:
        """Take a source."""
        growing = self._content(chunk, _TEXT)
        growing.citations += 1
        self._events.append(Cited(growing.number, read_citation(chunk.annotation)))

    def _grow(
        self,
        growing: _Growing,
        text: str,
        what: Growth = "text",
        logprobs: tuple[TokenLogprob, ...] | None = None,
    ) -> None:
        growing.chars += len(text)
        self._events.append(Grew(growing.number, text, what, logprobs=logprobs))

    def _grow_summary(self, growing: _Growing, text: str, index: int) -> None:
        new = index != growing.summaries
        growing.summaries = index
        growing.summary_chars += len(text)
        self._events.append(Grew(growing.number, text, "summary", new_summary=new))

    # The end of an item.

    def _finish_item(self, index: int, item: Any) -> None:
        if index in self._done:
            return
        if index not in self._kinds:
            self._begin_item(index, item)
        if kind_of(item) != self._kinds[index]:
            raise msgspec.ValidationError(f"the item {index} began as another kind than it ended")
        _, parts, frame = read_item(item, "item")
        if self._kinds[index] != _MESSAGE:
            self._fill_item(self._parts[index][0], parts[0])
            self._close(index, parts[0] if isinstance(parts[0], Opaque) else None)
            return
        self._fill_message(index, list(zip(parts, frame.contents or ({},) * len(parts), strict=True)))
        self._close(index)

    def _fill_message(self, index: int, contents: Sequence[tuple[Part, Mapping[str, Any]]]) -> None:
        """Match contents and what has begun by their order: Bedrock's deltas number them from 1."""
        begun = sorted(self._parts.get(index, {}).items())
        free = begun[-1][0] + 1 if begun else 0
        known = iter([growing for _, growing in begun])
        for part, rest in contents:
            if not isinstance(part, Text | Refusal):
                self._open(index, free, part)
                free += 1
                continue
            growing = next(known, None)
            if growing is None:
                growing = self._open(index, free, _TEXT if isinstance(part, Text) else _REFUSAL)
                free += 1
            self._fill_content(growing, part, rest)

    def _fill_content(self, growing: _Growing, part: Text | Refusal, rest: Mapping[str, Any]) -> None:
        if not growing.chars and part.text:
            logprobs = read_logprobs(msgspec.convert(rest, Chunk).logprobs)
            self._grow(growing, part.text, logprobs=logprobs or None)
        citations = part.citations if isinstance(part, Text) else ()
        self._events += [Cited(growing.number, citation) for citation in citations[growing.citations :]]

    def _fill_item(self, growing: _Growing, part: Part) -> None:
        if isinstance(part, ToolCall):
            if not growing.chars and part.arguments:
                self._grow(growing, part.arguments, "arguments")
        elif isinstance(part, Reasoning):
            if not growing.chars and part.text:
                self._grow(growing, part.text)
            for i, summary in enumerate(() if growing.summary_chars else part.summary):
                self._grow_summary(growing, summary, i)
            if part.encrypted:
                self._grow(growing, part.encrypted, "encrypted")
            if part.signature:
                self._grow(growing, part.signature, "signature")

    def _close(self, index: int, content: Part | None = None) -> None:
        if index in self._done:
            return
        self._done.add(index)
        for growing in self._parts.pop(index, {}).values():
            self._events.append(Closed(growing.number, content=content))


_TEXT, _REFUSAL = Text(""), Refusal("")
_CONTENTS: Mapping[str, Text | Refusal] = {"output_text": _TEXT, "refusal": _REFUSAL}


def _is_unknown(data: bytes) -> bool:
    """Tell whether an event is of a kind that nothing is known of, and so may have any shape."""
    try:
        return _kind.decode(data).type not in _TAKEN
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


_TAKEN: Mapping[str, Callable[[StreamReader, Chunk], None]] = {
    "response.output_text.delta": StreamReader.text,
    "response.function_call_arguments.delta": StreamReader.arguments,
    "response.custom_tool_call_input.delta": StreamReader.arguments,
    "response.reasoning_text.delta": StreamReader.reasoning,
    "response.reasoning_summary_text.delta": StreamReader.summary,
    "response.refusal.delta": StreamReader.refusal,
    "response.output_text.annotation.added": StreamReader.cited,
    "response.output_item.added": StreamReader.item_added,
    "response.content_part.added": StreamReader.content_added,
    "response.output_item.done": StreamReader.item_done,
    "response.queued": StreamReader.began,
    "response.created": StreamReader.began,
    "response.in_progress": StreamReader.began,
    "response.completed": StreamReader.ended,
    "response.incomplete": StreamReader.ended,
    "response.failed": StreamReader.failed,
    "error": StreamReader.failed,
}
"""The events that say something new. All others repeat, or tell how far a tool of the provider is."""

"""Read a stream of the Messages API as neutral events.

Usage is told twice: with the message's beginning and, more exactly, with its end; what the end leaves out
still holds. A block of a tool that Anthropic runs goes on as it is, event by event.
Source: Anthropic API reference, "Streaming Messages" (checked 2026-11); recorded streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.errors import Broken
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_object
from gateway.formats.messages.answer import extra_of, finish_of
from gateway.formats.messages.blocks import OWN
from gateway.formats.messages.content import decode_citation, decode_thinking_block, text_of_input
from gateway.formats.messages.types import Block, Chunk, Delta, ErrorObject, Usage
from gateway.formats.messages.usage import decode_usage, merge_usage, rest_of
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
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Text, ToolCall
from gateway.formats.neutral.seals import unseal

_decoder = msgspec.json.Decoder(Chunk)


class MessagesDecoder:
    """One stream. Raises Broken for what is no stream of this API."""

    __slots__ = ("_began", "_ended", "_extra", "_framer", "_open", "_parts", "_usage", "finished", "skipped")

    def __init__(self, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._parts = 0
        self._open: dict[int, _Open] = {}
        self._usage = Usage()
        self._extra: dict[str, Any] = {}
        self._began = self._ended = self.finished = False
        self.skipped = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say."""
        ready = self._framer.feed(piece)
        return self._read(ready) if ready else []

    def close(self) -> list[Event]:
        """Read a last event that only lacks its blank line."""
        rest = self._framer.rest()
        return self._read(rest) if rest.strip() else []

    def _read(self, ready: bytes) -> list[Event]:
        events: list[Event] = []
        for event in split_events(ready):
            data = data_of(event)
            if not data or self._ended:
                continue
            try:
                chunk = _decoder.decode(data)
                if (take := _TAKEN.get(chunk.type)) is not None:
                    take(self, chunk, data, events)
            except msgspec.ValidationError as error:
                if is_object(data):
                    raise Broken(f"the upstream sent an event that cannot be read: {error}") from None
                self.skipped += 1
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.skipped += 1
        return events

    def started(self, chunk: Chunk, _: bytes, events: list[Event]) -> None:
        """Take the head of the message."""
        message = chunk.message
        if message is None:
            raise Broken("the upstream began a message without saying which")
        if self._began:  # an upstream that says everything twice
            return
        self._began = True
        usage = message.usage or Usage()
        tier = usage.service_tier or ""
        events.append(Began(message.id, message.model, service_tier=tier, extra=extra_of(message)))
        if message.usage:
            self._meter(message.usage, events)

    def opened(self, chunk: Chunk, data: bytes, events: list[Event]) -> None:
        """Take the beginning of a block."""
        block = chunk.content_block
        if block is None:
            raise Broken("the upstream opened a block without saying which")
        opened = _Open(self._parts, _part_of(block, data))
        self._parts += 1
        self._open[chunk.index] = opened
        events.append(Opened(opened.part, opened.content))

    def grew(self, chunk: Chunk, data: bytes, events: list[Event]) -> None:
        """Take what a block gets longer by."""
        opened, delta = self._open.get(chunk.index), chunk.delta
        if opened is None or delta is None:
            raise Broken(f"the upstream went on with block {chunk.index}, which is not open")
        if opened.pieces is None:
            grown = _grown(opened, delta)
            if grown is not None:
                events.append(grown)
            return
        opened.pieces.append(delta.partial_json or "")
        value = msgspec.json.decode(data)["delta"]
        events.append(Grew(opened.part, "", "opaque", value=value))
        if delta.type != "input_json_delta":
            opened.others.append(value)

    def closed(self, chunk: Chunk, _: bytes, events: list[Event]) -> None:
        """Take the end of a block."""
        opened = self._open.pop(chunk.index, None)
        if opened is not None:
            events.append(Closed(opened.part, content=opened.whole()))

    def ending(self, chunk: Chunk, _: bytes, events: list[Event]) -> None:
        """Take why the message ends, and its usage."""
        delta = chunk.delta or Delta()
        self._extra |= extra_of(chunk) | extra_of(delta)
        if chunk.usage:
            self._meter(chunk.usage, events)
        if (word := delta.stop_reason) and not self.finished:
            self.finished = True
            events.append(Finished(finish_of(word), word, delta.stop_sequence or ""))

    def _meter(self, told: Usage, events: list[Event]) -> None:
        self._usage = merge_usage(self._usage, told)
        events.append(Metered(decode_usage(self._usage)))

    def stopped(self, _: Chunk, __: bytes, events: list[Event]) -> None:
        """Take the end of the stream."""
        events.append(Ended(self._extra | rest_of(self._usage)))
        self._ended = True

    def failed(self, chunk: Chunk, _: bytes, events: list[Event]) -> None:
        """Take an error of the upstream."""
        error = chunk.error or ErrorObject()
        events.append(Faulted(fault(error.type, error.message)))
        self._ended = True


_TAKEN: Mapping[str, Callable[[MessagesDecoder, Chunk, bytes, list[Event]], None]] = {
    "content_block_delta": MessagesDecoder.grew,
    "content_block_start": MessagesDecoder.opened,
    "content_block_stop": MessagesDecoder.closed,
    "message_start": MessagesDecoder.started,
    "message_delta": MessagesDecoder.ending,
    "message_stop": MessagesDecoder.stopped,
    "error": MessagesDecoder.failed,
}
"""Events of any other type are skipped: pings, and what is still to be invented."""


class _Open:
    """An open block: the number of its part, and what an opaque one is put together from."""

    __slots__ = ("content", "others", "part", "pieces")

    def __init__(self, part: int, content: Part) -> None:
        self.part = part
        self.content = content
        self.pieces: list[str] | None = [] if isinstance(content, Opaque) else None
        self.others: list[Any] = []

    def whole(self) -> Part | None:
        """Return an opaque block as it would have come at once; None for all others.

        Deltas that are not the input of a tool stay beside it, as nobody can know what they change.
        """
        if not isinstance(self.content, Opaque) or not (self.pieces or self.others):
            return None
        value = dict(self.content.value)
        if text := "".join(self.pieces or ()):
            value["input"] = _value_of(text)
        for other in self.others:
            value |= {name: one for name, one in other.items() if name != "type"}
        return msgspec.structs.replace(self.content, value=value)


def _value_of(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _part_of(block: Block, data: bytes) -> Part:
    """Read how a block begins: usually empty."""
    if block.type == "text":
        return Text(block.text or "")
    if block.type == "tool_use":
        arguments = text_of_input(block.input)
        return ToolCall(block.id or "", block.name or "", "" if arguments == "{}" else arguments, origin=OWN)
    if block.type == "thinking":
        return decode_thinking_block(block)
    if block.type == "redacted_thinking":
        encrypted, origin = unseal(block.data or "", OWN)
        return Reasoning(encrypted=encrypted, origin=origin)
    return Opaque(OWN, block.type, msgspec.json.decode(data)["content_block"])


_GROWTHS: Mapping[str, tuple[type[Part], str, Growth]] = {
    "text_delta": (Text, "text", "text"),
    "input_json_delta": (ToolCall, "partial_json", "arguments"),
    "thinking_delta": (Reasoning, "thinking", "text"),
    "signature_delta": (Reasoning, "signature", "signature"),
}
"""What a delta makes longer: the kind of part, the delta's member, the part's field."""


def _grown(opened: _Open, delta: Delta) -> Event | None:
    """Read a delta of a block that is not opaque; None for one that is empty or of an unknown kind."""
    growth = _GROWTHS.get(delta.type or "")
    if growth is None:
        if delta.citation is None or not isinstance(opened.content, Text):
            return None
        return Cited(opened.part, decode_citation(delta.citation))
    kind, member, what = growth
    if type(opened.content) is not kind:
        raise Broken(f"the upstream sent a {delta.type} for another kind of block")
    text = getattr(delta, member)
    return Grew(opened.part, text, what) if text else None

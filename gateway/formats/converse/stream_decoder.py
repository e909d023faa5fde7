"""Amazon Bedrock's ConverseStream, read.

An event's kind stands in a header of its frame. Text and reasoning have no beginning of their own: their
first delta opens the part. `metadata` is the last event, after `messageStop`.
Source: Amazon Bedrock API reference, ConverseStream (checked 2026-11); recorded traffic.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.errors import Broken
from gateway.formats.converse import types
from gateway.formats.converse.answer import FIELDS, decode_finish, input_of, kept_of
from gateway.formats.converse.content import OWN, decode_citation, decode_redacted, decode_tool_use
from gateway.formats.converse.media import decode_media
from gateway.formats.converse.usage import decode_usage, read_tier
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.event_stream import Frame, FrameReader
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
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Text, ToolCall

STATUSES: Mapping[str, int] = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""The exceptions inside a stream, and the status each has where it is a whole answer."""

_EVENTS: Mapping[str, msgspec.json.Decoder[Any]] = {
    field.encode_name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(types.Chunk)
}


class _OpenBlock:
    """A block under way: its part's number and kind, and what is known only when it has ended.

    `opaque` is the JSON value of one that only Converse knows, without what its deltas bring: `pieces`.
    """

    __slots__ = ("kind", "media", "opaque", "part", "pieces", "redacted")

    def __init__(self, part: int, kind: type[Part]) -> None:
        self.part = part
        self.kind = kind
        self.redacted = bytearray()
        self.media: Media | None = None
        self.opaque: dict[str, Any] | None = None
        self.pieces: list[Any] = []


class ConverseStreamDecoder:
    """Reads frames into events. Raises Broken for what is no stream of this format."""

    def __init__(self, limit_bytes: int) -> None:
        self._frames = FrameReader(limit_bytes)
        self._blocks: dict[int, _OpenBlock] = {}
        self._parts = 0
        self._began = self._stopped = self._metered = self._ended = False
        self._extra: dict[str, Any] = {}
        self.skipped = 0

    @property
    def finished(self) -> bool:
        """The message has told why it ended."""
        return self._stopped

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say."""
        events: list[Event] = []
        for frame in self._frames.feed(piece):
            if not self._ended:
                self._take(frame, events)
        return events

    def close(self) -> list[Event]:
        """End a stream whose message is whole, even if its metadata never came. Raises Broken in a frame."""
        self._frames.close()
        events: list[Event] = []
        if self._stopped and not self._ended:
            self._end(events)
        return events

    def _take(self, frame: Frame, events: list[Event]) -> None:
        headers, payload = frame
        name = headers.get(":event-type")
        if name is None:
            self._fault(headers, payload, events)
            return
        take = _TAKERS.get(str(name))
        if take is None:
            return
        told = _decode(str(name), payload)
        if told is None:
            self.skipped += 1
        else:
            take(self, told, events)

    def _fault(self, headers: Mapping[str, Any], payload: bytes, events: list[Event]) -> None:
        """Take an exception that the API defines, or an error that the connection's other end met."""
        code = str(headers.get(":exception-type") or headers.get(":error-code") or "")
        told = _decode(code, payload) if code in STATUSES else None
        message = told.message or told.original_message if told else ""
        status = (told.original_status_code if told else 0) or STATUSES.get(code, 0)
        events.append(Faulted(fault(code, message or str(headers.get(":error-message") or ""), status)))
        self._ended = True

    def message_start(self, _told: types.MessageStart, events: list[Event]) -> None:
        """Take the beginning."""
        if not self._began:
            self._began = True
            events.append(Began())

    def _open(self, index: int, content: Part, events: list[Event]) -> _OpenBlock:
        if not self._began or self._stopped or index in self._blocks:
            raise Broken("the upstream's stream has a block outside of its message, or within another")
        block = self._blocks[index] = _OpenBlock(self._parts, type(content))
        self._parts += 1
        events.append(Opened(block.part, content))
        return block

    def block_start(self, told: types.ContentBlockStart, events: list[Event]) -> None:
        """Take the beginning of a block that has one."""
        start, index = told.start or types.Start(), told.content_block_index
        if start.image is not None:
            media = decode_media("image", start.image)
            self._open(index, media, events).media = media
        elif start.tool_result is not None:
            value = {"toolResult": msgspec.to_builtins(start.tool_result)}
            self._open(index, Opaque(OWN, "toolResult", value), events).opaque = value
        elif start.tool_use is not None:
            part = decode_tool_use(start.tool_use)
            block = self._open(index, part, events)
            block.opaque = part.value if isinstance(part, Opaque) else None

    def block_delta(self, told: types.ContentBlockDelta, events: list[Event]) -> None:
        """Take more of a block; the first of a text or a thought opens it."""
        delta, index = told.delta, told.content_block_index
        if delta is None:
            return
        block = self._blocks.get(index)
        if delta.text is not None:
            if block is None:
                self._open(index, Text(delta.text), events)
            else:
                events.append(Grew(_of(Text, block).part, delta.text))
        elif delta.reasoning_content is not None:
            block = block or self._open(index, Reasoning(origin=OWN), events)
            self._reason(_of(Reasoning, block), delta, events)
        elif delta.citation is not None:
            block = block or self._open(index, Text(""), events)
            events.append(Cited(_of(Text, block).part, decode_citation(delta.citation)))
        elif block is not None:
            self._extend(block, delta, events)

    def _reason(self, block: _OpenBlock, delta: types.Delta, events: list[Event]) -> None:
        told = delta.reasoning_content or types.ReasoningDelta()
        if told.text:
            events.append(Grew(block.part, told.text))
        if told.signature:
            events.append(Grew(block.part, told.signature, "signature"))
        if told.redacted_content:
            block.redacted += _plain(told.redacted_content)

    def _extend(self, block: _OpenBlock, delta: types.Delta, events: list[Event]) -> None:
        """Take more of a call, of a result, or of an image."""
        opaque = block.opaque or {}
        if delta.tool_use is not None and "toolUse" not in opaque:
            events.append(Grew(_of(ToolCall, block).part, delta.tool_use.input, "arguments"))
        elif delta.tool_use is not None:
            block.pieces.append(delta.tool_use.input)
            value = {"toolUse": {"input": delta.tool_use.input}}
            events.append(Grew(block.part, "", "opaque", value=value))
        elif delta.tool_result is not None and "toolResult" in opaque:
            block.pieces += delta.tool_result if isinstance(delta.tool_result, list) else []
            events.append(Grew(block.part, "", "opaque", value={"toolResult": delta.tool_result}))
        elif delta.image is not None and block.media is not None:
            told = decode_media("image", delta.image)
            block.pieces.append(told.data)
            block.media = msgspec.structs.replace(block.media, url=told.url, raw=told.raw or block.media.raw)

    def block_stop(self, told: types.ContentBlockStop, events: list[Event]) -> None:
        """Take the end of a block."""
        block = self._blocks.pop(told.content_block_index, None)
        if block is not None:
            self._close_block(block, events)

    def _close_block(self, block: _OpenBlock, events: list[Event]) -> None:
        if block.redacted:
            blob = base64.b64encode(block.redacted).decode()
            events.append(Grew(block.part, decode_redacted(blob), "encrypted"))
        events.append(Closed(block.part, content=_whole(block)))

    def message_stop(self, told: types.MessageStop, events: list[Event]) -> None:
        """Take the end of the message, and of blocks whose own end never came."""
        if self._stopped or not told.stop_reason:
            return
        for block in self._blocks.values():
            self._close_block(block, events)
        self._blocks.clear()
        fields = told.additional_model_response_fields
        raw = None if fields is None else {FIELDS: fields}
        events.append(Finished(decode_finish(told.stop_reason), told.stop_reason, raw=raw))
        self._stopped = True
        if self._metered:
            self._end(events)

    def metadata(self, told: types.Metadata, events: list[Event]) -> None:
        """Take the usage, and what only Converse says."""
        if told.usage is not None:
            usage, extra = decode_usage(told.usage, read_tier(told))
            self._extra |= extra
            if usage is not None:
                events.append(Metered(usage))
        self._extra |= kept_of(told)
        self._metered = True
        if self._stopped:
            self._end(events)

    def _end(self, events: list[Event]) -> None:
        self._ended = True
        events.append(Ended(self._extra))


_TAKERS: Mapping[str, Callable[[ConverseStreamDecoder, Any, list[Event]], None]] = {
    "contentBlockDelta": ConverseStreamDecoder.block_delta,
    "contentBlockStart": ConverseStreamDecoder.block_start,
    "contentBlockStop": ConverseStreamDecoder.block_stop,
    "messageStart": ConverseStreamDecoder.message_start,
    "messageStop": ConverseStreamDecoder.message_stop,
    "metadata": ConverseStreamDecoder.metadata,
}


def _of(kind: type[Part], block: _OpenBlock) -> _OpenBlock:
    """Return the block; raises Broken when more of one kind comes for a block of another."""
    if block.kind is not kind:
        raise Broken("the upstream's stream mixes kinds of content in one block")
    return block


def _decode(name: str, payload: bytes) -> Any:
    """Read an event; None where its payload is no JSON object."""
    try:
        return _EVENTS[name].decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and is_object(payload):
            raise Broken(f"the upstream sent an event that cannot be read: {error}") from None
        return None


def _plain(blob: str) -> bytes:
    try:
        return base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        raise Broken("the upstream sent encrypted thinking that is not base64") from None


def _whole(block: _OpenBlock) -> Part | None:
    """Put together what the events of an opaque block or an image said; None where the events suffice."""
    if block.media is not None:
        return msgspec.structs.replace(block.media, data="".join(block.pieces))
    if block.opaque is None:
        return None
    member, start = next(iter(block.opaque.items()))
    if member == "toolUse":
        return Opaque(OWN, member, {member: {**start, "input": input_of("".join(block.pieces))}})
    return Opaque(OWN, member, {member: {**start, "content": block.pieces}})

"""Amazon Bedrock's ConverseStream, written.

Clients do not speak this format: streams are written for recorded ones to be compared with, and by the
upstreams of tests. A signature that another provider puts on a text or a call after it has begun is left
out, for Converse has no place for it.
Source: Amazon Bedrock API reference, ConverseStream (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.formats.converse.answer import FIELDS, KEPT, blocks_of, encode_finish
from gateway.formats.converse.content import OWN, encode_citation, encode_redacted
from gateway.formats.converse.media import MediaWriter
from gateway.formats.converse.usage import encode_usage
from gateway.formats.framing.event_stream import encode_frame, encode_headers
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Media, Reasoning, ToolCall
from gateway.formats.neutral.seals import seal

_EXCEPTIONS: Mapping[int, str] = {
    400: "validationException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    503: "serviceUnavailableException",
}
"""By status; all others are `internalServerException`."""


def _headers(kind: str, name: str) -> bytes:
    told = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encode_headers(told)


_HEADERS: Mapping[str, bytes] = {
    name: _headers("event", name)
    for name in (
        *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop"),
        *("messageStop", "metadata"),
    )
}


class _Written:
    """A part under way: the block it is written as.

    `origin` is who made it where it is thinking, else None. `begun` says whether the beginning of what is
    sealed, or of an image's content, was written already; `summarised` whether a summary was.
    """

    __slots__ = ("begun", "index", "origin", "summarised")

    def __init__(self, index: int, origin: str | None) -> None:
        self.index = index
        self.origin = origin
        self.begun = False
        self.summarised = False


class ConverseStreamEncoder:
    """Writes events as frames."""

    def __init__(self, _heading: Heading) -> None:
        self._parts: dict[int, _Written] = {}
        self._blocks = 0
        self._metered: Metered | None = None

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing in this format (yet)."""
        return b"".join([frame for event in events for frame in self._frames(event)])

    def fail(self, error: GatewayError) -> bytes:
        """Write an exception; a client takes nothing after it."""
        name = _EXCEPTIONS.get(error.status, "internalServerException")
        return encode_frame(_headers("exception", name), msgspec.json.encode({"message": error.message}))

    def _frames(self, event: Event) -> list[bytes]:
        write = _WRITERS.get(type(event))
        return write(self, event) if write else []

    def began(self, _event: Began) -> list[bytes]:
        """Write the beginning."""
        return [_frame("messageStart", {"role": "assistant"})]

    def opened(self, event: Opened) -> list[bytes]:
        """Write the beginning of a part; thinking that is made for its signature is whole at once."""
        content = event.content
        origin = content.origin if isinstance(content, Reasoning) else None
        blocks = blocks_of(content, MediaWriter())
        if not blocks and origin is None:
            return []
        frames: list[bytes] = []
        for block in blocks[:-1]:
            index = self._next()
            frames += [*_begin(index, block), _frame("contentBlockStop", {"contentBlockIndex": index})]
        written = self._parts[event.part] = _Written(self._next(), origin)
        if isinstance(content, Reasoning):
            written.begun = bool(content.signature or content.encrypted)
        elif isinstance(content, Media):
            written.begun = bool(content.data or content.url)
        elif isinstance(content, ToolCall):
            blocks[-1]["toolUse"]["input"] = content.arguments  # the text itself: it may be a beginning
        return frames + (_begin(written.index, blocks[-1]) if blocks else [])

    def _next(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def grew(self, event: Grew) -> list[bytes]:
        """Write more of a part."""
        written = self._parts.get(event.part)
        if written is None:
            return []
        if event.what == "text":
            told = {"text": event.text}
            return [_delta(written.index, told if written.origin is None else {"reasoningContent": told})]
        delta = _more(written, event) if written.origin is None else _thought(written, event)
        return [_delta(written.index, delta)] if delta else []

    def cited(self, event: Cited) -> list[bytes]:
        """Write a source."""
        written = self._parts.get(event.part)
        return [_delta(written.index, {"citation": encode_citation(event.citation)})] if written else []

    def closed(self, event: Closed) -> list[bytes]:
        """Write a part's end, and before it an image of which only the kind was known until now."""
        written = self._parts.pop(event.part, None)
        if written is None:
            return []
        frames = [_frame("contentBlockStop", {"contentBlockIndex": written.index})]
        if isinstance(event.content, Media) and not written.begun:
            block = blocks_of(event.content, MediaWriter())[0]
            frames = [_delta(written.index, _image(block)), *frames]
        return frames

    def finished(self, event: Finished) -> list[bytes]:
        """Write the end of the message."""
        told: dict[str, Any] = {"stopReason": encode_finish(event.finish, event.finish_raw)}
        if isinstance(event.raw, dict) and FIELDS in event.raw:
            told[FIELDS] = event.raw[FIELDS]
        return [_frame("messageStop", told)]

    def metered(self, event: Metered) -> list[bytes]:
        """Remember the usage: it is told once, at the end."""
        self._metered = event
        return []

    def ended(self, event: Ended) -> list[bytes]:
        """Write the last event."""
        told = {name: event.extra[name] for name in KEPT if name in event.extra}
        if self._metered is not None and self._metered.usage is not None:
            told["usage"] = encode_usage(self._metered.usage, event.extra)
        return [_frame("metadata", told)]


_WRITERS: Mapping[type, Callable[[ConverseStreamEncoder, Any], list[bytes]]] = {
    Grew: ConverseStreamEncoder.grew,
    Opened: ConverseStreamEncoder.opened,
    Closed: ConverseStreamEncoder.closed,
    Cited: ConverseStreamEncoder.cited,
    Finished: ConverseStreamEncoder.finished,
    Metered: ConverseStreamEncoder.metered,
    Began: ConverseStreamEncoder.began,
    Ended: ConverseStreamEncoder.ended,
}
"""A Faulted says nothing here: whoever reads it calls `fail`."""


def _frame(name: str, payload: dict[str, Any]) -> bytes:
    return encode_frame(_HEADERS[name], msgspec.json.encode(payload))


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _begin(index: int, block: dict[str, Any]) -> list[bytes]:
    """Write a block as far as it is known: its beginning where its kind has one, then its content."""
    member, value = next(iter(block.items()))
    start, deltas = _SPLIT[member](value) if member in _SPLIT else (value, [])
    frames = [_delta(index, delta) for delta in deltas]
    if start is None:
        return frames
    told = {"contentBlockIndex": index, "start": {member: start}}
    return [_frame("contentBlockStart", told), *frames]


_Split = tuple[dict[str, Any] | None, list[dict[str, Any]]]
"""What stands in a block's start (None: its kind has none), and its deltas."""


def _split_text(value: str) -> _Split:
    return None, [{"text": value}]


def _split_cited(value: dict[str, Any]) -> _Split:
    texts = [{"text": piece["text"]} for piece in value.get("content", ())]
    return None, [*(texts or [{"text": ""}]), *({"citation": citation} for citation in value["citations"])]


def _split_reasoning(value: dict[str, Any]) -> _Split:
    told = value.get("reasoningText", value)
    return None, [{"reasoningContent": {name: text}} for name, text in told.items() if text]


def _split_call(value: dict[str, Any]) -> _Split:
    start = {name: told for name, told in value.items() if name != "input"}
    given = value.get("input", "")
    text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    return start, [{"toolUse": {"input": text}}] if text else []


def _split_result(value: dict[str, Any]) -> _Split:
    start = {name: told for name, told in value.items() if name != "content"}
    return start, [{"toolResult": value["content"]}] if "content" in value else []


def _split_image(value: dict[str, Any]) -> _Split:
    delta = _image({"image": value})
    return {"format": value["format"]}, [delta] if delta["image"] else []


_SPLIT: Mapping[str, Callable[[Any], _Split]] = {
    "text": _split_text,
    "citationsContent": _split_cited,
    "reasoningContent": _split_reasoning,
    "toolUse": _split_call,
    "toolResult": _split_result,
    "image": _split_image,
}


def _image(block: dict[str, Any]) -> dict[str, Any]:
    source = {name: told for name, told in block["image"]["source"].items() if told}
    told = {"source": source, "error": block["image"].get("error")}
    return {"image": {name: value for name, value in told.items() if value}}


def _thought(written: _Written, event: Grew) -> dict[str, Any]:
    text = event.text
    if event.what == "summary":
        apart = event.new_summary and written.summarised
        written.summarised = True
        return {"reasoningContent": {"text": f"\n\n{text}" if apart else text}}
    if not written.begun:
        text = seal(text, written.origin or "", OWN)
        written.begun = True
    if event.what == "signature":
        return {"reasoningContent": {"signature": text}}
    return {"reasoningContent": {"redactedContent": encode_redacted(text)}}


def _more(written: _Written, event: Grew) -> dict[str, Any] | None:
    if event.what == "arguments":
        return {"toolUse": {"input": event.text}}
    if event.what == "opaque":
        return event.value if isinstance(event.value, dict) else None
    if event.what == "data":
        written.begun = True
        return {"image": {"source": {"bytes": event.text}}}
    return None

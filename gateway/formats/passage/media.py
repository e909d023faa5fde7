"""What is relayed and is no text: sound, images, transcripts. Their usage, and their streams.

Source: OpenAI API reference, "Images", "Audio" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import Failed, GatewayError
from gateway.exchange import Usage
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.framing.sse import Framer, data_of, split_events


class _Details(msgspec.Struct):
    image_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    cached_tokens: int | float | None = None


class _UsageObject(msgspec.Struct):
    """`usage` of images and transcripts: tokens, or (older models of transcription) seconds."""

    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_tokens_details: _Details | None = None
    seconds: int | float | None = None


class _Answer(msgspec.Struct):
    usage: _UsageObject | None = None
    duration: int | float | str | None = None
    """Of a verbose transcript: the seconds of sound."""


_answer = msgspec.json.Decoder(_Answer)


def read_media_usage(body: bytes) -> Usage:
    """Read what images or a transcript used; nothing where the answer does not say, or is plain text."""
    try:
        seen = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Usage()
    usage = _usage(seen.usage) if seen.usage is not None else Usage()
    if not usage.audio_s and isinstance(seen.duration, int | float):
        return msgspec.structs.replace(usage, audio_s=float(seen.duration))
    return usage


def read_image_usage(body: bytes) -> Usage:
    """Read what images used; raises Failed when the answer is no JSON object."""
    try:
        msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"the upstream's answer is not whole JSON: {error}"
        raise Failed(message, code="upstream_bad_answer") from None
    usage = read_media_usage(body)
    return msgspec.structs.replace(usage, image_output_tokens=usage.output_tokens)


def _usage(seen: _UsageObject) -> Usage:
    details = seen.input_tokens_details or seen.input_token_details or _Details()
    return Usage(
        input_tokens=int(seen.input_tokens or 0),
        output_tokens=int(seen.output_tokens or 0),
        cached_tokens=int(details.cached_tokens or 0),
        audio_input_tokens=int(details.audio_tokens or 0),
        image_input_tokens=int(details.image_tokens or 0),
        audio_s=float(seen.seconds or 0.0),
    )


class RawStream:
    """Sound on its way through: bytes without events. It is whole when its body is."""

    __slots__ = ("_ended", "_usage")

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._ended = False
        self._usage = Usage(characters=len(_text_member(members, "input")))

    @property
    def usage(self) -> Usage:
        """The characters that were spoken: what providers bill by."""
        return self._usage

    @property
    def finished(self) -> bool:
        """Whether the body ended in good order."""
        return self._ended

    @property
    def done(self) -> bool:
        """See `finished`."""
        return self._ended

    @property
    def failed(self) -> bool:
        """Sound carries no errors."""
        return False

    def feed(self, piece: bytes) -> bytes:
        """Pass a piece on."""
        return piece

    def close(self) -> bytes:
        """Note the end."""
        self._ended = True
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """Say nothing: what can be said in sound is no error. The client's line is cut."""
        raise error

    def text(self) -> str:
        """Nothing here is counted in tokens."""
        return ""


def _text_member(members: Mapping[str, Any], name: str) -> str:
    try:
        return msgspec.json.decode(members.get(name, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class _MediaEvent(msgspec.Struct):
    type: str = ""
    usage: _UsageObject | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_media_event = msgspec.json.Decoder(_MediaEvent)


class MediaEvents:
    """Images or transcripts that come as events, of which the last says it is the last, and the usage."""

    __slots__ = ("_framer", "_last", "_usage", "failed")

    def __init__(self, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._last = ""
        self._usage: Usage | None = None
        self.failed = False

    @property
    def usage(self) -> Usage:
        """The usage that was told; nothing where none was."""
        return self._usage or Usage()

    @property
    def finished(self) -> bool:
        """Whether the last event was one that ends."""
        return self._last.endswith((".completed", ".done"))

    @property
    def done(self) -> bool:
        """See `finished`."""
        return self.finished

    def feed(self, piece: bytes) -> bytes:
        """Take a piece, return the whole events in it. Raises Broken when one outgrows the limit."""
        events = self._framer.feed(piece)
        for event in split_events(events):
            self._look_at(event)
        return events

    def close(self) -> bytes:
        """Return the rest: an event that only lacks its blank line."""
        rest = self._framer.rest()
        if not rest or not self._look_at(rest):
            return b""
        return rest + b"\n\n"

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return encode_error_event(error)

    def text(self) -> str:
        """Nothing here is counted by us."""
        return ""

    def _look_at(self, event: bytes) -> bool:
        """Note what an event says; False where it is not whole JSON."""
        try:
            seen = _media_event.decode(data_of(event))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        self._last = seen.type or self._last
        self._usage = self._usage if seen.usage is None else _usage(seen.usage)
        self.failed = self.failed or bytes(seen.error) != b"null"
        return True

"""What is relayed and is no text: sound, images, transcripts. Their usage, and their streams.

Source: OpenAI API reference, "Images", "Audio" (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import BadAnswer, GatewayError, UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.errors.told import fault_in
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_damaged
from gateway.formats.neutral.completion import MOST_CHARS, NOTHING, About
from gateway.formats.neutral.reading import any_in, believed, read_answer, value_in

_NULL = msgspec.Raw(b"null")


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
    usage: msgspec.Raw = _NULL
    duration: msgspec.Raw = _NULL
    """Of a verbose transcript: the seconds of sound."""
    model: msgspec.Raw = _NULL


_answer = msgspec.json.Decoder(_Answer)
_usage_object = msgspec.json.Decoder(_UsageObject | None)
_PAGE = re.compile(rb"\s*<(?:!doctype html|html)\b", re.IGNORECASE)


def read_media(body: bytes) -> tuple[Usage | None, bool, About]:
    """Read what a transcript used; raises BadAnswer for a page. It may be plain text, and say nothing."""
    if _PAGE.match(body):
        raise BadAnswer("the upstream answered with an HTML page")
    usage, about = _read(body)
    return usage, False, about


def read_images(body: bytes) -> tuple[Usage | None, bool, About]:
    """Read what images used; raises BadAnswer when the answer is no JSON object."""
    read_answer(body, _Answer)
    usage, about = _read(body)
    if usage is not None:
        usage = msgspec.structs.replace(usage, image_output_tokens=usage.output_tokens)
    return usage, False, about


def _read(body: bytes) -> tuple[Usage | None, About]:
    """Read the usage, None where it is nonsense, and the model; nothing where the answer does not say."""
    try:
        seen = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # plain text
        return Usage(), NOTHING
    duration = any_in(seen.duration)
    seconds = duration if isinstance(duration, int | float) and duration is not True else None
    return _usage(seen.usage, seconds), About((value_in(seen.model) or "")[:MOST_CHARS])


def _usage(told: msgspec.Raw, seconds: float | None = None) -> Usage | None:
    """Read a `usage` member; None where it is nonsense. `seconds` are those that are told beside it."""
    try:
        seen = _usage_object.decode(told) or _UsageObject()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    details = seen.input_tokens_details or seen.input_token_details or _Details()
    usage = Usage(
        input_tokens=int(seen.input_tokens or 0),
        output_tokens=int(seen.output_tokens or 0),
        cached_tokens=int(details.cached_tokens or 0),
        audio_input_tokens=int(details.audio_tokens or 0),
        image_input_tokens=int(details.image_tokens or 0),
        audio_s=seen.seconds or seconds or 0.0,
    )
    return believed(usage)


class RawStream:
    """Sound on its way through: bytes without events. It is whole when its body is; no error fits in."""

    __slots__ = ("_ended", "_usage", "begun", "fault", "skipped")
    about = NOTHING

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._ended = self.begun = False
        self.skipped = 0
        self.fault: UpstreamError | None = None
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

    def feed(self, piece: bytes) -> bytes:
        """Pass a piece on."""
        self.begun = True
        return piece

    def close(self) -> bytes:
        """Note the end."""
        self._ended = True
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """Say nothing: what can be said in sound is no error. The client's line is cut."""
        raise error

    def mend(self) -> bytes:
        """Say nothing: sound has no end of its own."""
        return b""

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
    usage: msgspec.Raw = _NULL


_media_event = msgspec.json.Decoder(_MediaEvent)
_ENDS = (".completed", ".done")
"""How the name ends of an event that is the last of its image or transcript."""


class MediaEvents:
    """Images or transcripts that come as events, of which the last of each says so, and tells the usage.

    `asked`: so many were asked for.
    """

    __slots__ = ("_asked", "_ends", "_framer", "_last", "_usage", "begun", "fault", "skipped")
    about = NOTHING

    def __init__(self, limit_bytes: int, asked: int = 1) -> None:
        self._framer = Framer(limit_bytes)
        self._asked = asked
        self._ends = 0
        self._last = ""
        self._usage: Usage | None = None
        self.begun = False
        self.fault: UpstreamError | None = None
        self.skipped = 0

    @property
    def usage(self) -> Usage | None:
        """The usage that was told, the last one where there were several; None until then."""
        return self._usage

    @property
    def finished(self) -> bool:
        """Whether the last event was one that ends, and as many came as were asked for."""
        return self._ends >= self._asked and self._last.endswith(_ENDS)

    @property
    def done(self) -> bool:
        """See `finished`."""
        return self.finished

    def feed(self, piece: bytes) -> bytes:
        """Take a piece, return the whole events in it. Raises Broken when one outgrows the limit."""
        return self._pass(self._framer.feed(piece))

    def close(self) -> bytes:
        """Return the rest: an event that only lacks its blank line."""
        rest = self._framer.rest()
        self.fault = self.fault or fault_in(rest)
        return self._pass(rest + b"\n\n") if data_of(rest) else b""

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return encode_error_event(error)

    def mend(self) -> bytes:
        """Say nothing: what ends the stream is its last event."""
        return b""

    def text(self) -> str:
        """Nothing here is counted by us."""
        return ""

    def _pass(self, events: bytes) -> bytes:
        """Leave out what nobody can read. Each of several images has an end of its own."""
        passed: list[bytes] = []
        for event in split_events(events) if events else ():
            data = data_of(event)
            if is_damaged(event, data):
                self.skipped += bool(data)
            else:
                passed.append(event)
                self._look_at(data)
        return b"".join(passed)

    def _look_at(self, data: bytes) -> None:
        try:
            seen = _media_event.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        fault = fault_in(data, named=seen.type == "error")
        self.fault = self.fault or fault
        self.begun = self.begun or fault is None
        self._last = seen.type or self._last
        self._ends += seen.type.endswith(_ENDS)
        if bytes(seen.usage) != b"null":
            self._usage = _usage(seen.usage)

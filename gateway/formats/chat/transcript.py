"""What a stream has said so far, kept raw and read when somebody asks: usually once, at its end.

Looking into every event as it passes costs more than relaying it, and nearly all of them say nothing
but a word. So whole events are kept as they came until they outgrow a limit; then they are boiled
down to what may be asked for: text, usage, the class of service, and whether there were calls.
"""

from __future__ import annotations

import re

import msgspec

from gateway.errors import UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.usage import decode_usage
from gateway.formats.errors.told import fault_in
from gateway.formats.framing.sse import data_of
from gateway.formats.neutral.completion import in_tier, tier_of

RAW_LIMIT_BYTES = 32 * 1024

# In generated text quotes and newlines would be escaped: these match members and lines only.
_TEXT = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments|name)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)
_CALLS = re.compile(rb'"(?:tool_calls"\s*:\s*\[\s*\{|function_call"\s*:\s*\{)')
_CALLING, _CALLING_SPACED = b'"tool_calls":[{', b'"tool_calls": [{'
_TIER_NAME = b'"service_tier"'
_TIER = re.compile(_TIER_NAME + rb'\s*:\s*"([^"\\]{1,64})"')
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
USAGE = b'"prompt_tokens"'
"""A member of every usage object, and of nothing else."""
ERROR = b'"error"'
"""The member of an error, or what SGLang says its event is."""


class _Chunk(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Chunk)


def text_of(raw: bytes) -> str:
    """Return all generated text in an answer, or in events of a stream.

    Found by the names of members: 10 times faster than decoding, and good enough to count tokens by.
    """
    escaped = b"".join(_TEXT.findall(raw))
    try:
        return msgspec.json.decode(b'"' + escaped + b'"', type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):  # half a surrogate pair, a bad escape
        return escaped.decode(errors="replace")


def first_finish(events: bytes) -> int:
    """Find where the first finish reason in these events is told; -1: none is."""
    found = _FINISHED.search(events)
    return -1 if found is None else found.start()


def last_fault(events: bytes) -> UpstreamError | None:
    """Return the error that the last of these events tells that tells one."""
    at = events.rfind(ERROR)  # from the end: a third of what the same search costs from the beginning
    while at >= 0:
        start, end = _event_around(events, at)
        fault = fault_in(data_of(events[start:end]))
        if fault is not None:
            return fault
        at = events.rfind(ERROR, 0, start)
    return None


class Transcript:
    """The events of a stream. What is asked for is true of all that was added."""

    __slots__ = ("_called", "_raw", "_raw_bytes", "_searched", "_texts", "_tier", "_usage")

    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._texts: list[str] = []
        self._usage: Usage | None = None
        self._called = False
        self._tier = ""
        self._searched = b""

    def add(self, events: bytes) -> None:
        """Keep whole events of the stream."""
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > RAW_LIMIT_BYTES:
            self._boil_down()

    def text(self) -> str:
        """Return all text generated so far: contents, reasoning, refusals, tool calls."""
        return "".join([*self._texts, text_of(self._joined())])

    def usage(self) -> Usage | None:
        """Return the last usage that was reported; None when there was none yet."""
        return in_tier(_last_usage(self._joined()) or self._usage, self.tier())

    def tier(self) -> str:
        """Return the class of service that was told last."""
        raw = self._joined()
        if raw is not self._searched:
            self._searched = raw
            at = raw.rfind(_TIER_NAME)
            if at >= 0 and (found := _TIER.match(raw, at)) is not None:
                self._tier = tier_of(found[1].decode(errors="replace"))
        return self._tier

    def holds_calls(self) -> bool:
        """Whether a call was begun, as `called`: at a tenth of the cost, for JSON as it is usually spaced."""
        raw = self._joined()
        # To search from the end is four times as fast.
        return self._called or raw.rfind(_CALLING_SPACED if b'": ' in raw[:64] else _CALLING) >= 0

    def called(self, more: bytes = b"") -> bool:
        """Whether a call was begun, `more` being what comes next."""
        return self._called or bool(_CALLS.search(self._joined()) or _CALLS.search(more))

    def _joined(self) -> bytes:
        if len(self._raw) > 1:
            self._raw = [b"".join(self._raw)]
        return self._raw[0] if self._raw else b""

    def _boil_down(self) -> None:
        raw = self._joined()
        self._texts.append(text_of(raw))
        self._usage, self._called = self.usage(), self.called()
        self._searched = b""
        self._raw.clear()
        self._raw_bytes = 0


def _last_usage(raw: bytes) -> Usage | None:
    at = raw.rfind(USAGE)
    while at >= 0:
        start, end = _event_around(raw, at)
        usage = decode_usage(_chunk_in(raw[start:end]).usage)
        if usage is not None:
            return usage
        at = raw.rfind(USAGE, 0, start)  # each event once, however often it says the word
    return None


def _event_around(raw: bytes, at: int) -> tuple[int, int]:
    """Find where the event begins and ends that has `at` inside."""
    end = raw.find(b"\n\n", at)
    end = end if end >= 0 else len(raw)
    crlf = raw.find(b"\r\n\r\n", at, end)
    return start_of_event(raw, at), crlf if crlf >= 0 else end


def _chunk_in(event: bytes) -> _Chunk:
    """Decode an event; one that is no JSON object says nothing."""
    try:
        return _decoder.decode(data_of(event))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Chunk()


def start_of_event(raw: bytes, at: int) -> int:
    """Find where the event begins that has `at` inside."""
    newlines = raw.rfind(b"\n\n", 0, at)
    start = newlines + 2 if newlines >= 0 else 0
    crlfs = raw.rfind(b"\n\r\n", start, at)
    return crlfs + 3 if crlfs >= 0 else start

"""Remember what a stream has generated, so that it can be counted if no usage ever arrives.

A stream that ends well tells its usage and this is never read. So nothing is looked at until it has to
be: raw events are kept until they outgrow a limit and are then boiled down to their text. Texts are
found by the names of their members, which is 10 times faster than decoding every event and good enough
to count by.
"""

from __future__ import annotations

import re

import msgspec

RAW_LIMIT_BYTES = 16 * 1024

# In generated text the quotes would be escaped: this matches members only. `arguments` and `name` are
# those of tool calls.
_TEXT = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments|name)"\s*:\s*"((?:[^"\\]|\\.)*)"'
)


def text_of(raw: bytes) -> str:
    """Return all generated text in an answer, or in events of a stream."""
    escaped = b"".join(_TEXT.findall(raw))
    try:
        return msgspec.json.decode(b'"' + escaped + b'"', type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):  # half a surrogate pair, a bad escape
        return escaped.decode(errors="replace")


class Transcript:
    """The text of a stream: contents, reasoning, refusals, names and arguments of tool calls."""

    __slots__ = ("_raw", "_raw_bytes", "_texts")

    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._texts: list[str] = []

    def add(self, events: bytes) -> None:
        """Keep whole events of the stream."""
        self._raw.append(events)
        self._raw_bytes += len(events)
        if self._raw_bytes > RAW_LIMIT_BYTES:
            self._boil_down()

    def text(self) -> str:
        """Return all text generated so far."""
        self._boil_down()
        return "".join(self._texts)

    def _boil_down(self) -> None:
        self._texts.append(text_of(b"".join(self._raw)))
        self._raw.clear()
        self._raw_bytes = 0

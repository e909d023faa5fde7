"""Relay a stream of OpenAI's dialect: pass its events on, see its usage and its end.

Bytes in, bytes out, event by event; an event is never changed but for the model's name where a route
renames it, and never held back once it is whole. The one event that may be withheld is the usage chunk
(empty `choices`) that the gateway asked for and the client did not.

Must not know routes, sockets or clocks.
"""

from __future__ import annotations

import re

import msgspec

from gateway.exchange import Usage
from gateway.formats.chat.response import rename_model
from gateway.formats.chat.transcript import Transcript
from gateway.formats.chat.usage import decode_usage
from gateway.formats.sse import Framer, data_of, split_events

# Inside of a JSON string the quotes would be escaped: these match members, never generated text.
_NOTABLE = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:|^event: *error', re.MULTILINE)
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE = b"[DONE]"


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Chunk)


class RelayedStream:
    """One stream on its way through.

    `usage` is the last that was reported, None until then. `finished` says that the stream told its
    own end (a finish reason, or `[DONE]`); `failed` that it carried an error event of the upstream.
    """

    __slots__ = ("_framer", "_rename", "_transcript", "_withhold_usage", "failed", "finished", "usage")

    def __init__(self, *, withhold_usage: bool, rename: str | None, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._withhold_usage = withhold_usage
        self._rename = rename
        self._transcript = Transcript()
        self.usage: Usage | None = None
        self.finished = False
        self.failed = False

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty).

        Raises Broken when a single event outgrows the limit.
        """
        events = self._framer.feed(piece)
        return self._pass(events) if events else b""

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended: an event without its blank line."""
        rest = self._framer.rest()
        return self._pass(rest) if rest else b""

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._transcript.text()

    def _pass(self, events: bytes) -> bytes:
        self._transcript.add(events)
        if not self.finished:
            self.finished = _DONE in events or _FINISH.search(events) is not None
        if self._rename is None and _NOTABLE.search(events) is None:
            return events
        return b"".join([self._look_at(event) for event in split_events(events)])

    def _look_at(self, event: bytes) -> bytes:
        try:
            chunk = _decoder.decode(data_of(event))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return event  # a comment, [DONE], or broken JSON: the client's to judge
        if bytes(chunk.error) != b"null":
            self.failed = True
        usage = decode_usage(chunk.usage)
        if usage is not None:
            self.usage = usage
            if self._withhold_usage and chunk.choices == []:
                return b""
        return event if self._rename is None else _rename_in(event, self._rename)


def _rename_in(event: bytes, name: str) -> bytes:
    start, end = event.find(b"{"), event.rfind(b"}") + 1
    return event[:start] + rename_model(event[start:end], name) + event[end:]

"""Relay a stream of OpenAI's dialect: pass its events on, see its usage and its end.

Bytes in, bytes out, event by event; an event is never changed but for the model's name where a route
renames it, and never held back once it is whole. The one event that may be withheld is the usage chunk
(empty `choices`) that the gateway asked for and the client did not.

Must not know routes, sockets or clocks.
"""

from __future__ import annotations

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Usage
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.chat.response import rename_model
from gateway.formats.chat.transcript import USAGE, Transcript, start_of_event
from gateway.formats.chat.usage import decode_usage
from gateway.formats.framing.sse import Framer, data_of, split_events


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Chunk)


class RelayedStream:
    """One stream on its way through."""

    __slots__ = ("_framer", "_rename", "_transcript", "_withheld", "_withhold_usage")

    def __init__(self, *, withhold_usage: bool, rename: str | None, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._withhold_usage = withhold_usage
        self._rename = rename
        self._transcript = Transcript()
        self._withheld: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        return self._withheld or self._transcript.usage()

    @property
    def finished(self) -> bool:
        """The stream told a finish reason."""
        return self._transcript.finished()

    @property
    def done(self) -> bool:
        """The stream said `[DONE]`."""
        return self._transcript.done()

    @property
    def failed(self) -> bool:
        """The stream carried an error of the upstream."""
        return self._transcript.failed()

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty).

        Raises Broken when a single event outgrows the limit.
        """
        events = self._framer.feed(piece)
        return self._pass(events) if events else b""

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended: an event that only lacks its blank line.

        Half an event is dropped: it would swallow whatever is said after it.
        """
        rest = self._framer.rest()
        if not rest or not _is_whole(rest):
            return b""
        passed = self._pass(rest)
        return passed if self.done else passed + b"\n\n"

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client. No `[DONE]` follows it: the stream is not whole."""
        return encode_error_event(error)

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._transcript.text()

    def _pass(self, events: bytes) -> bytes:
        self._transcript.add(events)
        if self._rename is not None:
            return b"".join([self._changed(event) for event in split_events(events)])
        # One search for a member that only a usage has: all that is done for nearly every piece.
        if not self._withhold_usage or (at := events.find(USAGE)) < 0:
            return events
        start = start_of_event(events, at)
        return events[:start] + b"".join([self._changed(event) for event in split_events(events[start:])])

    def _changed(self, event: bytes) -> bytes:
        if self._withhold_usage and USAGE in event and (usage := _only_usage(event)) is not None:
            self._withheld = usage
            return b""
        return event if self._rename is None else _rename_in(event, self._rename)


def _only_usage(event: bytes) -> Usage | None:
    """Read the usage of an event that says nothing else; None for any other event."""
    try:
        chunk = _decoder.decode(data_of(event))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decode_usage(chunk.usage) if chunk.choices == [] else None


def _is_whole(event: bytes) -> bool:
    data = data_of(event)
    try:
        return data == b"[DONE]" or isinstance(msgspec.json.decode(data), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _rename_in(event: bytes, name: str) -> bytes:
    data = data_of(event)
    renamed = rename_model(data, name)
    if renamed == data:
        return event
    if b"\n" not in data:
        start = event.rfind(data)  # the last one: a comment before it may say the same
        return event[:start] + renamed + event[start + len(data) :]
    fields = [line for line in event.splitlines() if line and not line.startswith(b"data:")]
    return b"\n".join([*fields, *(b"data: " + line for line in renamed.split(b"\n"))]) + b"\n\n"

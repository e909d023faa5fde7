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

# Inside of a JSON string quotes and newlines are escaped: these match members, never generated text.
_USAGE, _NO_USAGE = b'"usage"', b'"usage":null'
_FINISH, _NO_FINISH = b'"finish_reason"', b'"finish_reason":null'
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE = re.compile(rb"(?:^|\n)data: ?\[DONE\]")


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Chunk)


class RelayedStream:
    """One stream on its way through.

    `usage` is the last that was reported, None until then. `finished` says that the stream told a
    finish reason, `done` that it said `[DONE]`, `failed` that it carried an error of the upstream.
    """

    __slots__ = (
        "_framer",
        "_rename",
        "_transcript",
        "_withhold_usage",
        "done",
        "failed",
        "finished",
        "usage",
    )

    def __init__(self, *, withhold_usage: bool, rename: str | None, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._withhold_usage = withhold_usage
        self._rename = rename
        self._transcript = Transcript()
        self.usage: Usage | None = None
        self.finished = self.done = self.failed = False

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

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._transcript.text()

    def _pass(self, events: bytes) -> bytes:
        self._transcript.add(events)
        if not self.finished and events.count(_FINISH) != events.count(_NO_FINISH):
            self.finished = _FINISHED.search(events) is not None
        if b"[DONE]" in events and _DONE.search(events):
            self.done = True
        if self._rename is not None:
            start = 0
        elif (start := _first_notable(events)) < 0:
            return events
        return events[:start] + b"".join([self._look_at(event) for event in split_events(events[start:])])

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


def _first_notable(events: bytes) -> int:
    """Find where the first event begins that may hold a usage or an error; -1 for none.

    Hosts repeat `"usage":null` in every event, so counting comes before looking: it costs 1 us where a
    regular expression over the same 16 KiB takes 20.
    """
    if b'"error"' in events:
        return 0
    notable = events.count(_USAGE) - events.count(_NO_USAGE)
    at = len(events)
    while notable > 0:  # from the end: the usage is in the last events
        at = events.rfind(_USAGE, 0, at)
        if not events.startswith(_NO_USAGE, at):
            notable -= 1
    if at == len(events):
        return -1
    newlines, crlfs = events.rfind(b"\n\n", 0, at), events.rfind(b"\n\r\n", 0, at)
    return max(newlines + 2 if newlines >= 0 else 0, crlfs + 3 if crlfs >= 0 else 0)


def _is_whole(event: bytes) -> bool:
    data = data_of(event)
    try:
        return data == b"[DONE]" or isinstance(msgspec.json.decode(data), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _rename_in(event: bytes, name: str) -> bytes:
    start, end = event.find(b"{"), event.rfind(b"}") + 1
    return event[:start] + rename_model(event[start:end], name) + event[end:]

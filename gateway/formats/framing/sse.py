"""Split a server-sent event stream at the ends of its events, whatever pieces the network makes.

Pure: bytes in, bytes out. Knows nothing of what the events say.
Source: WHATWG HTML, "Server-sent events", parsing (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.errors import Broken

_BOM = b"\xef\xbb\xbf"
"""It may stand before the first event, and belongs to none."""
_BEGINS = frozenset({b"d", b"e", b"i", b"r", b":"})
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")


class Framer:
    """Holds back the unfinished event at the end of what has arrived; at most `limit_bytes` of it.

    A byte order mark at the very beginning is left out.
    """

    __slots__ = ("_begun", "_held", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes
        self._begun = False

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece, return all whole events that are there now (may be empty).

        Raises Broken when one event grows beyond the limit.
        """
        held = self._held
        if not self._begun:
            piece = self._begin(piece)
        if not held and piece.endswith(b"\n\n"):  # the usual case: whole events, nothing copied
            return piece
        searched = max(0, len(held) - 3)
        held += piece
        cut = _end_of_events(held, searched)
        ready = bytes(held[:cut])
        del held[:cut]
        if len(held) > self._limit_bytes:
            raise Broken(f"the upstream sent one event of more than {self._limit_bytes} bytes")
        return ready

    def _begin(self, piece: bytes) -> bytes:
        """Return the beginning without its mark; as long as that may be cut in two, nothing."""
        held = self._held
        first = bytes(held) + piece
        held.clear()
        if len(first) < len(_BOM) and _BOM.startswith(first):
            held += first
            return b""
        self._begun = True
        return first.removeprefix(_BOM)

    def rest(self) -> bytes:
        """Return what is left when the stream has ended: an event without its blank line, or nothing."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


def _end_of_events(data: bytearray, start: int) -> int:
    newlines, crlfs = data.rfind(b"\n\n", start), data.rfind(b"\r\n\r\n", start)
    return max(newlines + 2 if newlines >= 0 else 0, crlfs + 4 if crlfs >= 0 else 0)


def split_events(data: bytes) -> list[bytes]:
    """Split whole events; each piece keeps its blank line, so that joining gives `data` again."""
    if data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:  # the usual case: one event
        return [data]
    return list(each_event(data))


def each_event(data: bytes) -> Iterator[bytes]:
    """Split whole events one after the other: for whoever may not need them all."""
    start = 0
    for end in _END.finditer(data):
        yield data[start : end.end()]
        start = end.end()
    if start < len(data):
        yield data[start:]


def begins_as_events(data: bytes) -> bool:
    """Tell whether this is the beginning of an event stream, whatever it is labelled, and no JSON.

    An event begins with data:, event:, id:, retry: or a comment.
    """
    return data.removeprefix(_BOM)[:1] in _BEGINS


def data_of(event: bytes) -> bytes:
    """Join the `data:` lines of one event; empty for comments, and where there are only blanks."""
    if event.startswith(b"data: ") and event.count(b"\n", 0, -2) == 0:
        return event[6:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    data = b"\n".join(lines)
    return b"" if data.isspace() else data


def with_data(event: bytes, data: bytes) -> bytes:
    """Put `data` on one line in place of the `data:` lines of an event; all its other lines stay."""
    lines: list[bytes] = []
    written = False
    for line in event.splitlines(keepends=True):
        if not line.startswith(b"data:"):
            lines.append(line)
        elif not written:
            written = True
            lines.append(b"data: " + data + line[len(line.rstrip(b"\r\n")) :])
    return b"".join(lines)

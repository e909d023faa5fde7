"""Split a stream of JSON lines at the ends of its lines, whatever pieces the network makes.

Pure: bytes in, bytes out. Knows nothing of what the lines say.
Source: the JSON Lines text format, and Ollama's API (checked 2026-11).
"""

from __future__ import annotations

from gateway.errors import Broken


class LineFramer:
    """Holds back the unfinished line at the end of what has arrived; at most `limit_bytes` of it."""

    __slots__ = ("_held", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next piece, return all whole lines that are there now, without blank ones.

        Raises Broken when one line grows beyond the limit.
        """
        held = self._held
        end = piece.rfind(b"\n") + 1
        if not end:
            held += piece
            self._check(len(held))
            return []
        whole = bytes(held) + piece[:end] if held else piece[:end]
        held[:] = piece[end:]
        lines = [line for line in whole.split(b"\n") if line and not line.isspace()]
        if len(whole) + len(held) > self._limit_bytes:
            self._check(max(len(held), *map(len, lines)) if lines else len(held))
        return lines

    def rest(self) -> bytes:
        """Return what is left when the stream has ended: a line without its newline, or nothing."""
        rest = bytes(self._held)
        self._held.clear()
        return b"" if rest.isspace() else rest

    def _check(self, length: int) -> None:
        if length > self._limit_bytes:
            raise Broken(f"the upstream sent one line of more than {self._limit_bytes} bytes")

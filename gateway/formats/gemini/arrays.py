"""Split a JSON array of objects into its objects while it arrives, whatever pieces the network makes.

That is how Google streams without `alt=sse`. Pure, and linear in the length of the stream. Must not know
what the objects say; they are not checked here, only told apart.
Source: RFC 8259; recorded streams.
"""

from __future__ import annotations

import re

from gateway.errors import Broken

_SIGNS = re.compile(rb'["\\{}]')
_QUOTE, _BACKSLASH, _OPEN = 0x22, 0x5C, 0x7B


class ArrayFramer:
    """Holds back the unfinished object at the end of what has arrived; at most `limit_bytes` of it."""

    __slots__ = ("_depth", "_held", "_limit_bytes", "_searched", "_text")

    def __init__(self, limit_bytes: int) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes
        self._searched = 0
        self._depth = 0
        self._text = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next piece, return the objects that are whole now, without what stands between them.

        Raises Broken when one object grows beyond the limit.
        """
        held = self._held
        held += piece
        objects, start = list[bytes](), 0
        while (sign := _SIGNS.search(held, self._searched)) is not None:
            at = sign.start()
            if held[at] == _BACKSLASH and at + 1 == len(held):
                self._searched = at  # what it escapes is still to come
                break
            self._searched = at + 2 if held[at] == _BACKSLASH else at + 1
            if self._ends_object(held[at]):
                objects.append(bytes(held[held.find(b"{", start) : at + 1]))
                start = at + 1
        else:
            self._searched = len(held)
        del held[:start]
        self._searched -= start
        if len(held) > self._limit_bytes:
            raise Broken(f"the upstream sent one event of more than {self._limit_bytes} bytes")
        return objects

    def _ends_object(self, sign: int) -> bool:
        if sign == _QUOTE:
            self._text = not self._text
        if self._text or sign in {_QUOTE, _BACKSLASH}:
            return False
        self._depth += 1 if sign == _OPEN else -1
        return self._depth == 0

    @property
    def inside(self) -> bool:
        """Whether an object has begun that is not whole."""
        return self._depth > 0

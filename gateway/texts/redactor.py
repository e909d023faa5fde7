"""Take out of a text what nobody may read in a log, a span or an error: secrets and personal data.

Each is replaced by a mark that says what stood there. Linear in the text; most texts come back as they are,
after one look. Must not know where the texts come from, or where they go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from gateway.texts.detectors import WRITTEN, Detector, suspect_written
from gateway.texts.patterns import Place, TooMany, compile_pattern, looked_at

MARKS: Mapping[Detector, bytes] = {
    "secret": b"[secret]",
    "card": b"[card]",
    "iban": b"[iban]",
    "email": b"[email]",
    "phone": b"[phone]",
}
OTHER_MARK = b"[redacted]"
"""For what a configured pattern finds."""
TOO_MUCH = "[redacted: too much to look through]"
"""In place of a text with more places to look at than can be looked at in good time."""
_SHORT_CHARS, _REMEMBERED = 64, 512
"""Of short texts the last ones are remembered: names come again with every call."""
_GROUPS = r"00[aA]0|20(?:0[0-9aA]|1[0-3]|[25][fF])|2212|3000"
_HIDING = rf"\\u00[2-7]|[\d)]\\+u(?:{_GROUPS})"
_hides = compile_pattern(_HIDING).search
_IN_JSON = re.compile(rf"\\u(00[2-7][0-9a-fA-F]|{_GROUPS})".encode())
"""Signs, letters and digits of ASCII, and what groups digits; other escapes hide nothing."""


def _opened(text: bytes) -> bytes:
    """Open what JSON escapes, however deep it is quoted."""
    if _hides(text) is None:
        return text
    pieces, done = list[bytes](), 0
    for escaped in _IN_JSON.finditer(text):
        pieces += [text[done : escaped.start()].rstrip(b"\\"), chr(int(escaped.group(1), 16)).encode()]
        done = escaped.end()
    return b"".join([*pieces, text[done:]])


class Redactor:
    """Of the kinds `detect`, all where none are named, and of `patterns` (RE2, checked before)."""

    def __init__(self, detect: Sequence[Detector] = tuple(WRITTEN), patterns: Sequence[str] = ()) -> None:
        self._suspect = suspect_written(frozenset(detect), _HIDING)
        self._looks = [
            (suspect_written(frozenset({kind})), look, MARKS[kind])
            for kind, look in WRITTEN.items()
            if kind in detect
        ]
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._clean_short = lru_cache(_REMEMBERED)(self._looked_through)

    def clean(self, text: str) -> str:
        """Return the text without them; most texts come back as they are.

        Cost: 0.1 us for a short text that was seen before, as are the names of models; 2 us for another that
        holds nothing suspect, 10 to 30 us for one that does. A MB takes 2 ms where nothing in it is suspect,
        but 20 to 400 ms where it is full of numbers, as are dates, sizes and ids.
        """
        return self._clean_short(text) if len(text) <= _SHORT_CHARS else self._looked_through(text)

    def _looked_through(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        try:
            cleaned = self._cleaned(raw)
            if b"%" in cleaned:  # of a URL: what is escaped may hide what it says
                opened = unquote_to_bytes(cleaned)
                if (found := self._cleaned(opened)) != opened:
                    cleaned = found
        except TooMany:  # who hides so much has something to hide, as far as we can tell in good time
            return TOO_MUCH
        return text if cleaned == raw else cleaned.decode("utf-8", "replace")

    def _cleaned(self, raw: bytes) -> bytes:
        if self._suspect(raw) is None and not any(pattern.search(raw) for pattern in self._patterns):
            return raw
        cleaned = self._marked(raw)
        if b"\\u" in cleaned and (opened := _opened(cleaned)) != cleaned:  # the same, of JSON
            return cleaned if (found := self._marked(opened)) == opened else found
        return cleaned

    def _marked(self, raw: bytes) -> bytes:
        # One kind after the other: what is taken out no longer hides what stands beside it.
        for pattern in self._patterns:
            found = looked_at(pattern.finditer(raw))
            raw = _marked(raw, ((match.start(), match.end()) for match in found), OTHER_MARK)
        for suspect, look, mark in self._looks:
            if suspect(raw) is not None:
                raw = _marked(raw, look(raw), mark)
        return raw


def _marked(raw: bytes, places: Iterable[Place], mark: bytes) -> bytes:
    """Put the mark in each place; those that overlap get one."""
    pieces, done = list[bytes](), 0
    for start, end in sorted(places):
        if end <= start or (pieces and end <= done):
            continue
        if not pieces or start >= done:
            pieces += [raw[done:start], mark]
        done = end
    return b"".join([*pieces, raw[done:]]) if pieces else raw

"""Search texts for patterns of users in time linear in the text, whatever the pattern.

RE2 has no backtracking, so that no pattern can stall the gateway; it refuses what needs it (look-around,
backreferences). Patterns are searched in UTF-8. Must not know what is searched, or why.

Source: RE2, "Syntax". On 4 KiB a search takes 7 us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import re2

T = TypeVar("T")

Place = tuple[int, int]
"""Where something begins in a text, and where it has ended, in bytes."""

_SCRIPTS_WITHOUT_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Where a word has no bounds that a pattern could see, or (Hangul) has endings written to it."""
_BEFORE, _AFTER = r"(?:^|[^\pL\pM\pN_])", r"(?:$|[^\pL\pM\pN_])"


class Match(Protocol):
    """Where a pattern was found."""

    def group(self, number: int = 0, /) -> bytes:
        """Return what was found, or one group of it."""

    def start(self, number: int = 0, /) -> int:
        """Return where that begins."""

    def end(self, number: int = 0, /) -> int:
        """Return where it ends."""


class Pattern(Protocol):
    """What is used of a compiled pattern."""

    def search(self, text: bytes) -> Match | None:
        """Return the first match."""

    def finditer(self, text: bytes) -> Iterator[Match]:
        """Return all matches that do not overlap."""


def pattern_problem(text: str) -> str:
    """Say why `text` is no pattern; empty: it is one."""
    try:
        compile_pattern(text)
    except re2.error as error:
        return _said(error)
    return ""


def compile_pattern(text: str, *, any_case: bool = False) -> Pattern:
    """Compile one pattern. Raises re2.error, which `pattern_problem` would have told."""
    options = re2.Options()
    options.case_sensitive = not any_case
    options.log_errors = False
    compiled: Pattern = re2.compile(text.encode(), options)
    return compiled


class AnyOf:
    """Some patterns, of which one is enough."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Sequence[str], *, any_case: bool = False) -> None:
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        # Together they may be too large, or use the name of a group twice: then each is searched alone.
        alone = () if not patterns else patterns if pattern_problem(joined) else (joined,)
        self._patterns = tuple(compile_pattern(pattern, any_case=any_case) for pattern in alone)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._patterns)

    def found_in(self, text: bytes) -> bool:
        """Whether one of them is found. `text` is UTF-8."""
        return any(pattern.search(text) is not None for pattern in self._patterns)


def words_pattern(words: Iterable[str]) -> list[str]:
    """Return a pattern for each word or phrase: as a whole word where its script has spaces between them."""
    return [_word_pattern(word.strip()) for word in words if word.strip()]


def _word_pattern(word: str) -> str:
    literal = r"\s+".join(re2.escape(part) for part in word.split())
    return _bound(word[0], _BEFORE) + literal + _bound(word[-1], _AFTER)


_dense = compile_pattern(_SCRIPTS_WITHOUT_SPACES)


def _bound(edge: str, bound: str) -> str:
    if not edge.isalnum() or _dense.search(edge.encode()) is not None:
        return ""
    return bound


def _said(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


class TooMany(Exception):
    """A text has more places that look like something than can be looked at in good time."""


MOST_LOOKS = 10_000
"""A look takes some microseconds; a call must not keep all others waiting."""


def looked_at(found: Iterable[T]) -> Iterator[T]:
    """Give what was found, up to MOST_LOOKS; raises TooMany beyond."""
    for number, one in enumerate(found):
        if number >= MOST_LOOKS:
            raise TooMany
        yield one


_MARGIN = 3
"""Around what was found roughly: what stands before and after it decides too."""


def within(runs: Pattern, exact: re.Pattern[bytes], text: bytes) -> Iterator[re.Match[bytes]]:
    """Find `exact`, which may look around and is slow, only in and around what `runs` finds."""
    for run in runs.finditer(text):
        yield from exact.finditer(text, max(run.start() - _MARGIN, 0), run.end() + _MARGIN)

"""What a check finds: a place, what is wrong there, and what to do about it. Knows no Spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.config.located import Where

Problem = tuple[Where, str, str]
"""Place, message, hint (may be empty)."""


def within(where: Where, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Put problems found inside of something at their place in the whole."""
    return (((*where, *inside), message, hint) for inside, message, hint in problems)


def repeated(where: Where, names: Sequence[str]) -> Iterator[Problem]:
    """Find names that a list has twice."""
    for i, name in enumerate(names):
        if name in names[:i]:
            yield (*where, i), f"{name} is here twice", "remove one of them"

"""Match names against globs: `*` any text, `?` one character, `[34]` one of some, `[!34]` none of them.

Compiled where a configuration is read; a match then costs a look-up in the common cases. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate

_CLASS = re.compile(r"\[!?+\]?+[^\]]*+\]")

Matches = Callable[[str], bool]


def is_glob(name: str) -> bool:
    """Tell whether a name is a pattern."""
    return any(sign in name for sign in "*?[")


def compile_globs(globs: Iterable[str]) -> Matches:
    """Make what tells whether a text matches one of `globs` as a whole; case counts."""
    exact, prefixes, others = set[str](), list[str](), list[str]()
    for glob in globs:
        if not is_glob(glob):
            exact.add(glob)
        elif glob.endswith("*") and not is_glob(glob[:-1]):
            prefixes.append(glob[:-1])
        else:
            others.append(glob)
    names = frozenset(exact)
    if not prefixes and not others:
        return names.__contains__
    starts = tuple(prefixes)
    if not others:
        return lambda text: text.startswith(starts) or text in names
    match = re.compile("|".join(translate(glob) for glob in others)).match
    return lambda text: text in names or text.startswith(starts) or match(text) is not None


def width(glob: str) -> tuple[int, int, int, int, str]:
    """Order globs, the narrowest first: by literal characters, then classes before `?` before `*`."""
    classes = len(_CLASS.findall(glob))
    plain = _CLASS.sub("", glob)
    questions, stars = plain.count("?"), plain.count("*")
    return (questions + stars - len(plain), -classes, -questions, stars, glob)

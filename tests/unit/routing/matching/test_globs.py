"""Which texts a glob matches, and which of two globs is the narrower."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.matching.globs import compile_globs, is_glob, width

SIGNS = st.text("ab[]!*?-.", max_size=8)


@pytest.mark.parametrize(
    ("name", "glob"), [("a*", True), ("a?", True), ("[ab]", True), ("a.b/c", False), ("a]", False)]
)
def test_what_a_glob_is(name: str, *, glob: bool) -> None:
    assert is_glob(name) is glob


@pytest.mark.parametrize(
    ("globs", "text", "matches"),
    [
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("gpt-*",), "gpt-", True),
        (("gpt-*", "o1"), "o1", True),
        (("gpt-*", "o1"), "o1x", False),
        (("gpt-[34]*", "claude-*", "o1"), "gpt-4o", True),
        (("gpt-[34]*", "claude-*", "o1"), "gpt-5", False),
        (("gpt-[34]*", "claude-*", "o1"), "claude-", True),
        (("gpt-[!34]",), "gpt-5", True),
        (("gpt-4.1*",), "gpt-4x1", False),
        (("*",), "a\nb", True),
        (("*",), "", True),
        (("GPT",), "gpt", False),
        ((), "", False),
    ],
)
def test_one_glob_that_matches_as_a_whole_is_enough(
    globs: tuple[str, ...], text: str, *, matches: bool
) -> None:
    assert compile_globs(globs)(text) is matches


@given(st.lists(SIGNS, max_size=4), SIGNS)
def test_globs_mean_what_they_mean_to_a_shell(globs: list[str], text: str) -> None:
    assert compile_globs(globs)(text) is any(fnmatchcase(text, glob) for glob in globs)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("gpt-4*", "gpt-*"),
        ("gpt-[34]", "gpt-?"),
        ("gpt-[34]", "gpt-*"),
        ("gpt-[34]*", "gpt-*"),
        ("gpt-[34]", "gpt-[34]*"),
        ("gpt-?", "gpt-*"),
        ("gpt-[!34]", "gpt-*"),
        ("gpt-[]x]", "gpt-?"),
        ("*/*", "*"),
        ("a?", "?*"),
    ],
)
def test_the_narrower_glob_has_more_letters_then_classes_then_single_characters(
    narrow: str, wide: str
) -> None:
    assert sorted([wide, narrow], key=width) == [narrow, wide]


def test_a_glob_made_to_be_slow_is_not() -> None:
    started_s = time.process_time()
    assert not compile_globs(["*a" * 30 + "*b"])("a" * 500)
    assert time.process_time() - started_s < 1

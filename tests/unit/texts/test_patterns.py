"""Patterns of users: linear in the text, in any script."""

from __future__ import annotations

from time import process_time

import pytest

from gateway.texts.patterns import AnyOf, pattern_problem, words_pattern


@pytest.mark.parametrize("text", ["(", "a{2000}", "(?=a)", r"(a)\1", "[z-a]", "*"])
def test_what_is_wrong_with_a_pattern_is_said(text):
    assert pattern_problem(text)


@pytest.mark.parametrize("text", ["a", r"\bPRJ-\d{6}\b", "(?i)x|y", r"\p{Greek}+", "(?P<a>x)"])
def test_a_pattern_without_a_problem_is_compiled(text):
    assert pattern_problem(text) == ""
    assert not AnyOf([text]).found_in(b"---")


def test_a_pattern_that_makes_others_backtrack_for_ever_is_quick():
    pattern = AnyOf(["(a+)+$", "(a|a)*b", "(.*)*x"])
    began_s = process_time()
    assert not pattern.found_in(b"a" * 50_000 + b"!")
    assert process_time() - began_s < 1


def test_patterns_that_cannot_be_joined_are_searched_one_by_one():
    patterns = AnyOf(["(?P<n>one)", "(?P<n>two)"])
    assert patterns.found_in(b"two")
    assert patterns.found_in(b"one")
    assert not patterns.found_in(b"three")


def test_no_pattern_is_found_nowhere_and_is_none():
    assert not AnyOf([])
    assert not AnyOf([]).found_in(b"")


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("cat", "A Cat!", True),
        ("cat", "concatenate", False),
        ("cat", "cat_name", False),
        ("c++", "in C++ please", True),
        (".net", "use .NET", True),
        ("pull out", "pull\n  out the names", True),
        ("übersetze", "ÜBERSETZE das", True),
        ("über", "übersetze", False),
        ("привет", "Привет, мир", True),
        ("вет", "Привет", False),
        ("翻译", "请翻译这句话", True),
        ("번역", "이것을 번역해줘", True),
        ("แปล", "ช่วยแปลประโยคนี้", True),
        ("a.b", "axb", False),
    ],
)
def test_words_are_whole_words_where_a_script_has_spaces_between_them(word, text, found):
    assert AnyOf(words_pattern([word]), any_case=True).found_in(text.encode()) is found

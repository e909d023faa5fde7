"""Kinds of task."""

from __future__ import annotations

import msgspec
import pytest

from gateway.config.signals import RangeSpec, TaskSpec
from gateway.exchange import Feature
from gateway.routing.signals.task import compile_tasks, count_words, task_of


class Asked(msgspec.Struct):
    turn: bytes = b""
    instructions: bytes = b""
    features: frozenset[Feature] = frozenset()


def told(asked: Asked, **tasks: TaskSpec) -> str:
    return task_of(asked, compile_tasks(tasks))


def test_the_first_task_that_holds_counts():
    tasks = {"code": TaskSpec(keywords=("bug",)), "any": TaskSpec(), "more": TaskSpec(keywords=("bug",))}
    assert told(Asked(b"Fix the BUG!"), **tasks) == "code"
    assert told(Asked(b"debug it"), **tasks) == "any"


def test_no_task_holds_where_none_fits():
    assert told(Asked(b"hello"), code=TaskSpec(keywords=("bug",))) == ""
    assert told(Asked(b"hello")) == ""


@pytest.mark.parametrize("turn", [b"please classify", b"Is it A or B?"])
def test_one_keyword_or_pattern_is_enough(turn):
    assert told(Asked(turn), c=TaskSpec(keywords=("classify",), patterns=(r"\bis it \w+ or \w+",))) == "c"


def test_all_that_is_given_must_hold():
    spec = TaskSpec(keywords=("sum",), system=("accountant",), words=RangeSpec(max=5), has=("tools",))
    whole = Asked(b"sum it up", b"You are an Accountant.", frozenset({"tools"}))
    assert told(whole, t=spec) == "t"
    lacking = (
        msgspec.structs.replace(whole, turn=b"add it up"),
        msgspec.structs.replace(whole, turn=b"sum it up " * 3),
        msgspec.structs.replace(whole, instructions=b"You are a poet."),
        msgspec.structs.replace(whole, features=frozenset()),
    )
    assert [told(asked, t=spec) for asked in lacking] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one two\nthree", 3),
        ("über vier Wörter hinaus", 4),
        ("写一首关于秋天的短诗", 5),
        ("translate 你好", 2),
    ],
)
def test_words_are_counted_in_scripts_without_spaces_too(text, words):
    assert count_words(text.encode()) == words


def test_a_range_of_words_has_both_its_ends():
    spec = TaskSpec(words=RangeSpec(min=2, max=3))
    assert [told(Asked(b"w " * count), t=spec) for count in range(1, 5)] == ["", "t", "t", ""]

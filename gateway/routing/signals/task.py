"""Tell the kind of task from the last turn of the user: the first of the configured ones that holds.

Pure. Must not know formats or routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from gateway.config.signals import RangeSpec, TaskSpec
from gateway.exchange import Feature
from gateway.texts.patterns import AnyOf, words_pattern

_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
"""Ideographs and kana: no spaces between words, of some two characters each."""


class Asked(Protocol):
    """What kinds of task look at; each is worked out when it is asked for."""

    @property
    def turn(self) -> bytes:
        """The last turn of the user, in UTF-8."""

    @property
    def instructions(self) -> bytes:
        """All instructions, in UTF-8."""

    @property
    def features(self) -> frozenset[Feature]:
        """What the call holds or asks for."""


class Task(msgspec.Struct, frozen=True, gc=False):
    """One kind of task. A part that is not written down holds."""

    name: str
    says: AnyOf
    system: AnyOf
    words: Callable[[int], bool] | None
    has: frozenset[Feature]

    def holds(self, asked: Asked) -> bool:
        """Whether a call is of this kind. What costs least is looked at first."""
        if not self.has <= asked.features:
            return False
        if self.says and not self.says.found_in(asked.turn):
            return False
        if self.words is not None and not self.words(count_words(asked.turn)):
            return False
        return not self.system or self.system.found_in(asked.instructions)


class Tasks(msgspec.Struct, frozen=True):
    """All kinds of task, in their order; those that ask for no words; and the words of the others."""

    every: tuple[Task, ...]
    wordless: tuple[Task, ...]
    words: AnyOf
    """One look at a turn tells for most that none of their words is in it."""


def compile_tasks(specs: Mapping[str, TaskSpec]) -> Tasks:
    """Compile the kinds of task. Their patterns were checked before."""
    tasks = tuple(
        Task(
            name,
            AnyOf(_said(spec), any_case=True),
            AnyOf(words_pattern(spec.system), any_case=True),
            None if spec.words is None else _within(spec.words),
            frozenset(spec.has),
        )
        for name, spec in specs.items()
    )
    words = [pattern for spec in specs.values() for pattern in _said(spec)]
    return Tasks(tasks, tuple(task for task in tasks if not task.says), AnyOf(words, any_case=True))


def _said(spec: TaskSpec) -> list[str]:
    return [*words_pattern(spec.keywords), *spec.patterns]


def task_of(asked: Asked, tasks: Tasks) -> str:
    """Return the name of the first task that holds; empty: none does."""
    possible = tasks.every
    if tasks.words and not tasks.words.found_in(asked.turn):
        possible = tasks.wordless
    for task in possible:
        if task.holds(asked):
            return task.name
    return ""


def count_words(turn: bytes) -> int:
    """Count words by the spaces between them, and by characters where a script has none."""
    if turn.isascii():
        return len(turn.split())
    text = turn.decode()
    spread = _DENSE.sub("", text)
    return len(spread.split()) + (len(text) - len(spread) + 1) // 2


def _within(limits: RangeSpec) -> Callable[[int], bool]:
    least, most = limits.min, limits.max
    if most is None:
        return lambda count: count >= least
    return lambda count: least <= count <= most

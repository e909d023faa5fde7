"""Check what rules look at: conditions, kinds of task, labels of sensitive data.

It must not know how a condition is tested. Places are relative to what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

import msgspec

from gateway.config.checks.problems import Problem, repeated
from gateway.config.checks.zones import zone_problems
from gateway.config.located import Where, did_you_mean, quoted
from gateway.config.routing import RoutingSpec
from gateway.config.signals import HoursSpec, RangeSpec, WhenSpec

RESTRICTED = "restricted"
"""The label that is there without being written."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class Known(msgspec.Struct, frozen=True):
    """The names that conditions may use."""

    tasks: tuple[str, ...]
    labels: tuple[str, ...]


def known(spec: RoutingSpec) -> Known:
    """Gather the names that conditions may use."""
    return Known(tuple(spec.tasks), (*{RESTRICTED: None, **spec.sensitivity.labels},))


def invalid_pattern(text: str) -> str:
    """Say what is wrong with a regular expression; empty: nothing."""
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return ""


def task_problems(spec: RoutingSpec, pattern_problem: Callable[[str], str]) -> Iterator[Problem]:
    """Check `tasks` and `classifier`."""
    for name, task in spec.tasks.items():
        where: Where = ("tasks", name)
        yield from _pattern_problems(where, task.patterns, pattern_problem)
        yield from _range_problems((*where, "words"), task.words)
    if spec.classifier is not None and not spec.tasks:
        yield ("classifier",), "there are no tasks that it could tell", "name them under `tasks`"


def sensitivity_problems(spec: RoutingSpec, pattern_problem: Callable[[str], str]) -> Iterator[Problem]:
    """Check `sensitivity`."""
    where: Where = ("sensitivity",)
    if not _HEADER_NAME.fullmatch(spec.sensitivity.header):
        yield (*where, "header"), "this is not the name of an HTTP header", "use letters, digits and -"
    for name, label in spec.sensitivity.labels.items():
        yield from _pattern_problems((*where, "labels", name), label.patterns, pattern_problem)
        yield from repeated((*where, "labels", name, "detect"), label.detect)


def condition_problems(when: WhenSpec, names: Known) -> Iterator[Problem]:
    """Check one condition."""
    yield from _range_problems(("prompt_tokens",), when.prompt_tokens)
    yield from _range_problems(("max_tokens",), when.max_tokens)
    yield from _name_problems("task", when.task, names.tasks, "name it under `tasks`")
    yield from _name_problems("sensitivity", when.sensitivity, names.labels, "")
    for feature in sorted(set(when.has) & set(when.has_not)):
        yield ("has_not",), f"{feature} is asked for under `has` as well", "remove one of them"
    for name in when.headers:
        if not _HEADER_NAME.fullmatch(name):
            yield ("headers", name), "this is not the name of an HTTP header", "use letters, digits and -"
    if when.hours is not None:
        for where, message, hint in _hours_problems(when.hours):
            yield ("hours", *where), message, hint


def _hours_problems(hours: HoursSpec) -> Iterator[Problem]:
    if not hours.days:
        yield ("days",), "there is no day", "leave `days` out for all of them"
    yield from repeated(("days",), hours.days)
    if hours.start == hours.end:
        yield (), f"they end as they begin, at {hours.start}", "leave both out for the whole day"
    yield from zone_problems(("zone",), hours.zone)


def _range_problems(where: Where, written: RangeSpec | None) -> Iterator[Problem]:
    if written is not None and written.max is not None and written.min > written.max:
        yield where, f"min {written.min} is more than max {written.max}", "no number lies between"


def _name_problems(kind: str, used: Collection[str], there: tuple[str, ...], hint: str) -> Iterator[Problem]:
    for i, name in enumerate(used):
        if name not in there:
            message = f"there is no {'label' if kind == 'sensitivity' else kind} {quoted(name)}"
            yield (kind, i), message, did_you_mean(name, there) or hint


def _pattern_problems(
    where: Where, patterns: tuple[str, ...], pattern_problem: Callable[[str], str]
) -> Iterator[Problem]:
    for i, pattern in enumerate(patterns):
        if problem := pattern_problem(pattern):
            yield (*where, "patterns", i), f"this regular expression cannot be used: {problem}", ""

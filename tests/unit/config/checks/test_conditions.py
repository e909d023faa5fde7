"""Conditions, tasks and labels that cannot be meant."""

import pytest

from gateway.config.located import load
from gateway.config.resolve import resolve, validate
from gateway.config.routing import RoutingSpec
from gateway.errors import ConfigErrors

REST = """backends: {b: {base_url: 'http://b'}}
tasks: {code: {}, classification: {}}
sensitivity: {labels: {pii: {}}}
routes: {r: {targets: [{backend: b}], rules: [{name: x, deny: no, when: {%s}}]}}
"""


@pytest.fixture
def located(tmp_path):
    def _located(text: str):
        (tmp_path / "routing.yaml").write_text(text)
        return load(tmp_path / "routing.yaml", RoutingSpec, {})

    return _located


@pytest.fixture
def problems(located, tmp_path):
    def _problems(text: str) -> list[str]:
        return [str(error).removeprefix(f"{tmp_path}/routing.yaml:") for error in validate(located(text), {})]

    return _problems


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (
            "prompt_tokens: {min: 5, max: 4}",
            "prompt_tokens: min 5 is more than max 4, no number lies between",
        ),
        ("max_tokens: {max: -1}", "max_tokens: min 0 is more than max -1, no number lies between"),
        (
            "task: [code, clasification]",
            'task[1]: there is no task "clasification", did you mean "classification"?',
        ),
        ("sensitivity: [ppi]", 'sensitivity[0]: there is no label "ppi", did you mean "pii"?'),
        (
            "has: [tools, images], has_not: [images]",
            "has_not: images is asked for under `has` as well, remove one of them",
        ),
        (
            "headers: {'a b': '*'}",
            'headers."a b": this is not the name of an HTTP header, use letters, digits and -',
        ),
        ("hours: {days: []}", "hours.days: there is no day, leave `days` out for all of them"),
        ("hours: {days: [mon, tue, mon]}", "hours.days[2]: mon is here twice, remove one of them"),
        (
            "hours: {start: '09:00', end: '09:00'}",
            "hours: they end as they begin, at 09:00, leave both out for the whole day",
        ),
        (
            "hours: {zone: Europe/Berlyn}",
            (
                'hours.zone: there is no time zone "Europe/Berlyn", '
                "write one of the IANA database, like Europe/Berlin or UTC"
            ),
        ),
        (
            "hours: {zone: ../etc/passwd}",
            (
                'hours.zone: there is no time zone "../etc/passwd", '
                "write one of the IANA database, like Europe/Berlin or UTC"
            ),
        ),
    ],
)
def test_each_condition_that_never_holds_is_located(problems, when, expected):
    assert problems(REST % when) == [f"4 routes.r.rules[0].when.{expected}"]


def test_conditions_of_unless_and_of_targets_are_checked_too(problems):
    text = """backends: {b: {base_url: 'http://b'}}
routes:
  r:
    targets: [{backend: b, when: {task: [code]}}]
    rules:
      - name: x
        unless: {prompt_tokens: {min: 2, max: 1}}
        targets: [{backend: b, when: {hours: {days: []}}}]
"""
    assert [line.split(": ")[0] for line in problems(text)] == [
        "4 routes.r.targets[0].when.task[0]",
        "7 routes.r.rules[0].unless.prompt_tokens",
        "8 routes.r.rules[0].targets[0].when.hours.days",
    ]


def test_restricted_is_a_label_without_being_written(problems):
    assert problems(REST % "sensitivity: [restricted]") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "tasks: {t: {patterns: [a, '(']}}",
            (
                "tasks.t.patterns[1]: this regular expression cannot be used: "
                "missing ), unterminated subpattern at position 0"
            ),
        ),
        (
            "tasks: {t: {words: {min: 2, max: 1}}}",
            "tasks.t.words: min 2 is more than max 1, no number lies between",
        ),
        (
            "sensitivity: {labels: {l: {patterns: ['[']}}}",
            (
                "sensitivity.labels.l.patterns[0]: this regular expression cannot be used: "
                "unterminated character set at position 0"
            ),
        ),
        (
            "sensitivity: {labels: {l: {detect: [email, email]}}}",
            "sensitivity.labels.l.detect[1]: email is here twice, remove one of them",
        ),
        (
            "sensitivity: {header: 'a b'}",
            "sensitivity.header: this is not the name of an HTTP header, use letters, digits and -",
        ),
        (
            "classifier: {route: r}",
            "classifier: there are no tasks that it could tell, name them under `tasks`",
        ),
    ],
)
def test_tasks_and_labels_are_checked(problems, line, expected):
    assert problems(
        "backends: {b: {base_url: 'http://b'}}\nroutes: {r: {targets: [{backend: b}]}}\n" + line
    ) == [f"3 {expected}"]


def test_whoever_runs_the_patterns_says_which_can_be_used(located):
    text = "backends: {b: {base_url: 'http://b'}}\nroutes: {r: {targets: [{backend: b}]}}\n"
    text += "tasks: {t: {patterns: ['(a+)+']}}\nsensitivity: {labels: {l: {patterns: [ok]}}}\n"
    with pytest.raises(ConfigErrors) as caught:
        resolve(located(text), {}, {}, lambda pattern: "it is slow" if "+)+" in pattern else "")
    (error,) = caught.value.errors
    assert str(error).endswith(":3 tasks.t.patterns[0]: this regular expression cannot be used: it is slow")

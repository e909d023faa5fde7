"""policies/slo.yaml: what is promised of calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.errors import ConfigErrors
from gateway.policy import slo
from gateway.policy.slo import SloSpec
from gateway.slo.objectives import ALERTS, Alert, Objective

ROOT = Path(__file__).parents[3]
ROUTES = ("fast", "local", "gpt-*")

Compiled = Callable[[str], tuple[Objective, ...]]
Problems = Callable[[str], list[str]]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    def _compiled(text: str) -> tuple[Objective, ...]:
        (tmp_path / "slo.yaml").write_text(text)
        return slo.compile(load(tmp_path / "slo.yaml", SloSpec, {}), ROUTES)

    return _compiled


@pytest.fixture
def problems(compiled: Compiled, tmp_path: Path) -> Problems:
    def _problems(text: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            compiled(text)
        return [str(error).removeprefix(f"{tmp_path}/slo.yaml:") for error in caught.value.errors]

    return _problems


def test_an_objective_is_all_that_is_written(compiled: Compiled) -> None:
    assert compiled("""
objectives:
  quick:
    of: first_token
    within_ms: 2500
    target_percent: 99.9
    routes: [fast, "gpt-*"]
    classes: [free]
    days: 7
    min_calls: 100
    min_bad: 5
    alerts: [{burn_rate: 2, long: 2d, short: 90m, severity: ticket}]
""") == (
        Objective(
            name="quick",
            kind="first_token",
            target=0.999,
            routes=("fast", "gpt-*"),
            classes=("free",),
            within_s=2.5,
            days=7,
            min_calls=100,
            min_bad=5,
            alerts=(Alert(2.0, 172_800, 5400, "ticket"),),
        ),
    )


def test_what_is_left_out_is_usual(compiled: Compiled) -> None:
    (one,) = compiled("objectives: {a: {of: availability, target_percent: 99}}")
    assert one == Objective("a", "availability", 0.99, alerts=ALERTS, min_calls=10, min_bad=3)


def test_the_files_alerts_are_those_of_objectives_without_their_own(compiled: Compiled) -> None:
    first, second = compiled("""
objectives:
  a: {of: availability, target_percent: 99}
  b: {of: availability, target_percent: 99, alerts: []}
alerts: [{burn_rate: 5, long: 1h, short: 5m, severity: page}]
""")
    assert (first.alerts, second.alerts) == ((Alert(5.0, 3600, 300, "page"),), ())


@pytest.mark.parametrize(
    ("written", "nanousd"), [("0.05", 50_000_000), ('"0.000000001"', 1), ("2", 2 * 10**9)]
)
def test_a_cost_is_exact(compiled: Compiled, written: str, nanousd: int) -> None:
    (one,) = compiled(f"objectives: {{a: {{of: cost, target_percent: 99, at_most_usd: {written}}}}}")
    assert one.at_most_nanousd == nanousd


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("of: first_token", "1 objectives.a: `of: first_token` needs within_ms, say what makes a call good"),
        ("of: cost", "1 objectives.a: `of: cost` needs at_most_usd, say what makes a call good"),
        (
            "of: availability, within_ms: 5",
            "1 objectives.a.within_ms: it has no effect with `of: availability`, remove it",
        ),
        (
            "of: cost, at_most_usd: 0.0000000001",
            "1 objectives.a.at_most_usd: finer than a billionth of a dollar, round it",
        ),
        (
            "of: availability, routes: [lokal]",
            '1 objectives.a.routes[0]: there is no route "lokal", did you mean "local"?',
        ),
        (
            "of: availability, classes: [free, free]",
            "1 objectives.a.classes[1]: free is here twice, remove one of them",
        ),
        (
            "of: availability, alerts: [{burn_rate: 1, long: 4d, short: 1h, severity: page}]",
            "1 objectives.a.alerts[0].long: longer than what is kept by minutes, at most 3d",
        ),
        (
            "of: availability, alerts: [{burn_rate: 1, long: 1h, short: 60m, severity: page}]",
            "1 objectives.a.alerts[0].short: it is not shorter than the long window, a twelfth is usual",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_located_error(problems: Problems, fields: str, problem: str) -> None:
    found = problems(f"objectives: {{a: {{target_percent: 99, {fields}}}}}")
    assert found == [problem]


def test_an_alert_of_the_file_stands_there_once(problems: Problems) -> None:
    alert = "{burn_rate: 1, long: 1h, short: 5m, severity: page}"
    (found,) = problems(f"alerts: [{alert}, {alert}]")
    assert "alerts[1]: this alert is here twice" in found


@pytest.mark.parametrize("target", ["0", "100", "100.5"])
def test_nobody_promises_all_or_nothing(problems: Problems, target: str) -> None:
    (found,) = problems(f"objectives: {{a: {{of: availability, target_percent: {target}}}}}")
    assert "target_percent: " in found
    assert "out of range" in found


def idle(compiled: Compiled, fields: str) -> list[str]:
    objectives = compiled(f"objectives: {{a: {{of: availability, {fields}}}}}")
    return list(slo.idle(objectives, ROUTES, ("default",)))


def test_what_is_about_no_call_is_said(compiled: Compiled) -> None:
    none = "objective a is about no call: no route and no tenant's class is as it says"
    assert idle(compiled, 'target_percent: 99, routes: ["claude-*"]') == [none]
    assert idle(compiled, "target_percent: 99, classes: [free]") == [none]
    assert idle(compiled, 'target_percent: 99, routes: ["gpt-*"], classes: [default]') == []


def test_an_alert_that_can_never_be_is_said(compiled: Compiled) -> None:
    (said,) = idle(compiled, "target_percent: 90")
    assert said == (
        "objective a: its alert at 14.4 over 1h never comes: when every call fails, its burn rate is 10"
    )


def test_there_need_not_be_a_file() -> None:
    assert slo.compile(None, ROUTES) == ()


def test_the_file_that_is_shipped_promises_something_and_its_comments_may_be_taken(
    compiled: Compiled,
) -> None:
    shipped = slo.compile(load(ROOT / "policies/slo.yaml", SloSpec, {}), None)
    assert {one.kind for one in shipped} == {"availability", "first_token", "duration"}
    assert list(slo.idle(shipped, ROUTES, ("default",))) == []
    lines = (ROOT / "policies/slo.yaml").read_text().splitlines()
    commented = "\n".join(line.removeprefix("#   ") for line in lines if line.startswith("#   "))
    (example,) = compiled(commented)
    assert (example.kind, example.at_most_nanousd, example.days) == ("cost", 50_000_000, 7)
    (own,) = re.findall(r"^    alerts: .*\n.*$", commented, re.MULTILINE)
    (without,) = compiled(commented.replace(own, ""))
    assert without.alerts == ALERTS

"""Alarms about promises: told once when they begin, and once when they are over."""

from __future__ import annotations

from gateway.slo.alarms import Event, changes
from gateway.slo.burning import Counts, Past, standing_of
from gateway.slo.objectives import Alert, Objective

START_S = 1_763_726_400
PROMISE = Objective(
    "answered",
    "availability",
    0.99,
    alerts=(
        Alert(14.4, 3600, 300, "page"),
        Alert(6.0, 21_600, 1800, "page"),
        Alert(1.0, 7200, 600, "ticket"),
    ),
)


class Scene:
    def __init__(self) -> None:
        self.past = Past()
        self.told: dict[str, float] = {}

    def look(self, minute: int, good: int = 0, bad: int = 0, *, known: bool = True) -> list[Event]:
        now_s = START_S + 60.0 * minute
        self.past.add(Counts(good, bad), now_s)
        standings = [standing_of(PROMISE, self.past, now_s)] if known else []
        return list(changes(standings, self.told, now_s))


def said(events: list[Event]) -> list[tuple[str, str]]:
    return [(kind, data["severity"]) for kind, data in events]


def test_each_severity_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    scene = Scene()
    assert scene.look(0, good=100) == []
    assert said(scene.look(1, bad=20)) == [("slo_burn", "page"), ("slo_burn", "ticket")]
    assert scene.look(2, bad=5) == []
    assert scene.look(8) == []  # 6 times over half an hour is still a page
    assert said(scene.look(13)) == [("slo_burn_over", "ticket")]
    assert said(scene.look(40)) == [("slo_burn_over", "page")]
    assert scene.look(41) == []


def test_an_alarm_says_all_that_is_needed_to_judge_it() -> None:
    scene = Scene()
    (_, data), _ = scene.look(0, good=80, bad=20)
    assert data == {
        "severity": "page",
        "summary": "objective answered: burn rate 20 over 1h; "
        "-1,900.0 % of its error budget of 30 days is left",
        "objective": "answered",
        "of": "availability",
        "target_percent": 99.0,
        "days": 30,
        "above": 14.4,
        "burn_rates": {"1h": 20.0, "5m": 20.0},
        "budget_left_percent": -1900.0,
        "since": "2025-11-21T12:00:00Z",
    }


def test_its_end_says_since_when_it_was() -> None:
    scene = Scene()
    scene.look(0, good=80, bad=20)
    events = {data["severity"]: data for _, data in scene.look(60)}
    assert events["page"] == {
        "severity": "page",
        "objective": "answered",
        "since": "2025-11-21T12:00:00Z",
        "until": "2025-11-21T13:00:00Z",
        "budget_left_percent": -1900.0,
    }


def test_an_alarm_of_a_promise_that_is_no_more_is_over() -> None:
    scene = Scene()
    scene.look(0, good=80, bad=20)
    assert said(scene.look(1, known=False)) == [("slo_burn_over", "page"), ("slo_burn_over", "ticket")]
    assert scene.told == {}

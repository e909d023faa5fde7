"""Alarms about promises: told once when they begin, and once when they are over."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.slo.alarms import Event, changes
from gateway.slo.burning import Counts, Past, standing_of
from gateway.slo.gathering import Gathered, Kept
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
    def __init__(self, promise: Objective = PROMISE) -> None:
        self.promise = promise
        self.past = Past()
        self.told: dict[str, float] = {}
        self.lasts: dict[str, float] = {}

    def look(self, minute: float, good: int = 0, bad: int = 0, *, known: bool = True) -> list[Event]:
        now_s = START_S + 60.0 * minute
        self.past.add(Counts(good, bad), now_s)
        standings = [standing_of(self.promise, self.past, now_s)] if known else []
        return list(changes(standings, self.told, self.lasts, now_s))


def said(events: list[Event]) -> list[tuple[str, str]]:
    return [(kind, data["severity"]) for kind, data in events]


def test_each_severity_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    scene = Scene()
    assert scene.look(0, good=100) == []
    assert said(scene.look(1, bad=20)) == [("slo_burn", "page"), ("slo_burn", "ticket")]
    assert scene.look(2, bad=5) == []
    later = {minute: said(events) for minute in range(3, 120) if (events := scene.look(minute))}
    # The last bad call is in a window of 10 minutes until minute 12, of 30 until 32; then it is quiet.
    assert later == {22: [("slo_burn_over", "ticket")], 62: [("slo_burn_over", "page")]}


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
    assert scene.lasts == {}


def test_one_that_comes_back_before_it_was_quiet_for_its_short_window_goes_on() -> None:
    scene = Scene(msgspec.structs.replace(PROMISE, alerts=PROMISE.alerts[:1]))
    assert said(scene.look(0, good=80, bad=20)) == [("slo_burn", "page")]
    assert [scene.look(minute) for minute in range(1, 10)] == [[]] * 9
    assert scene.look(9.9, bad=20) == []
    assert [scene.look(minute) for minute in range(10, 19)] == [[]] * 9
    assert said(scene.look(20)) == [("slo_burn_over", "page")]


def test_a_restart_goes_on_being_quiet() -> None:
    scene, promise = Gathered(), msgspec.structs.replace(PROMISE, alerts=PROMISE.alerts[:1])

    def look(minute: float) -> list[str]:
        now_s = START_S + 60.0 * minute
        standings = scene.standings([promise], now_s)
        return [kind for kind, _ in changes(standings, scene.told, scene.lasts, now_s)]

    scene.take("w", {"answered": Counts(80, 20)}, START_S)
    assert look(0) == ["slo_burn"]
    assert [look(minute) for minute in (5, 7)] == [[], []]
    scene.delivered |= scene.told
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(scene.kept(START_S)), type=Kept)
    scene = Gathered.of(kept)
    assert [look(minute) for minute in (8, 9.9, 10)] == [[], [], ["slo_burn_over"]]


def test_few_bad_calls_begin_nothing_and_keep_what_has_begun() -> None:
    scene = Scene(msgspec.structs.replace(PROMISE, min_calls=10, alerts=PROMISE.alerts[:1]))
    assert scene.look(0, good=9, bad=2) == []
    assert said(scene.look(1, bad=1)) == [("slo_burn", "page")]
    for minute in range(2, 60):
        assert scene.look(minute) == []
        if minute > 5:
            assert scene.look(minute, good=1 if minute % 5 else 0, bad=1 if minute % 3 == 0 else 0) == []
    # By now a single bad call is in the hour at a time: it burns on, on too few to begin.
    for minute in range(60, 200):
        assert scene.look(minute, bad=int(minute % 5 == 0)) == []


def test_a_clock_that_was_far_ahead_keeps_no_alarm_on() -> None:
    scene = Scene(msgspec.structs.replace(PROMISE, alerts=PROMISE.alerts[:1]))
    scene.look(10_000, good=80, bad=20)
    assert scene.look(0) == []
    assert said(scene.look(5)) == [("slo_burn_over", "page")]


def test_calls_about_as_bad_as_an_alert_allows_page_by_the_hour_and_not_by_the_call() -> None:
    chance, hours, pages = random.Random(1), 12, 0
    promise = Objective("answered", "availability", 0.995)
    scene = Scene(promise)
    for look in range(hours * 720):  # 10 calls a second, 3 % of them bad: a rate of 6, the threshold itself
        bad = sum(chance.random() < 0.03 for _ in range(50))
        events = scene.look(look / 12, good=50 - bad, bad=bad)
        pages += said(events).count(("slo_burn", "page"))
    assert 1 <= pages <= hours


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 1.0, 3.0, 8.0, 40.0]), st.integers(0, 100), st.integers(0, 40)),
        max_size=80,
    )
)
def test_whatever_calls_come_an_alarm_begins_once_in_a_short_window_at_most(
    calls: Sequence[tuple[float, int, int]],
) -> None:
    scene, minute, began = Scene(), 0.0, dict[str, float]()
    for later, good, bad in calls:
        minute += later
        for kind, data in scene.look(minute, good, bad):
            if kind == "slo_burn":
                shortest = 5 if data["severity"] == "page" else 10
                assert minute - began.get(data["severity"], -1000.0) >= shortest
                began[data["severity"]] = minute

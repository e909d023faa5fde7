"""Sudden is flagged, once; slow, small and new is not."""

from __future__ import annotations

import pytest

from gateway.quotas.surges import Surge, Surges

HOUR_S = 3600.0


def call(surges: Surges[str], from_s: float, to_s: float, per_minute: float) -> list[Surge]:
    """Call evenly for a while; what was flagged."""
    count = int((to_s - from_s) * per_minute / 60)
    noted = (surges.note("key", from_s + n * 60 / per_minute) for n in range(count))
    return [surge for surge in noted if surge is not None]


def test_ten_times_as_many_calls_as_usual_are_flagged_once() -> None:
    surges: Surges[str] = Surges()
    assert call(surges, 0, HOUR_S, 20) == []
    (surge,) = call(surges, HOUR_S, HOUR_S + 600, 600)
    assert surge.calls_per_minute in range(198, 203)
    assert surge.usual_per_minute == pytest.approx(20, abs=0.5)


def test_it_is_flagged_again_after_an_hour() -> None:
    surges: Surges[str] = Surges()
    call(surges, 0, HOUR_S, 1)
    assert len(call(surges, HOUR_S, HOUR_S + 60, 100)) == 1
    assert call(surges, HOUR_S + 600, HOUR_S + 660, 200) == []
    assert len(call(surges, 2 * HOUR_S + 120, 2 * HOUR_S + 180, 900)) == 1


def test_five_times_as_many_are_not() -> None:
    surges: Surges[str] = Surges()
    assert call(surges, 0, HOUR_S, 100) == []
    assert call(surges, HOUR_S, HOUR_S + 600, 500) == []


def test_few_calls_are_not_however_many_times_the_usual_they_are() -> None:
    surges: Surges[str] = Surges()
    assert call(surges, 0, HOUR_S, 1) == []
    assert call(surges, HOUR_S, HOUR_S + 600, 60) == []


def test_a_new_key_is_given_ten_minutes() -> None:
    surges: Surges[str] = Surges()
    assert call(surges, 0, 300, 1) == []
    assert call(surges, 300, 590, 6000) == []


def test_a_key_is_known_for_what_it_did_from_its_first_minutes_on() -> None:
    surges: Surges[str] = Surges()
    assert call(surges, 0, 660, 100) == []
    assert call(surges, 660, 720, 900) == []
    assert len(call(surges, 720, 780, 2000)) == 1


def test_growth_that_is_slow_is_not() -> None:
    surges: Surges[str] = Surges()
    for hour in range(24):
        for minute in range(60):
            start_s = (hour * 60 + minute) * 60.0
            assert call(surges, start_s, start_s + 60, 2 * 1.5 ** (hour + minute / 60)) == []


def test_a_key_that_was_silent_for_hours_may_surge() -> None:
    surges: Surges[str] = Surges()
    call(surges, 0, HOUR_S, 100)
    assert len(call(surges, 9 * HOUR_S, 9 * HOUR_S + 60, 100)) == 1


def test_keys_have_rates_of_their_own() -> None:
    surges: Surges[tuple[str, str]] = Surges()
    for second in range(700):
        surges.note(("acme", "key"), second)
    flagged = [surges.note((tenant, "key"), 700.0) for tenant in ("other", "acme") for _ in range(700)]
    assert [at for at, surge in enumerate(flagged) if surge is not None] == [1250]


def test_the_keys_used_longest_ago_are_forgotten() -> None:
    surges: Surges[int] = Surges()
    surges.note(-1, 0)
    for key in range(Surges.REMEMBERED):
        surges.note(key, 1.0)
    surges.note(0, 12.0)
    surges.note(Surges.REMEMBERED, 13.0)
    # Of the two that came back after a quarter of an hour, only the one that is still known can surge.
    assert any(surges.note(0, 900.0) for _ in range(100))
    assert not any(surges.note(1, 900.0) for _ in range(100))


def test_an_event_says_whose_rate_it_is() -> None:
    assert Surge(201, 19.96).data("acme", "key_1") == {
        "tenant": "acme",
        "key": "key_1",
        "calls_per_minute": 201,
        "usual_per_minute": 20.0,
    }

"""Health: what keeps calls away from a deployment, in words and seconds, and what is measured of it."""

from __future__ import annotations

import pytest

from gateway.errors import Cause
from gateway.routing.health.breaker import BreakerSettings
from gateway.routing.health.health import Health

SPENT = [(b"X-RateLimit-Remaining-Requests", b"0"), (b"x-ratelimit-reset-requests", b"12s")]
REFILLED = [(b"x-ratelimit-remaining-requests", b"7")]


def visited(health: Health, at_s: float, took_s: float = 1.0, cause: Cause | None = None) -> None:
    visit = health.enter(at_s)
    assert visit is not None
    if cause is None:
        visit.answered(at_s + took_s)
    visit.ended(at_s + took_s, cause)


def reason(health: Health, now_s: float) -> str:
    obstacle = health.obstacle(now_s)
    return obstacle.reason if obstacle else ""


def test_at_first_nothing_is_in_the_way_and_nothing_is_known() -> None:
    health = Health()
    assert health.obstacle(0.0) is None
    assert (health.in_flight, health.error_rate) == (0, 0.0)
    assert (health.first_token_s, health.latency_s, health.tokens_per_s) == (None, None, None)


def test_calls_under_way_are_counted_until_they_end_or_are_given_up() -> None:
    health = Health()
    one, two = health.enter(0.0), health.enter(0.0)
    assert one is not None
    assert two is not None
    assert health.in_flight == 2
    one.abandoned()
    one.ended(1.0, "error")
    two.ended(1.0)
    two.ended(2.0, "error")
    two.abandoned()
    assert (health.in_flight, health.error_rate) == (0, 0.0)


def test_times_are_smoothed_and_the_speed_is_of_what_was_streamed() -> None:
    health = Health()
    visit = health.enter(0.0)
    assert visit is not None
    visit.answered(0.5)
    visit.answered(3.0)
    visit.ended(2.5, None, 100)
    assert (health.first_token_s, health.latency_s, health.tokens_per_s) == (0.5, 2.5, 50.0)
    visited(health, 10.0, 1.5)
    assert health.first_token_s == pytest.approx(0.7)


def test_the_speed_of_a_whole_answer_is_of_all_its_time() -> None:
    health = Health()
    visit = health.enter(0.0)
    assert visit is not None
    visit.answered(2.0)
    visit.ended(2.001, None, 100)
    assert health.tokens_per_s == pytest.approx(50.0, rel=0.01)


def test_a_call_that_ends_without_a_beginning_began_at_its_end() -> None:
    health = Health()
    visit = health.enter(1.0)
    assert visit is not None
    visit.ended(3.0)
    assert (health.first_token_s, health.latency_s) == (2.0, 2.0)


def test_failures_are_no_measure_of_speed() -> None:
    health = Health()
    visited(health, 0.0, 30.0, "timeout")
    assert (health.first_token_s, health.latency_s) == (None, None)


def test_a_percentile_needs_ten_times_and_forgets_the_oldest_of_many() -> None:
    health = Health()
    for number in range(9):
        visited(health, 0.0, number + 1)
    assert health.percentile_s(50) is None
    visited(health, 0.0, 10)
    assert [health.percentile_s(percent) for percent in (1, 50, 90, 95, 100)] == [1, 5, 9, 10, 10]
    for _ in range(128):
        visited(health, 0.0, 0.25)
    assert health.percentile_s(100) == 0.25


def test_old_failures_are_forgotten_also_where_no_call_goes() -> None:
    health = Health(BreakerSettings(min_calls=10, window_s=30))
    visited(health, 0.0, cause="error")
    visited(health, 0.0)
    assert health.error_rate == 0.5
    assert health.obstacle(20.0) is None
    assert health.error_rate == 0.5
    health.obstacle(40.0)
    assert health.error_rate == 0.0


def test_it_is_left_alone_for_as_long_as_it_asked() -> None:
    health = Health()
    health.rest(12.0, 100.0)
    health.rest(1.0, 100.0)
    assert reason(health, 100.5) == "it asked to be left alone for 12 s"
    obstacle = health.obstacle(102.0)
    assert obstacle is not None
    assert obstacle.retry_after_s == 10.0
    assert health.obstacle(112.0) is None
    health.rest(1e9, 200.0)
    assert health.obstacle(200.0 + 3600) is None, "nobody is believed for longer than an hour"


def test_a_used_up_rate_is_an_obstacle_until_there_is_room_for_a_call() -> None:
    health = Health()
    health.told(SPENT, 100.0)
    assert reason(health, 100.0) == "its rate limit is used up for 1 s", "in 12 s it would be whole again"
    assert health.obstacle(101.0) is None
    health.told(SPENT, 200.0)
    health.told([(b"date", b"x")], 200.5)
    assert reason(health, 200.9), "an answer that says nothing changes nothing"
    health.told(REFILLED, 200.9)
    assert health.obstacle(200.9) is None


def test_retry_after_is_obeyed_for_at_most_a_minute() -> None:
    health = Health()
    health.told([(b"Retry-After", b"86400")], 0.0, refused=True)
    assert reason(health, 0.0) == "it asked to be left alone for 60 s"
    assert health.obstacle(60.0) is None


def test_an_account_without_quota_is_left_alone_for_a_minute() -> None:
    health = Health()
    visited(health, 0.0, 1.0, "quota")
    assert reason(health, 1.0) == "our account there has no quota left for 60 s"
    assert health.breaker.state == "closed"
    assert health.obstacle(61.0) is None


def test_a_failing_probe_keeps_calls_away_until_it_goes_well() -> None:
    health = Health()
    health.probed("connection refused")
    assert reason(health, 0.0) == "its probe fails: connection refused"
    health.probed("it answers 503")
    assert reason(health, 1.0) == "its probe fails: it answers 503"
    health.probed()
    assert health.obstacle(2.0) is None


def test_a_probe_that_goes_well_again_lets_a_call_try_early_and_closes_nothing() -> None:
    health = Health(BreakerSettings(consecutive=1, cool_down_s=10))
    visited(health, 0.0, 1.0, "unreachable")
    health.probed()
    assert reason(health, 2.0).startswith("its circuit breaker is open"), "it has been well all the time"
    health.probed("connection refused")
    health.probed()
    assert health.obstacle(2.0) is None
    assert health.breaker.state == "open"
    visited(health, 2.0)
    assert health.breaker.state == "closed"


def test_the_breaker_is_told_of_in_words_and_its_changes_to_who_listens() -> None:
    states: list[str] = []
    health = Health(BreakerSettings(consecutive=2, cool_down_s=10), on_change=states.append)
    for _ in range(2):
        visited(health, 0.0, 1.0, "timeout")
    obstacle = health.obstacle(3.0)
    assert obstacle is not None
    assert obstacle.reason == "its circuit breaker is open: 2 failures in a row (timeout)"
    assert obstacle.retry_after_s == 8.0
    assert health.enter(3.0) is None
    visit = health.enter(11.0)
    assert visit is not None
    assert reason(health, 11.0) == "its circuit breaker is half open, and another call is trying"
    assert health.enter(11.0) is None
    visit.answered(12.0)
    assert health.obstacle(12.0) is None
    assert (states, health.error_rate) == (["open", "half_open", "closed"], 0.0)


def test_a_slow_first_token_is_a_failure_and_a_slow_end_is_not() -> None:
    health = Health(BreakerSettings(consecutive=2, slow_ms=1000))
    for _ in range(3):
        visit = health.enter(0.0)
        assert visit is not None
        visit.answered(0.9)
        visit.ended(60.0)
    assert health.breaker.state == "closed"
    for _ in range(2):
        visited(health, 60.0, 1.1)
    assert reason(health, 62.0) == "its circuit breaker is open: 2 failures in a row (too slow)"
    assert health.first_token_s is not None


def test_who_looks_on_is_told_what_is_known() -> None:
    health = Health()
    told = health.standing(0.0)
    assert (told.obstacle, told.rests_until_s, told.spent_until_s, told.in_flight) == (None, None, None, 0)
    assert (told.first_token_s, told.first_token_p50_s) == (None, None)
    for number in range(20):
        visited(health, float(number), took_s=0.1 * (number + 1))
    health.enter(30.0)
    told = health.standing(30.0)
    assert told.in_flight == 1
    assert told.first_token_p50_s == pytest.approx(1.0)
    assert told.first_token_p95_s == pytest.approx(1.9)
    health.rest(20.0, 30.0)
    health.told(SPENT, 30.0)
    told = health.standing(30.0)
    assert (told.rests_until_s, told.rest_why) == (50.0, "it asked to be left alone")
    assert told.spent_until_s == 31.0
    assert told.obstacle == health.obstacle(30.0)
    told = health.standing(60.0)
    assert (told.obstacle, told.rests_until_s, told.rest_why, told.spent_until_s) == (None, None, "", None)

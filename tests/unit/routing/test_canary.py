"""When a canary is rolled back, and that it stays so until its configuration changes."""

from __future__ import annotations

import pytest

from gateway.config.signals import ShareSpec
from gateway.config.ways import CanarySpec, MarginSpec, TargetSpec
from gateway.routing.canary import SLOT_S, SPANS, Canaries, CanaryWatch, Side

MARGIN = MarginSpec(errors=0.05, latency=2.0, min_calls=20)


def tell(
    watch: CanaryWatch, side: Side, calls: int, *, errors: int = 0, latency_s: float = 1.0, now_s: float = 0.0
) -> list[str]:
    """Tell of results, the errors last; return what was answered."""
    return [
        watch.note(side, ok=number < calls - errors, latency_s=latency_s, now_s=now_s)
        for number in range(calls)
    ]


def test_a_canary_that_fails_more_than_the_margin_is_rolled_back_in_words() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 100, errors=1)
    said = tell(watch, "canary", 25, errors=3)
    assert watch.rolled_back(0.0) == said[-2] == "8.33 % errors against 1 %"
    assert said[-1] == ""
    assert not any(said[:-2])


def test_a_canary_within_the_margin_goes_on() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 100, errors=2)
    assert not any(tell(watch, "canary", 100, errors=6, latency_s=1.99))
    assert watch.rolled_back(0.0) == ""


def test_a_canary_that_is_slower_than_the_margin_is_rolled_back() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 20, latency_s=0.5)
    assert "answers in 1.01 s against 0.5 s" in tell(watch, "canary", 20, latency_s=1.01)


def test_one_slow_answer_does_not_undo_a_canary() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 100)
    tell(watch, "canary", 19)
    assert watch.note("canary", ok=True, latency_s=60.0, now_s=0.0) == ""


@pytest.mark.parametrize(("canary", "baseline"), [(19, 1000), (1000, 19)])
def test_nothing_is_decided_on_few_calls_of_either(canary: int, baseline: int) -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", baseline)
    assert not any(tell(watch, "canary", canary, errors=canary))


def test_failures_alone_say_nothing_of_the_latency() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 20, errors=20)
    assert not any(tell(watch, "canary", 20, errors=20, latency_s=99.0))
    assert not any(tell(watch, "canary", 20, latency_s=0.0))


def test_rolled_back_is_for_good() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 20)
    tell(watch, "canary", 20, errors=20)
    reason = watch.rolled_back(0.0)
    tell(watch, "canary", 1000, now_s=1e6)
    tell(watch, "baseline", 1000, errors=1000, now_s=1e6)
    assert watch.rolled_back(2e6) == reason == "100 % errors against 0 %"


def test_a_failing_hour_of_the_past_is_forgotten() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "canary", 100, errors=100)
    later_s = SPANS[-1] * SLOT_S
    tell(watch, "baseline", 100, now_s=later_s)
    assert not any(tell(watch, "canary", 100, now_s=later_s))


def test_of_much_traffic_only_the_last_minutes_count() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 1000)
    tell(watch, "canary", 1000)
    later_s = SPANS[0] * SLOT_S
    tell(watch, "baseline", 20, now_s=later_s)
    assert tell(watch, "canary", 20, errors=2, now_s=later_s)[-1] == "10 % errors against 0 %"


def test_of_little_traffic_the_last_hour_counts() -> None:
    watch = CanaryWatch(MARGIN)
    for minute in range(30):
        watch.note("baseline", ok=True, latency_s=1.0, now_s=minute * SLOT_S)
        watch.note("canary", ok=False, latency_s=1.0, now_s=minute * SLOT_S)
    assert watch.rolled_back(0.0) == "100 % errors against 0 %"


def test_results_that_come_late_are_counted_all_the_same() -> None:
    watch = CanaryWatch(MARGIN)
    tell(watch, "baseline", 20, now_s=500.0)
    assert tell(watch, "canary", 20, errors=20, now_s=100.0)[-1]


def test_without_a_margin_a_canary_is_never_rolled_back() -> None:
    watch = CanaryWatch(None)
    tell(watch, "baseline", 100)
    assert not any(tell(watch, "canary", 100, errors=100))


def spec(percent: float = 5.0) -> CanarySpec:
    return CanarySpec(target=TargetSpec(backend="new"), share=ShareSpec(percent=percent))


def test_a_reload_that_leaves_a_canary_alone_leaves_its_watch_alone() -> None:
    first = Canaries()
    watch = first.watch("fast", spec())
    second = Canaries(first)
    assert second.watch("fast", spec()) is watch is second.watch("fast", spec())
    assert Canaries(second).watch("fast", spec()) is watch


def test_a_canary_that_is_changed_moved_or_taken_out_begins_anew() -> None:
    first = Canaries()
    watch = first.watch("fast", spec())
    assert Canaries(first).watch("fast", spec(6.0)) is not watch
    assert Canaries(first).watch("fast/rule", spec()) is not watch
    without = Canaries(first)
    assert Canaries(without).watch("fast", spec()) is not watch


def test_an_edit_that_is_not_taken_changes_nothing() -> None:
    live = Canaries()
    watch = live.watch("fast", spec())
    Canaries(live).watch("fast", spec(6.0))
    assert Canaries(live).watch("fast", spec()) is watch

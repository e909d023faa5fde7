"""Whose turn it is after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from gateway.attempts.journey import Ask, Journey, Take, Wait
from gateway.errors import (
    Cause,
    ConnectFailed,
    ContextTooLong,
    Failed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    TimedOut,
    UpstreamError,
)
from gateway.routing.budgets import Allowance
from gateway.routing.routes import Candidate, Retry, Step

A, B, C = (cast("Candidate", name) for name in "ABC")


def retry(attempts: int = 2, tries: float = 10.0) -> Retry:
    return Retry(attempts, 1.0, 3.0, 5.0, Allowance(1.0, tries))


def step(name: str, *on: Cause) -> Step:
    return Step(frozenset(on), answer=name)


def journey(*candidates: Candidate, steps: Sequence[Step] = (), of: Retry | None = None) -> Journey:
    begun = Journey(of or retry(0), steps)
    begun.begin(candidates, "first")
    return begun


def way_of(of: Journey, *errors: UpstreamError | None, drawn: float = 1.0) -> list[Any]:
    """What it says, where each target that is asked fails in turn; the last error again and again."""
    said: list[Any] = []
    left = list(errors)
    while (move := of.next(lambda: drawn)) is not None:
        if isinstance(move, Ask):
            said.append((move.candidate, move.why))
            error = left.pop(0) if len(left) > 1 else left[0]
            if error is not None:
                of.failed(move.candidate, error)
        elif isinstance(move, Wait):
            said.append(move.seconds)
        else:
            assert isinstance(move, Take)
            said.append(move.step.answer)
    return said


def test_targets_are_asked_in_their_order_and_then_again_with_growing_pauses() -> None:
    assert way_of(journey(A, B, of=retry(3)), Failed("no")) == [
        *((A, "first"), (B, "next"), 1.0),
        *((A, "retry"), (B, "retry"), 2.0),
        *((A, "retry"), (B, "retry"), 3.0),
        *((A, "retry"), (B, "retry")),
    ]


def test_pauses_are_drawn_in_full() -> None:
    assert way_of(journey(A, of=retry(1)), Failed("no"), drawn=0.25) == [(A, "first"), 0.25, (A, "retry")]


@pytest.mark.parametrize("error", [TimedOut("late"), QuotaSpent("none"), Rejected("no")])
def test_what_a_pause_does_not_cure_is_not_tried_again(error: UpstreamError) -> None:
    assert way_of(journey(A, of=retry()), error) == [(A, "first")]


def test_only_those_are_tried_again_that_may_be_ready_by_then() -> None:
    errors = RateLimited("no", retry_after_s=2.0), Overloaded("no", retry_after_s=4.0)
    assert way_of(journey(A, B, of=retry(1)), *errors) == [(A, "first"), (B, "next"), 2.0, (A, "retry")]


def test_whoever_asks_for_more_than_the_bound_is_not_waited_for() -> None:
    assert way_of(journey(A, of=retry()), RateLimited("no", retry_after_s=5.1)) == [(A, "first")]


def test_the_allowance_ends_the_rounds() -> None:
    assert way_of(journey(A, B, of=retry(3, tries=1.0)), Failed("no")) == [
        *((A, "first"), (B, "next"), 1.0, (A, "retry"))
    ]


def test_a_step_for_the_cause_goes_before_whoever_is_queued() -> None:
    steps = step("all"), step("rate", "rate_limited"), step("down", "unreachable")
    said = way_of(journey(A, B, steps=steps), ConnectFailed("no"), Failed("no"))
    assert said == [(A, "first"), "down", (B, "next"), "all"]


def test_steps_for_one_cause_follow_each_other() -> None:
    steps = step("one", "context_length"), step("all"), step("two", "context_length")
    assert way_of(journey(A, steps=steps), ContextTooLong("no")) == [(A, "first"), "one", "two"]


@pytest.mark.parametrize("cause", ["context_length", "content_filter", "rejected"])
def test_steps_for_all_never_follow_what_is_about_the_request(cause: Cause) -> None:
    of = Journey(retry(0), [step("all")])
    of.stopped(cause)
    assert way_of(of, None) == []


def test_steps_for_all_are_taken_in_their_order() -> None:
    assert way_of(journey(A, steps=(step("one"), step("two"))), Failed("no")) == [(A, "first"), "one", "two"]


def test_where_nobody_can_be_asked_a_step_for_that_is_taken() -> None:
    of = Journey(retry(0), [step("all"), step("full", "overloaded")])
    of.stopped("overloaded")
    assert way_of(of, None) == ["full", "all"]


def test_a_step_with_targets_begins_the_way_anew() -> None:
    of = journey(A, B, steps=(step("down", "unreachable"), step("all")), of=retry(1))
    assert isinstance(of.next(lambda: 1.0), Ask)
    of.failed(A, ConnectFailed("no"))
    assert isinstance(of.next(lambda: 1.0), Take)
    of.begin([C], "fallback")
    assert way_of(of, Failed("no")) == [(C, "fallback"), 1.0, (C, "retry"), "all"]


def test_what_was_refused_stays_refused_whatever_a_try_beside_it_says() -> None:
    of = journey(A, B, C, steps=(step("all"),), of=retry())
    of.next(lambda: 1.0)
    assert of.rival() is B
    assert of.pull() is B
    of.failed(A, Rejected("no"))
    of.failed(B, Failed("no"))
    assert way_of(of, None) == []


def test_the_step_for_the_first_of_two_failures_is_not_forgotten_for_the_second() -> None:
    of = journey(A, B, C, steps=(step("long", "context_length"),))
    of.next(lambda: 1.0)
    of.pull()
    of.failed(A, ContextTooLong("no"))
    of.failed(B, Failed("no"))
    assert way_of(of, Failed("no")) == ["long", (C, "next")]


def test_whoever_is_skipped_is_not_asked() -> None:
    of = journey(A, B)
    of.skip()
    assert of.rival() is None
    assert way_of(of, None) == []


def test_where_nobody_was_made_for_the_call_others_are_asked_but_nothing_fixed_is_said() -> None:
    others = Step(targets=cast("Any", ("somebody",)))
    begun = Journey(retry(0), [step("we are busy"), others])
    assert begun.next(lambda: 1.0) == Take(others)
    assert begun.next(lambda: 1.0) is None

"""One call from target to target: what is tried, in what time, and that all of it is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from unit.attempts.scenes import (
    EMPTY,
    EMPTY_STREAM,
    HANG,
    Script,
    Upstream,
    answered,
    call,
    causes,
    on_skipping_clock,
    opened,
    plan,
    record,
    refusal,
    retrying,
    step_to,
)
from unit.stand_ins import STREAM, WHOLE

from gateway.config.reliability import ConcurrencySpec
from gateway.config.ways import MarginSpec
from gateway.errors import (
    BadAnswer,
    Busy,
    ConnectFailed,
    ContextTooLong,
    Rejected,
    TimedOut,
    UpstreamError,
)
from gateway.routing.budgets import Allowance
from gateway.routing.canary import CanaryWatch
from gateway.routing.health.health import BreakerSettings
from gateway.routing.routes import Canary, Hedge, Limits, Step, StreamTerms

Scene = Callable[[], Coroutine[Any, Any, None]]


def played(scene: Scene) -> None:
    on_skipping_clock(scene())


def hedge(after_s: float = 1.0, allowed: float = 1.0) -> Hedge:
    allowance = Allowance(allowed)
    return Hedge(after_s, None, lambda _tenant: allowance)


def test_a_failure_is_followed_by_the_next_target_and_then_by_a_second_round_after_a_pause() -> None:
    async def scene() -> None:
        first, second = Upstream("first", refusal(500)), Upstream("second", refusal(500), Script(WHOLE))
        of, seen = call(), record()
        assert await answered(of, plan(of, first, second, retry=retrying()), seen) == WHOLE
        assert causes(seen) == [
            ("first", "first", "upstream_failed"),
            ("second", "next", "upstream_failed"),
            ("first", "retry", "upstream_failed"),
            ("second", "retry", ""),
        ]
        assert first.sent_s[1] - first.sent_s[0] == pytest.approx(1.0, abs=0.01)
        first.assert_idle()
        second.assert_idle()

    played(scene)


@pytest.mark.parametrize(("told", "rounds"), [("3", 2), ("11", 1)])
def test_retry_after_is_obeyed_up_to_its_bound(told: str, rounds: int) -> None:
    async def scene() -> None:
        only = Upstream("only", refusal(429, retry_after=told))
        of, seen = call(), record()
        with pytest.raises(UpstreamError):
            await answered(of, plan(of, only, retry=retrying()), seen)
        assert len(only.sent_s) == rounds
        assert len(only.sent_s) < 2 or only.sent_s[1] - only.sent_s[0] >= float(told)

    played(scene)


def test_nothing_is_begun_after_the_deadline_and_the_client_is_told_of_it_then() -> None:
    async def scene() -> None:
        slow, second = Upstream("slow", Script(HANG)), Upstream("second", Script(WHOLE))
        of, seen = call(), record()
        planned = plan(of, slow, second, limits=Limits(deadline_s=3.0), steps=(step_to(second),))
        with pytest.raises(TimedOut, match="no answer within the route's 3000 ms"):
            await answered(of, planned, seen)
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.01)
        assert second.sent_s == []
        slow.assert_idle()

    played(scene)


def test_a_pause_that_ends_after_the_deadline_is_not_made() -> None:
    async def scene() -> None:
        only = Upstream("only", refusal(429, retry_after="5"))
        of, seen = call(), record()
        planned = plan(of, only, limits=Limits(deadline_s=3.0), retry=retrying())
        with pytest.raises(UpstreamError):
            await answered(of, planned, seen)
        assert asyncio.get_running_loop().time() < 0.1
        assert len(only.sent_s) == 1

    played(scene)


def test_after_the_deadline_a_declared_answer_is_still_given() -> None:
    async def scene() -> None:
        slow = Upstream("slow", Script(HANG))
        of, seen = call(), record()
        steps = (step_to(Upstream("late")), Step(answer="We are closed."))
        said = await answered(of, plan(of, slow, limits=Limits(deadline_s=2.0), steps=steps), seen)
        assert b"We are closed." in said

    played(scene)


def test_the_wait_for_a_place_is_part_of_the_calls_time() -> None:
    async def scene() -> None:
        busy = Upstream("busy", Script(4.0, WHOLE), places=ConcurrencySpec(max_calls=1))
        other = record()
        inside = asyncio.create_task(answered(call(), plan(call(), busy), other))
        await asyncio.sleep(1.0)
        of, seen = call(), record()
        with pytest.raises(TimedOut):  # 3 of its 5 s go by in the queue, 4 s the answer would take
            await answered(of, plan(of, busy, limits=Limits(deadline_s=5.0)), seen)
        assert asyncio.get_running_loop().time() == pytest.approx(6.0, abs=0.01)
        assert await inside == WHOLE
        busy.assert_idle()

    played(scene)


def test_nobody_waits_for_a_place_beyond_the_deadline() -> None:
    async def scene() -> None:
        busy = Upstream("busy", Script(50.0, WHOLE), places=ConcurrencySpec(max_calls=1))
        inside = asyncio.create_task(answered(call(), plan(call(), busy), record()))
        await asyncio.sleep(0.1)
        of = call()
        with pytest.raises(Busy):
            await answered(of, plan(of, busy, limits=Limits(deadline_s=2.0)), record())
        assert asyncio.get_running_loop().time() == pytest.approx(2.1, abs=0.01)
        assert len(busy.sent_s) == 1
        await inside

    played(scene)


def test_a_step_that_names_the_cause_goes_before_the_targets_that_are_left() -> None:
    async def scene() -> None:
        small, other = Upstream("small", refusal_of_length()), Upstream("other")
        large = Upstream("large")
        of, seen = call(), record()
        planned = plan(of, small, other, steps=(step_to(large, on=["context_length"]),))
        assert await answered(of, planned, seen) == WHOLE
        assert causes(seen) == [("small", "first", ContextTooLong.code), ("large", "fallback", "")]
        assert other.sent_s == []

    played(scene)


def refusal_of_length() -> Script:
    body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    return Script(body, status=400)


def test_a_named_step_that_comes_to_nothing_is_followed_by_the_next_one_for_the_cause() -> None:
    async def scene() -> None:
        small, large, other = Upstream("small", refusal_of_length()), Upstream("large"), Upstream("other")
        of, seen = call(), record()
        on = ["context_length"]
        steps = (Step(on=frozenset({"context_length"}), cached_s=60.0), step_to(large, on=on))
        assert await answered(of, plan(of, small, other, steps=steps), seen) == WHOLE
        assert [attempt.backend for attempt in seen.attempts] == ["small", "large"]

    played(scene)


def test_named_steps_that_come_to_nothing_leave_the_other_targets_in_line() -> None:
    async def scene() -> None:
        first, second = Upstream("first", refusal(503)), Upstream("second")
        of, seen = call(), record()
        steps = (Step(on=frozenset({"overloaded"}), cached_s=60.0),)
        assert await answered(of, plan(of, first, second, steps=steps), seen) == WHOLE
        assert [attempt.backend for attempt in seen.attempts] == ["first", "second"]

    played(scene)


def test_no_step_for_all_causes_follows_a_request_that_was_refused() -> None:
    async def scene() -> None:
        first, second, other = Upstream("first", refusal(400)), Upstream("second"), Upstream("other")
        of, seen = call(), record()
        with pytest.raises(Rejected):
            await answered(of, plan(of, first, second, steps=(step_to(other),)), seen)
        assert second.sent_s == other.sent_s == []

    played(scene)


def test_steps_follow_each_other() -> None:
    async def scene() -> None:
        failing = [Upstream(name, refusal(500)) for name in ("one", "two", "three")]
        of, seen = call(), record()
        steps = (step_to(failing[1]), step_to(failing[2]), Step(answer="Later."))
        assert b"Later." in await answered(of, plan(of, failing[0], steps=steps), seen)
        assert [attempt.backend for attempt in seen.attempts] == ["one", "two", "three"]
        assert seen.attempts[2].why == "fallback"

    played(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_is_given_when_nobody_says_more(stream: bool) -> None:
    async def scene() -> None:
        script = Script(*EMPTY_STREAM) if stream else Script(EMPTY)
        places = ConcurrencySpec(max_calls=1)
        empty, down = Upstream("empty", script, places=places), Upstream("down", ConnectFailed("no"))
        of, seen = call(stream=stream), record()
        said = await answered(of, plan(of, empty, down), seen)
        assert b"error" not in said
        assert b"stop" in said
        assert seen.ending == "finished"
        assert seen.backend == "empty"
        assert causes(seen) == [("empty", "first", ""), ("down", "next", "upstream_unreachable")]
        empty.assert_idle()

    played(scene)


@pytest.mark.parametrize("ends_well", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_that_is_not_needed_holds_nothing(stream: bool, ends_well: bool) -> None:
    async def scene() -> None:
        places = ConcurrencySpec(max_calls=1)
        scripts = [Script(*EMPTY_STREAM, HANG)] if stream else [Script(EMPTY)]
        empties = [Upstream(f"empty-{n}", *scripts, places=places) for n in range(2)]
        last = Upstream("last", Script(*STREAM) if stream else Script(WHOLE))
        of, seen = call(stream=stream), record()
        if not ends_well:
            last.scripts = [Script(HANG)]
        task = asyncio.create_task(answered(of, plan(of, *empties, last), seen))
        await asyncio.sleep(30.0)
        for empty in empties:
            empty.assert_idle()
        assert [attempt.cause for attempt in seen.attempts[:2]] == ["upstream_empty"] * 2
        if ends_well:
            assert b"world" in await task
            assert seen.backend == "last"
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        last.assert_idle()

    played(scene)


def test_a_declared_answer_goes_before_an_empty_one() -> None:
    async def scene() -> None:
        empty = Upstream("empty", Script(EMPTY))
        of, seen = call(), record()
        assert b"Sorry." in await answered(of, plan(of, empty, steps=(Step(answer="Sorry."),)), seen)

    played(scene)


def test_the_attempts_of_a_call_together_keep_its_price() -> None:
    async def scene() -> None:
        first = Upstream("first", Script(b"<html>"), cost_nanousd=600)
        second, third = Upstream("second", cost_nanousd=600), Upstream("third", cost_nanousd=300)
        of, seen = call(), record()
        planned = plan(of, first, second, third, limits=Limits(cost_nanousd=1000))
        assert await answered(of, planned, seen) == WHOLE
        assert [attempt.backend for attempt in seen.attempts] == ["first", "third"]

    played(scene)


def test_an_attempt_that_used_nothing_costs_nothing() -> None:
    async def scene() -> None:
        first = Upstream("first", ConnectFailed("no"), cost_nanousd=600)
        second = Upstream("second", cost_nanousd=600)
        of, seen = call(), record()
        assert await answered(of, plan(of, first, second, limits=Limits(cost_nanousd=1000)), seen) == WHOLE

    played(scene)


def test_a_second_try_beside_a_slow_one_counts_against_the_price_too() -> None:
    async def scene() -> None:
        slow, second = (
            Upstream("slow", Script(WHOLE, before_s=5.0), cost_nanousd=600),
            Upstream("second", cost_nanousd=600),
        )
        of, seen = call(), record()
        planned = plan(of, slow, second, limits=Limits(cost_nanousd=1000), hedge=hedge())
        assert await answered(of, planned, seen) == WHOLE
        assert second.sent_s == []

    played(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_of_two_tries_the_faster_wins_and_the_other_has_ended_and_is_entered(stream: bool) -> None:
    async def scene() -> None:
        whole = STREAM if stream else [WHOLE]
        slow = Upstream("slow", Script(whole[0], 50.0, *whole[1:]), places=ConcurrencySpec(max_calls=1))
        fast = Upstream("fast", Script(*whole))
        of, seen = call(stream=stream), record()
        if not stream:
            slow.scripts = [Script(50.0, WHOLE)]
        outcome = await opened(of, plan(of, slow, fast, hedge=hedge()), seen)
        assert outcome.backend == "fast"
        slow.assert_idle()
        assert causes(seen) == [("slow", "first", "interrupted"), ("fast", "hedge", "")]
        assert seen.attempts[0].transcript is not None, "it has read the prompt, and that costs"
        assert fast.sent_s == [pytest.approx(1.0, abs=0.01)]
        if outcome.opened is not None:
            outcome.opened.close(None)
        fast.assert_idle()

    played(scene)


def test_an_error_of_the_second_try_does_not_end_the_first() -> None:
    async def scene() -> None:
        slow, failing = Upstream("slow", Script(5.0, WHOLE)), Upstream("failing", refusal(500))
        of, seen = call(), record()
        assert await answered(of, plan(of, slow, failing, hedge=hedge()), seen) == WHOLE
        assert causes(seen) == [("slow", "first", ""), ("failing", "hedge", "upstream_failed")]

    played(scene)


def test_when_both_tries_fail_the_next_in_line_is_asked() -> None:
    async def scene() -> None:
        slow, failing = Upstream("slow", Script(5.0, b"<html>")), Upstream("failing", refusal(500))
        third, fourth = Upstream("third"), Upstream("fourth")
        of, seen = call(), record()
        assert await answered(of, plan(of, slow, failing, third, fourth, hedge=hedge()), seen) == WHOLE
        assert [(one.backend, one.why) for one in seen.attempts] == [
            ("slow", "first"),
            ("failing", "hedge"),
            ("third", "next"),
        ]

    played(scene)


def test_a_request_that_one_of_two_tries_refused_is_not_tried_again_for_what_the_other_says() -> None:
    async def scene() -> None:
        refusing = Upstream("refusing", Script(b"{}", status=400, before_s=2.0))
        failing, third = Upstream("failing", Script(b"{}", status=500, before_s=3.0)), Upstream("third")
        of, seen = call(), record()
        planned = plan(
            of, refusing, failing, third, hedge=hedge(), retry=retrying(3), steps=(step_to(third),)
        )
        with pytest.raises(UpstreamError):
            await answered(of, planned, seen)
        assert third.sent_s == []
        assert len(seen.attempts) == 2

    played(scene)


def test_a_client_that_leaves_ends_both_tries() -> None:
    async def scene() -> None:
        places = ConcurrencySpec(max_calls=1)
        both = [Upstream(name, Script(HANG), places=places) for name in ("one", "two")]
        of, seen = call(), record()
        task = asyncio.create_task(answered(of, plan(of, *both, hedge=hedge()), seen))
        await asyncio.sleep(2.0)
        assert [one.open for one in both] == [1, 1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for one in both:
            one.assert_idle()
        assert [attempt.cause for attempt in seen.attempts] == ["interrupted"] * 2

    played(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("hedged", [False, True])
def test_wherever_a_client_leaves_nothing_stays_open(stream: bool, hedged: bool) -> None:
    """It leaves at every single step of the loop, one after the other."""

    async def scene() -> None:
        ended = False
        steps = 0
        while not ended:
            ended = await left_after(steps, stream=stream, hedged=hedged)
            steps += 1
        assert steps > 5

    played(scene)


async def left_after(steps: int, *, stream: bool, hedged: bool) -> bool:
    """Leave a call after so many steps of the loop; whether it had ended by then."""
    whole = Script(*STREAM) if stream else Script(WHOLE)
    places, half_open = ConcurrencySpec(max_calls=2), BreakerSettings(consecutive=1, cool_down_s=0.0)
    first = Upstream("first", refusal(503), places=places)
    second = Upstream("second", Script(*EMPTY_STREAM) if stream else Script(EMPTY), places=places)
    third = Upstream("third", whole, places=places, breaker=half_open)
    third.health.breaker.failed(-1.0, "error")
    fourth = Upstream("fourth", whole, places=places)
    of, seen = call(stream=stream), record()
    both = hedge(0.0) if hedged else None
    planned = plan(of, first, second, third, fourth, retry=retrying(backoff_s=0.0), hedge=both)
    task = asyncio.create_task(answered(of, planned, seen))
    for _ in range(steps):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    for one in (first, second, third, fourth):
        one.assert_idle()
        assert one.health.obstacle(asyncio.get_running_loop().time()) is None, "its place to try is free"
    return ended


def test_a_refused_credential_is_followed_by_the_next_one_in_the_same_attempt() -> None:
    async def scene() -> None:
        upstream = Upstream("only", refusal(401), Script(WHOLE), credentials=2)
        of, seen = call(), record()
        assert await answered(of, plan(of, upstream), seen) == WHOLE
        assert len(set(upstream.shown)) == 2
        assert causes(seen) == [("only", "first", "")]
        upstream.assert_idle()

    played(scene)


def test_a_second_credential_has_only_the_time_that_the_first_one_left() -> None:
    async def scene() -> None:
        slow_401 = Script(b"{}", status=401, before_s=2.0)
        upstream = Upstream("only", slow_401, Script(HANG), credentials=2)
        of, seen = call(), record()
        with pytest.raises(TimedOut):
            await answered(of, plan(of, upstream, limits=Limits(deadline_s=3.0)), seen)
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.01)

    played(scene)


def test_what_a_timed_out_attempt_was_sent_is_entered_and_what_never_left_is_not() -> None:
    async def scene() -> None:
        times = Limits(latency_s=2.0)
        refused, slow = Upstream("refused", ConnectFailed("no")), Upstream("slow", Script(HANG))
        good = Upstream("good")
        of, seen = call(), record()
        await answered(of, plan(of, refused, slow, good, limits=times), seen)
        assert [attempt.transcript is not None for attempt in seen.attempts] == [False, True, True]
        assert seen.attempts[2].usage is not None

    played(scene)


def test_a_canary_of_whatever_model_the_client_asks_for_is_watched_as_one() -> None:
    async def scene() -> None:
        watch = CanaryWatch(MarginSpec(min_calls=1))
        new, old = Upstream("new", refusal(500), model=None), Upstream("old")
        canary = Canary(new.target, lambda _signals, _moment: True, watch)
        of = call()
        await answered(of, plan(of, old, canary=canary), record())
        await answered(of, plan(of, new, old, canary=canary), record())
        assert "errors" in watch.rolled_back(0.0)

    played(scene)


def test_a_stream_that_breaks_beside_its_first_content_falls_back_unseen() -> None:
    async def scene() -> None:
        error = b'data: {"error": {"message": "gone", "code": 500}}\n\n'
        first = Upstream("first", Script(b"".join(STREAM[:2]) + error))
        second = Upstream("second", Script(*STREAM))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second), seen)
        assert said.count(b"Hello") == 1
        assert b"gone" not in said
        assert seen.ending == "finished"
        assert seen.attempts[0].transcript is not None

    played(scene)


def test_a_stream_whose_host_does_not_hang_up_is_known_to_be_empty_at_its_end() -> None:
    async def scene() -> None:
        empty, good = Upstream("empty", Script(*EMPTY_STREAM, HANG)), Upstream("good", Script(*STREAM))
        of, seen = call(stream=True), record()
        assert b"world" in await answered(of, plan(of, empty, good), seen)
        assert asyncio.get_running_loop().time() < 1.0

    played(scene)


def test_an_error_before_all_content_has_generated_nothing() -> None:
    async def scene() -> None:
        full = Upstream("full", Script(b'data: {"error": {"message": "queue full", "code": 503}}\n\n'))
        good = Upstream("good", Script(*STREAM))
        of, seen = call(stream=True), record()
        assert b"queue" not in await answered(of, plan(of, full, good), seen)
        assert seen.attempts[0].transcript is None

    played(scene)


def test_an_empty_answer_counts_against_its_deployment() -> None:
    async def scene() -> None:
        breaker = BreakerSettings(min_calls=1, error_rate=0.5)
        empty, good = Upstream("empty", Script(EMPTY), breaker=breaker), Upstream("good")
        of = call()
        await answered(of, plan(of, empty, good), record())
        assert empty.health.obstacle(asyncio.get_running_loop().time()) is not None

    played(scene)


def test_an_answer_cut_before_its_end_is_known_before_the_client_sees_any_of_it() -> None:
    async def scene() -> None:
        cut = Upstream("cut", Script(*STREAM[:2]))
        of, seen = call(stream=True), record()
        terms = StreamTerms(hold_tokens=100)
        with pytest.raises(BadAnswer):
            await answered(of, plan(of, cut, stream=terms), seen)
        assert seen.attempts[0].transcript is not None
        assert seen.attempts[0].transcript() == "Hello"

    played(scene)

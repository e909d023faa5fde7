"""One timer for all waits of an attempt, on a loop whose clock jumps: it is in time on any machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

import pytest
from unit.upstream import skipping

from gateway.errors import TimedOut
from gateway.exchange import Timeouts
from gateway.upstream.watchdog import QUIET_S, Watchdog

LONG_S = 30.0


def limits(first_byte_s: float = LONG_S, gap_s: float = LONG_S, total_s: float = LONG_S) -> Timeouts:
    return Timeouts(first_byte_s=first_byte_s, gap_s=gap_s, total_s=total_s)


async def wait_under(watchdog: Watchdog) -> None:
    """Wait for ever, as a transport does; raises the watchdog's verdict where it has one."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if timed_out := watchdog.verdict():
            raise timed_out from None
        raise


def run(scene: Callable[[], Awaitable[None]]) -> float:
    """Run a scene; the seconds it took by the loop's clock. Nothing of a watchdog is left afterwards."""

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await asyncio.wait_for(asyncio.ensure_future(scene()), 10)
        return loop.time() - started_s

    return skipping.run(timed())


def test_a_wait_that_is_too_long_ends_in_time_and_says_which() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.05))
        watchdog.expect("the first byte", 0.05)
        with pytest.raises(TimedOut, match=r"more than 0.05 s for the first byte"):
            await wait_under(watchdog)

    assert 0.04 < run(scene) < 0.5


def test_after_a_timeout_the_task_is_not_left_half_cancelled() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.02))
        watchdog.expect("the first byte", 0.02)
        with pytest.raises(TimedOut):
            await wait_under(watchdog)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.05)  # would raise if another cancellation were on its way
        assert watchdog.verdict() is None

    run(scene)


def test_a_cancellation_by_somebody_else_is_not_a_timeout() -> None:
    async def attempt() -> None:
        watchdog = Watchdog(limits(first_byte_s=5))
        watchdog.expect("the first byte", 5)
        try:
            await wait_under(watchdog)
        finally:
            watchdog.stop()

    async def scene() -> None:
        task = asyncio.create_task(attempt())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert run(scene) < 2


def test_an_earlier_deadline_set_later_still_counts() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=5, gap_s=0.05))
        watchdog.expect("the first byte", 5)
        watchdog.rest()
        watchdog.expect("the next piece", 0.05)
        with pytest.raises(TimedOut, match="the next piece"):
            await wait_under(watchdog)

    assert run(scene) < 1


def test_a_later_deadline_takes_the_place_of_an_earlier_one() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.05, gap_s=0.2))
        watchdog.expect("the first byte", 0.05)
        watchdog.expect("the next piece", 0.2)
        with pytest.raises(TimedOut, match="the next piece"):
            await wait_under(watchdog)

    assert 0.15 < run(scene) < 1


def test_a_rest_is_nobodys_wait() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.02, gap_s=0.02))
        watchdog.expect("the first byte", 0.02)
        watchdog.rest()
        await asyncio.sleep(0.1)
        watchdog.expect("the next piece", 0.02)
        with pytest.raises(TimedOut, match="the next piece"):
            await wait_under(watchdog)

    assert 0.1 < run(scene) < 1


def test_many_waits_each_have_their_own_time() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(gap_s=0.1))
        for _ in range(10):
            watchdog.expect("the next piece", 0.1)
            await asyncio.sleep(0.03)
            watchdog.rest()
        watchdog.stop()

    assert run(scene) > 0.3


def test_the_total_ends_a_wait_that_would_be_within_its_own_limit() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(total_s=0.05))
        watchdog.expect("the first byte", LONG_S)
        with pytest.raises(TimedOut, match=r"0.05 s for the whole answer"):
            await wait_under(watchdog)

    assert run(scene) < 1


def test_the_total_is_in_time_after_a_rest_too() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.4, gap_s=0.4, total_s=0.5))
        watchdog.expect("the first byte", 0.4)
        watchdog.rest()
        await asyncio.sleep(0.45)  # the timer has looked once in the meantime
        watchdog.expect("the next piece", 0.4)
        with pytest.raises(TimedOut, match="the whole answer"):
            await wait_under(watchdog)

    assert run(scene) < 0.65


def test_when_the_total_is_up_nothing_is_awaited_any_more() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(total_s=0.02))
        watchdog.expect("the first byte", 1)
        watchdog.rest()
        await asyncio.sleep(0.05)
        with pytest.raises(TimedOut, match="the whole answer"):
            watchdog.expect("the next piece", 1)
        watchdog.stop()

    run(scene)


def test_a_stopped_watchdog_leaves_the_task_alone() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(first_byte_s=0.02))
        watchdog.expect("the first byte", 0.02)
        watchdog.stop()
        watchdog.stop()
        await asyncio.sleep(0.06)
        assert watchdog.verdict() is None

    run(scene)


def test_a_rest_that_lasts_does_not_keep_the_loop_busy() -> None:
    looks = 0

    async def scene() -> None:
        nonlocal looks
        loop = asyncio.get_running_loop()
        watchdog = Watchdog(limits(gap_s=0.05, total_s=0.1))
        watchdog.expect("the first byte", 0.05)
        watchdog.rest()
        call_at = loop.call_at

        def counted(*args: object, **kwargs: object) -> asyncio.TimerHandle:
            nonlocal looks
            looks += 1
            return call_at(*args, **kwargs)

        loop.call_at = counted
        await asyncio.sleep(0.3)
        watchdog.stop()

    run(scene)
    assert looks < 12


def test_a_watchdog_belongs_to_a_task() -> None:
    async def scene() -> None:
        failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def outside() -> None:
            try:
                Watchdog(limits())
            except RuntimeError:
                failed.set_result(True)
            else:
                failed.set_result(False)

        asyncio.get_running_loop().call_soon(outside)
        assert await failed

    run(scene)


@pytest.mark.parametrize("gap_s", [0.05, 0.3, LONG_S])
def test_what_has_all_been_said_is_the_end_whatever_the_limit_on_pauses(gap_s: float) -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(gap_s=gap_s))
        watchdog.ask(lambda: QUIET_S)
        watchdog.expect("the next piece", gap_s)
        with pytest.raises(TimedOut):
            await wait_under(watchdog)
        assert watchdog.over

    assert run(scene) < 2 * QUIET_S + 0.2


@pytest.mark.parametrize("gap_s", [0.05, 0.3])
def test_what_has_not_all_been_said_is_too_late_all_the_same(gap_s: float) -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(gap_s=gap_s))
        watchdog.ask(lambda: inf)
        watchdog.expect("the next piece", gap_s)
        with pytest.raises(TimedOut):
            await wait_under(watchdog)
        assert not watchdog.over

    assert gap_s * 0.8 < run(scene) < gap_s + 0.3


def test_the_first_token_has_a_limit_of_its_own_until_it_comes() -> None:
    async def scene() -> None:
        watchdog = Watchdog(Timeouts(first_byte_s=5, gap_s=5, total_s=10, first_token_s=0.05))
        watchdog.expect("the next piece", 5)
        with pytest.raises(TimedOut, match=r"0.05 s for the first token"):
            await wait_under(watchdog)

    assert run(scene) < 1


def test_once_it_has_begun_only_the_whole_answer_is_bounded() -> None:
    async def scene() -> None:
        watchdog = Watchdog(Timeouts(first_byte_s=5, gap_s=5, total_s=0.2, first_token_s=0.05))
        watchdog.expect("the first byte", 5)
        watchdog.rest()
        watchdog.begun()
        watchdog.expect("the next piece", 5)
        with pytest.raises(TimedOut, match="the whole answer"):
            await wait_under(watchdog)

    assert 0.15 < run(scene) < 1


def test_an_answer_that_says_it_is_over_is_not_waited_for() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits())
        watchdog.expect("the next piece", LONG_S)
        watchdog.ask(lambda: QUIET_S)
        with pytest.raises(TimedOut):
            await wait_under(watchdog)
        assert watchdog.over

    assert QUIET_S - 0.01 < run(scene) < 1


def test_a_longer_silence_may_be_needed_and_what_comes_until_then_begins_it_anew() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits())
        watchdog.ask(lambda: 3 * QUIET_S)
        for _ in range(2):
            watchdog.expect("the next piece", LONG_S)
            await asyncio.sleep(2 * QUIET_S)
            watchdog.rest()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        watchdog.expect("the next piece", LONG_S)
        with pytest.raises(TimedOut):
            await wait_under(watchdog)
        assert watchdog.over
        assert 3 * QUIET_S - 0.01 < loop.time() - began_s < 3 * QUIET_S + 1

    run(scene)


def test_a_slow_client_is_not_asked_whether_its_upstream_is_over() -> None:
    async def scene() -> None:
        watchdog = Watchdog(limits(gap_s=0.5))
        watchdog.expect("the next piece", 0.5)
        watchdog.ask(lambda: QUIET_S)
        watchdog.rest()
        await asyncio.sleep(2 * QUIET_S)
        assert not watchdog.over
        watchdog.stop()

    run(scene)


def test_who_opens_an_answer_may_hand_it_to_another_task() -> None:
    async def scene() -> None:
        async def opening() -> Watchdog:
            opened = Watchdog(limits(gap_s=0.05))
            opened.expect("the first byte", 1)
            opened.rest()
            return opened

        for opener_runs in (False, True):
            task = asyncio.create_task(opening())
            watchdog = await task if not opener_runs else await opening()

            async def reading(watchdog: Watchdog = watchdog) -> None:
                watchdog.expect("the next piece", 0.05)
                await wait_under(watchdog)

            with pytest.raises(TimedOut, match="the next piece"):
                await asyncio.create_task(reading())

    assert run(scene) < 1


def test_who_is_cancelled_in_the_moment_of_a_timeout_is_cancelled() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, skipping.SkippingLoop)

        async def attempt() -> None:
            watchdog = Watchdog(limits(gap_s=1.0))
            watchdog.expect("the next piece", 1.0)
            loop.call_at(loop.time() + 1.5, task.cancel)
            loop.call_soon(loop.skip, 2.0)  # so that both come in one turn of the loop
            await wait_under(watchdog)

        task = asyncio.create_task(attempt())
        with pytest.raises(asyncio.CancelledError):
            await task

    skipping.run(scene())

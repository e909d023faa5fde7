"""One timer for all waits of an attempt, on a real loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from gateway.errors import TimedOut
from gateway.exchange import Timeouts
from gateway.upstream.watchdog import Watchdog

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
    """Run a scene; the seconds it took. Nothing of a watchdog is left afterwards."""

    async def timed() -> float:
        started_s = monotonic()
        await asyncio.wait_for(asyncio.ensure_future(scene()), 10)
        return monotonic() - started_s

    return asyncio.run(timed())


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

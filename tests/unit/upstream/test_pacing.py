"""The places of a backend: who gets one, who waits and in which order, who is turned away, what is left."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from unit.upstream.skipping import SkippingLoop, run

from gateway.config.reliability import ConcurrencySpec
from gateway.errors import Busy
from gateway.exchange import Caller, Priority
from gateway.protocols import Gate
from gateway.upstream.pacing import QueueGate

LONG_S = 1000.0


def caller(tenant: str = "t", share: float = 1.0) -> Caller:
    return Caller(tenant, "key", share=share)


class Scene:
    """A gate on the loop's clock, and calls that hold their places until they are told to leave."""

    def __init__(self, **limits: Any) -> None:
        spec = ConcurrencySpec(**{"max_wait_ms": 10_000_000, **limits})
        self.gate = QueueGate("gpu", spec, asyncio.get_running_loop().time)
        self.entered: list[str] = []
        self.leave: dict[str, Callable[[], None]] = {}
        self.at_s: dict[str, float] = {}

    async def enter(
        self, name: str, tenant: str = "t", priority: Priority = "interactive", **more: float
    ) -> None:
        who = caller(tenant, more.get("share", 1.0))
        self.leave[name] = await self.gate.enter(who, priority, more.get("patience_s", LONG_S))
        self.entered.append(name)
        self.at_s[name] = asyncio.get_running_loop().time()

    async def call(self, name: str, *where: Any, **more: float) -> asyncio.Task[None]:
        """Start a call, and let it come as far as it gets."""
        task = asyncio.create_task(self.enter(name, *where, **more))
        await settle()
        return task

    async def drain(self) -> list[str]:
        """Let each that is inside leave, until nobody is left; the order in which they had entered."""
        before = len(self.entered)
        while self.gate.inside:
            for name in [name for name in self.entered if name in self.leave]:
                self.leave.pop(name)()
                await settle()
        return self.entered[before:]


async def settle() -> None:
    """Give every task that can run its turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_it_is_a_gate() -> None:
    gate: Gate = QueueGate("gpu", ConcurrencySpec())
    assert gate is not None


@pytest.mark.parametrize("per_minute", [None, 60.0])
def test_with_room_nobody_yields_to_the_loop(per_minute: float | None) -> None:
    async def scene() -> None:
        gate = QueueGate("gpu", ConcurrencySpec(max_calls=1, max_per_minute=per_minute))
        with pytest.raises(StopIteration) as done:
            gate.enter(caller(), "interactive", LONG_S).send(None)
        assert gate.inside == 1
        done.value.value()
        assert gate.inside == 0

    run(scene())


def test_no_more_calls_are_inside_than_may_be() -> None:
    async def scene() -> None:
        s = Scene(max_calls=2)
        for name in "abc":
            await s.call(name)
        assert (s.entered, s.gate.inside, s.gate.waiting) == (["a", "b"], 2, 1)
        s.leave["a"]()
        await settle()
        assert (s.entered, s.gate.inside, s.gate.waiting) == (["a", "b", "c"], 2, 0)

    run(scene())


def test_a_place_is_given_back_once() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("a")
        for _ in range(3):
            s.leave["a"]()
        assert s.gate.inside == 0
        await s.call("b")
        s.leave["a"]()
        assert s.gate.inside == 1

    run(scene())


def test_calls_of_a_tenant_are_served_in_the_order_they_came() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        for name in "abcde":
            await s.call(name)
        assert await s.drain() == list("bcde")

    run(scene())


def test_interactive_calls_come_first_and_one_in_ten_is_a_batch_call() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("first")
        for i in range(3):
            await s.call(f"batch{i}", "t", "batch")
        for i in range(20):
            await s.call(f"chat{i}")
        order = await s.drain()
        assert [i for i, name in enumerate(order) if name.startswith("batch")] == [9, 19, 22]

    run(scene())


def test_tenants_are_served_by_their_shares() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("x0", "x")
        for i in range(30):
            await s.call(f"big{i}", "big", share=2.0)
        for i in range(30):
            await s.call(f"small{i}", "small", share=1.0)
        order = (await s.drain())[:30]
        assert 19 <= sum(name.startswith("big") for name in order) <= 21

    run(scene())


def test_one_call_of_a_quiet_tenant_passes_a_crowd_of_anothers() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        for i in range(50):
            await s.call(f"crowd{i}", "crowd")
        await s.call("quiet", "quiet")
        assert "quiet" in (await s.drain())[:2]

    run(scene())


def test_a_quiet_hour_saves_up_nothing() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        for i in range(20):
            await s.call(f"busy{i}", "busy")
        for _ in range(10):
            s.leave.pop(s.entered[-1])()
            await settle()
        for i in range(9):
            await s.call(f"late{i}", "late")
        order = (await s.drain())[:8]
        assert 3 <= sum(name.startswith("late") for name in order) <= 5

    run(scene())


@pytest.mark.parametrize(("patience_s", "max_wait_ms", "after_s"), [(2.0, 60_000, 2), (60.0, 3000, 3)])
def test_who_has_waited_as_long_as_it_can_is_turned_away(
    patience_s: float, max_wait_ms: int, after_s: int
) -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_wait_ms=max_wait_ms)
        await s.call("a")
        with pytest.raises(Busy, match=r"backend gpu has no free place") as busy:
            await s.enter("b", patience_s=patience_s)
        assert busy.value.detail == "1 calls inside, 0 waiting"
        assert asyncio.get_running_loop().time() == pytest.approx(after_s, abs=1e-3)
        assert (s.gate.inside, s.gate.waiting) == (1, 0)
        s.leave["a"]()
        assert s.gate.inside == 0

    run(scene())


def test_who_would_wait_too_long_is_turned_away_at_once_and_told_when_to_come() -> None:
    async def scene() -> None:
        s = Scene(max_calls=2)
        loop = asyncio.get_running_loop()
        for name in "ab":
            await s.call(name)
        await asyncio.sleep(9.9)
        s.leave["a"]()  # calls are known to take 9.9 s now
        for name in "cd":
            await s.call(name)
        before_s = loop.time()
        with pytest.raises(Busy) as busy:
            await s.enter("e", patience_s=9.0)
        assert loop.time() == before_s
        assert busy.value.retry_after_s == 10
        assert (busy.value.retry, busy.value.cause) == ("other_target", "busy")
        await s.call("f", patience_s=11.0)
        assert s.gate.waiting == 2

    run(scene())


def test_a_batch_call_expects_to_wait_for_the_interactive_ones() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("a")
        await asyncio.sleep(1)
        s.leave["a"]()
        for name in "bcde":
            await s.call(name)
        with pytest.raises(Busy):
            await s.enter("batch", "t", "batch", patience_s=3.5)
        await s.call("other", "o", patience_s=3.5)
        assert s.gate.waiting == 4

    run(scene())


def test_without_patience_nobody_waits() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.enter("a", patience_s=0.0)
        with pytest.raises(Busy) as busy:
            await s.enter("b", patience_s=0.0)
        assert busy.value.retry_after_s == 1

    run(scene())


@pytest.mark.parametrize("max_waiting", [0, 2])
def test_when_enough_wait_a_further_call_is_turned_away_at_once(max_waiting: int) -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_waiting=max_waiting)
        for i in range(1 + max_waiting):
            await s.call(f"{i}")
        with pytest.raises(Busy):
            await s.enter("more")
        assert (s.gate.inside, s.gate.waiting) == (1, max_waiting)

    run(scene())


def test_in_a_full_line_an_interactive_call_takes_the_room_of_a_batch_call() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_waiting=2)
        await s.call("a")
        older, newer = await s.call("b", "t", "batch"), await s.call("c", "t", "batch")
        await s.call("d")
        assert (older.done(), newer.done()) == (False, True)
        assert isinstance(newer.exception(), Busy)
        assert await s.drain() == ["d", "b"]

    run(scene())


def test_in_a_full_line_a_crowd_makes_room_for_a_tenant_with_less() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_waiting=3)
        tasks = [await s.call(f"crowd{i}", "crowd") for i in range(4)]
        await s.call("quiet", "quiet")
        assert isinstance(tasks[-1].exception(), Busy)
        with pytest.raises(Busy):  # its second one would be no better than the crowd's
            await s.enter("quiet2", "quiet")
        assert sorted(await s.drain()) == ["crowd1", "crowd2", "quiet"]

    run(scene())


def test_a_cancelled_call_that_has_not_left_yet_makes_room_as_others_do() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_waiting=1)
        await s.call("a")
        going = await s.call("b", "t", "batch")
        going.cancel()
        coming = s.gate.enter(caller(), "interactive", LONG_S)
        coming.send(None)  # before the loop turns, and "b" can leave
        assert s.gate.waiting == 1
        coming.close()
        await settle()
        assert going.cancelled()

    run(scene())


def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("a")
        task = await s.call("b")
        task.cancel()
        await settle()
        assert (task.cancelled(), s.gate.waiting) == (True, 0)
        s.leave["a"]()
        assert s.gate.inside == 0

    run(scene())


@pytest.mark.parametrize("end", ["served", "cancelled", "turned away"])
def test_a_call_that_waits_no_more_has_no_timer_left(end: str) -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_waiting=1)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        await s.call("a")
        task = await s.call("b", "t", "batch")
        assert loop.timers() == 1
        if end == "served":
            s.leave["a"]()
        elif end == "cancelled":
            task.cancel()
        else:
            (await s.call("c")).cancel()
        await settle()
        assert (task.done(), loop.timers()) == (True, 0)
        assert end != "turned away" or isinstance(task.exception(), Busy)

    run(scene())


@pytest.mark.parametrize("first", ["cancel", "leave"])
def test_a_call_that_is_cancelled_just_as_it_is_served_passes_its_place_on(first: str) -> None:
    async def scene() -> None:
        s = Scene(max_calls=1)
        await s.call("a")
        task = await s.call("b")
        await s.call("c")
        steps = [task.cancel, s.leave["a"]]
        for step in steps if first == "cancel" else reversed(steps):
            step()  # with no turn of the loop between the two
        await settle()
        assert task.cancelled()
        assert (s.entered, s.gate.inside, s.gate.waiting) == (["a", "c"], 1, 0)
        s.leave["c"]()
        assert s.gate.inside == 0

    run(scene())


def test_calls_are_sent_evenly_and_still_in_their_order() -> None:
    async def scene() -> None:
        s = Scene(max_per_minute=30)
        names = ["a", "b", "c", "d"]
        tasks = [await s.call(name, "t", "batch" if name == "b" else "interactive") for name in names]
        await asyncio.gather(*tasks)
        assert s.entered == ["a", "c", "d", "b"]
        assert [s.at_s[name] for name in s.entered] == pytest.approx([0, 2, 4, 6], abs=0.01)

    run(scene())


def test_a_pace_that_cannot_serve_a_call_in_time_turns_it_away_at_once() -> None:
    async def scene() -> None:
        s = Scene(max_per_minute=1)
        await s.call("a")
        with pytest.raises(Busy) as busy:
            await s.enter("b", patience_s=59.0)
        assert busy.value.retry_after_s == 60

    run(scene())


def test_pace_and_places_hold_together() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_per_minute=60)
        tasks = [await s.call(name) for name in "abc"]
        await asyncio.sleep(10)
        assert s.entered == ["a"]
        s.leave["a"]()
        await settle()
        assert s.entered == ["a", "b"]
        s.leave["b"]()
        await asyncio.gather(*tasks)
        assert s.at_s["c"] - s.at_s["b"] == pytest.approx(1, abs=0.01)

    run(scene())


def test_when_nobody_waits_any_more_the_pace_has_no_task_left() -> None:
    async def scene() -> None:
        s = Scene(max_per_minute=1)
        await s.call("a")
        task = await s.call("b")
        assert len(asyncio.all_tasks()) == 3
        task.cancel()
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        s.leave["a"]()
        await asyncio.sleep(60)
        await s.enter("c", patience_s=0.0)
        assert s.entered == ["a", "c"]

    run(scene())


def test_endless_patience_ends_at_the_longest_wait() -> None:
    async def scene() -> None:
        s = Scene(max_calls=1, max_wait_ms=5000)
        await s.call("a")
        with suppress(Busy):
            await s.enter("b", patience_s=math.inf)
        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=1e-3)

    run(scene())

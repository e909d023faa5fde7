"""Whatever calls do at a gate: its bounds and shares hold, nobody waits for ever, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.upstream.skipping import run

from gateway.config.reliability import ConcurrencySpec
from gateway.errors import Busy
from gateway.exchange import Caller
from gateway.upstream.pacing import URGENT_IN_A_ROW, QueueGate

MANY = settings(max_examples=150, deadline=None)
MAX_WAIT_S = 20
SHARES = {"a": 1.0, "b": 3.0, "c": 0.5}
LONG_S = 1e6

ENTER = st.tuples(
    st.just("enter"),
    st.sampled_from(sorted(SHARES)),
    st.sampled_from(["interactive", "batch"]),
    st.sampled_from([0.0, 0.5, 5.0, 100.0]),
)
OTHER = st.tuples(st.sampled_from(["leave", "leave_twice", "cancel"]), st.integers(0, 20))
WAIT = st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0, 30.0]))
# Several steps happen before the loop turns again: that is where a place gets lost, if anywhere.
STEPS = st.lists(st.lists(ENTER | OTHER | WAIT, min_size=1, max_size=5), max_size=25)
SPECS = st.builds(
    ConcurrencySpec,
    max_calls=st.integers(1, 4),
    max_waiting=st.integers(0, 8),
    max_wait_ms=st.just(MAX_WAIT_S * 1000),
    max_per_minute=st.none() | st.sampled_from([6.0, 60.0, 6000.0]),
)


class Crowd:
    """Calls at a gate, each a task; those that are inside leave when they are told to."""

    def __init__(self, spec: ConcurrencySpec) -> None:
        self.gate = QueueGate("gpu", spec, asyncio.get_running_loop().time)
        self.tasks: list[asyncio.Task[Callable[[], None]]] = []
        self.left: set[int] = set()

    def inside(self) -> list[int]:
        """Which tasks were given a place and have not left it."""
        done = (i for i, task in enumerate(self.tasks) if task.done() and not task.cancelled())
        return [i for i in done if i not in self.left and not self.tasks[i].exception()]

    def step(self, kind: str, *details: Any) -> None:
        if kind == "enter":
            tenant, priority, patience_s = details
            who = Caller(tenant, "key", share=SHARES[tenant])
            self.tasks.append(asyncio.create_task(self.gate.enter(who, priority, patience_s)))
        elif kind == "cancel" and self.tasks:
            self.tasks[details[0] % len(self.tasks)].cancel()
        elif kind in {"leave", "leave_twice"} and (inside := self.inside()):
            self.leave(inside[details[0] % len(inside)], 2 if kind == "leave_twice" else 1)

    def leave(self, index: int, times: int = 1) -> None:
        self.left.add(index)
        for _ in range(times):
            self.tasks[index].result()()


async def settle() -> None:
    """Give every task that can run its turns."""
    for _ in range(12):
        await asyncio.sleep(0)


@MANY
@given(spec=SPECS, steps=STEPS)
def test_bounds_hold_at_every_step_and_the_gate_is_empty_at_the_end(
    spec: ConcurrencySpec, steps: list[list[tuple[Any, ...]]]
) -> None:
    async def scene() -> None:
        crowd = Crowd(spec)
        gate = crowd.gate
        for together in steps:
            for step in together:
                crowd.step(*step)
                if step[0] == "wait":
                    await asyncio.sleep(step[1])
                assert 0 <= gate.inside <= spec.max_calls
                assert 0 <= gate.waiting <= spec.max_waiting
            await settle()
            assert gate.inside == len(crowd.inside())
            if spec.max_per_minute is None:
                assert not gate.waiting or gate.inside == spec.max_calls
        await asyncio.sleep(MAX_WAIT_S + 1)
        assert gate.waiting == 0
        assert all(task.done() for task in crowd.tasks)
        refused = [t.exception() for t in crowd.tasks if not t.cancelled() and t.exception()]
        assert all(isinstance(error, Busy) and (error.retry_after_s or 0) >= 1 for error in refused)
        for index in crowd.inside():
            crowd.leave(index)
        assert gate.inside == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scene())


@MANY
@given(
    shares=st.tuples(st.sampled_from([0.25, 1.0, 2.0, 7.0]), st.sampled_from([0.5, 1.0, 3.0])),
    served=st.integers(1, 60),
)
def test_tenants_that_always_wait_are_served_by_their_shares(
    shares: tuple[float, float], served: int
) -> None:
    async def scene() -> None:
        order = await order_of([(f"t{i % 2}", "interactive", shares[i % 2]) for i in range(240)], served)
        turns = [sum(tenant == f"t{i}" for tenant, _ in order) / shares[i] for i in range(2)]
        # Fair queueing: neither is ever further ahead than one call of each.
        assert abs(turns[0] - turns[1]) <= 1 / shares[0] + 1 / shares[1] + 1e-9

    run(scene())


@MANY
@given(batch=st.integers(1, 10), served=st.integers(1, 60))
def test_a_batch_call_waits_for_so_many_interactive_ones_at_most(batch: int, served: int) -> None:
    async def scene() -> None:
        calls = [("t", "interactive", 1.0)] * 100 + [("t", "batch", 1.0)] * batch
        order = await order_of(calls, served)
        got = sum(priority == "batch" for _, priority in order)
        assert got == min(batch, served // (URGENT_IN_A_ROW + 1))

    run(scene())


async def order_of(calls: list[tuple[str, Any, float]], served: int) -> list[tuple[str, str]]:
    """Let calls wait before a gate with one place; the tenants and classes of those served first."""
    spec = ConcurrencySpec(max_calls=1, max_wait_ms=10**9)
    gate = QueueGate("gpu", spec, asyncio.get_running_loop().time)
    order: list[tuple[str, str]] = []

    async def call(tenant: str, priority: Any, share: float) -> None:
        leave = await gate.enter(Caller(tenant, "key", share=share), priority, LONG_S)
        order.append((tenant, priority))
        leave()

    first = await gate.enter(Caller("x", "key"), "interactive", LONG_S)
    tasks = [asyncio.create_task(call(*one)) for one in calls]
    await settle()
    assert gate.waiting == len(calls)
    first()
    await asyncio.gather(*tasks)
    return order[:served]

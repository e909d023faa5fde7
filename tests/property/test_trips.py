"""Whatever upstreams do: no try too many, none too late, one that wins, and nothing stays open."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.attempts.scenes import (
    CUT,
    EMPTY,
    EMPTY_STREAM,
    HANG,
    Script,
    Upstream,
    answered,
    call,
    on_skipping_clock,
    plan,
    record,
    refusal,
    retrying,
    step_to,
)
from unit.stand_ins import STREAM, WHOLE

from gateway.config.reliability import ConcurrencySpec
from gateway.errors import ConnectFailed, UpstreamError
from gateway.routing.budgets import Allowance
from gateway.routing.health.health import BreakerSettings
from gateway.routing.routes import Hedge, Limits, StreamTerms

SCRIPTS: dict[str, Any] = {
    "whole": Script(WHOLE),
    "slow": Script(3.0, WHOLE),
    "late head": Script(WHOLE, before_s=2.0),
    "stream": Script(*STREAM),
    "slow stream": Script(STREAM[0], 1.0, STREAM[1], 1.0, *STREAM[2:]),
    "empty": Script(EMPTY),
    "empty stream": Script(*EMPTY_STREAM),
    "cut": Script(*STREAM[:2], 0.5, CUT),
    "cut early": Script(STREAM[0], CUT),
    "hangs": Script(HANG),
    "hangs later": Script(*STREAM[:2], HANG),
    "no end": Script(*STREAM[:3], 0.5),
    "html": Script(b"<html>"),
    "refused": refusal(400),
    "credential": refusal(401),
    "full": refusal(503, retry_after="2"),
    "limited": refusal(429, retry_after="1"),
    "failed": refusal(500),
    "unreachable": ConnectFailed("no"),
}
UPSTREAM = st.lists(st.sampled_from(sorted(SCRIPTS)), min_size=1, max_size=3)
WORLD = st.lists(UPSTREAM, min_size=1, max_size=4)
DEADLINE_S = 6.0


def upstreams(world: list[list[str]], **more: Any) -> list[Upstream]:
    return [
        Upstream(f"u{n}", *(SCRIPTS[name] for name in names), credentials=2, **more)
        for n, names in enumerate(world)
    ]


@settings(max_examples=150, deadline=None)
@given(
    world=WORLD,
    stream=st.booleans(),
    hedged=st.booleans(),
    terms=st.sampled_from(
        [StreamTerms(), StreamTerms("continue"), StreamTerms(hold_tokens=5, hold_s=1.0)],
    ),
    leaves_s=st.sampled_from([None, 0.0, 0.5, 1.0, 2.5]),
)
def test_every_call_ends_in_time_and_leaves_nothing_open(
    world: list[list[str]], stream: bool, hedged: bool, terms: StreamTerms, leaves_s: float | None
) -> None:
    async def scene() -> None:
        places, breaker = ConcurrencySpec(max_calls=1, max_wait_ms=60_000), BreakerSettings(consecutive=2)
        asked = upstreams(world, places=places, breaker=breaker)
        allowance = Allowance(1.0)
        hedge = Hedge(0.5, None, lambda _tenant: allowance) if hedged else None
        of, seen = call(stream=stream), record()
        planned = plan(
            *(of, *asked[:3]),
            retry=retrying(2),
            hedge=hedge,
            stream=terms,
            limits=Limits(deadline_s=DEADLINE_S),
            steps=(step_to(*asked[3:]),),
        )
        task = asyncio.create_task(answered(of, planned, seen))
        if leaves_s is not None:
            await asyncio.sleep(leaves_s)
            task.cancel()
        said = b""
        with suppress(UpstreamError, asyncio.CancelledError):
            said = await task
        await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() < DEADLINE_S + 0.1
        assert all(at_s < DEADLINE_S for one in asked for at_s in one.sent_s)
        for one in asked:
            one.assert_idle()
        assert len(asyncio.all_tasks()) == 1
        accepted = [attempt for attempt in seen.attempts if not attempt.cause]
        assert len(accepted) <= 1
        assert said.count(b"[DONE]") <= 1
        if b"[DONE]" in said:
            assert (seen.ending, b'"error"' in said) == ("finished", False)

    on_skipping_clock(scene())


@settings(max_examples=50, deadline=None)
@given(
    calls=st.lists(WORLD, min_size=1, max_size=15),
    share=st.sampled_from([0.0, 0.1, 0.5]),
    reserve=st.sampled_from([1.0, 3.0]),
)
def test_retries_are_never_more_than_their_share_of_the_calls_and_the_reserve(
    calls: list[list[list[str]]], share: float, reserve: float
) -> None:
    async def scene() -> None:
        allowance, retries = Allowance(share, reserve), 0
        for made, world in enumerate(calls, 1):
            of, seen = call(), record()
            planned = plan(of, *upstreams(world), retry=retrying(3, allowance=allowance))
            with suppress(UpstreamError):
                await answered(of, planned, seen)
            retries += sum(attempt.why == "retry" for attempt in seen.attempts)
            assert retries <= (reserve if share else 0) + share * made

    on_skipping_clock(scene())

"""Calls of the gateway's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from unit.attempts.scenes import CUT, HANG, Script, Upstream, call, on_skipping_clock, plan, record
from unit.stand_ins import STREAM, WHOLE

from gateway.attempts.asking import ask
from gateway.config.ways import MarginSpec
from gateway.errors import Broken, UpstreamError
from gateway.routing.canary import CanaryWatch
from gateway.routing.routes import Canary


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


@pytest.mark.parametrize(
    "script", [Script(WHOLE), Script(*STREAM), Script(*STREAM, HANG), Script(*STREAM[:-1])]
)
def test_an_answer_is_read_whole_and_its_words_are_given(script: Script) -> None:
    async def scene() -> None:
        upstream = Upstream("own", script)
        of, seen = call(stream=script.headers[0][1].startswith(b"text")), record()
        assert await ask(of, plan(of, upstream), seen) == "Hello, world"
        assert (seen.ending, seen.status) == ("finished", 200)
        assert seen.attempts[0].usage is not None
        assert asyncio.get_running_loop().time() < 1.0
        upstream.assert_idle()

    played(scene)


@pytest.mark.parametrize("steps", [(*STREAM[:2], 1.0, CUT), (*STREAM[:2], 1.0), (b"<html>",)])
def test_an_answer_that_is_not_whole_raises_and_counts_against_its_deployment(steps: Any) -> None:
    async def scene() -> None:
        upstream = Upstream("own", Script(*steps))
        of, seen = call(stream=True), record()
        watch = CanaryWatch(MarginSpec(min_calls=1, errors=0.0))
        watch.note("baseline", ok=True, latency_s=1.0, now_s=0.0)
        canary = Canary(upstream.target, lambda _signals, _moment: True, watch)
        with pytest.raises(UpstreamError):
            await ask(of, plan(of, upstream, canary=canary), seen)
        assert seen.ending != "finished"
        assert seen.attempts[0].cause
        assert watch.rolled_back(0.0)
        upstream.assert_idle()

    played(scene)


def test_a_stream_that_ends_without_its_end_is_broken() -> None:
    async def scene() -> None:
        upstream = Upstream("own", Script(*STREAM[:2], 1.0))
        of = call(stream=True)
        with pytest.raises(Broken):
            await ask(of, plan(of, upstream), record())

    played(scene)


@pytest.mark.parametrize("steps", [(HANG,), (*STREAM[:2], HANG)])
def test_whoever_asks_may_leave(steps: Any) -> None:
    async def scene() -> None:
        upstream = Upstream("own", Script(*steps))
        of, seen = call(stream=True), record()
        task = asyncio.create_task(ask(of, plan(of, upstream), seen))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        upstream.assert_idle()
        assert seen.attempts[0].transcript is not None

    played(scene)

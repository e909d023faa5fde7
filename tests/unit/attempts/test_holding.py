"""The beginning of a stream that is held back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from unit.attempts.scenes import (
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
)
from unit.stand_ins import STREAM

from gateway.errors import Broken, TimedOut
from gateway.exchange import Timeouts
from gateway.routing.routes import StreamTerms

HELD = StreamTerms(hold_tokens=1000, hold_s=2.0)
ERROR = b'data: {"error": {"message": "gone", "code": 500}}\n\n'


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


@pytest.mark.parametrize("end", [(ERROR,), (Broken("cut"),), ()])
def test_a_break_within_what_is_held_goes_unseen(end: tuple[Any, ...]) -> None:
    async def scene() -> None:
        first, second = Upstream("first", Script(*STREAM[:3], *end)), Upstream("second", Script(*STREAM))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=HELD), seen)
        assert said.count(b"Hello") == 1
        assert [backend for backend, _, cause in causes(seen) if not cause] == ["second"]
        assert seen.attempts[0].transcript is not None
        assert seen.attempts[0].transcript() == "Hello, "
        first.assert_idle()
        second.assert_idle()

    played(scene)


def test_a_stream_that_ends_well_while_it_is_held_is_given_whole() -> None:
    async def scene() -> None:
        only = Upstream("only", Script(*STREAM))
        of, seen = call(stream=True), record()
        outcome = await opened(of, plan(of, only, stream=HELD), seen)
        assert outcome.opened is not None
        assert b"world" in outcome.opened.held
        assert asyncio.get_running_loop().time() < 0.1
        outcome.opened.close(None)
        only.assert_idle()

    played(scene)


def test_nothing_is_held_longer_than_it_may_be_and_no_piece_is_lost() -> None:
    async def scene() -> None:
        only = Upstream("only", Script(*STREAM[:2], 30.0, *STREAM[2:]))
        of, seen = call(stream=True), record()
        planned = plan(of, only, stream=HELD)
        outcome = await opened(of, planned, seen)
        assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.1)
        assert outcome.opened is not None
        rest = [outcome.opened.held]
        while not outcome.opened.stream.done:
            rest.append(outcome.opened.take(await outcome.opened.answer.next_piece()))
        assert asyncio.get_running_loop().time() == pytest.approx(30.0, abs=0.1)
        assert outcome.opened.stream.text() == "Hello, world"
        outcome.opened.close(None)
        only.assert_idle()

    played(scene)


def test_enough_is_enough() -> None:
    async def scene() -> None:
        only = Upstream("only", Script(*STREAM[:3], HANG))
        of, seen = call(stream=True), record()
        outcome = await opened(of, plan(of, only, stream=StreamTerms(hold_tokens=1)), seen)
        assert outcome.opened is not None
        assert outcome.opened.stream.text() == "Hello"
        outcome.opened.give_up()
        only.assert_idle()

    played(scene)


def test_a_client_that_leaves_while_the_next_piece_is_awaited_leaves_nothing_behind() -> None:
    async def scene() -> None:
        for leaves_s in (1.0, 3.0):
            only = Upstream("only", Script(*STREAM[:2], HANG))
            of, seen = call(stream=True), record()
            task = asyncio.create_task(answered(of, plan(of, only, stream=HELD), seen))
            await asyncio.sleep(leaves_s)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
            only.assert_idle()
            assert len(asyncio.all_tasks()) == 1
            assert seen.attempts[0].transcript is not None
            assert seen.attempts[0].transcript() == "Hello"

    played(scene)


def test_a_pause_that_began_while_it_was_held_is_bounded_too() -> None:
    async def scene() -> None:
        only = Upstream("only", Script(*STREAM[:2], HANG), timeouts=Timeouts(gap_s=10.0))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, only, stream=HELD), seen)
        assert b"error" in said
        assert isinstance(seen.error, TimedOut)
        assert asyncio.get_running_loop().time() == pytest.approx(10.0, abs=0.1)
        only.assert_idle()

    played(scene)

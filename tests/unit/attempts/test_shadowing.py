"""Copies of calls for a target on trial."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from unit.attempts.scenes import (
    HANG,
    Script,
    Upstream,
    answered,
    call,
    on_skipping_clock,
    plan,
    record,
    refusal,
)
from unit.stand_ins import STREAM, WHOLE

from gateway.attempts.shadowing import MOST_AT_ONCE, Shadows
from gateway.exchange import Call, Record
from gateway.routing.plans import Plan
from gateway.routing.routes import Shadow


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


class Case:
    """A call whose copies go to `trial`, and what was settled of them."""

    def __init__(self, trial: Upstream, *, share: float = 1.0, compare: bool = False, **members: Any) -> None:
        self.trial, self.call = trial, call(**members)
        own = Script(*STREAM) if members.get("stream") else Script(WHOLE)
        self.own = Upstream("own", own)
        shadow = Shadow(trial.target, share, compare)
        self.plan: Plan = plan(self.call, self.own, shadow=shadow)
        self.settled: list[Record] = []
        self.over = asyncio.Event()
        self.shadows = Shadows(self._settle)
        self.record = record()

    def _settle(self, copy: Record) -> None:
        self.settled.append(copy)
        self.over.set()

    async def serve(self) -> None:
        """Take the call all the way."""
        await answered(self.call, self.plan, self.record)
        self.shadows.cast(self.call, self.plan, self.record)
        if self.record.when_settled is not None:
            self.record.when_settled.set()  # as settling does, at once where nothing waits for the client

    async def all_settled(self) -> Record:
        await self.over.wait()
        await asyncio.sleep(0)
        (only,) = self.settled
        return only


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_is_a_call_of_its_own_in_the_books(stream: bool) -> None:
    async def scene() -> None:
        trial = Upstream("trial", Script(*STREAM) if stream else Script(WHOLE))
        case = Case(trial, stream=stream)
        await case.serve()
        assert trial.sent_s == [], "nobody waits for it"
        copy = await case.all_settled()
        assert (copy.purpose, copy.made_for, copy.ending) == ("shadow", "call_1", "finished")
        assert [attempt.backend for attempt in copy.attempts] == ["trial"]
        assert copy.attempts[0].usage is not None
        assert [attempt.backend for attempt in case.record.attempts] == ["own"]
        trial.assert_idle()

    played(scene)


def test_answers_are_compared_also_when_the_original_is_settled_before_the_copy_begins() -> None:
    async def scene() -> None:
        case = Case(Upstream("trial"), compare=True)
        await case.serve()
        async with asyncio.timeout(5.0):
            copy = await case.all_settled()
        assert copy.likeness == 1.0

    asyncio.run(scene())  # they are compared in a thread, which no clock skips


def test_an_error_of_a_copy_is_in_its_own_books_only() -> None:
    async def scene() -> None:
        case = Case(Upstream("trial", refusal(500)))
        await case.serve()
        copy = await case.all_settled()
        assert copy.error is not None
        assert copy.ending == "failed"
        assert case.record.error is None

    played(scene)


def test_a_defect_is_logged_and_frees_its_place(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        case = Case(Upstream("trial", RuntimeError("a defect")))
        await case.serve()
        assert (await case.all_settled()).ending == "failed"
        await case.shadows.close()
        case.trial.assert_idle()

    with caplog.at_level(logging.ERROR, "forebay"):
        played(scene)
    assert [entry.getMessage() for entry in caplog.records] == ["internal error"]


def test_only_so_many_run_at_once() -> None:
    async def scene() -> None:
        case = Case(Upstream("trial", Script(HANG)))
        for _ in range(MOST_AT_ONCE + 5):
            case.shadows.cast(case.call, case.plan, record())
        await asyncio.sleep(1.0)
        assert case.trial.open == MOST_AT_ONCE
        await case.shadows.close()
        assert len(case.settled) == MOST_AT_ONCE
        case.trial.assert_idle()
        assert len(asyncio.all_tasks()) == 1

    played(scene)


def test_what_a_shutdown_ends_is_settled_once_with_what_it_used() -> None:
    async def scene() -> None:
        case = Case(Upstream("trial", Script(HANG)))
        await case.serve()
        await asyncio.sleep(1.0)
        await case.shadows.close()
        (copy,) = case.settled
        assert copy.ending != "finished"
        assert copy.attempts[0].cause == "interrupted"
        assert copy.attempts[0].transcript is not None
        case.trial.assert_idle()

    played(scene)


def test_a_share_of_nothing_is_nothing() -> None:
    async def scene() -> None:
        case = Case(Upstream("trial"), share=0.0)
        await case.serve()
        await asyncio.sleep(1.0)
        assert case.settled == []
        assert isinstance(case.call, Call)

    played(scene)

"""Streams that break after their beginning went out, and are gone on with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import pytest
from rig import chat
from rig.script import sse
from unit.attempts.scenes import (
    CUT,
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
    step_to,
)
from unit.stand_ins import STREAM, WHOLE
from unit.stand_ins import call as call_of

from gateway.attempts.remembered import Remembered
from gateway.attempts.substitutes import remembered_answer
from gateway.errors import StoreDown
from gateway.exchange import Attempt, Facts, Price, Rates
from gateway.routing.routes import Limits, StreamTerms

CONTINUE, RESTART = StreamTerms("continue"), StreamTerms("restart")
BROKEN = Script(*STREAM[:2], 1.0, CUT)
REST = sse(chat.chunk({"role": "assistant", "content": ", "}), *chat.chunks()[3:])


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


def words(said: bytes) -> str:
    """What a client has read."""
    lines = [line[6:] for line in said.split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for line in lines for choice in json.loads(line).get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def idle(*upstreams: Upstream) -> None:
    for upstream in upstreams:
        upstream.assert_idle()


def test_another_target_goes_on_where_the_first_broke() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", Script(*REST))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=CONTINUE), seen)
        assert words(said) == "Hello, world"
        assert (said.count(b"[DONE]"), said.count(b"error")) == (1, 0)
        assert b": forebay continued by second after 5 characters\n\n" in said
        assert json.loads(second.sent[0].body)["messages"][-1] == {"role": "assistant", "content": "Hello"}
        assert causes(seen) == [("first", "first", "stream_broken"), ("second", "continue", "")]
        assert (seen.ending, seen.error) == ("finished", None)
        assert seen.attempts[0].transcript is not None
        assert seen.attempts[0].transcript() == "Hello"
        idle(first, second)

    played(scene)


def test_a_continuation_that_breaks_too_is_gone_on_with_by_a_third() -> None:
    async def scene() -> None:
        first = Upstream("first", BROKEN)
        second = Upstream("second", Script(REST[0], 1.0, CUT))
        third = Upstream("third", Script(*sse(*chat.chunks()[3:])))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, third, stream=CONTINUE), seen)
        assert words(said) == "Hello, world"
        assert [attempt.why for attempt in seen.attempts] == ["first", "continue", "continue"]
        assert seen.ending == "finished"
        idle(first, second, third)

    played(scene)


@pytest.mark.parametrize(
    "script",
    [
        refusal(400, "no prefill here"),
        refusal(500, "second error"),
        Script(WHOLE),
        Script(*EMPTY_STREAM),
        Script(b'data: {"error": {"message": "second error", "code": 500}}\n\n'),
    ],
)
def test_the_client_is_told_why_the_first_stream_broke_never_why_going_on_failed(script: Script) -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", script)
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=CONTINUE), seen)
        assert words(said) == "Hello"
        assert b"the upstream's answer was cut" in said
        assert b"second error" not in said
        assert b"no prefill" not in said
        assert b"[DONE]" not in said
        assert seen.ending == "broken"
        assert all(attempt.cause for attempt in seen.attempts)
        idle(first, second)

    played(scene)


def test_a_model_that_does_not_go_on_is_not_asked() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", facts=Facts(prefill=False))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=CONTINUE), seen)
        assert b"the upstream's answer was cut" in said
        assert second.sent_s == []

    played(scene)


def test_targets_of_fallbacks_may_go_on_too() -> None:
    async def scene() -> None:
        first, other = Upstream("first", BROKEN), Upstream("other", Script(*REST))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, stream=CONTINUE, steps=(step_to(other),)), seen)
        assert words(said) == "Hello, world"

    played(scene)


@pytest.mark.parametrize("limits", [Limits(deadline_s=1.0), Limits(cost_nanousd=1000)])
def test_a_call_without_time_or_money_left_is_not_gone_on_with(limits: Limits) -> None:
    async def scene() -> None:
        price = Price.flat(
            "p1", Rates.plain(0, 10_000_000)
        )  # 640 nano-USD for an answer of the length that is expected
        first = Upstream("first", BROKEN, cost_nanousd=640, price=price)
        second = Upstream("second", Script(*REST), price=price)
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=CONTINUE, limits=limits), seen)
        assert b"error" in said
        assert second.sent_s == []

    played(scene)


class Unsure:
    """A lease with room for one attempt, whose store does not answer when asked for more."""

    def __init__(self) -> None:
        self.reckoned = 0

    def has_room(self, price: Price | None) -> bool:
        self.reckoned += 1
        return self.reckoned == 1

    async def enlarge(self) -> bool:
        raise StoreDown("nobody answers")

    def spare(self, price: Price | None) -> None:
        self.reckoned -= 1

    def headers(self) -> list[tuple[bytes, bytes]]:
        return []

    def end(self) -> None:
        """It has no seats."""

    def settle(self, attempts: Sequence[Attempt]) -> None:
        """It has taken nothing."""


def test_where_budgets_cannot_be_asked_the_client_is_told_why_its_stream_broke() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", Script(*REST))
        of, seen = call(stream=True), record()
        seen.lease = Unsure()
        said = await answered(of, plan(of, first, second, stream=CONTINUE), seen)
        assert b"error" in said
        assert b"nobody answers" not in said
        assert second.sent_s == []

    played(scene)


def restartable(**headers: str) -> Any:
    return call_of(stream=True, headers={"x-forebay-stream": "restart"} | headers)


def test_a_client_that_takes_it_gets_the_answer_anew() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", Script(*STREAM))
        of, seen = restartable(), record()
        said = await answered(of, plan(of, first, second, stream=RESTART), seen)
        before, after = said.split(b'event: forebay.restart\ndata: {"type":"restart","cause":"broken"}\n\n')
        assert (words(before), words(after)) == ("Hello", "Hello, world")
        assert causes(seen)[1] == ("second", "restart", "")
        idle(first, second)

    played(scene)


def test_a_client_that_did_not_say_so_gets_no_second_beginning() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", Script(*STREAM))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=RESTART), seen)
        assert b"error" in said
        assert second.sent_s == []

    played(scene)


@pytest.mark.parametrize("script", [Script(WHOLE), Script(*EMPTY_STREAM)])
def test_an_answer_that_is_no_stream_or_empty_begins_nothing_anew(script: Script) -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", script)
        third = Upstream("third", Script(*STREAM))
        of, seen = restartable(), record()
        said = await answered(of, plan(of, first, second, third, stream=RESTART), seen)
        assert words(said.split(b"forebay.restart")[1]) == "Hello, world"
        assert [bool(attempt.cause) for attempt in seen.attempts] == [True, True, False]
        idle(first, second, third)

    played(scene)


def test_a_client_that_leaves_while_it_is_gone_on_leaves_nothing_behind() -> None:
    async def scene() -> None:
        first, second = Upstream("first", BROKEN), Upstream("second", Script(HANG))
        of, seen = call(stream=True), record()
        task = asyncio.create_task(answered(of, plan(of, first, second, stream=CONTINUE), seen))
        await asyncio.sleep(5.0)
        assert second.open == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        idle(first, second)
        assert [attempt.cause for attempt in seen.attempts] == ["stream_broken", "interrupted"]

    played(scene)


def test_a_tool_call_that_was_begun_is_not_gone_on_with() -> None:
    async def scene() -> None:
        begun = sse(*chat.tool_chunks("look", '{"at": "it"}')[:2], done=False)
        first, second = Upstream("first", Script(*begun, 1.0, CUT)), Upstream("second", Script(*REST))
        of, seen = call(stream=True), record()
        said = await answered(of, plan(of, first, second, stream=CONTINUE), seen)
        assert b"the upstream's answer was cut" in said
        assert second.sent_s == []

    played(scene)


def test_unread_streams_are_ended_too() -> None:
    async def scene() -> None:
        only = Upstream("only", Script(*STREAM))
        of, seen = call(stream=True), record()
        outcome = await opened(of, plan(of, only), seen)
        assert only.open == 1
        assert outcome.opened is not None
        outcome.opened.give_up()
        outcome.opened.give_up()
        outcome.opened.close(None)
        idle(only)

    played(scene)


def test_a_stream_that_began_anew_is_not_remembered() -> None:
    """It would be given to clients that cannot take one."""

    async def scene() -> None:
        of, memory = restartable(), Remembered()
        for stream, kept in ((BROKEN, False), (Script(*STREAM), True)):
            first, second = Upstream("first", stream), Upstream("second", Script(*STREAM))
            planned = msgspec.structs.replace(plan(of, first, second, stream=RESTART), memory=memory)
            assert words(await answered(of, planned, record())).endswith("Hello, world")
            assert (remembered_answer(of, planned, 60.0) is not None) == kept

    played(scene)

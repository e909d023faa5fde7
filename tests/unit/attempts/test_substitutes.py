"""What a client gets when no upstream answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from unit.attempts.scenes import (
    EMPTY,
    Script,
    Upstream,
    call,
    on_skipping_clock,
    opened,
    plan,
    record,
    refusal,
    step_to,
)
from unit.stand_ins import WHOLE

from gateway.attempts.remembered import Remembered
from gateway.attempts.substitutes import remembered_answer, remembering, shortened
from gateway.exchange import Call
from gateway.routing.plans import Plan
from gateway.routing.routes import Shorten, Step

TURNS = [
    {"role": "user" if n % 2 == 0 else "assistant", "content": f"turn {n} " + "word " * 50} for n in range(9)
]


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


def with_memory(planned: Plan) -> Plan:
    return msgspec.structs.replace(planned, memory=Remembered())


def test_an_answer_that_was_remembered_is_given_with_its_age() -> None:
    async def scene() -> None:
        of: Call = call()
        down = with_memory(plan(of, Upstream("down", refusal(500)), steps=(Step(cached_s=60.0),)))
        keep = remembering(of, down)
        assert keep is not None
        keep(b"application/json", WHOLE)
        outcome = await opened(of, down, record())
        assert (outcome.status, outcome.body, outcome.backend) == (200, WHOLE, "")
        assert outcome.notes == ((b"x-forebay-fallback", b"cached; age=0"),)
        assert outcome.remember is None

    played(scene)


def test_without_a_memory_nothing_is_remembered() -> None:
    async def scene() -> None:
        of = call()
        planned = plan(of, Upstream("down"))
        assert remembering(of, planned) is None
        assert remembered_answer(of, planned, 60.0) is None

    played(scene)


def test_an_empty_answer_is_not_remembered() -> None:
    async def scene() -> None:
        of = call()
        outcome = await opened(of, with_memory(plan(of, Upstream("empty", Script(EMPTY)))), record())
        assert outcome.body
        assert outcome.remember is None

    played(scene)


def test_a_shortened_call_keeps_its_newest_turns() -> None:
    of = call(messages=TURNS)
    shorter, left_out = shortened(of, Shorten(2, 0.5), 300)
    assert left_out > 0
    assert len(msgspec.json.decode(msgspec.json.encode(shorter.members["messages"]))) == len(TURNS) - left_out


def test_a_call_that_was_shortened_says_so_and_one_that_could_not_be_is_not_sent_again() -> None:
    async def scene() -> None:
        too_long = Script(b'{"error": {"code": "context_length_exceeded", "message": "long"}}', status=400)
        steps = (Step(on=frozenset({"context_length"}), shorten=Shorten(1, 0.5)),)
        upstream = Upstream("only", too_long, Script(WHOLE))
        of = call(messages=TURNS)
        outcome = await opened(of, plan(of, upstream, steps=steps), record())
        ((name, value),) = outcome.notes
        assert name == b"x-forebay-shortened"
        assert value.startswith(b"turns=")
        assert len(upstream.sent[1].body) < len(upstream.sent[0].body)
        one_turn, large = Upstream("one", too_long), Upstream("large")
        of = call()
        planned = plan(of, one_turn, steps=(*steps, step_to(large, on=["context_length"])))
        assert (await opened(of, planned, record())).notes == ()
        assert len(one_turn.sent_s) == 1

    played(scene)

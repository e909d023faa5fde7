"""What an attempt learns of its answer, and of how it came to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from rig import chat
from rig.script import sse
from unit.attempts.scenes import CUT, Script, Upstream, answered, call, on_skipping_clock, plan, record
from unit.stand_ins import WHOLE

from gateway.config.reliability import ConcurrencySpec
from gateway.errors import GatewayError
from gateway.exchange import Attempt

MODEL = chat.chunk({})["model"]
LONG = json.dumps(chat.completion() | {"model": "m" * 999, "service_tier": "priority"}).encode()


def told(*scripts: Script, **members: object) -> list[Attempt]:
    """The attempts of a call that is answered so, at one target after the other."""

    async def scene() -> list[Attempt]:
        of, seen = call(**members), record()
        targets = [Upstream(f"u{number}", script) for number, script in enumerate(scripts)]
        with suppress(GatewayError):
            await answered(of, plan(of, *targets), seen)
        return seen.attempts

    return on_skipping_clock(scene())


def test_a_whole_answer_tells_its_model_its_end_and_its_class() -> None:
    (attempt,) = told(Script(LONG))
    assert (attempt.answered_model, attempt.finish) == ("m" * 200, "stop")
    assert attempt.usage is not None
    assert attempt.tier == attempt.usage.tier == "priority"


def test_the_class_is_known_where_no_usage_is_told() -> None:
    untold = {name: value for name, value in json.loads(LONG).items() if name != "usage"}
    (attempt,) = told(Script(json.dumps(untold).encode()))
    assert (attempt.usage, attempt.tier) == (None, "priority")


def test_a_stream_tells_it_too() -> None:
    (attempt,) = told(Script(*sse(*chat.chunks())), stream=True)
    assert (attempt.answered_model, attempt.finish) == (MODEL, "stop")


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_stream_that_breaks_has_told_who_spoke(pieces: int) -> None:
    attempt = told(Script(*sse(*chat.chunks())[:pieces], CUT), stream=True)[0]
    assert (attempt.answered_model, attempt.finish) == (MODEL, "")


def test_an_attempt_that_nobody_answered_knows_nothing() -> None:
    first, second = told(Script(b"{}", status=500), Script(WHOLE))
    assert (first.answered_model, first.finish) == ("", "")
    assert second.finish == "stop"


def test_the_wait_for_a_place_is_measured() -> None:
    async def scene() -> list[float]:
        spec = ConcurrencySpec(max_calls=1, max_waiting=9, max_wait_ms=60_000)
        upstream = Upstream("u", Script(WHOLE, before_s=3.0), places=spec)
        of, seen = call(), [record(), record()]
        await asyncio.gather(*(answered(of, plan(of, upstream), one) for one in seen))
        return [one.attempts[0].queued_s for one in seen]

    assert on_skipping_clock(scene()) == pytest.approx([0.0, 3.0], abs=0.1)

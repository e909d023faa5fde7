"""What an attempt learns of its answer, and of how it came to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from unittest.mock import Mock

import pytest
from rig import chat
from rig.script import sse
from unit.attempts.scenes import CUT, Script, Upstream, answered, call, on_skipping_clock, plan, record
from unit.stand_ins import WHOLE, streaming

from gateway.attempts.outcome import Opened
from gateway.config.reliability import ConcurrencySpec
from gateway.errors import GatewayError
from gateway.exchange import Attempt, Record, Usage
from gateway.formats.passage.seam import AnswerStream
from gateway.formats.passage.watched import DecodedStream
from gateway.formats.passage.watching import WATCHES
from gateway.ledger.booking import estimate
from gateway.telemetry.books import Books

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


SAID = "one two three four five six seven eight nine ten " * 20


def given_up(stream: AnswerStream, *events: bytes) -> Attempt:
    """The attempt of a stream that its client left after these events."""
    attempt = Attempt("b", "m", 0.0)
    attempt.sent()
    for event in events:
        stream.feed(event)
    opened = Opened(streaming(), stream, attempt, Mock())
    opened.give_up()
    return attempt


def messages_event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


BEGUN = messages_event(
    "message_start",
    message={"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
    | {"usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}},
)
TEXT = messages_event("content_block_delta", index=0, delta={"type": "text_delta", "text": SAID})
BLOCK = messages_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
ENDED = messages_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 205})


def messages_stream() -> AnswerStream:
    watch = WATCHES["messages"]
    return DecodedStream(watch, watch.decoder(1 << 20), None, 1 << 20)


def test_what_a_stream_told_before_its_end_is_the_least_of_what_it_used() -> None:
    attempt = given_up(messages_stream(), BEGUN, BLOCK, TEXT)
    assert attempt.usage is None
    estimate([attempt], None)
    assert attempt.usage == Usage(30, len(SAID) // 4, cached_tokens=5, origin="estimated")
    ended = Record("call_1", "messages", 0.0)
    ended.attempts, attempt.usage = [attempt], None
    books = Books(lambda text: len(text.split()), [])

    async def enter() -> None:
        books.enter(ended)
        await books.close()

    asyncio.run(enter())
    assert attempt.usage == Usage(30, 200, cached_tokens=5, origin="counted")


def test_what_a_stream_told_at_its_end_stands() -> None:
    attempt = given_up(messages_stream(), BEGUN, BLOCK, TEXT, ENDED)
    assert attempt.usage == Usage(30, 205, cached_tokens=5)
    assert attempt.told_early is None


def test_a_stream_that_tells_as_it_goes_is_believed_as_far_as_it_came() -> None:
    watch = WATCHES["gemini"]
    stream = DecodedStream(watch, watch.decoder(1 << 20), None, 1 << 20)
    part = {"candidates": [{"content": {"parts": [{"text": "one two"}], "role": "model"}, "index": 0}]}
    used = {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 900}
    event = f"data: {json.dumps(part | {'usageMetadata': used})}\n\n".encode()
    attempt = given_up(stream, event)
    assert attempt.usage is None
    estimate([attempt], None)
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (7, 902)


def test_an_error_in_place_of_an_answer_costs_what_it_tells() -> None:
    error = messages_event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    attempt = given_up(messages_stream(), BEGUN, error)
    assert attempt.transcript is None
    assert attempt.usage is not None

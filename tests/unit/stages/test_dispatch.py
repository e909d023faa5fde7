"""Targets in their order, until one accepts; what the record learns."""

from __future__ import annotations

import asyncio
import json
from math import inf
from typing import Any

import msgspec
import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import (
    JSON_TYPE,
    SECRET,
    SSE_TYPE,
    STREAM,
    WHOLE,
    FakeAnswer,
    call,
    candidate,
    plan_of,
    record,
    sent_to,
    streaming,
    target,
)

from backends.host import Host
from backends.mistral import Mistral
from gateway.errors import (
    Broken,
    ConnectFailed,
    Failed,
    Overloaded,
    Rejected,
    TimedOut,
    Unsupported,
    UpstreamError,
)
from gateway.exchange import Call, Record, Usage
from gateway.routing.routes import Candidate, Target
from gateway.stages.dispatch import Outcome, dispatch


def dispatched(*asked: Target | Candidate, of: Call | None = None, into: Record | None = None) -> Outcome:
    of = of or call()
    return asyncio.run(dispatch(of, plan_of(of, *asked), into or record()))


def error_answer(status: int, body: Any = None) -> FakeAnswer:
    return FakeAnswer([json.dumps(body or chat.error("no")).encode()], status=status)


def well(name: str = "second") -> Target:
    return target(name, FakeAnswer())


def test_the_first_target_that_accepts_is_the_last_one_asked() -> None:
    first, second, seen = target("first", FakeAnswer()), well(), record()
    outcome = dispatched(first, second, into=seen)
    assert (outcome.backend, outcome.status, outcome.body, outcome.opened) == ("first", 200, WHOLE, None)
    assert sent_to(second) == []
    (attempt,) = seen.attempts
    assert (attempt.backend, attempt.model, attempt.cause, attempt.why) == ("first", "fast", "", "first")
    assert outcome.usage == attempt.usage == Usage(9, 3)
    assert seen.first_byte_s is not None
    assert attempt.transcript is not None
    assert attempt.transcript() == "Hello, world"


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (ConnectFailed("no"), "upstream_unreachable"),
        (TimedOut("late"), "upstream_timeout"),
        (error_answer(401), "upstream_refused_credential"),
        (error_answer(403), "upstream_refused_credential"),
        (error_answer(402), "upstream_quota_spent"),
        (error_answer(429), "upstream_rate_limited"),
        (error_answer(500), "upstream_failed"),
        (error_answer(503), "upstream_overloaded"),
        (error_answer(504), "upstream_timeout"),
        (error_answer(529), "upstream_overloaded"),
        (FakeAnswer([]), "upstream_bad_answer"),
        (FakeAnswer([b"<html>"]), "upstream_bad_answer"),
        (FakeAnswer([WHOLE[:-1]]), "upstream_bad_answer"),
        (FakeAnswer([WHOLE[:9], Broken("cut")]), "upstream_answer_cut"),
        (FakeAnswer([TimedOut("silent")]), "upstream_timeout"),
        (FakeAnswer([Broken("cut")], headers=SSE_TYPE), "upstream_answer_cut"),
        (FakeAnswer([], headers=SSE_TYPE), "upstream_bad_answer"),
        (FakeAnswer([Broken("cut")], status=500), "upstream_failed"),
    ],
)
def test_before_the_first_byte_the_next_target_is_tried(failure: Any, cause: str) -> None:
    first, second, seen = target("first", failure), well(), record()
    assert dispatched(first, second, into=seen).backend == "second"
    assert [(attempt.backend, attempt.cause) for attempt in seen.attempts] == [
        ("first", cause),
        ("second", ""),
    ]
    if isinstance(failure, FakeAnswer):
        assert failure.closed == 1


def test_after_a_stream_without_a_byte_the_next_target_is_tried() -> None:
    seen, answer = record(), FakeAnswer([], headers=SSE_TYPE)
    outcome = dispatched(
        target("first", answer), target("second", streaming()), of=call(stream=True), into=seen
    )
    assert outcome.backend == "second"
    assert [attempt.cause for attempt in seen.attempts] == ["upstream_empty", ""]
    assert answer.closed == 1


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_refusal_of_the_request_itself_is_final(status: int) -> None:
    answer, second, seen = error_answer(status), well(), record()
    with pytest.raises(Rejected) as error:
        dispatched(target("first", answer), second, into=seen)
    assert (error.value.status, error.value.message) == (status, "no")
    assert sent_to(second) == []
    assert answer.closed == 1
    assert [attempt.cause for attempt in seen.attempts] == ["upstream_rejected"]


def test_when_all_targets_fail_the_last_one_is_heard() -> None:
    seen = record()
    with pytest.raises(Overloaded, match="second"):
        dispatched(
            target("first", ConnectFailed("first")),
            target("second", error_answer(529, chat.error("second is full"))),
            into=seen,
        )
    assert [attempt.backend for attempt in seen.attempts] == ["first", "second"]
    assert [(attempt.usage, attempt.transcript) for attempt in seen.attempts] == [(None, None)] * 2, (
        "unbilled"
    )


def test_a_stream_is_accepted_at_its_first_content_and_stays_open() -> None:
    answer = streaming(*STREAM)
    outcome = dispatched(target("first", answer), of=call(stream=True))
    assert outcome.opened is not None
    assert outcome.opened.held == b"".join(STREAM[:2]), "who answers, and its first word"
    assert outcome.opened.answer is answer
    assert outcome.usage is None
    assert answer.closed == 0
    assert answer.enough_s is not None
    assert answer.enough_s() == inf
    outcome.opened.stream.feed(sse(chat.chunk({}, "stop"), done=False)[0])
    assert answer.enough_s() == 2.0, "its usage may yet come"
    outcome.opened.stream.feed(sse(chat.chunk(None, usage=chat.USAGE), done=False)[0])
    assert answer.enough_s() == 0.25


@pytest.mark.parametrize("first", [b"", b": hello\n\n", b"event: x\n", b"id: 1\n", b"retry: 9\n"])
def test_a_stream_that_is_labelled_as_json_is_a_stream(first: bytes) -> None:
    pieces = [first + STREAM[0], *STREAM[1:]]
    outcome = dispatched(target("first", FakeAnswer(pieces, headers=JSON_TYPE)), of=call(stream=True))
    assert outcome.opened is not None


def test_a_whole_answer_to_a_request_for_a_stream_is_told_as_one() -> None:
    outcome = dispatched(target("first", FakeAnswer([WHOLE[:30], WHOLE[30:]])), of=call(stream=True))
    assert outcome.opened is None
    assert outcome.body.startswith(b"data: {")
    assert outcome.body.endswith(b"data: [DONE]\n\n")
    assert outcome.usage == Usage(9, 3)


def test_what_the_passage_and_the_host_leave_out_is_told_together() -> None:
    host = Mistral("m", Host("http://m/v1", ("chat",)))
    first = target("first", FakeAnswer())
    chosen = candidate(first)
    site = msgspec.structs.replace(first.site, backend=host)
    chosen = msgspec.structs.replace(chosen, deployment=msgspec.structs.replace(chosen.deployment, site=site))
    seen = record()
    members = {"max_tokens": 9, "top_k": 3, "metadata": {"user_id": "joe"}}
    outcome = dispatched(chosen, of=call("messages", **members), into=seen)
    assert outcome.dropped == seen.dropped == ("top_k", "user")
    assert seen.translated_to == "chat"


def test_a_target_that_cannot_express_a_call_is_passed_over_unasked() -> None:
    first, second, seen = target("first", FakeAnswer()), well(), record()
    outcome = dispatched(candidate(first, "messages"), second, of=call(n=2), into=seen)
    assert outcome.backend == "second"
    assert sent_to(first) == []
    assert [attempt.cause for attempt in seen.attempts] == ["unsupported_call", ""]


def test_of_a_targets_formats_the_first_that_can_express_the_call_is_used() -> None:
    asked = target("first", FakeAnswer())
    members = {"max_tokens": 99, "stop_sequences": ["END"]}
    chosen = candidate(asked, "responses", "chat")
    outcome = dispatched(chosen, of=call("messages", **members), into=(seen := record()))
    assert outcome.backend == "first"
    assert seen.translated_to == "chat"
    assert [attempt.cause for attempt in seen.attempts] == ["unsupported_call", ""]
    assert json.loads(sent_to(asked)[0].body)["stop"] == ["END"]


def test_a_target_that_failed_is_not_asked_again_in_another_format() -> None:
    asked, second = target("first", error_answer(500)), well()
    of = call("messages", max_tokens=99)
    outcome = dispatched(candidate(asked, "responses", "chat"), second, of=of)
    assert outcome.backend == "second"
    assert len(sent_to(asked)) == 1


def test_when_no_target_can_express_a_call_the_first_reason_is_told() -> None:
    first, second = target("first"), target("second")
    with pytest.raises(Unsupported, match="n cannot be expressed in the messages format") as refusal:
        dispatched(candidate(first, "messages"), candidate(second, "converse"), of=call(n=2))
    assert refusal.value.param == "n"


def test_each_target_gets_its_own_model_and_credential() -> None:
    first, second = (
        target("first", ConnectFailed("no"), model="up-1"),
        target("second", FakeAnswer(), model="up-2"),
    )
    seen = record()
    dispatched(first, second, into=seen)
    assert [json.loads(sent_to(asked)[0].body)["model"] for asked in (first, second)] == ["up-1", "up-2"]
    assert sent_to(second)[0].headers["authorization"] == f"Bearer {SECRET}"
    assert [attempt.model for attempt in seen.attempts] == ["up-1", "up-2"]


def test_what_an_upstream_says_of_our_credential_is_hidden() -> None:
    said = f"Incorrect API key provided: {SECRET} ({SECRET[:8]}***{SECRET[-4:]})"
    with pytest.raises(UpstreamError) as error:
        dispatched(target("first", error_answer(401, chat.error(said))))
    assert error.value.message == "Incorrect API key provided: [redacted] ([redacted])"
    assert SECRET[-4:].encode() not in error.value.raw


def test_an_error_that_is_too_long_is_still_closed() -> None:
    answer = FakeAnswer([Failed("too large", code="upstream_answer_too_large")], status=400)
    with pytest.raises(UpstreamError):
        dispatched(target("first", answer))
    assert answer.closed == 1
    assert answer.read_limits


def test_a_client_that_leaves_closes_the_answer_that_is_awaited() -> None:
    async def for_ever() -> bytes:
        await asyncio.Event().wait()
        return b""

    answer = FakeAnswer([for_ever])
    seen = record()

    async def scene() -> None:
        of, asked = call(), target("first", answer)
        task = asyncio.create_task(dispatch(of, plan_of(of, asked), seen))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert answer.closed == 1
    (attempt,) = seen.attempts
    assert attempt.transcript is not None, "its prompt was sent, and is counted"
    assert attempt.cause == "interrupted"

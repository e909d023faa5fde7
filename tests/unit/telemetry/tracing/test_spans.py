"""The tree of spans of a call, before anything of OpenTelemetry's is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from unit.telemetry.tracing.calls import ENDED_S, STARTED_S, TRACE, attempt, call, ended

from gateway.errors import ConnectFailed, QuotaExceeded, UnknownRoute
from gateway.exchange import Record
from gateway.telemetry.tracing.drafts import Draft
from gateway.telemetry.tracing.settings import TraceSettings
from gateway.telemetry.tracing.spans import Ended, spans_of

SETTINGS = TraceSettings()


def drafts_of(record: Record, settings: TraceSettings = SETTINGS) -> list[Draft]:
    assert record.trace is not None
    return spans_of(Ended(record, record.trace, ENDED_S, ENDED_S + 0.25, "sampled"), settings)


def shown(drafts: list[Draft]) -> list[tuple[str, float, float]]:
    """Names, and times as seconds since the call began."""
    return [(one.name, round(one.start_s - STARTED_S, 3), round(one.end_s - STARTED_S, 3)) for one in drafts]


def test_each_part_has_its_time() -> None:
    drafts = drafts_of(ended(attempt()))
    assert shown(drafts) == [
        ("chat fast", 0.0, 3.0),
        ("receive", 0.0, 0.1),
        ("plan", 0.1, 0.2),
        ("admit", 0.2, 0.3),
        ("chat gpt-4o", 0.5, 2.5),
        ("queue", 0.5, 0.6),
        ("connect", 0.6, 0.7),
        ("first token", 0.7, 1.0),
        ("stream", 1.0, 2.5),
        ("settle", 3.0, 3.25),
    ]
    root, own = drafts[0], drafts[4]
    assert [one.parent_id for one in drafts] == [
        "",
        *[root.span_id] * 4,
        *[own.span_id] * 4,
        root.span_id,
    ]
    assert len({one.span_id for one in drafts}) == len(drafts)
    assert {one.failure for one in drafts} == {None}


def test_what_did_not_happen_has_no_span() -> None:
    whole = attempt(queued_s=0.0, connect_s=0.0, first_token_s=None, ended_s=None, seconds=0.75)
    assert shown(drafts_of(ended(whole)))[4:] == [("chat gpt-4o", 0.5, 1.25), ("settle", 3.0, 3.25)]


def test_an_attempt_s_span_is_the_one_that_its_upstream_was_told_of() -> None:
    told = TRACE.child()
    drafts = drafts_of(ended(attempt(trace=told)))
    assert (drafts[4].span_id, drafts[4].parent_id) == (told.span_id, TRACE.span_id)
    assert {one.parent_id for one in drafts[5:9]} == {told.span_id}


@pytest.mark.parametrize(
    ("members", "stages"),
    [
        ({"received_s": None, "planned_s": None, "admitted_s": None}, ["receive"]),
        ({"planned_s": None, "admitted_s": None}, ["receive", "plan"]),
        ({"admitted_s": None}, ["receive", "plan", "admit"]),
    ],
)
def test_the_stage_that_ended_a_call_says_why(members: dict[str, Any], stages: list[str]) -> None:
    error = QuotaExceeded("too many")
    record = ended(status=429, ending="refused", error=error, **members)
    root, *parts, settle = drafts_of(record)
    assert [one.name for one in parts] == stages
    assert [one.failure for one in parts] == [None] * (len(stages) - 1) + ["too many"]
    assert parts[-1].attributes == {"error.type": "rate_limit_exceeded"}
    assert (parts[-1].end_s, settle.start_s, root.failure) == (ENDED_S, ENDED_S, None)


def test_a_failed_call_says_what_its_client_was_told_and_each_attempt_its_cause() -> None:
    error = ConnectFailed("nobody is there")
    tried = [attempt(cause="upstream_failed"), attempt(cause="upstream_unreachable")]
    drafts = drafts_of(ended(*tried, status=502, ending="failed", error=error))
    clients = [one for one in drafts if one.kind == "client"]
    assert drafts[0].failure == "nobody is there"
    assert [one.failure for one in clients] == ["upstream_failed", "nobody is there"]


def test_what_nobody_wanted_any_more_has_not_failed() -> None:
    drafts = drafts_of(ended(attempt(cause="interrupted"), ending="client_gone", status=499))
    assert {one.failure for one in drafts} == {None}


def test_what_the_gateway_asks_for_itself_is_no_call_of_a_client() -> None:
    own = ended(
        attempt(), purpose="shadow", made_for="call_1", received_s=None, planned_s=None, admitted_s=None
    )
    root, *parts = drafts_of(own)
    assert (root.kind, root.attributes["forebay.purpose"]) == ("internal", "shadow")
    assert root.attributes["forebay.made_for"] == "call_1"
    assert "receive" not in {part.name for part in parts}
    assert root.failure is None


def test_an_earlier_answer_was_recalled() -> None:
    failed = attempt(cause="upstream_failed", ended_s=None, first_token_s=None, seconds=0.5)
    drafts = drafts_of(ended(failed, first_byte_s=STARTED_S + 1.25, cache="hit"))
    assert ("recall", 1.0, 1.25) in shown(drafts)
    without = drafts_of(ended(first_byte_s=STARTED_S + 0.5, cache="hit"))
    assert ("recall", 0.3, 0.5) in shown(without)
    assert "recall" not in {name for name, *_ in shown(drafts_of(ended()))}, "nobody looked"


def test_only_a_model_that_some_route_has_stands_in_a_name() -> None:
    unknown = ended(route="", model="my own words", ending="refused", error=UnknownRoute("none"))
    assert drafts_of(unknown)[0].name == "chat"
    assert drafts_of(ended(format="gemini"))[0].name == "generate_content fast"
    assert drafts_of(ended(format="transcriptions"))[0].name == "transcriptions fast"


def test_words_stand_at_the_attempt_that_answered_and_only_for_whom_it_is_asked() -> None:
    said = call(messages=[{"role": "user", "content": "Hello"}])
    record = ended(attempt(cause="upstream_failed"), attempt(transcript=lambda: "Hi"), call=said)
    asked = TraceSettings(content_tenants=frozenset({"acme"}))
    with_words = [one for one in drafts_of(record, asked) if "gen_ai.input.messages" in one.attributes]
    assert [one.attributes["forebay.attempt.number"] for one in with_words] == [2]
    others = TraceSettings(content_tenants=frozenset({"others"}))
    assert not [one for one in drafts_of(record, others) if "gen_ai.input.messages" in one.attributes]

"""The checks of the fault tests themselves: what they let pass, and what they must not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rig import chat
from rig.faults import answers, connecting, native, refusals, streams
from rig.faults.fault import PATIENCE_MS, Answered, Breaks, Falls, Spare, Told, Verdict
from rig.faults.hearing import Heard
from rig.faults.verdicts import check, check_wait
from rig.faults.wire import BEGUN, BEGUN_TEXT, DONE, SPARE_TEXT, SPARE_WORDS, STREAM, TEXT, deltas, said
from rig.script import sse

ERROR = chat.error("the upstream's answer was cut", "upstream_error", "stream_broken")
CUT = Breaks(BEGUN_TEXT, Told(502, "stream_broken"))
REFUSED = Falls(Told(502, "stream_broken"))
TYPE = {"content-type": "text/event-stream", "x-forebay-backend": "well"}


def streamed(text: str, *events: bytes, finish: str = "", error: str = "") -> Heard:
    """What a client of chat has heard in these events."""
    return Heard(
        "chat",
        stream=True,
        text=text,
        finish=finish,
        error=error,
        status=200,
        headers=TYPE,
        wire=b"".join(events),
    )


ANSWER = streamed(TEXT, *STREAM, finish="stop")
SPARE = streamed(SPARE_TEXT, *deltas(*SPARE_WORDS), *STREAM[-3:], finish="stop")
BROKEN = streamed(BEGUN_TEXT, *BEGUN, *sse(ERROR, done=False), error="APIError: cut")
REFUSAL = Heard(
    "chat",
    stream=True,
    error="InternalServerError: 502",
    status=502,
    headers={"content-type": "application/json"},
    wire=json.dumps(ERROR).encode(),
)

GOOD: list[tuple[Heard, Verdict, bool]] = [
    (ANSWER, Answered(TEXT), False),
    (SPARE, REFUSED, True),
    (SPARE, Spare(), True),
    (REFUSAL, REFUSED, False),
    (BROKEN, CUT, True),
]


@pytest.mark.parametrize(("heard", "verdict", "fallback"), GOOD)
def test_what_is_as_it_should_be_passes(heard: Heard, verdict: Verdict, *, fallback: bool) -> None:
    assert check(heard, verdict, fallback=fallback) is None


def changed(heard: Heard, **members: Any) -> Heard:
    return replace(heard, **members)


BAD: dict[str, tuple[Heard, Verdict, bool]] = {
    "a truncated answer as if it were whole": (
        streamed(BEGUN_TEXT, *BEGUN, *STREAM[-3:], finish="stop"),
        Answered(TEXT),
        False,
    ),
    "a broken answer with a regular end": (changed(BROKEN, wire=BROKEN.wire + DONE[0]), CUT, False),
    "a broken answer without an error": (changed(BROKEN, wire=b"".join(BEGUN)), CUT, False),
    "a break that the SDK does not see": (changed(BROKEN, error=""), CUT, False),
    "an error that is not the last word": (changed(BROKEN, wire=BROKEN.wire + b": ping\n\n"), CUT, False),
    "two errors": (changed(BROKEN, wire=BROKEN.wire + sse(ERROR, done=False)[0]), CUT, False),
    "a doubled answer": (changed(ANSWER, text=TEXT * 2), Answered(TEXT), False),
    "a doubled beginning": (changed(BROKEN, text=BEGUN_TEXT * 2), CUT, False),
    "two ends": (changed(ANSWER, wire=ANSWER.wire + DONE[0]), Answered(TEXT), False),
    "no end": (changed(ANSWER, wire=ANSWER.wire.removesuffix(DONE[0])), Answered(TEXT), False),
    "an error beside an end": (
        changed(ANSWER, wire=sse(ERROR, done=False)[0] + ANSWER.wire),
        Answered(TEXT),
        False,
    ),
    "two answers in one": (changed(SPARE, text=BEGUN_TEXT + SPARE_TEXT), REFUSED, True),
    "the failing upstream's answer": (ANSWER, REFUSED, True),
    "another fallback than the one that was meant": (SPARE, Falls(REFUSED.told, to="large"), True),
    "an answer where there is none": (ANSWER, REFUSED, False),
    "another status": (changed(REFUSAL, status=500), REFUSED, False),
    "another code": (REFUSAL, Falls(Told(502, "upstream_failed")), False),
    "other words": (REFUSAL, Falls(Told(502, "stream_broken", words="reset")), False),
    "no retry-after": (REFUSAL, Falls(Told(502, "stream_broken", headers=[("retry-after", "7")])), False),
    "where the upstream is": (
        changed(REFUSAL, wire=REFUSAL.wire.replace(b"was cut", b"from 127.0.0.1 was cut")),
        REFUSED,
        False,
    ),
}


@pytest.mark.parametrize("wrong", BAD)
def test_what_no_client_may_see_is_noticed(wrong: str) -> None:
    heard, verdict, fallback = BAD[wrong]
    with pytest.raises(AssertionError):
        check(heard, verdict, fallback=fallback)


def test_a_half_tool_call_may_not_look_whole() -> None:
    verdict = Breaks("", Told(502, "stream_broken"))
    half = changed(BROKEN, text="", arguments='{"gate": "no')
    check(half, verdict, fallback=False)
    with pytest.raises(AssertionError, match="half a call"):
        check(changed(half, arguments="{}"), verdict, fallback=False)


def test_who_is_kept_waiting_until_a_patient_limit_is_noticed() -> None:
    heard = Heard("chat", stream=False, wire=said(), asked_s=100.0, seconds=4.0)
    check_wait(heard)
    with pytest.raises(AssertionError, match="12"):
        check_wait(changed(heard, seconds=PATIENCE_MS / 1000))


KNOWN = [*connecting.FAULTS, *refusals.FAULTS, *answers.FAULTS, *streams.FAULTS, *native.FAULTS]


def test_each_fault_meets_the_limit_that_is_meant() -> None:
    limits = {fault.name: fault.limit for fault in KNOWN}
    assert limits["500_json"] == limits["504"] == limits["reset_after_3_tokens"] == "none"
    assert limits["never_accepts"] == "connect"
    assert limits["never_answers"] == limits["native_gemini_pings_for_ever"] == "first_token"
    assert limits["a_gap_too_long"] == limits["native_messages_a_gap_too_long"] == "gap"
    assert limits["dribbles_without_end"] == "deadline"


def test_the_table_has_every_fault_once() -> None:
    names = [fault.name for fault in KNOWN]
    assert len(names) == len(set(names)) >= 45
    assert all(name.replace("_", "").isalnum() for name in names), "they are parts of models' names"
    assert all(fault.whole or fault.stream for fault in KNOWN)

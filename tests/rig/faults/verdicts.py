"""Checks what a client heard against a verdict, in its dialect; and what holds of every call.

The last is: the text is exactly what it may be, a regular end comes with whole answers alone and once,
an error never beside one, and nobody waits for what does not come.
"""

from __future__ import annotations

import json
from typing import Any

from rig.faults.fault import PATIENCE_MS, Answered, Breaks, Falls, Final, Spare, Told, Verdict
from rig.faults.hearing import Heard
from rig.faults.wire import SPARE_TEXT
from rig.gateway import SECRETS
from rig.sse import is_done, json_of, split_events

WAITS_S = PATIENCE_MS / 2000
"""Far more than the short limits, and far less than the patient ones: what a busy machine cannot blur."""

_FINISHES = {
    "stop": {"chat": "stop", "responses": "completed", "messages": "end_turn", "gemini": "STOP"},
    "content_filter": {
        "chat": "content_filter",
        "responses": "incomplete",
        "messages": "refusal",
        "gemini": "SAFETY",
    },
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def check(heard: Heard, verdict: Verdict, *, fallback: bool) -> None:
    """Fail unless the client heard exactly what the verdict says, with or without a fallback."""
    if isinstance(verdict, Falls | Spare) and fallback:
        _check_whole(heard, Answered(SPARE_TEXT))
        assert heard.headers["x-forebay-backend"] == verdict.to
    elif isinstance(verdict, Spare):
        _check_whole(heard, Answered("", finish=""))
    elif isinstance(verdict, Answered):
        _check_whole(heard, verdict)
    elif isinstance(verdict, Breaks):
        _check_broken(heard, verdict)
    else:
        _check_refused(heard, verdict.told)


def check_wait(heard: Heard) -> None:
    """The client was not kept waiting for more than what the fault itself takes.

    A gateway that waits where it should not, or past a short limit, waits until a patient one.
    """
    assert heard.seconds < WAITS_S, heard.seconds


def _check_whole(heard: Heard, expected: Answered) -> None:
    assert (heard.status, heard.error) == (200, ""), (heard.status, heard.error, heard.wire[-500:])
    assert heard.text == expected.text, heard.text[:200]
    if expected.finish:
        assert heard.finish == _FINISHES[expected.finish][heard.dialect]
    if heard.stream:
        assert heard.headers["content-type"].startswith("text/event-stream")
        assert not errors_in(heard)
        # Google's dialect has no other end than a reason for it.
        assert ends_in(heard) == (heard.dialect != "gemini" or bool(heard.finish)), heard.wire[-500:]
    else:
        assert heard.headers["content-type"].startswith("application/json")
        assert isinstance(json.loads(heard.wire), dict)


def _check_broken(heard: Heard, expected: Breaks) -> None:
    assert heard.status == 200, (heard.status, heard.wire[-500:])
    assert heard.text == expected.text, heard.text[:200]
    assert not _is_json(heard.arguments), "half a call looks like a whole one"
    assert heard.error, "the SDK took a broken stream for a whole one"
    errors = errors_in(heard)
    assert len(errors) == 1, errors
    _check_error(heard, errors[0], expected.told)
    assert ends_in(heard) == 0, heard.wire[-500:]
    assert json_of(split_events(heard.wire)[-1]) is not None, "the error is not the last that was said"


def _check_refused(heard: Heard, told: Told) -> None:
    assert heard.status == told.status, (heard.status, heard.wire[:500])
    assert (heard.text, heard.finish) == ("", "")
    assert heard.error, "the SDK raised nothing"
    assert heard.headers["content-type"].startswith("application/json")
    assert {name: heard.headers.get(name) for name, _ in told.headers} == dict(told.headers)
    _check_error(heard, json.loads(heard.wire)["error"], told)


def _check_error(heard: Heard, error: dict[str, Any], told: Told) -> None:
    message = error["message"]
    assert message
    assert told.words in message, message
    assert "127.0.0.1" not in message, "where our upstreams are is no client's business"
    assert not any(secret.encode() in heard.wire for secret in SECRETS.values())
    if heard.dialect == "messages":
        assert error["type"] == _ANTHROPIC_TYPES.get(told.status, "api_error")
    elif heard.dialect == "gemini":
        assert error["code"] == told.status
        # Google's own error has no such details, and passes as it is.
        assert [d["reason"] for d in error.get("details") or () if "reason" in d] in ([told.code.upper()], [])
    elif heard.stream and heard.status == 200:
        # An upstream's own event passes where the call is relayed, and is written anew where it is not.
        assert error["code"] in {told.code, told.own or told.code}
    else:
        assert error["code"] == (told.own or told.code)


def errors_in(heard: Heard) -> list[dict[str, Any]]:
    """The errors inside a stream."""
    values = [value for event in split_events(heard.wire) if isinstance(value := json_of(event), dict)]
    return [value["error"] for value in values if value.get("error")]


def ends_in(heard: Heard) -> int:
    """How often a stream says that this was all, in the way of its dialect."""
    events = split_events(heard.wire)
    if heard.dialect == "chat":
        return sum(map(is_done, events))
    values = [value for event in events if isinstance(value := json_of(event), dict)]
    if heard.dialect == "gemini":
        candidates = [one for value in values for one in value.get("candidates") or ()]
        return sum(bool(one.get("finishReason")) for one in candidates)
    last = {"message_stop", "response.completed", "response.incomplete"}
    return sum(value.get("type") in last for value in values)


def is_final(verdict: Verdict) -> bool:
    """Whether no fallback is asked."""
    return isinstance(verdict, Final | Answered | Breaks)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True

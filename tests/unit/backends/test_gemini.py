"""The Gemini API: where calls go, with which key, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.recordings import Recording, load, parameters

from backends.gemini import Gemini
from backends.host import Host
from gateway.errors import (
    BadRequest,
    ContextTooLong,
    Failed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    UnknownModel,
    UpstreamError,
)
from gateway.exchange import Call, Caller, Credential, Envelope, Format
from gateway.formats.envelope import decode_members

PLACE = "https://generativelanguage.googleapis.com"
KEY = Credential("c", "key-1")
BODY = {"contents": [{"parts": [{"text": "Hi"}]}]}
BACKEND = Gemini("g", Host(PLACE))


def call(format_: Format = "gemini", body: Any = BODY, *, stream: bool = False) -> Call:
    members = decode_members(json.dumps({**body, "model": "fast", "stream": stream}).encode())
    return Call(format_, Caller("t", "k"), Envelope("fast", stream=stream), members, {})


@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize(
    ("stream", "method"), [(False, ":generateContent"), (True, ":streamGenerateContent?alt=sse")]
)
def test_the_url_says_the_model_and_whether_to_stream(stream: bool, method: str, translated: bool) -> None:
    sent = call(stream=stream)
    if translated:
        sent = Call("gemini", sent.caller, sent.envelope, BODY, {})
    request = BACKEND.prepare(sent, "gemini-3-pro", KEY)
    assert request.url == f"{PLACE}/v1beta/models/gemini-3-pro{method}"
    assert json.loads(request.body) == BODY
    assert request.headers["x-goog-api-key"] == "key-1"
    assert "authorization" not in request.headers
    assert (request.headers["accept-encoding"] == "identity") is stream


@pytest.mark.parametrize("written", ["", "/", "/v1beta", "/v1beta/"])
def test_the_place_may_be_written_with_its_version(written: str) -> None:
    backend = Gemini("g", Host(PLACE + written.rstrip("/") if written == "/v1beta/" else PLACE + written))
    assert backend.place_of("m") == f"{PLACE}/v1beta/models/m"


def test_a_count_and_vectors_name_the_model_inside() -> None:
    wrapped = {"generateContentRequest": {**BODY, "model": "models/other"}}
    counted = BACKEND.prepare(call("gemini_count", wrapped), "m", KEY)
    assert counted.url.endswith("/models/m:countTokens")
    assert json.loads(counted.body) == {"generateContentRequest": {**BODY, "model": "models/m"}}
    texts = {"requests": [{"content": {"parts": [{"text": "a"}]}}]}
    embedded = BACKEND.prepare(call("gemini_embeddings", texts), "m", KEY)
    assert embedded.url.endswith("/models/m:batchEmbedContents")
    assert json.loads(embedded.body)["requests"][0]["model"] == "models/m"
    plain = Call("gemini_embeddings", Caller("t", "k"), Envelope("m"), texts, {})
    assert json.loads(BACKEND.prepare(plain, "m", KEY).body) == json.loads(embedded.body)


def thinking(budget: int) -> dict[str, Any]:
    return {**BODY, "generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}


@pytest.mark.parametrize("format_", ["gemini", "gemini_count"])
def test_a_translated_call_thinks_in_the_words_of_its_model(format_: Format) -> None:
    body = {"generateContentRequest": thinking(0)} if format_ == "gemini_count" else thinking(0)
    translated = Call(format_, Caller("t", "k"), Envelope("m"), body, {}, translated=True)
    sent = json.loads(BACKEND.prepare(translated, "gemini-3-flash", KEY).body)
    asked = sent["generateContentRequest"] if format_ == "gemini_count" else sent
    assert asked["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}


def test_a_clients_own_words_for_thinking_stay() -> None:
    sent = BACKEND.prepare(call(body=thinking(0)), "gemini-3-flash", KEY)
    assert json.loads(sent.body) == thinking(0)


@pytest.mark.parametrize("format_", ["gemini_count", "gemini_embeddings"])
def test_what_is_no_request_is_turned_away(format_: Format) -> None:
    with pytest.raises(BadRequest):
        BACKEND.prepare(call(format_, {"requests": 5, "generateContentRequest": 5}), "m", KEY)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/m", "/v1beta/models/m"),
        ("tunedModels/t", "/v1beta/tunedModels/t"),
        ("a?b#c d", "/v1beta/models/a%3Fb%23c%20d"),
        ("a%2fb:x", "/v1beta/models/a%252fb%3Ax"),
    ],
)
def test_a_models_name_stays_within_its_place(model: str, path: str) -> None:
    assert BACKEND.place_of(model) == PLACE + path


@pytest.mark.parametrize("model", ["..", ".", "models/..", "tunedModels/../x", "a//b"])
def test_a_name_that_leads_elsewhere_is_turned_away(model: str) -> None:
    with pytest.raises(BadRequest):
        BACKEND.place_of(model)


def test_all_formats_are_spoken_unless_the_host_says_otherwise() -> None:
    assert BACKEND.speaks("m") == ("gemini", "gemini_count", "gemini_embeddings")
    assert Gemini("g", Host(PLACE, ("gemini",))).speaks("m") == ("gemini",)


def error(code: int, status: str, message: str, *details: Any) -> bytes:
    return json.dumps(
        {"error": {"code": code, "message": message, "status": status, "details": details}}
    ).encode()


INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateContentPaidTierInputTokensPerModelPerMinute"}]}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(400, "INVALID_ARGUMENT", "API key not valid.", INVALID_KEY), Refused),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            ContextTooLong,
        ),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                "The input token count exceeds the maximum number of tokens allowed 8.",
            ),
            ContextTooLong,
        ),
        (400, error(400, "INVALID_ARGUMENT", 'Unknown name "x"'), Rejected),
        (400, error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Refused),
        (400, error(400, "FAILED_PRECONDITION", "Please enable billing on project 1"), QuotaSpent),
        (
            400,
            error(400, "FAILED_PRECONDITION", "Publisher Model x is not servable in region y"),
            UnknownModel,
        ),
        (403, error(403, "PERMISSION_DENIED", "denied"), Refused),
        (404, error(404, "NOT_FOUND", "models/x is not found for API version v1beta"), UnknownModel),
        (429, error(429, "RESOURCE_EXHAUSTED", "quota", PER_MINUTE), RateLimited),
        (429, error(429, "RESOURCE_EXHAUSTED", "quota", PER_DAY), QuotaSpent),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: m, limit: 0, model: x"),
            QuotaSpent,
        ),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric: m, limit: 20, model: x"),
            RateLimited,
        ),
        (500, error(500, "INTERNAL", "oops"), Failed),
        (503, error(503, "UNAVAILABLE", "The model is overloaded."), Overloaded),
        (504, error(504, "DEADLINE_EXCEEDED", "late"), TimedOut),
    ],
)
def test_what_an_error_means(status: int, body: bytes, kind: type[UpstreamError]) -> None:
    assert type(BACKEND.classify(status, [], body)) is kind


@pytest.mark.wire
@pytest.mark.parametrize(
    "recording", parameters(each for each in load("gemini.generate", "gemini.embed") if each.status != 200)
)
def test_a_recorded_error_is_understood(recording: Recording) -> None:
    told = BACKEND.classify(recording.status, [], recording.body)
    kinds = {400: (Refused, Rejected), 404: UnknownModel, 429: RateLimited}
    assert isinstance(told, kinds[recording.status])
    assert told.message == json.loads(recording.body)["error"]["message"]

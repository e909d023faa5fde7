"""Gemini on Vertex AI: a project's paths, and tokens."""

from __future__ import annotations

import json

import pytest

from backends.host import Host
from backends.vertex import Vertex
from gateway.errors import BadRequest, UnknownModel
from gateway.exchange import Call, Caller, Credential, Envelope, Format
from gateway.formats.envelope import decode_members

PLACE = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
BODY = {"contents": [{"parts": [{"text": "Hi"}]}], "labels": {"a": "b"}}
BACKEND = Vertex("v", Host(PLACE + "/"))
TOKEN = Credential("c", "tok")


def call(format_: Format = "gemini", body: object = BODY, *, stream: bool = False) -> Call:
    members = decode_members(json.dumps(body).encode())
    return Call(format_, Caller("t", "k"), Envelope("fast", stream=stream), members, {})


@pytest.mark.parametrize(
    ("stream", "method"), [(False, ":generateContent"), (True, ":streamGenerateContent?alt=sse")]
)
def test_a_call_goes_to_the_projects_model_with_a_token(stream: bool, method: str) -> None:
    request = BACKEND.prepare(call(stream=stream), "gemini-3-pro", TOKEN)
    assert request.url == f"{PLACE}/publishers/google/models/gemini-3-pro{method}"
    assert json.loads(request.body) == BODY
    assert request.headers["authorization"] == "Bearer tok"
    assert "x-goog-api-key" not in request.headers


@pytest.mark.parametrize("body", [BODY, {"generateContentRequest": {**BODY, "model": "models/x"}}])
def test_what_is_counted_is_not_wrapped(body: object) -> None:
    request = BACKEND.prepare(call("gemini_count", body), "m", TOKEN)
    assert request.url == f"{PLACE}/publishers/google/models/m:countTokens"
    assert json.loads(request.body) == {"contents": BODY["contents"]}


TOOL_USE = {
    "contents": [
        {"role": "model", "parts": [{"functionCall": {"id": "toolu_1", "name": "f", "args": {"id": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "toolu_1", "name": "f", "response": {}}}]},
    ]
}


@pytest.mark.parametrize(
    ("model", "keeps"), [("gemini-2.5-pro", False), ("gemini-3-pro", True), ("gemini-flash-latest", True)]
)
@pytest.mark.parametrize("format_", ["gemini", "gemini_count"])
def test_older_models_are_shown_no_ids_of_calls(format_: Format, model: str, keeps: bool) -> None:
    wrapped = {"generateContentRequest": TOOL_USE} if format_ == "gemini_count" else TOOL_USE
    translated = Call(format_, Caller("t", "k"), Envelope("fast"), wrapped, {}, translated=True)
    sent = json.loads(BACKEND.prepare(translated, model, TOKEN).body)
    asked, answered = (content["parts"][0] for content in sent["contents"])
    given = {"id": "toolu_1"} if keeps else {}
    assert asked == {"functionCall": {**given, "name": "f", "args": {"id": 1}}}
    assert answered == {"functionResponse": {**given, "name": "f", "response": {}}}


def test_the_ids_in_a_clients_own_request_stay() -> None:
    assert json.loads(BACKEND.prepare(call(body=TOOL_USE), "gemini-2.5-pro", TOKEN).body) == TOOL_USE


def test_a_name_that_leads_elsewhere_is_turned_away() -> None:
    with pytest.raises(BadRequest):
        BACKEND.prepare(call(), "../x", TOKEN)


def test_it_speaks_what_it_can() -> None:
    assert BACKEND.speaks("m") == ("gemini", "gemini_count")


def test_errors_are_googles() -> None:
    body = json.dumps(
        {"error": {"code": 404, "message": "Publisher Model x was not found", "status": "NOT_FOUND"}}
    )
    assert isinstance(BACKEND.classify(404, [], body.encode()), UnknownModel)

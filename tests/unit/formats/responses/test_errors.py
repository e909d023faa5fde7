"""Errors of the Responses API as OpenAI writes them, read by its SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from gateway.errors import (
    BadRequest,
    Bug,
    Failed,
    Forbidden,
    GatewayError,
    Overloaded,
    RateLimited,
    Rejected,
    TimedOut,
    Unauthenticated,
    UnknownRoute,
)
from gateway.formats.responses.errors import encode_error, encode_error_event

CASES: list[tuple[GatewayError, type[openai.APIStatusError]]] = [
    (BadRequest("no", param="input", code="invalid_type"), openai.BadRequestError),
    (Unauthenticated("no"), openai.AuthenticationError),
    (Forbidden("no"), openai.PermissionDeniedError),
    (UnknownRoute("no", param="model"), openai.NotFoundError),
    (Rejected("no", status=422), openai.UnprocessableEntityError),
    (RateLimited("no"), openai.RateLimitError),
    (Bug("no"), openai.InternalServerError),
    (Overloaded("no"), openai.InternalServerError),
    (TimedOut("no"), openai.InternalServerError),
]


def ask(status: int, body: bytes, content_type: str, *, stream: bool = False) -> Any:
    """Let OpenAI's SDK read an answer."""
    headers = {"content-type": content_type, "x-request-id": "call_1"}
    answer = httpx2.Response(status, headers=headers, content=body)
    transport = httpx2.MockTransport(lambda _: answer)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0) as client,
    ):
        answered: Any = client.responses.create(model="m", input="hi", stream=stream)
        return list(answered) if stream else answered


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "raised"), CASES)
def test_the_sdk_raises_the_class_that_fits(
    error: GatewayError, raised: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(raised) as caught:
        ask(error.status, encode_error(error), "application/json", stream=stream)
    assert caught.value.request_id == "call_1"
    assert (caught.value.code, caught.value.param, caught.value.type) == (error.code, error.param, error.kind)
    assert "no" in caught.value.message


@pytest.mark.parametrize(("error", "_raised"), CASES)
def test_the_sdk_raises_an_error_that_comes_inside_a_stream(error: GatewayError, _raised: object) -> None:
    event = encode_error_event(error, 7)
    with pytest.raises(openai.APIError, match="no") as caught:
        ask(200, event, "text/event-stream", stream=True)
    told = {"code": error.code, "message": "no", "param": error.param}
    assert caught.value.body == {"type": error.kind, **told}
    whole = json.loads(event.partition(b"data: ")[2])
    assert whole == {"type": "error", **told, "error": caught.value.body, "sequence_number": 7}


def test_an_error_event_is_one_event_and_looks_like_no_end() -> None:
    event = encode_error_event(Failed("it broke\n\nhere"))
    assert event.startswith(b"event: error\ndata: {")
    assert event.count(b"\n") == 3
    assert event.endswith(b"}\n\n")
    assert b"completed" not in event
    assert b"[DONE]" not in event
    assert json.loads(event.partition(b"data: ")[2])["sequence_number"] == 0


@pytest.mark.parametrize(
    ("body", "is_passed"),
    [
        (b'{ "error" : { "message":"no", "code": 7 } , "also": 1 }', True),
        (b'{"type": "error", "code": "x", "message": "no"}', False),
        (b'{"error": "text"}', False),
    ],
)
def test_a_body_in_openais_shape_is_passed_on_byte_for_byte(body: bytes, is_passed: bool) -> None:
    error = Rejected("read from the body")
    error.raw = body
    told = encode_error(error)
    assert (told == body) is is_passed
    assert json.loads(told)["error"]["message"] == ("no" if is_passed else "read from the body")

"""Errors as Anthropic writes them, read by its SDK."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest

from gateway.errors import (
    BadRequest,
    Bug,
    Failed,
    Forbidden,
    GatewayError,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    TimedOut,
    TooLarge,
    Unauthenticated,
    UnknownRoute,
    Unsupported,
)
from gateway.formats.messages.errors import encode_error, encode_error_event, is_native

CASES: list[tuple[GatewayError, str, type[anthropic.APIStatusError]]] = [
    (BadRequest("no"), "invalid_request_error", anthropic.BadRequestError),
    (Unauthenticated("no"), "authentication_error", anthropic.AuthenticationError),
    (QuotaSpent("no", status=402), "billing_error", anthropic.APIStatusError),
    (Forbidden("no"), "permission_error", anthropic.PermissionDeniedError),
    (UnknownRoute("no"), "not_found_error", anthropic.NotFoundError),
    (TooLarge("no", status=413), "request_too_large", anthropic.APIStatusError),
    (Rejected("no", status=422), "invalid_request_error", anthropic.UnprocessableEntityError),
    (RateLimited("no"), "rate_limit_error", anthropic.RateLimitError),
    (Bug("no"), "api_error", anthropic.InternalServerError),
    (Failed("no"), "api_error", anthropic.InternalServerError),
    (Overloaded("no"), "overloaded_error", anthropic.InternalServerError),
    (Overloaded("no", status=529), "overloaded_error", anthropic.InternalServerError),
    (TimedOut("no"), "timeout_error", anthropic.InternalServerError),
]


def ask(status: int, body: bytes, content_type: str, *, stream: bool = False) -> Any:
    """Let Anthropic's SDK read an answer."""
    headers = {"content-type": content_type, "request-id": "call_1"}
    answer = httpx2.Response(status, headers=headers, content=body)
    transport = httpx2.MockTransport(lambda _: answer)
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(
            api_key="k", base_url="http://gateway", http_client=http, max_retries=0
        ) as client,
    ):
        question = [{"role": "user", "content": "hi"}]
        answered: Any = client.messages.create(model="m", max_tokens=1, messages=question, stream=stream)
        return list(answered) if stream else answered


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "type_", "raised"), CASES)
def test_the_sdk_raises_the_class_that_fits(
    error: GatewayError, type_: str, raised: type[anthropic.APIStatusError], stream: bool
) -> None:
    body = encode_error(error)
    assert json.loads(body) == {"type": "error", "error": {"type": type_, "message": "no"}}
    with pytest.raises(raised) as caught:
        ask(error.status, body, "application/json", stream=stream)
    assert caught.value.status_code == error.status
    assert caught.value.request_id == "call_1"
    assert (caught.value.type, caught.value.api_message) == (type_, "no")


@pytest.mark.parametrize(("error", "type_", "raised"), CASES)
def test_the_sdk_raises_an_error_that_comes_inside_a_stream(
    error: GatewayError, type_: str, raised: type[anthropic.APIStatusError]
) -> None:
    begin = b'event: ping\ndata: {"type": "ping"}\n\n'
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(200, begin + encode_error_event(error), "text/event-stream", stream=True)
    assert caught.value.request_id == "call_1"
    assert (caught.value.type, caught.value.api_message) == (type_, "no")
    assert issubclass(raised, anthropic.APIStatusError)


def test_an_error_event_is_one_event_and_says_no_stop() -> None:
    event = encode_error_event(Failed("it broke\n\nhere"))
    assert event.startswith(b"event: error\ndata: {")
    assert event.count(b"\n") == 3
    assert event.endswith(b"}\n\n")
    assert b"message_stop" not in event
    assert json.loads(event.partition(b"data: ")[2])["error"]["message"] == "it broke\n\nhere"


@pytest.mark.parametrize(
    ("message", "param", "told"),
    [
        ("must be a string", "model", "model: must be a string"),
        ("model must be a string", "model", "model must be a string"),
        ("must be a string", None, "must be a string"),
    ],
)
def test_the_field_at_fault_is_named_in_the_message(message: str, param: str | None, told: str) -> None:
    assert json.loads(encode_error(BadRequest(message, param=param)))["error"]["message"] == told


def refused(body: bytes) -> GatewayError:
    error = Rejected("read from the body")
    error.raw = body
    return error


def test_a_body_in_anthropics_shape_is_passed_on_byte_for_byte() -> None:
    body = (
        b'{ "type":"error", "error" : { "type":"x", "message":"no", "more": [1] } , "request_id": "req_1" }'
    )
    assert encode_error(refused(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"type": "error", "error": "text"}',
        b'{"type": "error", "error": {"type": "x", "message": 5}}',
        b'{"error": {"type": "x", "message": "no"}}',
        b'{"type": "other", "error": {"type": "x", "message": "no"}}',
        b'{"type": "error", "error": {"type": "x", "message": "\xff"}}',
        b"[" * 100_000,
        b"[]",
    ],
)
def test_a_body_in_another_shape_becomes_anthropics(body: bytes) -> None:
    assert not is_native(body)
    assert json.loads(encode_error(refused(body)))["error"]["message"] == "read from the body"


def test_a_thread_that_nobody_keeps_is_refused_in_the_words_that_sdks_act_on() -> None:
    body = json.loads(encode_error(Unsupported("thread cannot be kept", param="thread")))
    assert body["error"]["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert "details" not in json.loads(encode_error(Unsupported("no", param="tools[0]")))["error"]

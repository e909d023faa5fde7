"""Errors as Google writes them, read by its SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

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
    TooLarge,
    Unauthenticated,
    UnknownRoute,
)
from gateway.formats.gemini.errors import encode_error, encode_error_event, is_native

CASES: list[tuple[GatewayError, str, type[errors.APIError]]] = [
    (BadRequest("no"), "INVALID_ARGUMENT", errors.ClientError),
    (Unauthenticated("no"), "UNAUTHENTICATED", errors.ClientError),
    (Forbidden("no"), "PERMISSION_DENIED", errors.ClientError),
    (UnknownRoute("no"), "NOT_FOUND", errors.ClientError),
    (TooLarge("no", status=413), "INVALID_ARGUMENT", errors.ClientError),
    (RateLimited("no"), "RESOURCE_EXHAUSTED", errors.ClientError),
    (Bug("no"), "INTERNAL", errors.ServerError),
    (Failed("no"), "UNAVAILABLE", errors.ServerError),
    (Overloaded("no"), "UNAVAILABLE", errors.ServerError),
    (TimedOut("no"), "DEADLINE_EXCEEDED", errors.ServerError),
]


def ask(status: int, body: bytes, content_type: str, *, stream: bool = False) -> Any:
    """Let Google's SDK read an answer."""
    headers = {"content-type": content_type, "x-request-id": "call_1"}
    answer = httpx.Response(status, headers=headers, content=body)
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as http:
        options = types.HttpOptions(base_url="http://gateway", httpx_client=http)
        models = genai.Client(api_key="k", http_options=options).models
        if stream:
            return list(models.generate_content_stream(model="m", contents="hi"))
        return models.generate_content(model="m", contents="hi")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "raised"), CASES)
def test_the_sdk_raises_the_class_that_fits(
    error: GatewayError, status: str, raised: type[errors.APIError], stream: bool
) -> None:
    with pytest.raises(raised) as caught:
        ask(error.status, encode_error(error), "application/json", stream=stream)
    assert (caught.value.code, caught.value.status, caught.value.message) == (error.status, status, "no")
    assert caught.value.response.headers["x-request-id"] == "call_1"


@pytest.mark.parametrize(("error", "status", "raised"), CASES)
def test_the_sdk_raises_an_error_that_comes_inside_a_stream(
    error: GatewayError, status: str, raised: type[errors.APIError]
) -> None:
    begin = b'data: {"candidates": [{"content": {"parts": [{"text": "hi"}]}}]}\r\n\r\n'
    with pytest.raises(raised) as caught:
        ask(200, begin + encode_error_event(error), "text/event-stream", stream=True)
    assert (caught.value.code, caught.value.status, caught.value.message) == (error.status, status, "no")


def test_an_error_event_is_one_event_with_googles_line_ends() -> None:
    event = encode_error_event(Failed("it broke\n\nhere"))
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}\r\n\r\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:])["error"]["message"] == "it broke\n\nhere"


def test_the_details_say_the_cause_the_field_and_the_wait() -> None:
    error = RateLimited("slow", param="contents", retry_after_s=1.5)
    assert json.loads(encode_error(error))["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "UPSTREAM_RATE_LIMITED",
            "domain": "forebay",
        },
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents", "description": "slow"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"},
    ]


def refused(body: bytes) -> GatewayError:
    error = Rejected("read from the body")
    error.raw = body
    return error


def test_a_body_in_googles_shape_is_passed_on_byte_for_byte() -> None:
    body = b'{ "error" : { "code": 400, "message":"no", "status": "INVALID_ARGUMENT", "more": [1] } }\n'
    assert encode_error(refused(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"error": {"message": "no", "code": 401}}',
        b'{"error": {"message": "no", "code": "invalid", "status": "x"}}',
        b'[{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]',
        b'{"error": {"code": 400, "message": "\xff", "status": "INVALID_ARGUMENT"}}',
        b"[" * 100_000,
    ],
)
def test_a_body_in_another_shape_becomes_googles(body: bytes) -> None:
    assert not is_native(body)
    assert json.loads(encode_error(refused(body)))["error"]["message"] == "read from the body"

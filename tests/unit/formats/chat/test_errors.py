"""Errors as OpenAI writes them, and as everybody else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import (
    BadRequest,
    Bug,
    Failed,
    GatewayError,
    MethodNotAllowed,
    Overloaded,
    Rejected,
    Unauthenticated,
)
from gateway.formats.chat.errors import (
    decode_error_message,
    encode_error,
    encode_error_event,
    error_reply,
    is_native,
)

SHAPES: dict[str, tuple[Any, str]] = {
    "openai": ({"error": {"message": "no", "type": "t", "param": None, "code": None}}, "no"),
    "azure": ({"error": {"code": "429", "message": "slow down", "innererror": {"code": "x"}}}, "slow down"),
    "anthropic": ({"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}, "model: x"),
    "gemini": ([{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}], "bad"),
    "xai": ({"code": "Client error", "error": "Incorrect API key"}, "Incorrect API key"),
    "ollama": ({"error": "model 'x' not found"}, "model 'x' not found"),
    "voyage": ({"detail": "Provided API key is invalid."}, "Provided API key is invalid."),
    "cohere": ({"id": "9f", "message": "invalid request"}, "invalid request"),
    "bedrock": ({"message": "The security token is invalid."}, "The security token is invalid."),
    "mistral": ({"object": "error", "message": {"detail": [{"msg": "field"}]}, "detail": "422"}, "422"),
    "sglang": (
        {"object": "error", "message": "too long", "type": "BadRequest", "param": None, "code": 400},
        "too long",
    ),
    "sglang 401": ({"error": "Unauthorized"}, "Unauthorized"),
    "sglang 404": ({"detail": "Not Found"}, "Not Found"),
    "fastapi": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
    "list": ({"error": {"message": ["a", "b"]}, "message": "c"}, '["a", "b"]'),
    "empty first": ({"error": {}, "message": "", "detail": "here"}, "here"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_message_is_found_in_every_shape(shape: str) -> None:
    body, message = SHAPES[shape]
    found = decode_error_message(json.dumps(body).encode(), 400)
    assert message in found
    assert found == message or shape in {"fastapi", "list"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"{",
        b'"text"',
        b"12",
        b"[1]",
        b'{"error": "\xff"}',
        b'{"error": {"message": "\xff"}}',
        b'{"error": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_cannot_be_read_is_said_to_be_so(body: bytes) -> None:
    assert decode_error_message(body, 502) == "the upstream answered 502 without a readable error"


@pytest.mark.parametrize("body", [{}, [], {"error": None}, {"error": ""}, {"error": {"message": None}}, [{}]])
def test_a_message_is_never_empty(body: Any) -> None:
    assert decode_error_message(json.dumps(body).encode(), 500) == "the upstream answered 500"


def test_a_message_is_never_a_book() -> None:
    assert len(decode_error_message(json.dumps({"error": "x" * 100_000}).encode(), 400)) == 2000


def test_an_error_of_ours_has_openais_members() -> None:
    error = BadRequest("model must be a string", param="model", code="invalid_type")
    assert json.loads(encode_error(error)) == {
        "error": {
            "message": "model must be a string",
            "type": "invalid_request_error",
            "param": "model",
            "code": "invalid_type",
        }
    }


def upstream_error(body: bytes, error: GatewayError | None = None) -> Any:
    made = error or Rejected("read from the body")
    made.raw = body
    return made


def test_a_body_in_openais_shape_is_passed_on_byte_for_byte() -> None:
    body = b'{ "error" : { "message":"no", "code": 7, "extra": [1] } , "also": 1 }'
    assert encode_error(upstream_error(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"error": "text"}',
        b'{"error": {"message": 5}}',
        b'{"message": "m"}',
        b'{"error": {}}',
        b"[]",
    ],
)
def test_a_body_in_another_shape_becomes_openais(body: bytes) -> None:
    assert not is_native(body)
    assert json.loads(encode_error(upstream_error(body)))["error"]["message"] == "read from the body"


def test_an_error_event_is_one_event_without_done() -> None:
    event = encode_error_event(Failed("it broke\n\nhere"))
    assert event.startswith(b"data: {")
    assert event.count(b"\n") == 2
    assert b"[DONE]" not in event
    assert json.loads(event[6:])["error"] == {
        "message": "it broke\n\nhere",
        "type": "upstream_error",
        "param": None,
        "code": "upstream_failed",
    }


def headers_of(error: GatewayError) -> dict[bytes, bytes]:
    lines = error_reply(error, "call_1").headers
    assert len(dict(lines)) == len(lines)
    return dict(lines)


def test_a_reply_says_which_call_and_whose_fault() -> None:
    assert headers_of(Unauthenticated("who are you?")) == {
        b"x-forebay-call-id": b"call_1",
        b"x-forebay-error-source": b"client",
        b"content-type": b"application/json",
        b"x-request-id": b"call_1",
    }
    assert headers_of(Bug("x"))[b"x-forebay-error-source"] == b"gateway"
    assert error_reply(Unauthenticated("x"), "call_1").status == 401


def test_a_405_says_what_is_allowed() -> None:
    assert headers_of(MethodNotAllowed("POST only"))[b"allow"] == b"POST"


def test_a_wait_is_told_in_whole_seconds_rounded_up() -> None:
    assert headers_of(Overloaded("full", retry_after_s=0.25))[b"retry-after"] == b"1"
    assert headers_of(Overloaded("full", retry_after_s=0))[b"retry-after"] == b"0"
    assert b"retry-after" not in headers_of(Overloaded("full"))


def test_an_upstreams_own_headers_win_but_its_content_type() -> None:
    error = Overloaded("full", retry_after_s=7)
    error.headers = [
        (b"Content-Type", b"application/octet-stream"),
        (b"Retry-After", b"7"),
        (b"X-Request-Id", b"req_up"),
        (b"Set-Cookie", b"a=b"),
        (b"x-ratelimit-reset-tokens", b"6s"),
    ]
    told = headers_of(error)
    assert told[b"retry-after"] == b"7"
    assert told[b"x-request-id"] == b"req_up"
    assert told[b"content-type"] == b"application/json"
    assert told[b"x-upstream-ratelimit-reset-tokens"] == b"6s"
    assert b"set-cookie" not in told

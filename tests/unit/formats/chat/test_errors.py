"""Errors as OpenAI writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import (
    BadRequest,
    Failed,
    GatewayError,
    Rejected,
)
from gateway.formats.chat.errors import (
    encode_error,
    encode_error_event,
    is_native,
)


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

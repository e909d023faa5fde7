"""The reply that tells a client of an error: its headers, and the dialect of its body."""

from __future__ import annotations

import json
import re

import pytest

from gateway.errors import BadRequest, Bug, GatewayError, MethodNotAllowed, Overloaded, Unauthenticated
from gateway.exchange import Format
from gateway.formats.errors.reply import clean_reply, error_reply


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
        b"request-id": b"call_1",
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
        (b"Request-Id", b"req_up"),
        (b"Set-Cookie", b"a=b"),
        (b"x-ratelimit-reset-tokens", b"6s"),
    ]
    told = headers_of(error)
    assert told[b"retry-after"] == b"7"
    assert told[b"x-request-id"] == told[b"request-id"] == b"req_up"
    assert told[b"content-type"] == b"application/json"
    assert told[b"x-upstream-ratelimit-reset-tokens"] == b"6s"
    assert b"set-cookie" not in told


@pytest.mark.parametrize(
    ("format_", "members"),
    [
        ("chat", {"message", "type", "param", "code"}),
        ("responses", {"message", "type", "param", "code"}),
        ("embeddings", {"message", "type", "param", "code"}),
        ("messages", {"type", "message"}),
        ("count_tokens", {"type", "message"}),
        ("gemini", {"code", "message", "status", "details"}),
        ("gemini_count", {"code", "message", "status", "details"}),
    ],
)
def test_the_body_is_in_the_clients_dialect(format_: Format, members: set[str]) -> None:
    reply = error_reply(BadRequest("no"), "call_1", format_)
    assert isinstance(reply.body, bytes)
    told = json.loads(reply.body)["error"]
    assert set(told) == members
    assert told["message"] == "no"


def hexless(text: str) -> str:
    return re.sub("[0-9a-f]{24}|hunter2", "[secret]", text)


def test_the_id_of_the_call_stays_whatever_it_looks_like() -> None:
    call_id = "call_ba45eeb6b4f860e0fca3c776"
    reply = error_reply(BadRequest("no"), call_id)
    reply.headers.append((b"x-said", b"hunter2"))
    clean_reply(reply, hexless)
    told = dict(reply.headers)
    assert {told[name] for name in (b"x-forebay-call-id", b"x-request-id", b"request-id")} == {
        call_id.encode()
    }
    assert told[b"x-said"] == b"[secret]"


def test_the_id_that_an_upstream_gave_is_cleaned_as_all_that_it_says() -> None:
    error = Overloaded("full")
    error.headers = [(b"x-request-id", b"req_hunter2")]
    reply = error_reply(error, "call_1")
    clean_reply(reply, hexless)
    assert dict(reply.headers)[b"x-request-id"] == b"req_[secret]"

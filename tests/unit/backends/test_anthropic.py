"""Anthropic's own API: where calls go, with which key and version, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from backends.anthropic import Anthropic
from backends.host import Host
from gateway.errors import ContextTooLong, GatewayError, Overloaded, RateLimited, Refused, UnknownModel
from gateway.exchange import Call, Caller, Credential, Envelope, Format
from gateway.formats.envelope import decode_members
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.conversation import Conversation, Thinking, Turn
from gateway.formats.neutral.parts import Text

PLACE = "https://api.anthropic.com"
KEY = Credential("c", "sk-ant-1")
BODY = {"model": "fast", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
ASKED = Conversation((Turn("user", (Text("Hi"),)),), thinking=Thinking("high"))


def call(format_: Format = "messages", *, stream: bool = False, **headers: str) -> Call:
    members = decode_members(json.dumps({**BODY, "stream": stream}).encode())
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(format_, Caller("t", "k"), Envelope("fast", stream=stream), members, lines)


def translated(format_: Format = "messages") -> Call:
    return msgspec.structs.replace(call(format_), members=CODEC.encode_request(ASKED), translated=True)


BACKEND = Anthropic("a", Host(PLACE))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("format_", "path"), [("messages", "/v1/messages"), ("count_tokens", "/v1/messages/count_tokens")]
)
def test_a_call_goes_out_under_its_model(format_: Format, path: str, stream: bool) -> None:
    request = BACKEND.prepare(call(format_, stream=stream), "claude-sonnet-5", KEY)
    assert request.url == PLACE + path
    assert json.loads(request.body) == {**BODY, "stream": stream, "model": "claude-sonnet-5"}
    assert request.headers["x-api-key"] == "sk-ant-1"
    assert "authorization" not in request.headers
    assert (request.headers["accept-encoding"] == "identity") is stream


def test_both_formats_are_spoken_unless_the_host_says_otherwise() -> None:
    assert BACKEND.speaks("m") == ("messages", "count_tokens")
    assert Anthropic("a", Host(PLACE, ("messages",))).speaks("m") == ("messages",)


def test_a_token_is_shown_as_a_token() -> None:
    headers = BACKEND.prepare(call(), "m", Credential("c", "oat", kind="token")).headers
    assert headers["authorization"] == "Bearer oat"
    assert "x-api-key" not in headers


def test_the_version_is_the_clients_else_the_hosts_else_ours() -> None:
    assert BACKEND.prepare(call(), "m", KEY).headers["anthropic-version"] == "2023-06-01"
    own = Anthropic("a", Host(PLACE, headers={"anthropic-version": "2026-10-21"}))
    assert own.prepare(call(), "m", KEY).headers["anthropic-version"] == "2026-10-21"
    asked = call(anthropic_version="2026-10-21", anthropic_beta="b-1", cookie="c")
    headers = BACKEND.prepare(asked, "m", KEY).headers
    assert (headers["anthropic-version"], headers["anthropic-beta"]) == ("2026-10-21", "b-1")
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("claude-sonnet-5", {"type": "adaptive"}),
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 24576}),
    ],
)
def test_a_translated_call_thinks_in_the_words_of_its_model(model: str, thinking: dict[str, Any]) -> None:
    body = json.loads(BACKEND.prepare(translated(), model, KEY).body)
    assert body["thinking"] == thinking
    assert body["model"] == model
    assert ("output_config" in body) is (model == "claude-sonnet-5")


def test_a_clients_own_thinking_stays_as_it_is_even_where_its_turns_were_written_anew() -> None:
    own = msgspec.structs.replace(translated(), translated=False)
    body = json.loads(BACKEND.prepare(own, "claude-haiku-4-5", KEY).body)
    assert body["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-haiku-4-5", True),
        ("claude-sonnet-4-6", True),
        ("us.anthropic.claude-opus-4-6-v1", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5@20261001", False),
        ("kimi-k2", True),
    ],
)
def test_a_translated_call_does_not_ask_for_sampling_that_its_model_refuses(model: str, takes: bool) -> None:
    members = {"messages": [], "max_tokens": 9, "temperature": 0.2, "top_k": 5}
    asked = msgspec.structs.replace(call(), members=members, translated=True)
    request = BACKEND.prepare(asked, model, KEY)
    body = json.loads(request.body)
    assert ({"temperature", "top_k"} <= body.keys()) is takes
    assert ("temperature" in body) is takes
    assert request.dropped == (() if takes else ("temperature", "top_k"))


def test_a_clients_own_sampling_is_for_the_provider_to_refuse() -> None:
    asked = msgspec.structs.replace(call(), members={"temperature": msgspec.Raw(b"0.2")})
    assert json.loads(BACKEND.prepare(asked, "claude-sonnet-5", KEY).body)["temperature"] == 0.2


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum", ContextTooLong),
        (401, "authentication_error", "invalid x-api-key", Refused),
        (403, "permission_error", "No.", Refused),
        (404, "not_found_error", "model: claude-0", UnknownModel),
        (429, "rate_limit_error", "This request would exceed your rate limit.", RateLimited),
        (529, "overloaded_error", "Overloaded", Overloaded),
    ],
)
def test_what_an_error_means(status: int, code: str, message: str, kind: type[GatewayError]) -> None:
    body = json.dumps({"type": "error", "error": {"type": code, "message": message}}).encode()
    error = BACKEND.classify(status, [(b"retry-after", b"7")], body)
    assert type(error) is kind
    assert (error.status, error.message, error.retry_after_s, error.raw) == (status, message, 7.0, body)


ERRORS = [one for one in load("anthropic.messages", "anthropic.count_tokens") if one.status >= 400]


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(ERRORS))
def test_a_recorded_error_keeps_its_message(recording: Recording) -> None:
    error = BACKEND.classify(recording.status, [], recording.body)
    assert error.message == json.loads(recording.body)["error"]["message"]
    assert type(error) in {Refused, UnknownModel} or recording.status == 400

"""Bedrock's paths, its two ways to be authenticated at, and what its errors mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig import recordings
from rig.recordings import Recording, parameters
from unit.stand_ins import SECRET, call

from backends.bedrock import ACTIONS, Bedrock
from backends.host import Host
from gateway.config.providers import FACTS
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
from gateway.exchange import Credential, Format

PLACE = "https://bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn:aws:bedrock:us-east-1:123456789012"
BACKEND = Bedrock("b", Host(PLACE))
KEY = Credential("b#1", SECRET)
SIGNED = Credential("b", "")
MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]
ERRORS = [r for r in recordings.load("bedrock.converse", "bedrock.count_tokens") if r.status >= 400]


@pytest.mark.parametrize(
    ("format_", "stream", "action"),
    [
        ("converse", False, "converse"),
        ("converse", True, "converse-stream"),
        ("converse_count", False, "count-tokens"),
        ("titan_embeddings", False, "invoke"),
        ("cohere_embeddings", False, "invoke"),
    ],
)
def test_each_format_has_its_path(format_: Format, stream: bool, action: str) -> None:
    request = BACKEND.prepare(call(format_, stream=stream), "amazon.nova-lite-v1:0", KEY)
    assert request.url == f"{PLACE}/model/amazon.nova-lite-v1%3A0/{action}"
    assert request.method == "POST"


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("meta.llama3-8b", "meta.llama3-8b"),
        ("a:0", "a%3A0"),
        ("arn:aws:bedrock:x:1:inference-profile/a", "arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fa"),
        ("a?b#c d%", "a%3Fb%23c%20d%25"),
    ],
)
def test_a_models_name_stays_within_its_place_in_the_path(model: str, written: str) -> None:
    assert BACKEND.url(call("converse"), model) == f"{PLACE}/model/{written}/converse"


@pytest.mark.parametrize("model", [".", ".."])
def test_a_name_of_dots_does_not_climb(model: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        BACKEND.prepare(call("converse"), model, KEY)
    assert refusal.value.param == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_path_says_is_not_in_the_body(stream: bool) -> None:
    request = BACKEND.prepare(call("converse", stream=stream, messages=MESSAGES), "m", KEY)
    assert json.loads(request.body) == {"messages": MESSAGES}
    assert request.headers["accept-encoding"] == ("identity" if stream else "gzip, deflate, br, zstd")
    assert request.headers["content-type"] == "application/json"


def test_an_api_key_is_shown_and_a_signature_left_to_the_signer() -> None:
    assert BACKEND.prepare(call("converse"), "m", KEY).headers["authorization"] == f"Bearer {SECRET}"
    assert "authorization" not in BACKEND.prepare(call("converse"), "m", SIGNED).headers


def test_it_speaks_what_it_is_configured_to_else_all() -> None:
    assert BACKEND.speaks("m") == tuple(ACTIONS)
    assert Bedrock("b", Host(PLACE, ("converse",))).speaks("m") == ("converse",)


@pytest.mark.parametrize(
    ("model", "formats"),
    [
        ("amazon.titan-embed-text-v2:0", ("titan_embeddings",)),
        ("us.cohere.embed-v4:0", ("cohere_embeddings",)),
        (f"{ARN}:foundation-model/cohere.embed-english-v3", ("cohere_embeddings",)),
        ("us.anthropic.claude-sonnet-4-6", ("converse", "converse_count")),
        (f"{ARN}:application-inference-profile/abc", tuple(ACTIONS)),
    ],
)
@pytest.mark.parametrize("host", [Host(PLACE), Host(PLACE, FACTS["bedrock"].formats)])
def test_a_model_speaks_its_own_formats_only(host: Host, model: str, formats: tuple[Format, ...]) -> None:
    assert Bedrock("b", host).speaks(model) == formats


def test_a_model_that_embeds_is_of_no_use_where_only_converse_is_spoken() -> None:
    assert Bedrock("b", Host(PLACE, ("converse",))).speaks("cohere.embed-english-v3") == ()


ADAPTIVE = {
    "messages": MESSAGES,
    "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
    "outputConfig": {"effort": "high"},
}


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("openai.gpt-oss-120b-1:0", {"additionalModelRequestFields": {"reasoning_effort": "high"}}),
        ("meta.llama3-3-70b-instruct-v1:0", {}),
    ],
)
def test_a_translated_call_is_fitted_to_its_model(model: str, written: dict[str, Any]) -> None:
    sent = msgspec.structs.replace(call("converse"), members=ADAPTIVE, translated=True)
    request = BACKEND.prepare(sent, model, KEY)
    assert json.loads(request.body) == {"messages": MESSAGES, **written}
    assert request.dropped == (() if written else ("thinking",))


@pytest.mark.parametrize(
    ("model", "asked", "written"),
    [
        ("cohere.embed-v4:0", "START", "LEFT"),
        ("us.cohere.embed-v4:0", "END", "RIGHT"),
        ("cohere.embed-v4:0", "NONE", "NONE"),
        ("cohere.embed-english-v3", "END", "END"),
    ],
)
def test_where_a_text_is_cut_is_said_in_the_words_of_the_model(model: str, asked: str, written: str) -> None:
    members = {"texts": ["a"], "truncate": asked}
    sent = msgspec.structs.replace(call("cohere_embeddings"), members=members, translated=True)
    assert json.loads(BACKEND.prepare(sent, model, KEY).body) == {"texts": ["a"], "truncate": written}
    itself = msgspec.structs.replace(sent, translated=False)
    assert json.loads(BACKEND.prepare(itself, model, KEY).body)["truncate"] == asked


def test_what_a_client_wrote_itself_is_not_touched() -> None:
    sent = msgspec.structs.replace(call("converse"), members=ADAPTIVE)
    assert json.loads(BACKEND.prepare(sent, "meta.llama3-3-70b-instruct-v1:0", KEY).body) == ADAPTIVE


def test_a_count_is_asked_for_in_the_models_words_and_without_an_effort() -> None:
    members = {"input": {"converse": ADAPTIVE}}
    sent = msgspec.structs.replace(call("converse_count"), members=members)
    written = json.loads(BACKEND.prepare(sent, "anthropic.claude-sonnet-4-5-20250929-v1:0", KEY).body)
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 24576}}
    assert written == {
        "input": {"converse": {"messages": MESSAGES, "additionalModelRequestFields": thinking}}
    }


TOO_LONG = "Input is too long for requested model."
MEANINGS: list[tuple[int, str, str, type[UpstreamError]]] = [
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", RateLimited),
    (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimited),
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", QuotaSpent),
    (400, "ServiceQuotaExceededException", "Your request exceeds the service quota", QuotaSpent),
    (429, "ModelNotReadyException", "The model is not ready to serve inference requests.", Overloaded),
    (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", Overloaded),
    (408, "ModelTimeoutException", "Processing time exceeded the model timeout length.", TimedOut),
    (424, "ModelErrorException", "The system encountered an unexpected error.", Failed),
    (500, "InternalServerException", "An internal server error occurred.", Failed),
    (400, "ValidationException", TOO_LONG, ContextTooLong),
    (400, "ValidationException", "prompt is too long: 200001 tokens > 200000 maximum", ContextTooLong),
    (400, "ValidationException", "Too many input tokens. Max input tokens: 8192", ContextTooLong),
    (400, "ValidationException", "#/texts/0: expected maxLength: 2048, actual: 3000", ContextTooLong),
    (400, "ValidationException", "The provided model identifier is invalid.", UnknownModel),
    (
        400,
        "ValidationException",
        "Invocation of model ID x with on-demand throughput isn\u2019t supported.",
        UnknownModel,
    ),
    (400, "ValidationException", "This action doesn't support the model that you provided.", UnknownModel),
    (400, "ValidationException", "Operation not allowed", Refused),
    (400, "ValidationException", "The text field in the ContentBlock object is blank.", Rejected),
    (404, "ResourceNotFoundException", "This model version has reached the end of its life.", UnknownModel),
    (
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
        UnknownModel,
    ),
    (403, "AccessDeniedException", "User: x is not authorized to perform: bedrock:InvokeModel", Refused),
    (403, "ExpiredTokenException", "The security token included in the request is expired", Refused),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.", Refused),
    (403, "InvalidSignatureException", "Signature expired: 20261121T000000Z is now earlier than", Refused),
    (400, "IncompleteSignatureException", "Authorization header requires 'Signature' parameter.", Refused),
]


@pytest.mark.parametrize(("status", "name", "message", "kind"), MEANINGS)
def test_an_exception_means_what_its_name_and_message_say(
    status: int, name: str, message: str, kind: type[UpstreamError]
) -> None:
    line = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/".encode()
    body: dict[str, Any] = {"message": message}
    error = BACKEND.classify(status, [(b"x-amzn-ErrorType", line)], json.dumps(body).encode())
    assert type(error) is kind
    assert (error.status, error.message) == (status, message)


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(ERRORS))
def test_recorded_errors_are_understood(recording: Recording) -> None:
    lines = [(name.encode(), value.encode()) for name, value in recording.headers.items()]
    error = BACKEND.classify(recording.status, lines, recording.body)
    assert error.message == json.loads(recording.body)["message"]
    if "model identifier" in error.message:
        assert type(error) is UnknownModel
    else:
        assert type(error) is (Refused if recording.status == 403 else Rejected)

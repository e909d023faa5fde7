"""Cohere: its URLs, its key, the meaning of its errors."""

from __future__ import annotations

import json

import pytest
from rig.recordings import Recording, load, parameters
from unit.stand_ins import SECRET, call

from backends.cohere import Cohere
from backends.host import Host
from gateway.errors import (
    ContextTooLong,
    Filtered,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    UnknownModel,
    UpstreamError,
)
from gateway.exchange import Credential, Format
from gateway.protocols import Backend

PLACE = "https://api.cohere.com"
KEY = Credential("c#1", SECRET)


def backend(formats: tuple[Format, ...] = ()) -> Backend:
    return Cohere("c", Host(PLACE, formats))


@pytest.mark.parametrize(
    ("format_", "path"),
    [("cohere", "/v2/chat"), ("cohere_embeddings", "/v2/embed"), ("rerank", "/v2/rerank")],
)
def test_each_format_has_its_path(format_: Format, path: str) -> None:
    request = backend().prepare(call(format_), "command", KEY)
    assert request.url == PLACE + path
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert json.loads(request.body)["model"] == "command"


def test_it_speaks_all_of_its_formats_unless_it_is_configured_to_fewer() -> None:
    assert backend().speaks("m") == tuple(Cohere.paths)
    assert backend(("rerank",)).speaks("m") == ("rerank",)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_is_not_compressed_and_nothing_is_added_to_the_body(stream: bool) -> None:
    request = backend().prepare(call("cohere", stream=stream), "m", Credential("c#1", ""))
    assert (request.headers["accept-encoding"] == "identity") is stream
    assert set(json.loads(request.body)) == {"model", "messages", "stream"}
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            400,
            "too many tokens: size limit exceeded by 11326 tokens. Try using shorter inputs",
            ContextTooLong,
        ),
        (400, "too many tokens: max tokens must be less than or equal to 4096, the maximum output", Rejected),
        (400, "invalid request: message must be at least 1 token long", Rejected),
        (401, "invalid api token", Refused),
        (402, "Please add or update your payment method", QuotaSpent),
        (404, "model 'command-x' not found, make sure the correct model ID was used", UnknownModel),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", RateLimited),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", QuotaSpent),
        (498, "the request contains a blocked term", Filtered),
    ],
)
def test_errors_are_told_apart(status: int, message: str, kind: type[UpstreamError]) -> None:
    error = backend().classify(status, [], json.dumps({"id": "x", "message": message}).encode())
    assert (type(error), error.message, error.status) == (kind, message, status)


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load("cohere.chat.v2") if r.status != 200))
def test_the_recorded_error_is_one_of_the_key(recording: Recording) -> None:
    error = backend().classify(recording.status, [], recording.body)
    assert type(error) is Refused
    assert error.message.startswith("Incorrect API key provided")

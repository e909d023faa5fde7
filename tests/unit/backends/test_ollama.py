"""Ollama: its URLs, its optional key, the meaning of its errors."""

from __future__ import annotations

import json

import pytest
from rig.recordings import Recording, load, parameters
from unit.stand_ins import SECRET, call

from backends.host import Host
from backends.ollama import Ollama
from gateway.errors import (
    ContextTooLong,
    Failed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    UnknownModel,
    UpstreamError,
)
from gateway.exchange import Credential, Format
from gateway.protocols import Backend

PLACE = "http://localhost:11434"


def backend(formats: tuple[Format, ...] = ()) -> Backend:
    return Ollama("o", Host(PLACE, formats))


@pytest.mark.parametrize(("format_", "path"), [("ollama", "/api/chat"), ("ollama_embeddings", "/api/embed")])
@pytest.mark.parametrize("secret", ["", SECRET])
def test_each_format_has_its_path_and_the_key_is_optional(format_: Format, path: str, secret: str) -> None:
    request = backend().prepare(call(format_), "qwen3", Credential("o#1", secret))
    assert request.url == PLACE + path
    assert request.headers.get("authorization") == (f"Bearer {secret}" if secret else None)
    assert json.loads(request.body)["model"] == "qwen3"


def test_it_speaks_all_of_its_formats_unless_it_is_configured_to_fewer() -> None:
    assert backend().speaks("m") == tuple(Ollama.paths)
    assert backend(("ollama",)).speaks("m") == ("ollama",)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, '"llama2" does not support tools', Rejected),
        (400, "the input length exceeds the context length", ContextTooLong),
        (404, "model 'x' not found", UnknownModel),
        (404, 'model "x" not found, try pulling it first', UnknownModel),
        (429, "too many concurrent requests", RateLimited),
        (429, "you (me) have reached your weekly usage limit, upgrade for higher limits", QuotaSpent),
        (429, "you've reached your hourly usage limit, please wait or upgrade to continue", QuotaSpent),
        (500, "llama runner process has terminated: exit status 2", Failed),
        (503, "server busy, please try again.  maximum pending requests exceeded", Overloaded),
    ],
)
def test_errors_are_told_apart(status: int, message: str, kind: type[UpstreamError]) -> None:
    error = backend().classify(status, [], json.dumps({"error": message}).encode())
    assert (type(error), error.message, error.status) == (kind, message, status)


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load("ollama.chat") if r.status != 200))
def test_the_recorded_error_is_an_unknown_model(recording: Recording) -> None:
    error = backend().classify(recording.status, [], recording.body)
    assert (type(error), error.message) == (UnknownModel, "model 'nonexistent-model:latest' not found")

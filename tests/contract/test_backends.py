"""What every backend does: write a call for its host, and say what the host's errors mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rig import chat
from unit.stand_ins import SECRET, call

from backends.azure import Azure
from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from backends.scripted import Scripted, ScriptSpec, StepSpec
from gateway.errors import (
    Failed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    UpstreamError,
)
from gateway.exchange import Credential, Format, Request
from gateway.protocols import Backend

CREDENTIAL = Credential("b#1", SECRET)
FORMATS: tuple[Format, ...] = ("chat", "completions", "embeddings")
PATHS = {"chat": "chat/completions", "completions": "completions", "embeddings": "embeddings"}
AZURE = "https://acme.openai.azure.com"
BEARER = ("authorization", f"Bearer {SECRET}")
API_KEY = ("api-key", SECRET)


def scripted() -> Scripted:
    return Scripted("b", ScriptSpec((StepSpec(),)))


Where = Callable[[Format], str]
KINDS: dict[str, tuple[Callable[[], Backend], Where, tuple[str, str]]] = {
    "openai_compatible": (
        lambda: OpenAICompatible("b", Host("https://api.host/v1", FORMATS)),
        lambda format_: f"https://api.host/v1/{PATHS[format_]}",
        BEARER,
    ),
    "azure v1": (
        lambda: Azure("b", Host(AZURE, FORMATS)),
        lambda format_: f"{AZURE}/openai/v1/{PATHS[format_]}",
        API_KEY,
    ),
    "azure by deployment": (
        lambda: Azure("b", Host(AZURE, FORMATS), "2024-10-21"),
        lambda format_: f"{AZURE}/openai/deployments/up%2F1/{PATHS[format_]}?api-version=2024-10-21",
        API_KEY,
    ),
    "scripted": (scripted, lambda format_: f"scripted:b/{PATHS[format_]}", BEARER),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(kind: str) -> Backend:
    return KINDS[kind][0]()


def prepared(
    backend: Backend, format_: Format = "chat", credential: Credential = CREDENTIAL, **members: Any
) -> Request:
    return backend.prepare(call(format_, **members), "up/1", credential)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_request_goes_to_its_place_with_our_credential(
    backend: Backend, kind: str, format_: Format
) -> None:
    _, where, (name, value) = KINDS[kind]
    request = prepared(backend, format_)
    assert format_ in backend.speaks("up/1")
    assert (request.method, request.url) == ("POST", where(format_))
    assert request.headers[name] == value
    assert {"authorization", "api-key"} & set(request.headers) == {name}
    assert request.headers["content-type"] == "application/json"
    assert all(name == name.lower() for name in request.headers)


def test_the_body_is_the_clients_but_for_the_model(backend: Backend) -> None:
    members = {
        "temperature": 0.5,
        "unknown": [1, {"a": None}],
        "messages": [{"role": "user", "content": "é"}],
    }
    assert json.loads(prepared(backend, **members).body) == {**members, "model": "up/1"}


def test_without_a_secret_nothing_is_shown(backend: Backend) -> None:
    request = prepared(backend, credential=Credential("b#1", ""))
    assert not {"authorization", "api-key"} & set(request.headers)


def test_a_stream_is_asked_for_its_usage_and_not_compressed(backend: Backend) -> None:
    stream, whole = prepared(backend, stream=True), prepared(backend)
    assert json.loads(stream.body)["stream_options"] == {"include_usage": True}
    assert stream.headers["accept-encoding"] == "identity"
    assert "stream_options" not in json.loads(whole.body)
    assert "gzip" in whole.headers["accept-encoding"]


def test_embeddings_are_never_asked_for_usage(backend: Backend) -> None:
    assert "stream_options" not in json.loads(prepared(backend, "embeddings", stream=True).body)


def test_of_the_clients_headers_only_named_ones_go_on(backend: Backend) -> None:
    headers = {
        "openai-beta": "assistants=v2",
        "authorization": "Bearer the-clients",
        "content-encoding": "gzip",
    }
    request = backend.prepare(call(headers=headers), "up/1", CREDENTIAL)
    assert request.headers["openai-beta"] == "assistants=v2"
    assert "the-clients" not in str(request.headers)
    assert "content-encoding" not in request.headers


def test_each_attempt_is_prepared_from_the_same_call(backend: Backend) -> None:
    one = call(stream=True)
    assert backend.prepare(one, "up/1", CREDENTIAL) == backend.prepare(one, "up/1", CREDENTIAL)


CLASSES: dict[int, tuple[type[UpstreamError], str]] = {
    400: (Rejected, "never"),
    401: (Refused, "other_target"),
    402: (QuotaSpent, "other_target"),
    403: (Refused, "other_target"),
    404: (Rejected, "never"),
    408: (TimedOut, "other_target"),
    409: (Rejected, "never"),
    413: (Rejected, "never"),
    418: (Rejected, "never"),
    422: (Rejected, "never"),
    429: (RateLimited, "same_target"),
    451: (Rejected, "never"),
    500: (Failed, "other_target"),
    501: (Failed, "other_target"),
    502: (Failed, "other_target"),
    503: (Overloaded, "same_target"),
    504: (TimedOut, "other_target"),
    520: (Failed, "other_target"),
    529: (Overloaded, "same_target"),
    599: (Failed, "other_target"),
}


@pytest.mark.parametrize("status", CLASSES)
def test_a_status_means_a_class_and_a_next_step(backend: Backend, status: int) -> None:
    body = json.dumps(chat.error("the host's own words")).encode()
    headers = [(b"Retry-After", b"7"), (b"x-request-id", b"req_1")]
    error = backend.classify(status, headers, body)
    assert (type(error), error.retry) == CLASSES[status]
    assert (error.status, error.message) == (status, "the host's own words")
    assert (error.raw, error.headers, error.retry_after_s) == (body, headers, 7.0)
    assert error.source == "upstream"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "\xff"}', b"[]", b"null"])
def test_an_unreadable_error_is_classified_all_the_same(backend: Backend, body: bytes) -> None:
    error = backend.classify(503, [], body)
    assert type(error) is Overloaded
    assert "503" in error.message
    assert error.retry_after_s is None

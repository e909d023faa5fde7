"""Recorded answers of the Messages, Responses and Gemini formats, relayed: against the recorded bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rig import sse
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway
from rig.recordings import Recording, load, parameters
from rig.script import Answer, events, plain, split_at_random, split_in_bytes
from rig.upstream import Upstream

APIS = {"anthropic.messages": "messages", "openai.responses": "responses", "gemini.generate": "gemini"}
RECORDINGS = [r for r in load(*APIS) if r.request is not None and not r.body.lstrip().startswith(b"[")]
WHOLE = parameters(r for r in RECORDINGS if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in RECORDINGS if r.status == 200 and r.is_stream)
ERRORS = parameters(r for r in RECORDINGS if r.status != 200)
SMALL_BYTES = 3000

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def relaying(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = shared_upstream.base_url.removesuffix("/v1")
    backends = {
        "anthropic": {"provider": "anthropic", "base_url": root, "credentials": CREDENTIALS},
        "gemini": {"provider": "gemini", "base_url": root, "credentials": CREDENTIALS},
        "openai": {"base_url": root + "/v1", "formats": ["responses"], "credentials": CREDENTIALS},
    }
    routes: dict[str, Any] = {
        name: {"targets": [{"backend": backend, "model": "upstream-model"}]}
        for name, backend in (("messages", "anthropic"), ("gemini", "gemini"), ("responses", "openai"))
    }
    routes |= {f"{name}-renamed": {**route, "answer_model": "route"} for name, route in routes.items()}
    routing = {"backends": backends, "routes": routes}
    with running_gateway(tmp_path_factory.mktemp("relaying"), routing) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def relay_client(relaying: Gateway) -> Iterator[httpx.Client]:
    with relaying.client(headers={"accept-encoding": "identity"}) as client:
        yield client


def format_of(recording: Recording) -> str:
    return APIS[recording.api]


def ask(client: httpx.Client, recording: Recording, suffix: str = "") -> httpx.Response:
    format_ = format_of(recording)
    body = dict(recording.request or {})
    if format_ == "gemini":
        method = "streamGenerateContent?alt=sse" if recording.is_stream else "generateContent"
        return client.post(f"/v1beta/models/gemini{suffix}:{method}", json=body)
    body["model"] = format_ + suffix
    if recording.is_stream:
        body["stream"] = True
    return client.post(f"/v1/{format_}", json=body)


def answer_of(recording: Recording, pieces: list[bytes] | None = None) -> Answer:
    if not recording.is_stream or recording.status != 200:
        return plain(recording.body, recording.status, content_type=recording.content_type)
    return events([recording.body] if pieces is None else [*pieces], content_type=recording.content_type)


@pytest.mark.parametrize("recording", WHOLE)
def test_a_whole_answer_arrives_byte_for_byte(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(relay_client, recording)
    assert (response.status_code, response.content) == (200, recording.body)
    assert "x-forebay-dropped" not in response.headers


@pytest.mark.parametrize("recording", STREAMS)
@pytest.mark.parametrize("split", ["whole", "random", "bytes", "events"])
def test_a_stream_arrives_byte_for_byte(
    recording: Recording, split: str, upstream: Upstream, relay_client: httpx.Client
) -> None:
    largest = 1500 if split == "random" or len(recording.body) > SMALL_BYTES else 1
    pieces = {
        "whole": lambda body: [body],
        "random": lambda body: split_at_random(body, seed=len(body), largest_bytes=largest),
        "bytes": split_in_bytes if largest == 1 else lambda body: split_at_random(body, 1, 200),
        "events": sse.split_events,
    }[split](recording.body)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(relay_client, recording)
    assert (response.status_code, response.content) == (200, recording.body)


@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_the_upstream_gets_the_clients_members_and_its_own_name_of_the_model(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    ask(relay_client, recording)
    got, asked = upstream.seen[0], dict(recording.request or {})
    if format_of(recording) == "gemini":
        method = "streamGenerateContent?alt=sse" if recording.is_stream else "generateContent"
        assert got.path == f"/v1beta/models/upstream-model:{method}"
        assert got.json() == {name: value for name, value in asked.items() if name != "model"}
        return
    assert got.path == f"/v1/{format_of(recording)}"
    if recording.is_stream:
        asked["stream"] = True
    assert got.json() == asked | {"model": "upstream-model"}


@pytest.mark.parametrize("recording", ERRORS)
def test_an_error_arrives_as_the_upstream_said_it(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(relay_client, recording)
    assert response.status_code == recording.status
    said = json.loads(recording.body)
    if isinstance(said.get("error"), dict):
        assert response.content == recording.body
    else:  # xAI's own shape, which no SDK reads: its words in the shape that they do
        assert response.json()["error"]["message"] == said["error"]


@pytest.mark.parametrize("recording", [*WHOLE, *STREAMS])
def test_a_renaming_route_shows_its_own_name_and_changes_nothing_else(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(relay_client, recording, "-renamed")
    name = f"{format_of(recording)}-renamed"
    if not recording.is_stream:
        assert response.json() == renamed(json.loads(recording.body), name)
        return
    before, after = sse.split_events(recording.body), sse.split_events(response.content)
    assert len(before) == len(after)
    for was, now in zip(before, after, strict=True):
        if isinstance(sse.json_of(was), dict):
            assert sse.json_of(now) == renamed(sse.json_of(was), name)
        else:
            assert now == was


def renamed(value: dict[str, Any], name: str) -> dict[str, Any]:
    """The value with the model's name replaced wherever these formats have it."""
    value = dict(value)
    for member in ("message", "response"):
        if isinstance(value.get(member), dict) and "model" in value[member]:
            value[member] = value[member] | {"model": name}
    for member in ("model", "modelVersion"):
        if member in value and ("type" not in value or value["type"] in {"message", "response"}):
            value[member] = name
    return value


def test_a_stream_that_ends_too_early_is_told_in_the_clients_dialect(
    upstream: Upstream, relaying: Gateway, relay_client: httpx.Client
) -> None:
    for recording in [param.values[0] for param in STREAMS if param.values[0] is not None]:
        if sse.split_events(recording.body)[0] == recording.body:
            continue
        begun = sse.split_events(recording.body)[:1]
        upstream.reset()
        upstream.answer_with(answer_of(recording, begun))
        response = ask(relay_client, recording)
        arrived = sse.split_events(response.content)
        assert arrived[0] == begun[0]
        last = sse.json_of(arrived[-1])
        if response.content != begun[0]:  # a stream of one chunk is whole
            assert last.get("type") == "error" or "error" in last, recording.name
            line = line_of(relaying, response)
            assert line["ending"] == "broken"


def line_of(gateway: Gateway, response: httpx.Response) -> dict[str, Any]:
    """The access line of a call."""
    call_id = response.headers["x-forebay-call-id"]

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.log() if line.get("request_id") == call_id]

    assert eventually(found)
    return found()[0]

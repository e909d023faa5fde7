"""Recorded answers of the Messages, Responses and Gemini formats, relayed: against the recorded bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rig import sse
from rig.gateway import CREDENTIALS, ONCE, PATIENT, Gateway, eventually, running_gateway
from rig.recordings import Recording, load, parameters
from rig.script import Answer, events, plain, split_at_random, split_in_bytes
from rig.upstream import Upstream

APIS = {"anthropic.messages": "messages", "openai.responses": "responses", "gemini.generate": "gemini"}
SMALL_BYTES = 3000

STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""How the gateway writes it where the upstream did not."""
UNFINISHED = "the upstream's stream ended before it was whole"
BROKEN = "the upstream ended its stream without saying that its answer is whole"


def says(event: bytes) -> bool:
    """Say whether an event has a word, a thought, or a call: more than who answers, or what is to come."""
    chunk = sse.json_of(event)
    kind = chunk.get("type", "") if isinstance(chunk, dict) else ""
    if kind == "content_block_start":
        return chunk["content_block"]["type"] not in {"text", "thinking"}
    if kind == "content_block_delta":
        return any(chunk["delta"].get(name) for name in ("text", "thinking", "signature", "partial_json"))
    if kind == "response.output_item.added":
        return chunk["item"]["type"] not in {"message", "reasoning"}
    if kind == "response.output_item.done":
        return any(chunk["item"].get(name) for name in ("content", "summary", "encrypted_content"))
    if kind.startswith("response."):
        return kind.endswith(".delta") and bool(chunk["delta"])
    return isinstance(chunk, dict) and bool(chunk.get("candidates"))


def begun(recording: Recording) -> list[bytes]:
    """The events of a stream up to the first that says something."""
    whole = sse.split_events(recording.body)
    return whole[: next(at for at, event in enumerate(whole) if says(event)) + 1]


def delivered(recording: Recording) -> list[bytes]:
    """What a client gets of a stream: all but what one host says after this format's end."""
    whole = sse.split_events(recording.body)
    return whole[:-1] if recording.api == "openai.responses" and sse.is_done(whole[-1]) else whole


RECORDINGS = [r for r in load(*APIS) if r.request is not None and not r.body.lstrip().startswith(b"[")]
WHOLE = parameters(r for r in RECORDINGS if r.status == 200 and not r.is_stream)
_STREAMS = [r for r in RECORDINGS if r.status == 200 and r.is_stream]
STREAMS = parameters(_STREAMS)
STOPPING = parameters(r for r in _STREAMS if r.api == "anthropic.messages")
SLOW = parameters(r for r in _STREAMS if len(begun(r)) > 1)
"""Streams that say who answers before they say anything; Gemini's begin at once."""
ERRORS = parameters(r for r in RECORDINGS if r.status != 200)

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def relaying(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = shared_upstream.base_url.removesuffix("/v1")
    backends = {
        "anthropic": {"provider": "anthropic", "base_url": root, "credentials": CREDENTIALS},
        "gemini": {"provider": "gemini", "base_url": root, "credentials": CREDENTIALS},
        "openai": {"base_url": root + "/v1", "formats": ["responses"], "credentials": CREDENTIALS},
    }
    routes: dict[str, Any] = {}
    for name, backend in (("messages", "anthropic"), ("gemini", "gemini"), ("responses", "openai")):
        route = {"targets": [{"backend": backend, "model": "upstream-model"}], "retry": ONCE}
        routes |= {name: route, f"{name}-renamed": {**route, "answer_model": "route"}}
        routes[f"{name}-own-*"] = {"targets": [{"backend": backend}], "retry": ONCE}
    routing = {"backends": backends, "routes": routes, "breaker": PATIENT}
    with running_gateway(tmp_path_factory.mktemp("relaying"), routing) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def relay_client(relaying: Gateway) -> Iterator[httpx.Client]:
    with relaying.client(headers={"accept-encoding": "identity"}) as client:
        yield client


def format_of(recording: Recording) -> str:
    return APIS[recording.api]


def own_suffix(recording: Recording, test: str) -> str:
    """A name of its own: what the gateway learns about a target from an error must not reach other tests."""
    return f"-own-{test}-{recording.name.replace('/', '-')}"


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
    assert (response.status_code, response.content) == (200, b"".join(delivered(recording)))


@pytest.mark.parametrize("recording", STOPPING)
def test_a_finished_message_without_its_stop_gets_it(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    *finished, stop = sse.split_events(recording.body)
    assert sse.json_of(stop)["type"] == "message_stop"
    upstream.answer_with(answer_of(recording, finished))
    response = ask(relay_client, recording)
    assert (response.status_code, response.content) == (200, b"".join(finished) + STOP)


@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_the_upstream_gets_the_clients_members_and_its_own_name_of_the_model(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    suffix = "" if recording.status == 200 else own_suffix(recording, "seen")
    ask(relay_client, recording, suffix)
    model = format_of(recording) + suffix if suffix else "upstream-model"
    got, asked = upstream.seen[0], dict(recording.request or {})
    if format_of(recording) == "gemini":
        method = "streamGenerateContent?alt=sse" if recording.is_stream else "generateContent"
        assert got.path == f"/v1beta/models/{model}:{method}"
        assert got.json() == {name: value for name, value in asked.items() if name != "model"}
        return
    assert got.path == f"/v1/{format_of(recording)}"
    if recording.is_stream:
        asked["stream"] = True
    assert got.json() == asked | {"model": model}


@pytest.mark.parametrize("recording", ERRORS)
def test_an_error_arrives_as_the_upstream_said_it(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(relay_client, recording, own_suffix(recording, "told"))
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
    before, after = delivered(recording), sse.split_events(response.content)
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


def error_body(recording: Recording, message: str, code: str) -> dict[str, Any]:
    """The error, whose status is 502, in the client's dialect."""
    if format_of(recording) == "messages":
        return {"type": "error", "error": {"type": "api_error", "message": message}}
    if format_of(recording) == "responses":
        return {"error": {"message": message, "type": "upstream_error", "param": None, "code": code}}
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper(),
        "domain": "forebay",
    }
    return {"error": {"code": 502, "message": message, "status": "UNAVAILABLE", "details": [info]}}


def error_event(recording: Recording, message: str, code: str) -> dict[str, Any]:
    """The same as an event of a stream."""
    body = error_body(recording, message, code)
    if format_of(recording) != "responses":
        return body
    return {"type": "error", "sequence_number": 0, "code": code, "message": message, "param": None} | body


@pytest.mark.parametrize("recording", SLOW)
def test_a_stream_that_ends_before_anything_was_said_is_an_error_and_no_stream(
    recording: Recording, upstream: Upstream, relay_client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording, begun(recording)[:-1]))
    response = ask(relay_client, recording)
    assert response.status_code == 502
    assert response.json() == error_body(recording, UNFINISHED, "upstream_bad_answer")


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_that_ends_too_early_is_told_in_the_clients_dialect(
    recording: Recording, upstream: Upstream, relaying: Gateway, relay_client: httpx.Client
) -> None:
    first = begun(recording)
    upstream.answer_with(answer_of(recording, first))
    response = ask(relay_client, recording)
    if b'"finishReason"' in first[-1]:  # its first chunk says that it is whole
        assert (response.status_code, response.content) == (200, b"".join(first))
        return
    *arrived, last = sse.split_events(response.content)
    assert (response.status_code, arrived) == (200, first)
    assert sse.json_of(last) == error_event(recording, BROKEN, "stream_broken")
    assert line_of(relaying, response)["ending"] == "broken"


def line_of(gateway: Gateway, response: httpx.Response) -> dict[str, Any]:
    """The access line of a call."""
    call_id = response.headers["x-forebay-call-id"]

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.log() if line.get("request_id") == call_id]

    assert eventually(found)
    return found()[0]

"""Every recorded answer of the three relayed formats, through the gateway, against the recorded bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import msgspec
import pytest
from rig import sse
from rig.recordings import Recording, load, parameters
from rig.script import Answer, Header, Step, events, plain, split_at_random, split_in_bytes
from rig.upstream import Upstream

PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.completions": "/v1/completions",
    "openai.embeddings": "/v1/embeddings",
}
RECORDINGS = load(*PATHS)
ERRORS = parameters(r for r in RECORDINGS if r.status != 200)
WHOLE = parameters(r for r in RECORDINGS if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in RECORDINGS if r.status == 200 and r.is_stream)
NAMED = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
BYTE_BY_BYTE_UP_TO_BYTES = 3000

pytestmark = pytest.mark.wire


def request_of(recording: Recording, model: str, *, usage: bool | None = None) -> bytes:
    """The recorded request, spelled in a way that a parse and a print would not keep."""
    body: dict[str, Any] = dict(recording.request or {"messages": [{"role": "user", "content": "hi"}]})
    body["model"] = model
    body.pop("stream_options", None)
    if recording.is_stream:
        body["stream"] = True
        if usage is not None:
            body["stream_options"] = {"include_usage": usage}
    text = json.dumps({"x_unknown": [1.0, 1e2, "é"]} | body, indent=1, ensure_ascii=False)
    return text.replace("é", "\\u00e9").encode()


def headers_of(recording: Recording) -> list[Header]:
    kept = [(name, value) for name, value in recording.headers.items() if name != "content-type"]
    return [*kept, ("set-cookie", "a=b"), ("x-request-id", "req_of_upstream"), ("openai-processing-ms", "12")]


def answer_of(recording: Recording, pieces: list[bytes] | None = None) -> Answer:
    headers = headers_of(recording)
    if not recording.is_stream or recording.status != 200:
        return plain(recording.body, recording.status, headers=headers, content_type=recording.content_type)
    steps: list[Step] = [recording.body] if pieces is None else [*pieces]
    return events(steps, headers=headers, content_type=recording.content_type)


def ask(client: httpx.Client, recording: Recording, body: bytes) -> httpx.Response:
    return client.post(PATHS[recording.api], content=body, headers={"content-type": "application/json"})


def members(body: bytes) -> dict[str, bytes]:
    """The raw bytes of each member of a JSON object."""
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def renamed(body: bytes, model: str) -> bytes:
    """`body` with the top-level model's value replaced, found by trying every member of that name."""
    want = json.loads(body) | {"model": model}
    for match in NAMED.finditer(body):
        spliced = body[: match.start(1)] + json.dumps(model).encode() + body[match.end(1) :]
        if json.loads(spliced) == want:
            return spliced
    raise AssertionError("no top-level model in the answer")


def assert_headers_kept(recording: Recording, response: httpx.Response) -> None:
    assert response.headers["x-request-id"] == "req_of_upstream"
    assert response.headers["openai-processing-ms"] == "12"
    assert "set-cookie" not in response.headers
    for name, value in recording.headers.items():
        if name.startswith("x-ratelimit"):
            assert name not in response.headers
            if name != "x-ratelimit":
                assert response.headers[name.replace("x-", "x-upstream-", 1)] == value
        elif name in {"retry-after", "x-should-retry"}:
            assert response.headers[name] == value


@pytest.mark.parametrize("recording", WHOLE)
def test_a_json_answer_arrives_byte_for_byte(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(client, recording, request_of(recording, "fast"))
    assert response.status_code == 200
    assert response.content == recording.body
    assert response.headers["content-type"] == recording.content_type
    assert_headers_kept(recording, response)


@pytest.mark.parametrize("recording", WHOLE)
def test_a_renaming_route_changes_nothing_but_the_name_in_a_json_answer(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(client, recording, request_of(recording, "renamed"))
    assert response.content == renamed(recording.body, "renamed")


@pytest.mark.parametrize("recording", ERRORS)
def test_an_error_arrives_as_the_upstream_said_it(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    # A name of its own: what the gateway learns about a target from an error must not reach other tests.
    response = ask(client, recording, request_of(recording, f"any/{recording.name}"))
    assert response.status_code == recording.status
    assert response.content == recording.body
    assert_headers_kept(recording, response)


@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_the_upstream_gets_what_the_client_sent(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    route, model = ("fast", "gpt-4o-mini") if recording.status == 200 else (f"any/{recording.name}",) * 2
    sent = request_of(recording, route)
    ask(client, recording, sent)
    got = upstream.seen[0]
    assert got.path == PATHS[recording.api]
    options = {"stream_options": {"include_usage": True}} if recording.is_stream else {}
    assert got.json() == json.loads(sent) | {"model": model} | options
    changed = {"model", "stream_options"}
    assert {k: v for k, v in members(got.body).items() if k not in changed} == {
        k: v for k, v in members(sent).items() if k not in changed
    }


@pytest.mark.parametrize("recording", STREAMS)
@pytest.mark.parametrize("split", ["whole", "random", "bytes", "events"])
def test_a_stream_arrives_byte_for_byte_when_usage_was_asked_for(
    recording: Recording, split: str, upstream: Upstream, client: httpx.Client
) -> None:
    if split == "bytes" and len(recording.body) > BYTE_BY_BYTE_UP_TO_BYTES:
        split = "nearly bytes"
    pieces = {
        "whole": lambda body: [body],
        "random": lambda body: split_at_random(body, seed=len(body), largest_bytes=1500),
        "bytes": split_in_bytes,
        "nearly bytes": lambda body: split_at_random(body, seed=1, largest_bytes=max(3, len(body) // 400)),
        "events": sse.split_events,
    }[split](recording.body)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    assert response.status_code == 200
    assert response.content == recording.body
    assert_headers_kept(recording, response)


@pytest.mark.parametrize("recording", STREAMS)
@pytest.mark.parametrize("usage", [None, False])
def test_only_the_usage_chunk_is_withheld_from_a_client_that_did_not_ask(
    recording: Recording, *, usage: bool | None, upstream: Upstream, client: httpx.Client
) -> None:
    pieces = split_at_random(recording.body, seed=7, largest_bytes=900)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(client, recording, request_of(recording, "fast", usage=usage))
    kept = [event for event in sse.split_events(recording.body) if not sse.is_usage_only(event)]
    assert response.content == b"".join(kept)
    assert upstream.only_request().json()["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("recording", STREAMS)
def test_a_renaming_route_changes_nothing_but_the_name_in_every_event(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    pieces = split_at_random(recording.body, seed=3, largest_bytes=700)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(client, recording, request_of(recording, "renamed", usage=True))
    original, arrived = sse.split_events(recording.body), sse.split_events(response.content)
    assert len(arrived) == len(original)
    for before, after in zip(original, arrived, strict=True):
        chunk = sse.json_of(before)
        if isinstance(chunk, dict) and "model" in chunk:
            assert after == before.replace(
                sse.data_of(before) or b"", renamed(sse.data_of(before) or b"", "renamed")
            )
        else:
            assert after == before


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_that_ends_before_its_finish_is_not_delivered_as_whole(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    """The upstream ends its message in good order, but no choice is finished and no `[DONE]` came."""
    whole = sse.split_events(recording.body)
    ends = (
        at
        for at, event in enumerate(whole)
        if sse.is_finish(event) or sse.is_done(event) or sse.is_error(event)
    )
    begun = whole[: next(ends)]
    upstream.answer_with(answer_of(recording, begun))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    arrived = sse.split_events(response.content)
    assert arrived[:-1] == begun
    assert sse.is_error(arrived[-1])
    assert sse.json_of(arrived[-1])["error"]["message"]


@pytest.mark.parametrize("recording", STREAMS)
def test_half_an_event_at_the_end_never_reaches_the_client_as_an_event(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    first = next(event for event in sse.split_events(recording.body) if sse.json_of(event) is not None)
    upstream.answer_with(answer_of(recording, [first, first[: len(first) // 2]]))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    arrived = sse.split_events(response.content)
    assert arrived[0] == first
    assert len(arrived) == 2
    assert sse.is_error(arrived[1])

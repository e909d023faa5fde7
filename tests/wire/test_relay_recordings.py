"""Every recorded answer of the three relayed formats, through the gateway, against the recorded bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import pytest
from rig import sse
from rig.recordings import Recording, load, parameters
from rig.script import Answer, Gate, Header, Step, events, plain, split_at_random, split_in_bytes
from rig.upstream import Upstream

PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.completions": "/v1/completions",
    "openai.embeddings": "/v1/embeddings",
}
NAMED = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
BYTE_BY_BYTE_UP_TO_BYTES = 3000

END = b"data: [DONE]\n\n"
"""How the gateway writes it where the upstream did not."""
NOTHING_SAID = {
    "message": "the upstream's stream ended before it was whole",
    "type": "upstream_error",
    "param": None,
    "code": "upstream_bad_answer",
}
BROKEN = {
    "message": "the upstream ended its stream without saying that its answer is whole",
    "type": "upstream_error",
    "param": None,
    "code": "stream_broken",
}
CODES = {"tool_use_failed": "upstream_failed", 400: "upstream_rejected"}
"""What the gateway calls the errors that recorded streams carry, by the upstream's codes."""

pytestmark = pytest.mark.wire


def error_in(event: bytes) -> Any:
    """The error that an event carries, alone or beside choices; None: none."""
    chunk = sse.json_of(event)
    return chunk.get("error") if isinstance(chunk, dict) else None


def speaks(event: bytes) -> bool:
    """Say whether an event has a word, a thought, a part of a call, or an end: more than who answers."""
    chunk = sse.json_of(event)
    choices = chunk.get("choices") or [] if isinstance(chunk, dict) else []
    return sse.is_finish(event) or any(
        choice.get("text") or any(value for name, value in choice.get("delta", {}).items() if name != "role")
        for choice in choices
    )


def begun(recording: Recording) -> list[bytes]:
    """The events of a stream up to the first that says something."""
    whole = sse.split_events(recording.body)
    return whole[: next(at for at, event in enumerate(whole) if speaks(event)) + 1]


def ended(whole: bytes) -> bytes:
    """A finished stream with its format's end, whether it was said or not."""
    return whole if any(map(sse.is_done, sse.split_events(whole))) else whole + END


RECORDINGS = load(*PATHS)
ERRORS = parameters(r for r in RECORDINGS if r.status != 200)
WHOLE = parameters(r for r in RECORDINGS if r.status == 200 and not r.is_stream)
_STREAMS = [r for r in RECORDINGS if r.status == 200 and r.is_stream]
_FAULTY = [r for r in _STREAMS if any(map(error_in, sse.split_events(r.body)))]
STREAMS = parameters(_STREAMS)
FAULTY = parameters(_FAULTY)
"""Those that carry an error of the upstream; `SOUND` are all others."""
SOUND = parameters(r for r in _STREAMS if r not in _FAULTY)
FINISHED = parameters(
    r for r in _STREAMS if r not in _FAULTY and any(map(sse.is_finish, sse.split_events(r.body)))
)
"""Those of them that tell a finish reason: one has nothing but `[DONE]`."""


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


def answer_of(recording: Recording, pieces: Sequence[Step] | None = None) -> Answer:
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


def renamed_event(event: bytes, model: str) -> bytes:
    """An event with the model's name replaced where it has one."""
    chunk, data = sse.json_of(event), sse.data_of(event)
    if data is None or not isinstance(chunk, dict) or "model" not in chunk:
        return event
    return event.replace(data, renamed(data, model))


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
    response = ask(client, recording, request_of(recording, f"any/told/{recording.name}"))
    assert response.status_code == recording.status
    assert response.content == recording.body
    assert_headers_kept(recording, response)


@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_the_upstream_gets_what_the_client_sent(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    own = f"any/seen/{recording.name}"
    route, model = ("fast", "gpt-4o-mini") if recording.status == 200 else (own, own)
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


@pytest.mark.parametrize("recording", SOUND)
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
    assert response.content == ended(recording.body)
    assert_headers_kept(recording, response)


@pytest.mark.parametrize("recording", SOUND)
@pytest.mark.parametrize("usage", [None, False])
def test_only_the_usage_chunk_is_withheld_from_a_client_that_did_not_ask(
    recording: Recording, *, usage: bool | None, upstream: Upstream, client: httpx.Client
) -> None:
    pieces = split_at_random(recording.body, seed=7, largest_bytes=900)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(client, recording, request_of(recording, "fast", usage=usage))
    kept = [event for event in sse.split_events(recording.body) if not sse.is_usage_only(event)]
    assert response.content == ended(b"".join(kept))
    assert upstream.only_request().json()["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("recording", SOUND)
def test_a_renaming_route_changes_nothing_but_the_name_in_every_event(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    pieces = split_at_random(recording.body, seed=3, largest_bytes=700)
    upstream.answer_with(answer_of(recording, pieces))
    response = ask(client, recording, request_of(recording, "renamed", usage=True))
    shown = [renamed_event(event, "renamed") for event in sse.split_events(recording.body)]
    assert response.content == ended(b"".join(shown))


@pytest.mark.parametrize("recording", FINISHED)
def test_a_finished_stream_without_its_end_gets_it(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    finished = b"".join(event for event in sse.split_events(recording.body) if not sse.is_done(event))
    upstream.answer_with(answer_of(recording, [finished]))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    assert response.content == finished + END


@pytest.mark.parametrize("recording", FAULTY)
def test_an_error_that_comes_before_content_went_out_is_no_stream(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    upstream.answer_with(answer_of(recording))
    response = ask(client, recording, request_of(recording, f"any/early/{recording.name}", usage=True))
    error = next(filter(None, map(error_in, sse.split_events(recording.body))))
    told = {"message": error["message"], "type": "upstream_error", "param": None}
    assert response.status_code == 400
    assert response.json() == {"error": told | {"code": CODES[error["code"]]}}


@pytest.mark.parametrize("recording", FAULTY)
@pytest.mark.parametrize("rename", [False, True])
def test_an_error_after_content_passes_as_it_is_and_no_end_follows(
    recording: Recording, *, rename: bool, upstream: Upstream, client: httpx.Client
) -> None:
    model = "renamed" if rename else f"any/late/{recording.name}"
    whole, first, gate = sse.split_events(recording.body), begun(recording), Gate()
    upstream.answer_with(answer_of(recording, [b"".join(first), gate, b"".join(whole[len(first) :])]))
    sent = request_of(recording, model, usage=True)
    with client.stream("POST", PATHS[recording.api], content=sent) as response:
        pieces = response.iter_raw()
        arrived = next(pieces)
        gate.open()
        arrived += b"".join(pieces)
    told = whole[: next(at for at, event in enumerate(whole) if error_in(event)) + 1]
    assert response.status_code == 200
    assert arrived == b"".join(renamed_event(event, model) if rename else event for event in told)


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_that_ends_before_its_finish_is_not_delivered_as_whole(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    """The upstream ends its message in good order, but no choice is finished and no `[DONE]` came."""
    whole = sse.split_events(recording.body)
    ends = (
        at for at, event in enumerate(whole) if sse.is_finish(event) or sse.is_done(event) or error_in(event)
    )
    unfinished = whole[: next(ends)]
    upstream.answer_with(answer_of(recording, unfinished))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    if not any(map(speaks, unfinished)):
        assert (response.status_code, response.json()) == (502, {"error": NOTHING_SAID})
        return
    *arrived, last = sse.split_events(response.content)
    assert (response.status_code, arrived) == (200, unfinished)
    assert sse.json_of(last) == {"error": BROKEN}


@pytest.mark.parametrize("recording", STREAMS)
def test_half_an_event_before_anything_was_said_is_an_error_and_no_stream(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    *silent, first = begun(recording)
    upstream.answer_with(answer_of(recording, [*silent, first[: len(first) // 2]]))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    assert (response.status_code, response.json()) == (502, {"error": NOTHING_SAID})


@pytest.mark.parametrize("recording", STREAMS)
def test_half_an_event_at_the_end_never_reaches_the_client_as_an_event(
    recording: Recording, upstream: Upstream, client: httpx.Client
) -> None:
    first = begun(recording)
    upstream.answer_with(answer_of(recording, [*first, first[-1][: len(first[-1]) // 2]]))
    response = ask(client, recording, request_of(recording, "fast", usage=True))
    *arrived, last = sse.split_events(response.content)
    assert (response.status_code, arrived) == (200, first)
    if sse.is_finish(first[-1]):
        assert last == END
    else:
        assert sse.json_of(last) == {"error": BROKEN}

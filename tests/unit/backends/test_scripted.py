"""A script's steps as scenes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from rig.sse import is_done, json_of, split_events
from unit.stand_ins import call

from backends.scripted import Scripted, ScriptSpec, StepSpec
from gateway.errors import Broken
from gateway.exchange import Attempt, Credential, Format, Timeouts
from gateway.upstream.scripted_transport import Scene, ScriptedTransport


def backend_of(*steps: dict[str, Any]) -> Scripted:
    return Scripted("demo", msgspec.convert({"answers": list(steps)}, ScriptSpec))


def play(backend: Scripted, format_: Format = "chat", **members: Any) -> Scene:
    return backend.play(backend.prepare(call(format_, **members), "m", Credential("demo#1", "")))


def whole(scene: Scene) -> Any:
    return json.loads(b"".join(piece for _, piece in scene.pieces))


def test_steps_are_given_in_turn_and_then_again() -> None:
    backend = backend_of({"text": "one"}, {"text": "two"})
    said = [whole(play(backend))["choices"][0]["message"]["content"] for _ in range(5)]
    assert said == ["one", "two", "one", "two", "one"]


def test_a_whole_answer_has_its_formats_shape_and_usage() -> None:
    backend = backend_of({"text": "to be or not"})
    chat, completion, embedding = (
        whole(play(backend)),
        whole(play(backend, "completions", prompt="a b")),
        whole(play(backend, "embeddings", input="a b")),
    )
    assert (chat["object"], chat["choices"][0]["finish_reason"]) == ("chat.completion", "stop")
    assert (completion["object"], completion["choices"][0]["text"]) == ("text_completion", "to be or not")
    assert embedding["data"][0]["object"] == "embedding"
    assert chat["usage"]["completion_tokens"] == 4
    assert chat["model"] == completion["model"] == embedding["model"] == "m"


def test_a_stream_is_word_by_word_at_its_rate() -> None:
    scene = play(backend_of({"text": "to be or", "tokens_per_s": 50, "first_token_ms": 200}), stream=True)
    events = split_events(b"".join(piece for _, piece in scene.pieces))
    chunks = [json_of(event) for event in events]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:4])
    assert said == "to be or"
    assert chunks[3]["choices"][0]["finish_reason"] == "stop"
    assert chunks[4]["usage"]["completion_tokens"] == 3
    assert is_done(events[-1])
    assert [pause_s for pause_s, _ in scene.pieces] == [0.2, 0.02, 0.02, 0.02, 0.02, 0.0]
    assert (b"content-type", b"text/event-stream") in scene.headers


def test_a_stream_of_completions_has_texts() -> None:
    scene = play(backend_of({"text": "to be"}), "completions", prompt="a", stream=True)
    assert json_of(scene.pieces[0][1])["choices"][0]["text"] == "to "


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_whole_with_its_headers(*, stream: bool) -> None:
    backend = backend_of({"status": 429, "message": "slow down", "headers": {"Retry-After": "1"}})
    scene = play(backend, stream=stream)
    assert scene.status == 429
    assert whole(scene)["error"]["message"] == "slow down"
    assert {(b"content-type", b"application/json"), (b"retry-after", b"1")} == set(scene.headers)


@pytest.mark.parametrize("fault", ["refuse", "hang", "cut"])
def test_a_fault_is_the_scenes(fault: str) -> None:
    assert play(backend_of({"fault": fault})).fault == fault


@pytest.mark.parametrize("text", ["one", "one two", "one two three four five"])
def test_a_stream_that_is_cut_says_something_but_not_its_end(text: str) -> None:
    backend = backend_of({"text": text, "fault": "cut"})
    request = backend.prepare(call(stream=True), "m", Credential("demo#1", ""))

    async def told() -> bytes:
        answer = await ScriptedTransport(backend.play).send(request, Timeouts(), Attempt("here", "m", 0.0))
        pieces: list[bytes] = []
        try:
            while piece := await answer.next_piece():
                pieces.append(piece)
        except Broken:
            return b"".join(pieces)
        raise AssertionError("it was not cut")

    said = asyncio.run(told())
    assert b'"one' in said
    assert b'"stop"' not in said
    assert b"[DONE]" not in said


@pytest.mark.parametrize(
    "script",
    [
        {"answers": []},
        {"answers": [{"status": 99}]},
        {"answers": [{"fault": "explode"}]},
        {"answers": [{"tokens_per_s": -1}]},
        {"answers": [{"txt": "x"}]},
    ],
)
def test_a_script_that_makes_no_sense_is_refused(script: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(script, ScriptSpec)


def test_a_step_may_be_left_to_its_defaults() -> None:
    assert whole(play(Scripted("d", ScriptSpec((StepSpec(),)))))["choices"][0]["message"]["content"]

"""Counting tokens at four providers for a client of one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from gateway.errors import Failed
from gateway.exchange import Format
from gateway.formats.envelope import decode_members
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.parts import Text
from gateway.formats.passage.counts import decode_count, encode_count, encode_counted

ASKED = Conversation(
    (Turn("system", (Text("Be brief."),)), Turn("user", (Text("Hi"),))),
    stream=True,
    max_tokens=5,
    temperature=0.5,
    stop=("x",),
)


def written(conversation: Conversation, wire: Format, model: str = "m") -> dict[str, Any]:
    members: dict[str, Any] = json.loads(msgspec.json.encode(encode_count(conversation, wire, model)))
    return members


def test_anthropic_takes_only_what_counts() -> None:
    assert written(ASKED, "count_tokens") == {
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_google_takes_the_whole_request_under_its_full_name() -> None:
    inner = written(ASKED, "gemini_count", "gemini-3")["generateContentRequest"]
    assert inner["model"] == "models/gemini-3"
    assert inner["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]


def test_bedrock_takes_it_inside_of_converse() -> None:
    assert written(ASKED, "converse_count") == {
        "input": {
            "converse": {
                "system": [{"text": "Be brief."}],
                "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            }
        }
    }


def test_openai_takes_only_what_counts() -> None:
    members = written(ASKED, "responses_count")
    assert "input" in members
    assert not {"stream", "temperature", "max_output_tokens", "store", "model"} & set(members)


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("count_tokens", b'{"input_tokens": 7}'),
        ("responses_count", b'{"object": "response.input_tokens", "input_tokens": 7}'),
        ("converse_count", b'{"inputTokens": 7}'),
        ("gemini_count", b'{"totalTokens": 7, "promptTokensDetails": []}'),
    ],
)
def test_a_count_is_read(wire: Format, body: bytes) -> None:
    assert decode_count(body, wire) == 7
    assert encode_counted(7) == b'{"input_tokens":7}'


@pytest.mark.parametrize("wire", ["count_tokens", "responses_count", "converse_count", "gemini_count"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"input_tokens": null, "inputTokens": "7", "totalTokens": -1}',
        b'{"input_tokens": true, "inputTokens": 1.5, "totalTokens": []}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_count_is_a_failure_of_the_upstream(wire: Format, body: bytes) -> None:
    with pytest.raises(Failed):
        decode_count(body, wire)


WIRES: dict[str, Format] = {
    "anthropic.count_tokens": "count_tokens",
    "gemini.count_tokens": "gemini_count",
    "bedrock.count_tokens": "converse_count",
    "openai.input_tokens": "responses_count",
}
RECORDINGS = [one for one in load(*WIRES) if one.status == 200]


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_a_recorded_count_is_read(recording: Recording) -> None:
    told = json.loads(recording.body)
    expected = told.get("input_tokens") or told.get("inputTokens") or told["totalTokens"]
    assert decode_count(recording.body, WIRES[recording.api]) == expected


@pytest.mark.wire
def test_a_recorded_request_of_anthropic_comes_back() -> None:
    (recording,) = (one for one in RECORDINGS if one.api == "anthropic.count_tokens")
    asked = dict(recording.request or {})
    conversation = CODEC.decode_request(decode_members(json.dumps(asked).encode()))
    asked.pop("model")
    assert written(conversation, "count_tokens") == asked


@pytest.mark.wire
@pytest.mark.parametrize("api", ["gemini.count_tokens", "bedrock.count_tokens", "openai.input_tokens"])
def test_anthropics_client_counts_where_the_recording_was_made(api: str) -> None:
    recording = next(one for one in RECORDINGS if one.api == api)
    request = recording.request or {}
    (text,) = texts_in(request)
    conversation = Conversation((Turn("user", (Text(text),)),))
    members = written(conversation, WIRES[api], str(request.get("model", "m")))
    assert list(texts_in(members)) == [text]


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for inner in value.values() for text in texts_in(inner)]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []

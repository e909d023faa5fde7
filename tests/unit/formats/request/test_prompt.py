"""The text of a request, for counting."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig import recordings
from rig.recordings import Recording, parameters

from gateway.formats.envelope import decode_members
from gateway.formats.request.prompt import decode_prompt

LONGEST_WORD = 200


def prompt_of(request: dict[str, Any]) -> tuple[str, int]:
    return decode_prompt(decode_members(json.dumps(request).encode()))


def test_the_texts_of_a_conversation_in_their_order() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ]
    text, count = prompt_of({"model": "m", "messages": messages})
    assert text.split("\n") == [
        "be brief",
        "ann",
        "what is this?",
        "wav",
        "look",
        '{"a":1}',
        "call_1",
        "seen",
    ]
    assert count == 4


def test_completions_embeddings_and_tools_have_text_too() -> None:
    assert prompt_of({"prompt": "say"}) == ("say", 0)
    assert prompt_of({"input": ["a", "b"]}) == ("a\nb", 0)
    assert prompt_of({"input": [[1, 2], [3]]}) == ("", 0)
    tool = {"type": "function", "function": {"name": "f", "description": "does it"}}
    assert prompt_of({"messages": [], "tools": [tool]}) == ("f\ndoes it", 0)


def test_other_members_are_not_counted() -> None:
    assert prompt_of({"model": "m", "user": "ann", "metadata": {"a": "b"}, "stop": ["x"]}) == ("", 0)


def test_a_deep_request_is_walked_without_recursion() -> None:
    body = b'{"messages": [' + b'{"content": [' * 200 + b'"bottom"' + b"]}" * 200 + b"]}"
    assert decode_prompt(decode_members(body)) == ("bottom", 1)


def test_what_cannot_be_read_counts_as_it_stands() -> None:
    assert decode_prompt({"prompt": msgspec.Raw(b'"\xff"')}) == ('"\ufffd"', 0)
    text, _ = decode_prompt({"prompt": msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)})
    assert len(text) == 200_000


def test_messages_of_another_type_are_no_messages() -> None:
    assert prompt_of({"messages": "hello"}) == ("hello", 0)
    assert prompt_of({"messages": None}) == ("", 0)


@pytest.mark.parametrize(
    "part",
    [
        {"image": {"source": {"bytes": "AAAA"}}},
        {"thinking": "hm", "signature": "AAAA"},
        {"text": "hm", "thoughtSignature": "AAAA"},
        {"summary": [], "encrypted_content": "AAAA"},
        {"reasoningContent": {"redactedContent": "AAAA"}},
    ],
)
def test_bytes_and_seals_are_no_text(part: dict[str, Any]) -> None:
    assert "AAAA" not in prompt_of({"model": "m", "messages": [{"content": [part]}]})[0]


def test_a_tools_parameter_counts_whatever_its_name() -> None:
    properties = {"signature": {"type": "string", "description": "of the letter"}}
    asked = {"model": "m", "tools": [{"input_schema": {"properties": properties}}]}
    assert prompt_of(asked)[0] == "of the letter"


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(recordings.load("bedrock.converse")))
def test_what_is_recorded_has_no_base64_in_its_text(recording: Recording) -> None:
    if recording.request is None:
        pytest.skip("its request was not recorded")
    members = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in recording.request.items()}
    longest = max(map(len, decode_prompt(members)[0].split()), default=0)
    assert longest < LONGEST_WORD

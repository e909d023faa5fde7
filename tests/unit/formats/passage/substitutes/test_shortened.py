"""A call that is sent with fewer turns: nothing else of it changes, in any dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from unit.stand_ins import call

from gateway.exchange import Call, Format
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.substitutes.shortened import shorten_call

BODIES: dict[Format, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one " * 100},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
            {"role": "user", "content": "two"},
        ],
        "max_tokens": 9,
        "host_only": {"a": [1, None]},
        "stream_options": {"include_usage": False},
        "stream": True,
    },
    "responses": {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "one " * 100},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
            {"role": "user", "content": "two"},
        ],
        "max_output_tokens": 99,
        "host_only": 1,
    },
    "messages": {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "one " * 100},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "4"}],
            },
            {"role": "assistant", "content": "Four."},
            {"role": "user", "content": "two"},
        ],
        "max_tokens": 9,
        "host_only": [1],
    },
    "gemini": {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "one " * 100}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 4}}}]},
            {"role": "user", "parts": [{"text": "two"}]},
        ],
        "generationConfig": {"maxOutputTokens": 9, "hostOnly": 1},
    },
}
TURNS: dict[Format, str] = {
    "chat": "messages",
    "messages": "messages",
    "responses": "input",
    "gemini": "contents",
}


def asked(format_: Format, **members: Any) -> Call:
    made = call(format_, **(BODIES[format_] | members))
    if TURNS[format_] == "messages":
        return made
    kept = {name: member for name, member in made.members.items() if name != "messages"}
    return msgspec.structs.replace(made, members=kept)


@pytest.mark.parametrize("format_", BODIES)
def test_a_call_loses_its_oldest_turns_and_nothing_else(format_: Format) -> None:
    made = asked(format_)
    shorter, left_out = shorten_call(made, 10, 0.5, 1, len)
    before, after = (json.loads(msgspec.json.encode(each.members)) for each in (made, shorter))
    turns = TURNS[format_]
    assert left_out > 0
    assert after[turns][-1] == before[turns][-1]
    assert [each for each in after[turns] if each.get("role") != "system"] == before[turns][-1:]
    assert {name: value for name, value in after.items() if name != turns} == {
        name: value for name, value in before.items() if name != turns
    }
    assert (shorter.envelope, shorter.format, shorter.translated) == (made.envelope, format_, False)
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in after.items()}
    assert [turn.role for turn in CODECS[format_].decode_request(raw).turns] == ["system", "user"]


@pytest.mark.parametrize("format_", BODIES)
def test_a_call_that_fits_is_the_same_object(format_: Format) -> None:
    made = asked(format_)
    assert shorten_call(made, 100_000, 0.5, 1, len) == (made, 0)
    assert shorten_call(made, 100_000, 0.5, 1, len)[0] is made


@pytest.mark.parametrize("member", ["previous_response_id", "conversation"])
def test_turns_that_the_provider_keeps_cannot_be_left_out(member: str) -> None:
    made = asked("responses", **{member: "x"})
    assert shorten_call(made, 10, 0.5, 1, len) == (made, 0)
    assert shorten_call(asked("responses", **{member: None}), 10, 0.5, 1, len)[1] > 0


@pytest.mark.parametrize("format_", ["embeddings", "completions", "images"])
def test_calls_without_turns_stay_as_they_are(format_: Format) -> None:
    made = call(format_, input="x", prompt="x")
    assert shorten_call(made, 0, 0.5, 1, len) == (made, 0)


def test_a_call_that_cannot_be_read_stays_as_it_is() -> None:
    made = asked("chat", messages=[{"role": "nobody", "content": "x"}] * 3)
    assert shorten_call(made, 0, 0.5, 1, len) == (made, 0)

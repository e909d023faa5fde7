"""What was said, as attributes: roles and kinds of parts, redacted, bounded, and marked where it is cut."""

from __future__ import annotations

import json
from typing import Any

from unit.telemetry.tracing.calls import attempt, call, ended

from gateway.exchange import Call, Record
from gateway.telemetry.tracing.content import content_of
from gateway.telemetry.tracing.settings import TraceSettings

SETTINGS = TraceSettings(redact=lambda text: text.replace("4111111111111111", "[card]"))


def told(record: Record, most_chars: int = 8192) -> dict[str, Any]:
    settings = TraceSettings(redact=SETTINGS.redact, content_chars=most_chars)
    said = content_of(record, settings)
    return {
        name.removeprefix("gen_ai."): json.loads(value) if isinstance(value, str) else value
        for name, value in said.items()
    }


def asked(*messages: dict[str, Any]) -> Call:
    return call(messages=list(messages))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_turns_keep_their_roles_and_parts_their_kinds() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    function = {"name": "weather", "arguments": '{"city":"Rome"}'}
    said = asked(
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, picture]},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "warm"},
    )
    found = told(ended(attempt(transcript=lambda: "It is warm", finish="stop"), call=said))
    assert found == {
        "system_instructions": [{"type": "text", "content": "Be kind"}],
        "input.messages": [
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "Look"},
                    {"type": "blob", "modality": "image", "mime_type": "image/png"},
                ],
            },
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'}
                ],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "warm"}]},
        ],
        "output.messages": [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "It is warm"}],
                "finish_reason": "stop",
            }
        ],
    }


def test_a_request_without_turns_or_one_that_we_cannot_read_is_told_as_its_words() -> None:
    for said in (call("embeddings", input=["one", "two"]), call(messages="one\ntwo")):
        found = told(ended(attempt(), call=said))
        assert found["input.messages"] == [
            {"role": "user", "parts": [{"type": "text", "content": "one\ntwo"}]}
        ]


def test_words_are_redacted_before_they_are_cut() -> None:
    record = ended(attempt(transcript=lambda: "y" * 95 + "4111111111111111"), call=asked(user("x" * 500)))
    found = told(record, most_chars=100)
    assert found["input.messages"][0]["parts"][0]["content"] == "x" * 100
    assert found["output.messages"][0]["parts"][0]["content"] == "y" * 95 + "[card"
    assert found["forebay.content_cut"] is True


def test_what_is_at_the_edge_of_what_is_looked_at_is_left_out() -> None:
    secret = "4111111111111111"
    # Redaction makes the text so much shorter that its end would come into view.
    text = secret * 20 + "z" * 3900 + secret[:8]
    found = told(ended(attempt(transcript=lambda: text + "1" * 4000), call=None), most_chars=64)
    assert secret[:8] not in json.dumps(found)


def test_a_long_conversation_is_cut_and_says_so() -> None:
    found = told(ended(call=asked(*(user("word") for _ in range(1000)))))
    assert (len(found["input.messages"]), found["forebay.content_cut"]) == (256, True)
    short = told(ended(call=asked(user("a" * 64), user("b"))), most_chars=64)
    assert [message["parts"][0]["content"] for message in short["input.messages"]] == ["a" * 64]
    assert short["forebay.content_cut"] is True
    exact = told(ended(call=asked(user("a" * 64))), most_chars=64)
    assert "forebay.content_cut" not in exact


def test_a_call_that_came_to_nothing_has_no_answer() -> None:
    found = told(ended(attempt(cause="upstream_failed"), call=asked(user("Hello"))))
    assert set(found) == {"input.messages"}

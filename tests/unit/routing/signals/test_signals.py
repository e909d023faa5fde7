"""What is read of a call, in every format; and what is kept of it."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest

from gateway.config.signals import LabelSpec, SensitivitySpec, TaskSpec
from gateway.errors import BadRequest
from gateway.exchange import Call, Caller, Envelope, Format, FormField
from gateway.formats.envelope import decode_members
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.recall import recall, snapshot
from gateway.routing.signals.signals import Signals, Unrecorded

READERS = compile_readers(
    {"code": TaskSpec(keywords=("bug",))}, SensitivitySpec(labels={"personal": LabelSpec(detect=("email",))})
)
PICTURE = "iVBORw0KGgo" * 5000
FACTS = (
    *("prompt_tokens", "max_tokens", "features", "metadata", "user", "conversation", "prompt", "language"),
    *("task", "labels", "priority"),
)


def signals(body: dict, format_: Format = "chat", headers: dict | None = None, caller: Caller | None = None):
    members = decode_members(json.dumps(body).encode())
    caller = caller or Caller("acme", "key-1")
    return Signals(Call(format_, caller, Envelope("m"), members, headers or {}), READERS)


def asked(text: str) -> dict:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]}


BODIES: dict[str, dict] = {
    "chat": asked("Fix the bug, please, and tell me why it is there."),
    "responses": {"instructions": "Be brief.", "input": "Fix the bug, please, and tell me why it is there."},
    "messages": {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": "Fix the bug, please, and tell me why it is there."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "done"}]},
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"parts": [{"text": "Fix the bug, please, and tell me why it is there."}]}],
    },
    "converse": {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Fix the bug, please, and tell me why it is there."}]}
        ],
    },
    "completions": {"prompt": "Fix the bug, please, and tell me why it is there."},
    "embeddings": {"input": ["Fix the bug, please, and tell me why it is there."]},
    "images": {"prompt": "Fix the bug, please, and tell me why it is there."},
}


@pytest.mark.parametrize("format_", sorted(BODIES))
def test_the_last_words_of_the_user_are_found_in_every_format(format_):
    seen = signals(BODIES[format_], format_)
    assert (seen.task, seen.language) == ("code", "en")
    assert 10 <= seen.prompt_tokens <= 60
    assert b"bug" in seen.prompt


def test_turns_of_responses_are_items_with_parts():
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a bug"}]}
    output = {"type": "function_call_output", "call_id": "1", "output": "fine"}
    assert signals({"input": [item, output]}, "responses").task == "code"


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6, "max_tokens": None}, 6),
        ({"max_output_tokens": 7}, 7),
        ({"generationConfig": {"maxOutputTokens": 8}}, 8),
        ({"generation_config": {"max_output_tokens": 9}}, 9),
        ({"inferenceConfig": {"maxTokens": 10}}, 10),
        ({"options": {"num_predict": 11}}, 11),
        *(({"max_tokens": odd}, None) for odd in (None, "5", True, -1, 1.5, [])),
        ({}, None),
    ],
)
def test_the_limit_on_the_answer_is_read_under_its_names(body, limit):
    assert signals(body).max_tokens == limit


def turn(*parts: dict) -> dict:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("body", "features"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"functions": [{}]}, {"tools"}),
        ({"toolConfig": {"tools": [{}]}}, {"tools"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"text": {"format": {"type": "json_schema"}}}, {"json_schema"}),
        ({"text": {"format": {"type": "text"}}}, set()),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {"json_schema"}),
        ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, {"json_schema"}),
        ({"format": {"type": "object"}}, {"json_schema"}),
        ({"reasoning_effort": "low"}, {"reasoning"}),
        ({"reasoning_effort": "none"}, set()),
        ({"reasoning": {"effort": "high"}}, {"reasoning"}),
        ({"reasoning": {"summary": "auto"}}, set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning"}),
        ({"thinking": {"type": "disabled"}}, set()),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, set()),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}, {"reasoning"}),
        ({"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}, {"reasoning"}),
        ({"think": True}, {"reasoning"}),
        (turn({"type": "image_url", "image_url": {"url": "https://x/y.png"}}), {"images"}),
        (turn({"type": "input_image", "file_id": "f"}), {"images"}),
        (turn({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}), {"images"}),
        (turn({"type": "document", "source": {"type": "text", "data": "x"}}), {"files"}),
        (turn({"type": "tool_result", "content": [{"type": "image", "source": {}}]}), {"images"}),
        (turn({"type": "input_audio", "input_audio": {"data": "x"}}), {"audio"}),
        (turn({"type": "file", "file": {"file_id": "f"}}), {"files"}),
        (turn({"image": {"format": "png"}}, {"document": {}}), {"images", "files"}),
        (turn({"toolResult": {"content": [{"image": {}}]}}), {"images"}),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/mp3"}}]}]}, {"audio"}),
        ({"contents": [{"parts": [{"file_data": {"mime_type": "image/png"}}]}]}, {"images"}),
        ({"contents": {"parts": {"inline_data": {"mime_type": "application/pdf"}}}}, {"files"}),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, {"images"}),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]}, {"images"}),
    ],
)
def test_what_a_call_holds_or_asks_for_is_told_in_every_format(body, features):
    assert signals(body).features == features


PLAIN = '{"role": "user", "content": "hi"}'


@pytest.mark.parametrize(
    ("messages", "features"),
    [
        ("[]", set()),
        (f"[{PLAIN}]", set()),
        (f'[{PLAIN}, {{"role": "assistant", "content": null, "tool_calls": [{{"image": 1}}]}}]', set()),
        (f'[{PLAIN}, {{"role": "tool", "tool_call_id": "1", "content": "[{{"}}]', set()),
        (f'[{PLAIN}, {{"role": "user", "name": [{{"image": 1}}], "content": "\\u005b"}}]', set()),
        (f'[{PLAIN}, {{"content": "x", "images": ["aGk="]}}]', {"images"}),
        (f'[{PLAIN}, {{"role": "user", "content": {{"image": {{}}}}}}]', {"images"}),
        (f'[{PLAIN}, {{"content": "x", "content": [{{"file": {{}}}}]}}]', {"files"}),
        (f'[{PLAIN}, {{"content": [{{"file": {{}}}}], "content": "x"}}]', set()),
        (f'[{PLAIN}, {{"content": "x", "parts": [{{"file": {{}}}}]}}]', set()),
        (f'[{PLAIN}, {{"content": null, "parts": [{{"file": {{}}}}]}}]', set()),
        (f'[{PLAIN}, {{"parts": [{{"file": {{}}}}]}}]', {"files"}),
        (f'[{PLAIN}, {{"content": [{{"type": "text", "text": "x", "image": {{}}}}]}}]', {"images"}),
        (f'[{PLAIN}, {{"content": [{{"type": "image", "text": "x"}}]}}]', {"images"}),
        (f'[{PLAIN}, {{"content": [{{"text": "x"}}, {{"type": "file"}}]}}]', {"files"}),
        (f'[{PLAIN}, {{"content": [{{"type": "tool_use", "input": {{"image": {{}}}}}}]}}]', set()),
        (f'[{PLAIN}, {{"content": [{{"type": "tool_result", "content": "x"}}]}}]', set()),
        (f'[{PLAIN}, {{"content": [{{"type": "tool_result", "content": [{{"image": 1}}]}}]}}]', {"images"}),
        (f'[{PLAIN}, "x", {{"output": [{{"audio": {{}}}}]}}]', {"audio"}),
        (f'[{PLAIN}, null, {{"content": [{{"file": {{}}}}]}}]', set()),
    ],
)
def test_what_only_looks_like_plain_text_is_looked_at(messages, features):
    members = decode_members(f'{{"messages": {messages}}}'.encode())
    assert Signals(Call("chat", Caller("t", "k"), Envelope("m"), members, {}), READERS).features == features


def test_plain_messages_beside_media_in_the_instructions_are_looked_at():
    body = asked("hello") | {"system": [{"type": "image", "source": {"media_type": "image/png"}}]}
    assert signals(body).features == {"images"}


def test_long_messages_of_plain_text_hold_nothing_else():
    assert signals(asked("hello " * 5000)).features == frozenset()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"data": PICTURE}}]},
        {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
    ],
)
def test_an_image_counts_the_same_whatever_its_size(part):
    assert 1000 <= signals(turn(part)).prompt_tokens <= 1060


@pytest.mark.parametrize(
    ("body", "headers", "user"),
    [
        ({"user": "ann"}, {}, "ann"),
        ({"user": "ann"}, {"x-forebay-user": "bob"}, "bob"),
        ({"safety_identifier": "s", "user": "ann"}, {}, "s"),
        ({"metadata": {"user_id": "u-1"}}, {}, "u-1"),
        ({"user": 5}, {}, ""),
    ],
)
def test_the_end_user_is_the_one_that_header_or_body_names(body, headers, user):
    assert signals(body, headers=headers).user == user


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"user": "u" * 100_000}, {}),
        ({"safety_identifier": "u" * 100_000}, {}),
        ({"metadata": {"user_id": "u" * 100_000}}, {}),
        ({}, {"x-forebay-user": "u" * 100_000}),
    ],
)
def test_whoever_counts_by_users_keeps_no_name_without_end(body, headers):
    assert len(signals(body, headers=headers).user) == 200


def test_metadata_are_texts():
    given = {"a": "b", "n": 1, "deep": {"x": []}, "none": None}
    assert signals({"metadata": given}).metadata == {"a": "b", "n": "1", "deep": '{"x": []}', "none": "null"}
    assert signals({"metadata": ["odd"]}).metadata == {}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"conversation": {"id": "c1"}}, "c1"),
        ({"conversation": "c2", "prompt_cache_key": "p"}, "c2"),
        ({"prompt_cache_key": "p", "previous_response_id": "r"}, "p"),
        ({"previous_response_id": "r"}, "r"),
    ],
)
def test_a_conversation_has_the_name_that_the_call_gives_it(body, name):
    assert signals(body).conversation == name
    assert signals(body, headers={"x-forebay-conversation": "h"}).conversation == "h"


def test_a_conversation_without_a_name_is_told_by_its_first_turns():
    first = asked("hello")
    longer = {
        "messages": [
            *first["messages"],
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": "more"},
        ]
    }
    assert signals(first).conversation == signals(longer).conversation
    assert signals(first).conversation != signals(asked("good evening")).conversation


@pytest.mark.parametrize(
    ("best", "header", "priority"),
    [
        ("interactive", "", "interactive"),
        ("interactive", " Batch", "batch"),
        ("batch", "interactive", "batch"),
        ("batch", "", "batch"),
    ],
)
def test_a_header_can_only_lower_the_priority(best, header, priority):
    caller = Caller("t", "k", priority=best)
    assert signals({}, headers={"x-forebay-priority": header}, caller=caller).priority == priority


def test_an_unknown_priority_is_refused():
    with pytest.raises(BadRequest, match="x-forebay-priority"):
        _ = signals({}, headers={"x-forebay-priority": "soon"}).priority


ODD = [
    None,
    True,
    5,
    1.5,
    "x",
    "",
    [],
    {},
    [1],
    ["x"],
    [[]],
    [{}],
    [None],
    {"a": 1},
    [{"role": [], "content": 5}],
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_bodies_never_raise(odd):
    names = (
        *("messages", "contents", "input", "prompt", "system", "instructions", "systemInstruction", "tools"),
        *("metadata", "user", "conversation", "text", "generationConfig", "reasoning", "thinking", "options"),
        *("response_format", "output_config", "additionalModelRequestFields", "documents", "format"),
    )
    for body in (
        dict.fromkeys(names, odd),
        *({name: odd} for name in names),
        turn(dict.fromkeys(names, odd)),
    ):
        seen = signals(body)
        assert [getattr(seen, fact) is not None for fact in FACTS if fact != "max_tokens"] == [True] * 10


@pytest.mark.parametrize("format_", get_args(Format))
def test_every_format_has_every_fact(format_):
    seen = signals({}, format_)
    assert (seen.prompt_tokens, seen.features, seen.task, seen.labels) == (0, frozenset(), "", frozenset())


def test_the_text_of_a_form_counts():
    form = (FormField("prompt", b"", b"Fix the bug"), FormField("image", b'x; filename="a.png"', b"\x89PNG"))
    seen = Signals(Call("image_edits", Caller("t", "k"), Envelope("m"), {}, {}, form), READERS)
    assert (seen.task, seen.features) == ("code", {"images"})
    assert seen.prompt_tokens > 0


def test_a_fact_is_read_once():
    seen = signals(asked("hello"))
    assert seen.metadata is seen.metadata
    assert seen.prompt is seen.prompt


def test_a_snapshot_holds_what_was_read_and_nothing_of_the_prompt():
    body = asked("Fix the bug of ann@example.com") | {"user": "ann@example.com", "max_tokens": 9}
    seen = signals(body, headers={"x-team": "blue", "authorization": "Bearer hidden"})
    assert (seen.task, seen.labels) == ("code", {"personal"})
    _ = seen.prompt, seen.conversation, seen.turn, seen.instructions
    facts = snapshot(seen, ("x-team", "x-other"))
    text = msgspec.json.encode(facts).decode()
    assert not [word for word in ("Fix", "brief", "ann", "hidden") if word in text]
    assert facts["headers"] == {"x-team": "blue", "x-other": None}
    assert facts["task"] == "code"
    assert "language" not in facts


def test_decisions_can_be_made_again_on_what_was_recorded():
    seen = signals(asked("Fix the bug") | {"user": "ann"}, headers={"x-team": "blue"})
    _ = seen.task, seen.labels
    facts = msgspec.json.decode(msgspec.json.encode(snapshot(seen, ("x-team", "x-other"))))
    again = recall(facts, READERS)
    same = (
        "model",
        "format",
        "stream",
        "caller",
        "task",
        "labels",
        "features",
        "prompt_tokens",
        "max_tokens",
    )
    assert [getattr(again, name) for name in same] == [getattr(seen, name) for name in same]
    assert (again.headers.get("x-team"), again.headers.get("x-other")) == ("blue", None)
    assert "x-other" not in again.headers
    assert msgspec.json.decode(msgspec.json.encode(snapshot(again, ("x-team", "x-other")))) == facts


@pytest.mark.parametrize("reads_metadata", [False, True])
def test_metadata_that_was_read_for_the_user_is_recorded_as_read(reads_metadata):
    readers = msgspec.structs.replace(READERS, reads_metadata=reads_metadata)
    seen = Signals(Call("chat", Caller("t", "k"), Envelope("m"), {}, {}), readers)
    assert "metadata" not in snapshot(seen)  # only the snapshot itself asked for the user
    assert snapshot(seen)["user"] == ""
    assert snapshot(seen).get("metadata") == ({} if reads_metadata else None)


def test_equal_users_stay_equal_and_different_ones_different():
    ann, also_ann, bob = (snapshot(signals({"user": name}))["user"] for name in ("ann", "ann", "bob"))
    assert ann == also_ann != bob
    assert snapshot(signals({}))["user"] == ""


def test_what_was_not_recorded_is_not_guessed():
    again = recall(snapshot(signals(asked("hello"))), READERS)
    for name in ("language", "prompt", "task", "labels"):
        with pytest.raises(Unrecorded, match=name):
            getattr(again, name)
    with pytest.raises(Unrecorded, match="x-team"):
        again.headers.get("x-team")

"""Mistral's names for things, and what it is spared."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters
from unit.stand_ins import SECRET, call

from backends.host import Host
from backends.mistral import LEFT_OUT, LEFT_OUT_OF_MESSAGES, RENAMED, Mistral
from gateway.exchange import Credential, Format

PLACE = "https://api.mistral.ai/v1"
KEY = Credential("m#1", SECRET)
MESSAGES = [{"role": "user", "content": "hi"}]


def sent(format_: Format = "chat", *, stream: bool = False, **members: Any) -> dict[str, Any]:
    request = Mistral("m", Host(PLACE, ("chat", "embeddings"))).prepare(
        call(format_, stream=stream, **members), "mistral-small", KEY
    )
    body = json.loads(request.body)
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(("format_", "path"), [("chat", "chat/completions"), ("embeddings", "embeddings")])
def test_it_is_spoken_to_under_openais_paths(format_: Format, path: str) -> None:
    request = Mistral("m", Host(PLACE)).prepare(call(format_), "mistral-small", KEY)
    assert request.url == f"{PLACE}/{path}"
    assert request.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("format_", "old", "new"),
    [(format_, *pair) for format_, names in RENAMED.items() for pair in names.items()],
)
def test_what_has_another_name_gets_it(format_: Format, old: str, new: str) -> None:
    body = sent(format_, **{old: 7})
    assert body[new] == 7
    assert old not in body


@pytest.mark.parametrize(
    "order", [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_mistrals_own_name_counts_where_both_are_given(order: tuple[str, str]) -> None:
    limits = {"max_tokens": 5, "max_completion_tokens": 9}
    assert sent(**{name: limits[name] for name in order})["max_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(LEFT_OUT["chat"]))
def test_what_mistral_refuses_and_nobody_misses_is_left_out(name: str, stream: bool) -> None:
    value = {"include_usage": True} if name == "stream_options" else "x"
    assert name not in sent(stream=stream, **{name: value})


def test_a_stream_is_not_asked_for_its_usage() -> None:
    assert "stream_options" not in sent(stream=True)


@pytest.mark.parametrize(
    "name", ["logit_bias", "logprobs", "top_k", "modalities", "safe_prompt", "response_format"]
)
def test_what_would_change_the_answer_is_sent_as_it_is(name: str) -> None:
    assert sent(**{name: {"a": 1}})[name] == {"a": 1}


@pytest.mark.parametrize("name", sorted(LEFT_OUT_OF_MESSAGES))
def test_what_clients_send_back_beside_the_words_is_left_out(name: str) -> None:
    messages = [*MESSAGES, {"role": "assistant", "content": "hello", name: "x"}]
    assert sent(messages=messages)["messages"] == [*MESSAGES, {"role": "assistant", "content": "hello"}]


def test_a_developer_is_the_system_and_only_tools_have_names() -> None:
    messages = [
        {"role": "developer", "content": "be brief", "name": "d"},
        {"role": "tool", "content": "1", "tool_call_id": "abc", "name": "add"},
    ]
    assert sent(messages=messages)["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "tool", "content": "1", "tool_call_id": "abc", "name": "add"},
    ]


def test_ids_of_other_providers_become_ids_that_mistral_takes_for_calls_and_results_alike() -> None:
    ids = ("toolu_01A09q90qw90lq917835lq9", "D681PevKs", "call_1", "")
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
    results = [{"role": "tool", "tool_call_id": id_, "content": "1"} for id_ in (*ids, "of nobody")]
    body = sent(messages=[*MESSAGES, {"role": "assistant", "content": "", "tool_calls": calls}, *results])
    written = [one["id"] for one in body["messages"][1]["tool_calls"]]
    answered = [message["tool_call_id"] for message in body["messages"][2:]]
    assert answered == [*written, "of nobody"]
    assert written[1] == ids[1]
    assert written[3] == ids[3]
    assert len(set(written)) == 4
    assert all(len(written[i]) == 9 and written[i].isalnum() for i in (0, 2))
    assert body["messages"][1]["tool_calls"][0]["function"] == calls[0]["function"]


def test_a_document_inside_the_request_is_one_by_its_data_url() -> None:
    url = "data:application/pdf;base64,JVBERi0="
    parts = [
        {"type": "text", "text": "What says file_data?"},
        {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "f-1"}},
    ]
    (message,) = sent(messages=[{"role": "user", "content": parts}])["messages"]
    document = {"type": "document_url", "document_url": url, "document_name": "a.pdf"}
    assert message["content"] == [parts[0], document, parts[2]]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "file_data"},
        {"role": "assistant", "tool_calls": "x", "content": ""},
        {"role": "assistant", "tool_calls": [1], "content": ""},
        {"role": "tool", "tool_call_id": [1], "content": "file_data"},
        {"role": "user", "content": [{"type": "file", "file": "file_data"}]},
    ],
)
def test_a_malformed_message_is_for_mistral_to_refuse(message: dict[str, Any]) -> None:
    assert sent(messages=[message])["messages"] == [message]


def test_members_that_were_translated_are_written_like_received_ones() -> None:
    translated = msgspec.structs.replace(
        call("chat"), members={"messages": [{**MESSAGES[0], "name": "joe"}], "seed": 3}
    )
    body = json.loads(Mistral("m", Host(PLACE)).prepare(translated, "mistral-small", KEY).body)
    assert body == {"messages": MESSAGES, "random_seed": 3, "model": "mistral-small"}


def test_what_mistral_refuses_is_left_out_by_name() -> None:
    asked = call("chat", user="joe", store=True, stream=True, stream_options={"include_usage": True})
    request = Mistral("m", Host(PLACE)).prepare(asked, "mistral-small", KEY)
    assert request.dropped == ("store", "user")
    assert {"store", "user", "stream_options"}.isdisjoint(json.loads(request.body))


@pytest.mark.parametrize("is_translated", [False, True])
def test_a_translated_user_does_not_speak_right_after_a_tool(is_translated: bool) -> None:
    tool = {"role": "tool", "content": "1", "tool_call_id": "D681PevKs"}
    asked = call("chat", messages=[*MESSAGES, tool, tool, *MESSAGES, *MESSAGES])
    asked = msgspec.structs.replace(asked, translated=is_translated)
    body = json.loads(Mistral("m", Host(PLACE)).prepare(asked, "mistral-small", KEY).body)
    between = ["assistant"] if is_translated else []
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "tool", "tool", *between, "user", "user"]


@pytest.mark.parametrize("messages", ["text", 7, None, [1], {"role": "user"}])
def test_what_is_no_list_of_messages_is_for_mistral_to_refuse(messages: Any) -> None:
    assert sent(messages=messages)["messages"] == messages


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load("mistral.chat") if r.request))
def test_what_mistral_took_in_its_own_words_goes_on_unchanged(recording: Recording) -> None:
    assert recording.request is not None
    asked = {name: value for name, value in recording.request.items() if name not in {"model", "stream"}}
    body = sent(stream=bool(recording.request.get("stream")), **asked)
    assert {name: body[name] for name in asked} == asked

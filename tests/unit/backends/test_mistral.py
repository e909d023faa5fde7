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


def test_members_that_were_translated_are_written_like_received_ones() -> None:
    translated = msgspec.structs.replace(
        call("chat"), members={"messages": [{**MESSAGES[0], "name": "joe"}], "seed": 3}
    )
    body = json.loads(Mistral("m", Host(PLACE)).prepare(translated, "mistral-small", KEY).body)
    assert body == {"messages": MESSAGES, "random_seed": 3, "model": "mistral-small"}


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

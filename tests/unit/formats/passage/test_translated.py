"""A translated call as a whole: what goes up, what comes back, what is left out or refused on the way."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import call

from gateway.errors import BadAnswer, BadRequest, Broken, Failed, Filtered, Overloaded, Unsupported
from gateway.exchange import Call, Usage
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import AnswerStream, Passage, Terms, Whole

TERMS = Terms("call_0123", 1_700_000_000)
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-up",
    "stop_sequence": None,
    "content": [{"type": "text", "text": "Paris."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def without_messages(asked: Call) -> Call:
    members = {name: member for name, member in asked.members.items() if name != "messages"}
    return msgspec.structs.replace(asked, members=members)


def opened(asked: Call, wire: Any = "messages", rename: str | None = None) -> Passage:
    return open_passage(asked, wire, "claude-up", msgspec.structs.replace(TERMS, rename=rename))


def test_a_call_in_the_upstreams_own_format_is_not_touched() -> None:
    asked = call("chat")
    assert opened(asked, "chat").call is asked


def test_a_chat_call_becomes_a_messages_call_and_its_answer_a_chat_answer() -> None:
    passage = opened(call(max_tokens=9, temperature=0.5))
    assert passage.call.format == "messages"
    members = json.loads(msgspec.json.encode(passage.call.members))
    assert (members["max_tokens"], members["temperature"], passage.dropped) == (9, 0.5, ())
    assert members["messages"][0]["role"] == "user"
    whole = passage.read(json.dumps(ANSWER).encode())
    answer = json.loads(whole.body)
    assert answer["choices"][0]["message"]["content"] == "Paris."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (answer["object"], answer["model"], whole.usage) == ("chat.completion", "claude-up", Usage(3, 2))
    assert passage.content_type == b"application/json"


def test_a_renaming_route_shows_its_own_name() -> None:
    whole = opened(call(), rename="fast").read(json.dumps(ANSWER).encode())
    assert json.loads(whole.body)["model"] == "fast"


def test_what_steers_only_is_dropped_by_its_name_and_what_matters_is_refused() -> None:
    passage = opened(call(seed=7, frequency_penalty=0.5, prompt_cache_key="k"))
    assert passage.dropped == ("seed", "frequency_penalty", "prompt_cache_key")
    for field, value in (("n", 2), ("logprobs", True), ("response_format", {"type": "json_object"})):
        with pytest.raises(Unsupported, match=field) as refusal:
            opened(call(**{field: value}))
        assert refusal.value.status == 400
        assert refusal.value.param == field
    with pytest.raises(Unsupported, match="nobody_knows"):
        opened(call(nobody_knows=1))


@pytest.mark.parametrize("field", [{"n": 1}, {"logprobs": False}, {"store": False}, {"service_tier": "auto"}])
def test_a_field_that_asks_for_what_happens_anyway_is_no_loss(field: dict[str, Any]) -> None:
    assert opened(call(**field)).dropped == ()


def test_a_result_without_its_call_is_refused_before_it_is_sent() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "tool", "tool_call_id": "call_x", "content": "42"},
    ]
    with pytest.raises(BadRequest, match="call_x") as refusal:
        opened(call(messages=messages))
    assert refusal.value.code == "tool_result_without_call"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", json.dumps(ANSWER).encode()[:-9]])
def test_what_is_no_answer_fails(body: bytes) -> None:
    with pytest.raises(Failed):
        opened(call()).read(body)


def events_of(*events: dict[str, Any]) -> list[bytes]:
    return [
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    ]


STREAM = events_of(
    {
        "type": "message_start",
        "message": ANSWER | {"content": [], "usage": {"input_tokens": 3, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Par"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "is."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
)


def chunks_of(sent: bytes) -> list[Any]:
    lines = [line[6:] for line in sent.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_is_translated_event_by_event(*, usage: bool) -> None:
    passage = opened(call(stream=True, stream_options={"include_usage": usage}))
    assert passage.content_type == b"text/event-stream"
    assert passage.stream is not None
    stream = passage.stream(10_000)
    said = [stream.feed(event) for event in STREAM]
    assert b"Par" in said[2], "a piece is passed on with the event that brings it"
    sent = b"".join(said) + stream.close()
    chunks = chunks_of(sent)
    text = "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", [])
    )
    assert text == stream.text() == "Paris."
    assert sent.endswith(b"data: [DONE]\n\n")
    assert any(chunk.get("usage") for chunk in chunks) is usage
    assert (stream.usage, stream.finished, stream.done, stream.fault) == (Usage(3, 2), True, True, None)


def test_an_error_inside_a_stream_is_the_last_word() -> None:
    passage = opened(call(stream=True))
    assert passage.stream is not None
    stream = passage.stream(10_000)
    fault = events_of({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    sent = (
        stream.feed(b"".join([*STREAM[:3], *fault, *STREAM[3:]])) + stream.feed(STREAM[-1]) + stream.close()
    )
    assert isinstance(stream.fault, Overloaded)
    assert chunks_of(sent)[-1]["error"]["message"] == "Overloaded"
    assert b"[DONE]" not in sent
    assert b"is." not in sent


def test_a_whole_answer_to_a_call_for_a_stream_becomes_one() -> None:
    passage = opened(call(stream=True))
    whole = passage.read(json.dumps(ANSWER).encode())
    assert passage.content_type == b"text/event-stream"
    assert whole.body.endswith(b"data: [DONE]\n\n")
    assert "".join(
        c["choices"][0]["delta"].get("content") or "" for c in chunks_of(whole.body) if c["choices"]
    ) == ("Paris.")
    assert (whole.usage, whole.empty) == (Usage(3, 2), False)


def test_an_answer_without_a_word_is_empty() -> None:
    silent = ANSWER | {"content": [{"type": "text", "text": ""}]}
    assert opened(call()).read(json.dumps(silent).encode()).empty
    assert not opened(call()).read(json.dumps(silent | {"stop_reason": "max_tokens"}).encode()).empty


def test_a_prompt_that_was_not_let_through_has_no_answer() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 12}}
    answer = opened(call(), "gemini").read(json.dumps(blocked).encode())
    assert answer.body == b""
    assert isinstance(answer.refusal, Filtered)
    assert answer.usage == Usage(12)


def test_a_prompt_that_was_not_let_through_tells_its_tokens_in_a_stream_too() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 12}}
    begin = opened(call(stream=True), "gemini").stream
    assert begin is not None
    stream = begin(10_000)
    stream.feed(b"data: " + json.dumps(blocked).encode() + b"\n\n")
    assert isinstance(stream.fault, Filtered)
    assert stream.usage == Usage(12)


def test_a_stream_has_begun_with_its_first_word() -> None:
    passage = opened(call(stream=True))
    assert passage.stream is not None
    stream = passage.stream(10_000)
    begun = []
    for event in STREAM[:3]:
        stream.feed(event)
        begun.append(stream.begun)
    assert begun == [False, False, True]


def test_an_event_that_cannot_be_read_is_skipped() -> None:
    passage = opened(call(stream=True))
    assert passage.stream is not None
    plain, damaged = passage.stream(10_000), passage.stream(10_000)
    sent = b"".join(damaged.feed(event + b"data: {oh\n\n") for event in STREAM) + damaged.close()
    assert sent == b"".join(map(plain.feed, STREAM)) + plain.close()
    assert damaged.done


def test_a_chat_upstreams_end_is_known_and_mended_before_it_is_said() -> None:
    passage = open_passage(call("messages", max_tokens=9, stream=True), "chat", "gpt-up", TERMS)
    assert passage.stream is not None
    stream = passage.stream(10_000)
    said = b"".join(map(stream.feed, sse(*chat.chunks(), done=False)))
    assert (stream.finished, stream.done) == (True, False)
    assert b"message_stop" not in said
    end = stream.mend()
    assert end.endswith(b'data: {"type":"message_stop"}\n\n')
    assert b'"output_tokens":3' in end
    assert (stream.done, stream.mend(), stream.feed(b"data: [DONE]\n\n"), stream.close()) == (
        True,
        b"",
        b"",
        b"",
    )


def test_the_end_is_mended_where_half_an_event_came_after_it() -> None:
    passage = opened(call(stream=True))
    assert passage.stream is not None
    stream = passage.stream(10_000)
    for event in STREAM[:-1]:
        stream.feed(event)
    stream.feed(STREAM[-1][:20])
    assert stream.mend().endswith(b"data: [DONE]\n\n")


def test_a_stream_that_nobody_asked_for_is_put_together() -> None:
    passage = opened(call())
    assert passage.stream is None
    whole = passage.read(b"".join(STREAM))
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == "Paris."
    with pytest.raises(BadAnswer, match="not whole"):
        passage.read(b"".join(STREAM[:3]))


@pytest.mark.parametrize("step", [1, 10_000])
def test_damage_amid_a_call_ends_a_stream_with_an_error(step: int) -> None:
    begun = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    rest = {"index": 0, "function": {"arguments": "1}"}}
    chunks = [chat.chunk({"tool_calls": [piece]}) for piece in (begun, rest)]
    events = sse(*chunks, chat.chunk({}, "tool_calls"))
    data = events[0] + b"data: {\n\n" + b"".join(events[1:])
    begin = opened(call("messages", stream=True), "chat").stream
    assert begin is not None
    stream = begin(10_000)
    sent = b"".join([stream.feed(data[at : at + step]) for at in range(0, len(data), step)])
    assert isinstance(stream.fault, Broken)
    assert (sent.count(b"event: error"), b"message_stop" in sent + stream.close()) == (1, False)


def test_tokens_are_counted_at_another_provider() -> None:
    asked = call("count_tokens", messages=[{"role": "user", "content": "hi"}])
    passage = open_passage(asked, "gemini_count", "gemini-up", TERMS)
    members = json.loads(msgspec.json.encode(passage.call.members))
    assert "hi" in json.dumps(members)
    assert passage.read(b'{"totalTokens": 5}') == Whole(b'{"input_tokens":5}', Usage())
    assert passage.stream is None


def test_embeddings_are_translated() -> None:
    passage = open_passage(
        without_messages(call("embeddings", input=["a", "b"])), "ollama_embeddings", "n", TERMS
    )
    assert json.loads(msgspec.json.encode(passage.call.members))["input"] == ["a", "b"]
    told = {"model": "nomic", "embeddings": [[0.5, 1.0], [0.25, 2.0]], "prompt_eval_count": 4}
    whole = passage.read(json.dumps(told).encode())
    assert [each["embedding"] for each in json.loads(whole.body)["data"]] == [[0.5, 1.0], [0.25, 2.0]]
    assert whole.usage == Usage(4)


def test_a_responses_client_gets_no_state_from_another_provider() -> None:
    asked = call("responses", input="hi", previous_response_id="resp_1")
    with pytest.raises(Unsupported, match="previous_response_id"):
        open_passage(without_messages(asked), "chat", "up", TERMS)


def test_a_chat_stream_of_another_shape_fails_in_the_clients_dialect() -> None:
    passage = open_passage(
        call("messages", max_tokens=9, stream=True), "chat", "gpt-up", msgspec.structs.replace(TERMS)
    )
    assert passage.stream is not None
    stream = passage.stream(10_000)
    error = {"error": {"message": "the server had an error", "type": "server_error", "code": None}}
    sent = stream.feed(sse(error, done=False)[0])
    assert b"event: error" in sent
    assert b'"type":"error"' in sent.replace(b" ", b"")


def begun(client: Any, wire: Any, **members: Any) -> AnswerStream:
    asked = call(client, stream=True, **members)
    begin = opened(asked if client in {"chat", "messages"} else without_messages(asked), wire).stream
    assert begin is not None
    return begin(10_000)


ASKED: dict[str, dict[str, Any]] = {
    "messages": {},
    "responses": {"input": "hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


def candidate(index: int, text: str, finish: str | None = None) -> bytes:
    said = {"index": index, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}
    used = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
    return f"data: {json.dumps({'candidates': [said], 'usageMetadata': used})}\r\n\r\n".encode()


def test_a_stream_of_several_choices_finishes_with_the_last() -> None:
    stream = begun("chat", "gemini", n=2)
    stream.feed(candidate(0, "a", "STOP"))
    assert not stream.finished, "another was asked for"
    stream.feed(candidate(1, "b"))
    assert not stream.finished
    stream.feed(candidate(1, "c", "STOP"))
    assert stream.finished


def test_a_stream_is_not_finished_amid_a_call() -> None:
    late = {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": '{"a": '}}
    first = late | {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    rest = {"index": 1, "function": {"arguments": "1}"}}
    stream = begun("messages", "chat")
    seen = []
    for delta, finish in (
        *(({"tool_calls": [first]}, None), ({}, "tool_calls")),
        *(({"tool_calls": [late]}, None), ({"tool_calls": [rest]}, "tool_calls")),
    ):
        stream.feed(b"".join(sse(chat.chunk(delta, finish), done=False)))
        seen.append(stream.finished)
    assert seen == [False, True, False, True]


@pytest.mark.parametrize(
    ("client", "told"),
    [("messages", b"event: error"), ("responses", b"event: response.failed"), ("gemini", b"502")],
)
@pytest.mark.parametrize("done", [False, True])
def test_an_answer_that_ends_in_an_error_is_one(client: Any, told: bytes, *, done: bool) -> None:
    stream = begun(client, "chat", **ASKED[client])
    written = stream.feed(b"".join(sse(chat.chunk({"content": "a"}), chat.chunk({}, "error"), done=done)))
    written += stream.close()
    assert written.count(told) == 1
    assert (stream.done, stream.mend(), type(stream.fault)) == (False, b"", Failed)

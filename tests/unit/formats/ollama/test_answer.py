"""Ollama's answers, whole and in lines: what they count, how they end, how they fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Broken, Failed
from gateway.exchange import Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Ended, Event, Faulted, Finished, join, whole
from gateway.formats.neutral.parts import Reasoning, Refusal, Text, ToolCall
from gateway.formats.ollama.codec import CODEC

HEADING = Heading("call_1", "shown", 1_700_000_000, Conversation(()))
MADE = "2026-08-07T06:08:11.017589123Z"
MADE_UNIX_S = 1_786_082_891
LIMIT_BYTES = 100_000
CALL = {"function": {"name": "f", "arguments": {"x": 1}}}


def line(**members: Any) -> dict[str, Any]:
    said = members.pop("message", {"content": ""})
    return {
        "model": "m",
        "created_at": MADE,
        "message": {"role": "assistant", **said},
        "done": False,
        **members,
    }


def end(**members: Any) -> dict[str, Any]:
    return line(done=True, **{"done_reason": "stop", **members})


def streamed(*lines: dict[str, Any]) -> list[Event]:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    data = b"".join(json.dumps(said).encode() + b"\n" for said in lines)
    return reader.feed(data) + reader.close()


def answered(body: dict[str, Any], stream: bool) -> Completion:
    return join(streamed(body)) if stream else CODEC.decode_answer(json.dumps(body).encode())


STREAM = pytest.mark.parametrize("stream", [False, True])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"prompt_eval_count": 5, "eval_count": 2}, Usage(5, 2)),
        ({"eval_count": 2}, Usage(0, 2)),
        ({}, None),
        ({"prompt_eval_count": -5, "eval_count": 2}, None),
    ],
)
@STREAM
def test_the_counts_are_the_tokens(counts: dict[str, int], expected: Usage | None, stream: bool) -> None:
    assert answered(end(**counts), stream).usage == expected


@pytest.mark.parametrize(
    ("word", "calls", "finish"),
    [
        ("stop", [], "stop"),
        ("stop", [CALL], "tool_calls"),
        ("length", [CALL], "length"),
        ("length", [], "length"),
        (None, [], "stop"),
        ("load", [], "stop"),
    ],
)
@STREAM
def test_an_end_with_calls_is_one_for_their_sake(
    word: str | None, calls: Any, finish: Finish, stream: bool
) -> None:
    choice = answered(end(done_reason=word, message={"content": "", "tool_calls": calls}), stream).choices[0]
    assert (choice.finish, choice.finish_raw) == (finish, word or "")


@STREAM
def test_a_call_without_an_id_is_named_after_its_time(stream: bool) -> None:
    calls = [CALL, {"id": "own", **CALL}, CALL]
    parts = answered(end(message={"content": "", "tool_calls": calls}), stream).choices[0].parts
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    assert ids == ["call_20260807060811017589123_0", "own", "call_20260807060811017589123_2"]


@STREAM
def test_thinking_comes_before_the_text(stream: bool) -> None:
    seen = answered(end(message={"thinking": "hm", "content": "a"}), stream)
    assert seen.choices[0].parts == (Reasoning("hm", origin="ollama"), Text("a"))
    assert (seen.model, seen.created_unix_s) == ("m", MADE_UNIX_S)


@STREAM
def test_durations_are_kept(stream: bool) -> None:
    extra = answered(end(total_duration=5, remote_host="https://ollama.com"), stream).extra
    assert extra.items() >= {"total_duration": 5, "remote_host": "https://ollama.com"}.items()


@STREAM
def test_logprobs_come_with_their_tokens(stream: bool) -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97]}
    body = end(message={"content": "a"}, logprobs=[{**token, "top_logprobs": [token]}])
    seen = answered(body, stream)
    assert seen.choices[0].logprobs == (TokenLogprob("a", -0.5, (97,), (TopLogprob("a", -0.5, (97,)),)),)
    if not stream:
        assert json.loads(CODEC.encode_answer(seen, HEADING))["logprobs"] == body["logprobs"]


@STREAM
def test_logprobs_of_thinking_and_text_together_are_told_once(stream: bool) -> None:
    tokens = [{"token": "hm", "logprob": -0.1}, {"token": "a", "logprob": -0.5}]
    seen = answered(end(message={"thinking": "hm", "content": "a"}, logprobs=tokens), stream)
    assert seen.choices[0].logprobs == (TokenLogprob("hm", -0.1), TokenLogprob("a", -0.5))


def test_parts_follow_what_the_lines_hold() -> None:
    said = [{"thinking": "a", "content": ""}, {"thinking": "b"}, {"content": "c"}, {"content": "d"}]
    calls = [{"content": "", "tool_calls": [CALL]}, {"content": "", "tool_calls": [CALL]}, {"content": "e"}]
    parts = join(streamed(*(line(message=message) for message in [*said, *calls]), end())).choices[0].parts
    assert [type(part) for part in parts] == [Reasoning, Text, ToolCall, ToolCall, Text]
    assert [part.text for part in parts if isinstance(part, Reasoning | Text)] == ["ab", "cd", "e"]


@pytest.mark.parametrize("made", ["", "yesterday", "9999-99-99", "0001-01-01T00:00:00+14:00"])
@STREAM
def test_a_time_that_is_none_is_not_said(made: str, stream: bool) -> None:
    assert answered(end(created_at=made), stream).created_unix_s == 0


def test_an_error_line_is_a_failure() -> None:
    events = streamed(line(message={"content": "a"}), {"error": "model runner has stopped"}, end())
    assert isinstance(events[-1], Faulted)
    assert events[-1].error.message == "model runner has stopped"
    assert not any(isinstance(event, Finished | Ended) for event in events)


def test_a_last_line_needs_no_newline() -> None:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    assert reader.feed(json.dumps(end()).encode()) == []
    assert isinstance(reader.close()[-1], Ended)


def test_nothing_is_read_after_the_end() -> None:
    reader = CODEC.stream_decoder(1000)
    reader.feed(json.dumps(end()).encode() + b"\n{\n")
    assert reader.feed(b"x" * 2000) == []
    assert reader.close() == []


def test_a_stream_that_is_cut_has_not_ended() -> None:
    assert not any(isinstance(event, Finished | Ended) for event in streamed(line(message={"content": "a"})))


@pytest.mark.parametrize(
    "data",
    [
        b'{"done": 1}\n',
        b"x" * (LIMIT_BYTES + 1),
        b'{"message":{"tool_calls":[{}]}}\n',
    ],
)
def test_a_stream_that_is_not_whole_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        CODEC.stream_decoder(LIMIT_BYTES).feed(data)


@pytest.mark.parametrize("data", [b"{\n", b"<html>\n", b'"\xff"\n', b"[1]\n", b'{"message":' * 5_000 + b"\n"])
def test_a_line_that_cannot_be_read_is_skipped(data: bytes) -> None:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    assert reader.feed(data) == []
    assert (reader.skipped, reader.finished) == (1, False)


def test_half_a_line_at_the_end_is_no_end() -> None:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    reader.feed(json.dumps(line()).encode() + b'\n{"model":')
    assert reader.close() == []
    assert not reader.finished


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"message": 1}', b"<html>", b'"\xff"', b"[" * 100_000])
def test_what_is_no_answer_has_failed(body: bytes) -> None:
    with pytest.raises(Failed):
        CODEC.decode_answer(body)


COMPLETIONS = [
    Completion((Choice((Text("a\nb"),), "stop", "stop"),), model="m", usage=Usage(3, 2)),
    Completion((Choice((Reasoning("hm", origin="ollama"), Text("a")), "length", "length"),), model="m"),
    Completion(
        (
            Choice(
                (
                    Reasoning("hm", origin="ollama"),
                    *(
                        ToolCall("1", "f", '{"a":1}', origin="ollama"),
                        ToolCall("2", "g", "{}", origin="ollama"),
                    ),
                ),
                "tool_calls",
                "stop",
            ),
        ),
        model="m",
        usage=Usage(10, 5),
        extra={"total_duration": 5},
    ),
    Completion((Choice((), "stop", "stop"),), model="m"),
]


@pytest.mark.parametrize("completion", COMPLETIONS)
@STREAM
def test_what_is_written_is_read_back(completion: Completion, stream: bool) -> None:
    if stream:
        data = CODEC.stream_encoder(HEADING).encode(whole(completion))
        again = join(CODEC.stream_decoder(LIMIT_BYTES).feed(data))
    else:
        again = CODEC.decode_answer(CODEC.encode_answer(completion, HEADING))
        assert again.extra.pop("created_at") == "2023-11-14T22:13:20Z"
    assert again.created_unix_s == HEADING.created_unix_s
    assert (again.choices, again.usage, again.extra) == (
        completion.choices,
        completion.usage,
        completion.extra,
    )


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        (Choice((), "length", "COMPLETE"), "length"),
        (Choice((), "content_filter", "stop"), "stop"),
        (Choice((ToolCall("1", "f"),), "tool_calls", "tool_calls"), "stop"),
        (Choice((), "stop", "length"), "stop"),
    ],
)
def test_a_finish_of_another_format_gets_the_nearest_word(choice: Choice, word: str) -> None:
    assert json.loads(CODEC.encode_answer(Completion((choice,)), HEADING))["done_reason"] == word


@STREAM
def test_arguments_that_are_no_object_are_not_lost(stream: bool) -> None:
    completion = Completion((Choice((ToolCall("1", "f", "{oops"),), "tool_calls"),))
    if stream:
        data = CODEC.stream_encoder(HEADING).encode(whole(completion)).splitlines()[0]
    else:
        data = CODEC.encode_answer(completion, HEADING)
    call = json.loads(data)["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == {"arguments": "{oops"}


def test_a_failure_is_a_line_of_its_own() -> None:
    data = CODEC.stream_encoder(HEADING).fail(Broken("it broke"))
    assert data == b'{"error":"it broke"}\n'


@STREAM
def test_a_time_beyond_all_dates_is_written_as_the_last(stream: bool) -> None:
    completion = Completion((Choice((Refusal("no"),), "stop"),), created_unix_s=10**18)
    if stream:
        data = CODEC.stream_encoder(HEADING).encode(whole(completion)).splitlines()[0]
    else:
        data = CODEC.encode_answer(completion, HEADING)
    assert json.loads(data)["created_at"] == "9999-12-31T23:59:59Z"


def test_a_long_stream_costs_in_proportion() -> None:
    events = streamed(*[line(message={"content": "word "})] * 20_000, end())
    assert join(events).choices[0].parts == (Text("word " * 20_000),)

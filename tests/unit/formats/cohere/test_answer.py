"""Cohere's answers, whole and in pieces: what they count, how they end, how they fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Broken, Failed
from gateway.exchange import Usage
from gateway.formats.cohere.codec import CODEC
from gateway.formats.cohere.types import Tokens
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import (
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Opened,
    join,
    whole,
)
from gateway.formats.neutral.parts import Citation, Opaque, Reasoning, Refusal, Text, ToolCall

HEADING = Heading("call_1", "shown", 0, Conversation(()))
LIMIT_BYTES = 100_000


def answered(body: dict[str, Any]) -> Completion:
    return CODEC.decode_answer(json.dumps(body).encode())


def streamed(*events: dict[str, Any]) -> list[Event]:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return reader.feed(data) + reader.close()


def grown(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content-delta", "index": index, "delta": {"message": {"content": content}}}


def begun(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content-start", "index": index, "delta": {"message": {"content": content}}}


def cited(**citation: Any) -> dict[str, Any]:
    return {"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}


END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {}}}
TEXT = begun(0, type="text", text="")


def message(*parts: Any, **members: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": list(parts), **members},
    }


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"input_tokens": 5.0, "output_tokens": 2.0}, Usage(5, 2)),
        (
            {"input_tokens": 501, "output_tokens": 65, "image_tokens": 518},
            Usage(1019, 65, image_input_tokens=518),
        ),
        (
            {"input_tokens": 508, "output_tokens": 86, "reasoning_tokens": 28},
            Usage(508, 86, reasoning_tokens=28),
        ),
        ({"input_tokens": -1, "output_tokens": 1e300}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_what_was_computed_where_nothing_was_billed(
    tokens: Any, expected: Usage | None, stream: bool
) -> None:
    seen = with_usage({"tokens": tokens, "billed_units": {"search_units": 1}}, stream=stream)
    assert seen.usage == expected
    assert seen.extra == {"billed_units": {"search_units": 1}}


def with_usage(usage: dict[str, Any], *, stream: bool) -> Completion:
    if stream:
        return join(streamed(TEXT, {**END, "delta": {"finish_reason": "COMPLETE", "usage": usage}}))
    return answered({**message(), "usage": usage})


COMPUTED = {"input_tokens": 501, "output_tokens": 86, "image_tokens": 518, "reasoning_tokens": 28}


@pytest.mark.parametrize(
    ("billed", "tokens", "expected"),
    [
        ({"input_tokens": 57, "output_tokens": 20.0}, None, Usage(57, 20)),
        ({"input_tokens": 522, "output_tokens": 63}, COMPUTED, Usage(522, 63, image_input_tokens=518)),
        ({"input_tokens": 8, "output_tokens": 0}, COMPUTED, Usage(8, 0, image_input_tokens=8)),
        ({"input_tokens": 8}, COMPUTED, Usage(8, 86, image_input_tokens=8)),
        ({"input_tokens": 8, "output_tokens": 2, "search_units": 3}, None, Usage(8, 2, searches=3)),
        ({"input_tokens": -1, "output_tokens": 1e300}, None, None),
        (
            {"input_tokens": "many"},
            COMPUTED,
            Usage(1019, 86, cached_tokens=144, reasoning_tokens=28, image_input_tokens=518),
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_billed_is_booked_and_what_was_computed_goes_to_clients_of_this_format(
    billed: Any, tokens: Any, expected: Usage | None, stream: bool
) -> None:
    usage = {"tokens": tokens, "billed_units": billed, "cached_tokens": 144}
    seen = with_usage(usage, stream=stream)
    assert seen.usage == expected
    again = json.loads(CODEC.encode_answer(seen, HEADING))
    assert again["usage"] == {name: value for name, value in usage.items() if value is not None}


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop_sequence"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("SOMETHING_NEW", "stop"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_each_finish_is_understood_and_kept(word: str, finish: Finish, stream: bool) -> None:
    if stream:
        choice = join(streamed(TEXT, {**END, "delta": {"finish_reason": word}})).choices[0]
    else:
        choice = answered({**message(), "finish_reason": word}).choices[0]
    assert (choice.finish, choice.finish_raw) == (finish, word)


def test_a_word_of_another_format_is_not_taken_for_coheres() -> None:
    completion = Completion((Choice((Text("a"),), "length", "COMPLETE"),))
    assert json.loads(CODEC.encode_answer(completion, HEADING))["finish_reason"] == "MAX_TOKENS"


def test_a_citation_goes_to_the_text_it_means() -> None:
    source = {"type": "document", "id": "d", "document": {"title": "T", "url": "https://u", "text": "words"}}
    here = {"start": 0, "end": 1, "text": "a", "sources": [source], "content_index": 1}
    thought = {"start": 0, "end": 1, "content_index": 0, "type": "THINKING_CONTENT"}
    plan = {"start": 0, "end": 2, "type": "PLAN"}
    parts = ({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"})
    body = message(*parts, citations=[here, thought, plan])
    choice = answered(body).choices[0]
    assert isinstance(choice.parts[1], Text)
    assert [(c.url, c.title, c.text, c.start, c.end) for c in choice.parts[1].citations] == [
        ("https://u", "T", "words", 0, 1)
    ]
    assert choice.raw == {"cohere_citations": [thought, plan]}
    assert json.loads(CODEC.encode_answer(answered(body), HEADING))["message"]["citations"] == [
        here,
        thought,
        plan,
    ]


def test_a_citation_of_another_provider_is_written_with_the_words_it_supports() -> None:
    text = Text("It is so.", citations=(Citation("https://u", "T", "source", 3, 5, "chat"),))
    written = json.loads(CODEC.encode_answer(Completion((Choice((text,), "stop"),)), HEADING))
    (citation,) = written["message"]["citations"]
    assert (citation["start"], citation["end"], citation["text"]) == (3, 5, "is")
    assert citation["sources"][0]["document"] == {"title": "T", "url": "https://u", "text": "source"}


def test_streamed_citations_belong_to_their_text_even_after_its_end() -> None:
    late = cited(start=0, end=1, content_index=1)
    thought = cited(start=5, type="THINKING_CONTENT", content_index=0)
    first = begun(0, type="thinking", thinking="")
    second = begun(1, type="text", text="")
    over = {"type": "content-end", "index": 1}
    choice = join(streamed(first, second, thought, grown(1, text="a"), over, late, END)).choices[0]
    assert isinstance(choice.parts[1], Text)
    assert [citation.start for citation in choice.parts[1].citations] == [0]
    assert choice.raw == {"cohere_citations": [{"start": 5, "type": "THINKING_CONTENT", "content_index": 0}]}


def test_logprobs_come_with_their_tokens() -> None:
    logprob = {"text": "a", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}
    whole_choice = answered({**message({"type": "text", "text": "a"}), "logprobs": [logprob]}).choices[0]
    pieces = join(streamed(TEXT, {**grown(0, text="a"), "logprobs": logprob}, END)).choices[0]
    assert whole_choice.logprobs == pieces.logprobs
    assert whole_choice.logprobs is not None
    assert whole_choice.logprobs[0].logprob == -0.75


def test_a_call_without_arguments_has_none() -> None:
    calls = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    start = {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": calls}}}
    end = {"type": "tool-call-end", "index": 0}
    assert join(streamed(start, end, END)).choices[0].parts == (ToolCall("c", "f"),)


def test_a_part_that_did_not_say_that_it_begins_is_read_all_the_same() -> None:
    events = streamed(grown(0, thinking="hm"), grown(1, text="a"), grown(1, text="b"), END)
    assert join(events).choices[0].parts == (Reasoning("hm", origin="cohere"), Text("ab"))
    assert [type(event) for event in events] == [
        *(Opened, Grew, Opened, Grew, Grew, Closed, Closed, Finished, Ended)
    ]


def test_a_part_of_an_unknown_kind_is_kept_with_its_growth() -> None:
    events = streamed(begun(0, type="chart", chart={"x": 1}), grown(0, chart={"y": 2}), END)
    value = {"opened": {"type": "chart", "chart": {"x": 1}}, "events": [{"chart": {"y": 2}}]}
    assert join(events).choices[0].parts == (Opaque("cohere", "chart", value),)


def test_a_failure_at_the_end_is_no_end() -> None:
    failure = {
        "finish_reason": "ERROR",
        "error": "the tools are wrong",
        "error_type": "INVALID_TOOL_GENERATION",
    }
    events = streamed(TEXT, {"type": "message-end", "delta": failure}, grown(0, text="more"))
    assert isinstance(events[-1], Faulted)
    assert events[-1].error.message == "the tools are wrong"
    assert not any(isinstance(event, Finished | Ended) for event in events)


def test_nothing_is_read_after_the_end() -> None:
    reader = CODEC.stream_decoder(100)
    reader.feed(b"data: " + json.dumps(END).encode() + b"\n\n" + b"data: {\n\n")
    assert reader.feed(b"x" * 1000) == []
    assert reader.close() == []


def test_a_stream_that_is_cut_has_not_ended() -> None:
    assert not any(isinstance(event, Finished | Ended) for event in streamed(TEXT, grown(0, text="a")))


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"type": 1}\n\n',
        b'data: {"type": "message-end", "delta": {"usage": {"tokens": {"input_tokens": "x"}}}}\n\n',
        b"data: " + b"x" * (LIMIT_BYTES + 1),
        b'data: {"type":"tool-call-delta","index":3,"delta":{}}\n\n',
        b"data: " + json.dumps(begun(0, type="image_url", image_url={"url": "data:,x"})).encode() + b"\n\n",
    ],
)
def test_a_stream_that_is_not_whole_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        CODEC.stream_decoder(LIMIT_BYTES).feed(data)


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b'data: "\xff"\n\n', b"data: " + b'{"delta":' * 50_000 + b"\n\n"]
)
def test_an_event_that_cannot_be_read_is_skipped(data: bytes) -> None:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    assert reader.feed(data) == []
    assert (reader.skipped, reader.finished) == (1, False)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"message": 1}', b"<html>", b'"\xff"', b"[" * 100_000])
def test_what_is_no_answer_has_failed(body: bytes) -> None:
    with pytest.raises(Failed):
        CODEC.decode_answer(body)


@pytest.mark.parametrize(
    "completion",
    [
        Completion((Choice((Text("a"), Text("b")), "stop", "COMPLETE"),), id="x", usage=Usage(3, 2)),
        Completion((Choice((Reasoning("hm", origin="cohere"), Text("a")), "length", "MAX_TOKENS"),), id="x"),
        Completion(
            (
                Choice(
                    (
                        Reasoning("I will call.", id="tool_plan", origin="cohere"),
                        *(ToolCall("1", "f", '{"a":1}'), ToolCall("2", "g")),
                    ),
                    "tool_calls",
                    "TOOL_CALL",
                ),
            ),
            id="x",
            usage=Usage(10, 5, cached_tokens=4, reasoning_tokens=1, image_input_tokens=2),
        ),
        Completion(
            (Choice((Text("a"),), "stop", "COMPLETE"),),
            id="x",
            usage=Usage(2, 1),
            extra={
                "billed_units": {"input_tokens": 2, "output_tokens": 1},
                "tokens": Tokens(10, 5, reasoning_tokens=1),
                "cached_tokens": 4,
            },
        ),
        Completion((Choice((), "stop", "COMPLETE"),), id="x"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_written_is_read_back(completion: Completion, stream: bool) -> None:
    if stream:
        data = CODEC.stream_encoder(HEADING).encode(whole(completion))
        assert join(CODEC.stream_decoder(LIMIT_BYTES).feed(data)) == completion
        assert data.endswith(b"data: [DONE]\n\n")
    else:
        assert CODEC.decode_answer(CODEC.encode_answer(completion, HEADING)) == completion


def test_a_refusal_is_written_as_text() -> None:
    events = whole(Completion((Choice((Refusal("no"),), "refusal"),)))
    again = join(CODEC.stream_decoder(LIMIT_BYTES).feed(CODEC.stream_encoder(HEADING).encode(events)))
    assert again.choices[0].parts == (Text("no"),)


def test_a_failure_is_written_as_cohere_writes_it() -> None:
    data = CODEC.stream_encoder(HEADING).fail(Broken("it broke"))
    (event,) = CODEC.stream_decoder(LIMIT_BYTES).feed(data)
    assert isinstance(event, Faulted)
    assert event.error.message == "it broke"


def test_a_long_stream_costs_in_proportion() -> None:
    events = streamed(TEXT, *[grown(0, text="word ")] * 20_000, END)
    assert join(events).choices[0].parts == (Text("word " * 20_000),)

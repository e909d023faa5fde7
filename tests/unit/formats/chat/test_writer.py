"""Streams of chat completions, written: OpenAI's SDK must understand each chunk and their sum."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from gateway.errors import Broken
from gateway.exchange import Usage
from gateway.formats.chat.events import StreamReader
from gateway.formats.chat.writer import StreamWriter
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, TokenLogprob
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
    join,
    whole,
)
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall


def heading(*, wants_usage: bool = True) -> Heading:
    return Heading("abc", "fast", 1_700_000_000, Conversation(()), wants_usage=wants_usage)


def written(*events: Event, wants_usage: bool = True) -> bytes:
    writer = StreamWriter(heading(wants_usage=wants_usage))
    return b"".join(writer.encode([event]) for event in events)


def chunks(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream, each checked by the SDK's types."""
    found = [json.loads(data) for event in split_events(body) if (data := data_of(event)) != b"[DONE]"]
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk)
    return found


def deltas(body: bytes) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(body) if chunk["choices"]][1:]


def summed(body: bytes) -> Any:
    """What the SDK's accumulator makes of a stream."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for chunk in chunks(body):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.get_final_completion()


def stream(*parts: Part, growths: Any = (), finish: Any = "stop") -> list[Event]:
    """A stream of parts, the last of which grows before it closes."""
    events: list[Event] = [Began("up-1", "gpt", 5)]
    for number, part in enumerate(parts):
        events.append(Opened(number, part))
        if number == len(parts) - 1:
            events += [Grew(number, text, what) for what, text in growths]
        events.append(Closed(number))
    return [*events, Finished(finish), Metered(Usage(3, 2)), Ended()]


def test_a_plain_stream_is_written_as_openai_writes_it() -> None:
    body = written(*stream(Text("Hel"), growths=[("text", "lo")]))
    assert body.endswith(b"data: [DONE]\n\n")
    first, *texts, end, usage = chunks(body)
    assert (first["id"], first["object"], first["created"], first["model"]) == (
        "up-1",
        "chat.completion.chunk",
        5,
        "gpt",
    )
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert [chunk["choices"][0]["delta"] for chunk in texts] == [{"content": "Hel"}, {"content": "lo"}]
    assert end["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 5)
    assert summed(body).choices[0].message.content == "Hello"


@pytest.mark.parametrize("wants_usage", [False, True])
def test_usage_is_written_last_and_only_where_it_is_wanted(wants_usage: bool) -> None:
    events = [
        Began(),
        Metered(Usage(9, 9)),
        Opened(0, Text("a")),
        Closed(0),
        Finished("stop"),
        Metered(Usage(3, 2)),
        Ended(),
    ]
    found = chunks(written(*events, wants_usage=wants_usage))
    told = [chunk["usage"]["prompt_tokens"] for chunk in found if "usage" in chunk]
    assert told == ([3] if wants_usage else [])


def test_who_answers_is_made_up_where_nobody_said() -> None:
    (chunk,) = chunks(written(Began()))
    assert (chunk["id"], chunk["created"], chunk["model"]) == ("chatcmpl-abc", 1_700_000_000, "fast")


def test_calls_have_their_numbers_and_add_up() -> None:
    parts = (ToolCall("a", "f", signature="s", origin="gemini"), ToolCall("b", "g"))
    body = written(
        *stream(*parts, growths=[("arguments", '{"x"'), ("arguments", ":1}")], finish="tool_calls")
    )
    first, second, *_ = [delta["tool_calls"][0] for delta in deltas(body) if "tool_calls" in delta]
    assert (first["index"], first["type"], first["extra_content"]["google"]["thought_signature"]) == (
        0,
        "function",
        "forebay.gemini.s",
    )
    assert second["index"] == 1
    choice = summed(body).choices[0]
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("a", "f", "{}"),
        ("b", "g", '{"x":1}'),
    ]
    assert choice.finish_reason == "tool_calls"


def test_functions_that_were_called_without_arguments_have_some_that_can_be_parsed() -> None:
    parts = (ToolCall("a", "f"), ToolCall("b", "g", "{}"), ToolCall("c", "h"))
    events = stream(*parts, finish="tool_calls")
    events.insert(-3, Grew(0, '{"x":1}', "arguments"))  # a call may go on after the others have begun
    body = written(*events)
    calls = summed(body).choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"x":1}', "{}", "{}"]


def test_sources_that_stand_in_a_list_are_not_said_twice() -> None:
    listed = Citation("https://a", origin="chat", raw="listed")
    body = written(*stream(Text("a", citations=(listed,))), Cited(0, listed))
    assert not any("annotations" in delta for delta in deltas(body))


def test_thoughts_that_may_be_signed_come_with_details_that_add_up() -> None:
    thought = Reasoning("h", origin="messages", id="r")
    body = written(*stream(thought, growths=[("text", "m"), ("signature", "sig")]))
    message = summed(body).choices[0].message
    assert message.reasoning_content == "hm"
    assert message.reasoning_details == [
        {"type": "reasoning.text", "text": "hm", "signature": "forebay.messages.sig", "id": "r", "index": 0}
    ]


def test_plain_thoughts_come_without_details() -> None:
    assert b"reasoning_details" not in written(
        *stream(Reasoning("h", origin="cohere"), growths=[("text", "m")])
    )


@pytest.mark.parametrize(
    ("part", "growths", "member", "value"),
    [
        (Refusal("n"), [("text", "o")], "refusal", "no"),
        (Reasoning(summary=("a",), origin="responses"), [("summary", "b")], "reasoning_content", "ab"),
        (
            Reasoning(encrypted="e", origin="messages"),
            [],
            "reasoning_details",
            [{"type": "reasoning.encrypted", "data": "forebay.messages.e", "index": 0}],
        ),
        (
            Media("image", "image/png", data="YQ=="),
            [],
            "images",
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}, "index": 0}],
        ),
    ],
)
def test_each_kind_of_part_has_its_member(part: Part, growths: Any, member: str, value: Any) -> None:
    assert getattr(summed(written(*stream(part, growths=growths))).choices[0].message, member) == value


def test_a_spoken_answer_is_written_in_pieces() -> None:
    body = written(*stream(Media("audio", data="YQ=="), growths=[("data", "Yg=="), ("transcript", "hi")]))
    assert [delta["audio"] for delta in deltas(body) if "audio" in delta] == [
        {"id": "audio_0", "data": "YQ==", "transcript": "", "expires_at": 0},
        {"data": "Yg=="},
        {"transcript": "hi"},
    ]


def test_sources_are_numbered_so_that_they_add_up() -> None:
    events = [
        Began(),
        Opened(0, Text("a")),
        Cited(0, Citation("u")),
        Cited(0, Citation("v", "t", start=0, end=1)),
        Finished("stop"),
        Ended(),
    ]
    message = summed(written(*events)).choices[0].message
    assert [
        source["url_citation"]["url"]
        for source in map(dict, (a if isinstance(a, dict) else a.model_dump() for a in message.annotations))
    ] == ["u", "v"]


def test_several_choices_begin_each_with_their_role() -> None:
    events = [
        Began(),
        Opened(0, Text("a")),
        Opened(1, Text("x"), 1),
        Grew(0, "b"),
        Grew(1, "y", choice=1),
        Finished("stop"),
        Finished("stop", choice=1),
        Ended(),
    ]
    body = written(*events)
    assert [choice.message.content for choice in summed(body).choices] == ["ab", "xy"]
    assert body.count(b'"role":"assistant"') == 2


def test_chances_of_tokens_are_written_with_their_text() -> None:
    tokens = (TokenLogprob("a", -0.5, (97,)),)
    body = written(Began(), Opened(0, Text("")), Grew(0, "a", logprobs=tokens), Finished("stop"), Ended())
    assert summed(body).choices[0].logprobs.content[0].token == "a"


@pytest.mark.parametrize("said_inside", [False, True])
def test_an_error_ends_the_stream_and_nothing_follows(said_inside: bool) -> None:
    writer = StreamWriter(heading())
    writer.encode([Began(), Opened(0, Text("a")), Metered(Usage(3, 2))])
    error = Broken("cut")
    body = writer.encode([Faulted(error)]) if said_inside else writer.fail(error)
    *_, last = [json.loads(data_of(event)) for event in split_events(body)]
    assert last["error"]["code"] == "stream_broken"
    assert writer.encode([Grew(0, "b"), Finished("stop"), Ended()]) == b""


def test_what_another_format_knows_alone_is_left_out() -> None:
    opaque = Opaque("messages", "server_tool_use", {"x": 1})
    assert deltas(written(*stream(opaque, growths=[("opaque", "")]))) == [{}]


def test_a_whole_answer_said_as_a_stream_is_the_same_answer() -> None:
    parts = (Reasoning("hm", origin="chat"), Text("a"), ToolCall("a", "f", "{}"))
    completion = Completion((Choice(parts, "tool_calls", "tool_calls"),), "up-1", "gpt", 5, Usage(3, 2))
    reader = StreamReader(1 << 20)
    again = join(reader.feed(written(*whole(completion))) + reader.close())
    assert (again.choices, again.usage, again.id) == (completion.choices, completion.usage, "up-1")

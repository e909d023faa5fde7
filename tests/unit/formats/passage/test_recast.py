"""Answers in the other shape than was asked for, in every dialect of clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import call

from gateway.errors import BadAnswer, Overloaded
from gateway.exchange import Format, Usage
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.events import Ended, join
from gateway.formats.neutral.parts import Text, ToolCall
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.recast import write_at_once
from gateway.formats.passage.relayed import RelayedPassage
from gateway.formats.passage.seam import Terms

TERMS = Terms("call_1", 1_700_000_000)
DIALECTS: tuple[Format, ...] = ("chat", "responses", "messages", "gemini")
SAID = Completion(
    (Choice((Text("Paris."), ToolCall("c1", "f", '{"a":1}')), "tool_calls"),), "a1", "up", 7, Usage(3, 2)
)
in_each_dialect = pytest.mark.parametrize("format_", DIALECTS)


def passage(format_: Format, rename: str | None = None, **members: Any) -> RelayedPassage:
    return RelayedPassage(call(format_, **members), Terms("call_1", 1_700_000_000, rename))


def at_once(format_: Format) -> bytes:
    return write_at_once(call(format_), TERMS, SAID)


def as_stream(format_: Format) -> bytes:
    return passage(format_, stream=True).read(at_once(format_)).body


@in_each_dialect
def test_a_whole_answer_to_a_stream_call_becomes_the_stream(format_: Format) -> None:
    answer = passage(format_, stream=True).read(at_once(format_))
    assert (answer.content_type, answer.usage, answer.empty) == (b"text/event-stream", Usage(3, 2), False)
    decoder = CODECS[format_].stream_decoder(100_000)
    events = [*decoder.feed(answer.body), *decoder.close()]
    assert isinstance(events[-1], Ended)
    [choice] = join(events).choices
    assert [type(part) for part in choice.parts] == [Text, ToolCall]
    assert choice.finish == "tool_calls"


@in_each_dialect
def test_a_stream_for_a_whole_call_becomes_the_answer(format_: Format) -> None:
    relayed = passage(format_)
    assert relayed.stream is None
    answer = relayed.read(as_stream(format_))
    assert (answer.content_type, answer.empty) == (b"application/json", False)
    [choice] = CODECS[format_].decode_answer(answer.body).choices
    assert [type(part) for part in choice.parts] == [Text, ToolCall]


@in_each_dialect
def test_a_renaming_route_shows_its_name_there_too(format_: Format) -> None:
    for body, stream in ((at_once(format_), True), (as_stream(format_), False)):
        shown = passage(format_, "mine", stream=stream).read(body).body
        assert b'"mine"' in shown
        assert b'"up"' not in shown


@in_each_dialect
def test_what_is_cut_or_damaged_is_no_answer(format_: Format) -> None:
    body, events = at_once(format_), split_events(as_stream(format_))
    with pytest.raises(BadAnswer):
        passage(format_, stream=True).read(body[: len(body) // 2])
    for broken in (events[:2], [*events[:2], b"data: {\n\n", *events[2:]]):
        with pytest.raises(BadAnswer):
            passage(format_).read(b"".join(broken))


def test_an_error_in_the_stream_is_the_calls() -> None:
    full = b"".join(sse(chat.chunk({"content": "x"}), {"error": {"code": 503, "message": "full"}}))
    with pytest.raises(Overloaded, match="full"):
        passage("chat").read(full)


def test_a_stream_that_only_says_that_it_is_done_is_whole() -> None:
    """Snowflake tells no reason for the end of some."""
    answer = passage("chat").read(b"".join(sse(chat.chunk({"content": "x"}))))
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "x"


def test_an_old_completion_is_its_own_chunk() -> None:
    body = {"object": "text_completion", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}
    answer = passage("completions", stream=True).read(json.dumps(body, indent=1).encode())
    [chunk, end] = split_events(answer.body)
    assert (json.loads(data_of(chunk)), data_of(end)) == (body, b"[DONE]")
    with pytest.raises(BadAnswer):
        passage("completions").read(answer.body)


def test_whether_sound_and_images_are_a_stream_is_for_the_upstream_to_say() -> None:
    for format_ in ("speech", "images", "transcriptions"):
        assert passage(format_).stream is not None
    whole_body = b'{"text": "x"}'
    assert passage("transcriptions", stream=True).read(whole_body).body == whole_body


def test_a_call_that_cannot_be_read_is_answered_all_the_same() -> None:
    asked = call("chat", messages=[{"role": "nobody"}], stream=True)
    answer = RelayedPassage(asked, TERMS).read(at_once("chat"))
    assert answer.body.endswith(b"data: [DONE]\n\n")

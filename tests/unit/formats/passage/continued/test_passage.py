"""A stream that broke is gone on with by another upstream: what its client's own SDK makes of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import httpx
import httpx2
import msgspec
import pytest
from google import genai
from google.genai import errors, types
from openai import OpenAI
from unit.stand_ins import call

from gateway.errors import BadAnswer, Empty, Overloaded, TimedOut, Unsupported
from gateway.exchange import Call, Format, Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, TokenLogprob
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Finished,
    Grew,
    Metered,
    Opened,
    join,
)
from gateway.formats.neutral.parts import Citation, Reasoning, Refusal, Text, ToolCall
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.continued.passage import can_continue, continuing_passage, said, seam_note
from gateway.formats.passage.seam import AnswerStream, Passage, Terms
from gateway.formats.passage.translated import TranslatedStream

TERMS = Terms("call_0123", 1_700_000_000, rewritten=True)
LIMIT_BYTES = 100_000
HEADING = Heading("up", "model-up", 7, Conversation(()))
CLIENTS: tuple[Format, ...] = ("chat", "responses", "messages", "gemini")
WIRES: tuple[Format, ...] = ("chat", "messages", "gemini", "responses")
ASKED: dict[Format, dict[str, Any]] = {
    "chat": {"stream_options": {"include_usage": True}},
    "responses": {"input": "hi"},
    "messages": {"max_tokens": 100},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
FIRST = ("The capital", " of France", " is")
SECOND = (" Paris", ", on the", " Seine.")
BOTH = "".join(FIRST + SECOND)


def asked(format_: Format, **members: Any) -> Call:
    made = call(format_, stream=True, **(ASKED[format_] | members))
    if format_ in {"chat", "messages"}:
        return made
    kept = {name: member for name, member in made.members.items() if name != "messages"}
    return msgspec.structs.replace(made, members=kept)


def wired(wire: Format, events: Iterable[Event]) -> list[bytes]:
    """The events as an upstream of this format writes them, a piece for each."""
    encoder = CODECS[wire].stream_encoder(HEADING)
    return [encoder.encode([event]) for event in events]


def words(*pieces: str, number: int = 0) -> list[Event]:
    return [Opened(number, Text("")), *(Grew(number, piece) for piece in pieces)]


def whole_stream(*pieces: str, finish: Any = "stop") -> list[Event]:
    end: list[Event] = [Closed(0), Finished(finish), Metered(Usage(11, 4)), Ended()]
    return [Began("up-2", "model-2", 9), *words(*pieces), *end]


def fed(stream: AnswerStream, pieces: Iterable[bytes]) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces if piece])


def broken(asking: Call, events: Iterable[Event], wire: Format = "messages") -> tuple[AnswerStream, bytes]:
    """A stream that ends after these events, and what its client got of it."""
    stream = begun(open_passage(asking, wire, "model-1", TERMS))
    return stream, fed(stream, wired(wire, [Began("up-1", "model-1", 8), *events]))


def begun(passage: Passage) -> AnswerStream:
    assert passage.stream is not None
    return passage.stream(LIMIT_BYTES)


def resumed(first: AnswerStream, asking: Call, events: Iterable[Event], wire: Format = "chat") -> bytes:
    stream = begun(continuing_passage(asking, wire, "model-2", TERMS, first))
    return fed(stream, wired(wire, events)) + stream.close()


def heard(format_: Format, body: bytes) -> tuple[str, str, int]:
    """What the client's SDK makes of a stream: its text, its finish, how many answers it saw begin."""
    return _SDKS[format_](body)


def _answering(library: Any, body: bytes) -> Any:
    headers = {"content-type": "text/event-stream"}
    return library.Client(
        transport=library.MockTransport(lambda _: library.Response(200, content=body, headers=headers))
    )


def _openai(body: bytes) -> OpenAI:
    return OpenAI(api_key="k", base_url="http://gateway/v1", http_client=_answering(httpx, body))


def _chat(body: bytes) -> tuple[str, str, int]:
    messages: Any = [{"role": "user", "content": "hi"}]
    with _openai(body).chat.completions.stream(model="m", messages=messages) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        answer = stream.get_final_completion()
    assert len({chunk.id for chunk in chunks}) == 1
    began = sum(bool(c.delta.role) for chunk in chunks for c in chunk.choices)
    assert sum(bool(c.finish_reason) for chunk in chunks for c in chunk.choices) == 1
    return answer.choices[0].message.content or "", str(answer.choices[0].finish_reason), began


def _responses(body: bytes) -> tuple[str, str, int]:
    with _openai(body).responses.stream(model="m", input="hi") as stream:
        events = list(stream)
        answer = stream.get_final_response()
    assert [event.sequence_number for event in events] == sorted({e.sequence_number for e in events})
    assert sum(event.type == "response.completed" for event in events) == 1
    assert len({e.response.id for e in events if hasattr(e, "response")}) == 1
    grown = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert grown == answer.output_text
    return answer.output_text, str(answer.status), sum(e.type == "response.created" for e in events)


def _messages(body: bytes) -> tuple[str, str, int]:
    sdk = anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=_answering(httpx2, body))
    with sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        events = list(stream)
        answer = stream.get_final_message()
    text = "".join(block.text for block in answer.content if block.type == "text")
    assert sum(event.type == "message_stop" for event in events) == 1
    return text, str(answer.stop_reason), sum(event.type == "message_start" for event in events)


def _gemini(body: bytes) -> tuple[str, str, int]:
    options = types.HttpOptions(httpx_client=_answering(httpx, body), base_url="https://gateway.test")
    models = genai.Client(api_key="k", http_options=options).models
    answers = list(models.generate_content_stream(model="m", contents="hi"))
    finishes = [a.candidates[0].finish_reason for a in answers if a.candidates[0].finish_reason]
    assert len(finishes) == 1
    return "".join(a.text or "" for a in answers), finishes[0].name, len({a.response_id for a in answers})


_SDKS: dict[Format, Any] = {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}
REGULAR: dict[Format, str] = {
    "chat": "stop",
    "responses": "completed",
    "messages": "end_turn",
    "gemini": "STOP",
}


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("before", WIRES)
@pytest.mark.parametrize("format_", CLIENTS)
def test_the_client_hears_one_answer(format_: Format, before: Format, wire: Format, after: int) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words(*FIRST[:after]), before)
    assert can_continue(stream)
    assert said(stream) == "".join(FIRST[:after])
    got += seam_note(format_, "spare", len(said(stream)))
    got += resumed(stream, asking, whole_stream(*FIRST[after:], *SECOND), wire)
    assert heard(format_, got) == (BOTH, REGULAR[format_], 1)


@pytest.mark.parametrize("format_", CLIENTS)
def test_a_third_upstream_goes_on_where_the_second_broke(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words(FIRST[0]))
    second = begun(continuing_passage(asking, "chat", "model-2", TERMS, stream))
    got += fed(second, wired("chat", [Began("up-2"), *words(FIRST[1])]))
    assert (second.text(), said(second), can_continue(second)) == (FIRST[1], FIRST[0] + FIRST[1], True)
    third = begun(continuing_passage(asking, "messages", "model-3", TERMS, second))
    got += fed(third, wired("messages", whole_stream(FIRST[2], *SECOND))) + third.close()
    assert heard(format_, got) == (BOTH, REGULAR[format_], 1)
    assert third.usage == Usage(11, 4)


@pytest.mark.parametrize("format_", CLIENTS)
def test_what_an_upstream_says_again_is_left_out(format_: Format) -> None:
    asking = asked(format_)
    pieces = ("The cap", "ital of ", "Fra", "nce is Par", "is, on the Seine.")
    stream, got = broken(asking, words(*FIRST))
    got += resumed(stream, asking, whole_stream(*pieces))
    assert heard(format_, got) == (BOTH, REGULAR[format_], 1)


def continued(before: str, *pieces: str) -> str:
    """The text of an answer that had `before` and was gone on with."""
    stream, got = broken(asked("chat"), words(before))
    got += resumed(stream, asked("chat"), whole_stream(*pieces))
    return heard("chat", got)[0]


@pytest.mark.parametrize(
    ("before", "pieces", "whole"),
    [
        ("One two", (" three",), "One two three"),
        ("One two ", ("three",), "One two three"),
        ("One two ", (" three",), "One two three"),
        ("One two ", (" ", "three"), "One two three"),
        ("One two\n\n", ("\n\n", "three"), "One two\n\nthree"),
        ("One two\n\n", ("\nthree",), "One two\n\nthree"),
        ("One two\n", ("\n    three",), "One two\n    three"),
        ("One two\n", ("One two\nthree",), "One two\nthree"),
        ("One two ", ("One", " two", " three"), "One two three"),
        ("One two", ("One", " ton"), "One twoOne ton"),
        ("One two", ("One",), "One twoOne"),
    ],
)
def test_nothing_is_lost_or_doubled_at_the_seam(before: str, pieces: tuple[str, ...], whole: str) -> None:
    assert continued(before, *pieces) == whole


def test_a_repetition_that_a_limit_cut_short_is_one() -> None:
    stream, got = broken(asked("chat"), words("One two"))
    got += resumed(stream, asked("chat"), whole_stream("One", finish="length"))
    choice = join(decoded("chat", got)).choices[0]
    assert (choice.parts, choice.finish) == ((Text("One two"),), "length")


def test_words_are_held_back_only_while_they_may_be_a_repetition() -> None:
    stream, _ = broken(asked("chat"), words("One two"))
    second = begun(continuing_passage(asked("chat"), "chat", "m", TERMS, stream))
    got = [second.feed(piece) for piece in wired("chat", [Began(), *words("One", " th", "ree")])]
    assert [b"content" in each for each in got] == [False, False, False, True, True]
    assert (b'"One"' in got[3], b'" th"' in got[3], b'"ree"' in got[4]) == (True, True, True)


def test_the_upstream_is_given_the_answer_so_far_without_its_last_whitespace() -> None:
    stream, _ = broken(asked("chat"), words("One two \n"))
    for wire in WIRES:
        passage = continuing_passage(asked("chat"), wire, "m", TERMS, stream)
        turn = CODECS[wire].decode_request(raw(passage.call.members)).turns[-1]
        assert (turn.role, turn.parts) == ("assistant", (Text("One two"),))
        assert passage.call.translated is (wire != "chat")
    assert said(stream) == "One two \n"


def raw(members: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}


def test_an_answer_that_the_client_began_stays_one_turn() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Once"}]
    asking = asked("messages", messages=messages)
    stream, _ = broken(asking, words(" upon a "))
    sent = continuing_passage(asking, "messages", "m", TERMS, stream).call.members
    told = json.loads(msgspec.json.encode(sent["messages"]))
    assert told == [messages[0], {"role": "assistant", "content": "Once upon a"}]
    assert said(stream) == " upon a "


def test_the_limit_of_the_answer_is_what_is_left_of_it() -> None:
    stream, _ = broken(asked("chat"), words("x" * 400))
    for limit, rest in ((1000, 900), (110, 16), (9, 9)):
        passage = continuing_passage(asked("chat", max_tokens=limit), "messages", "m", TERMS, stream)
        assert passage.call.members["max_tokens"] == rest


def test_claude_is_not_asked_to_think_where_it_could_not() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asking = asked("messages", max_tokens=4096, thinking=thinking)
    stream, _ = broken(asking, words("a"), "chat")
    assert "thinking" not in continuing_passage(asking, "messages", "m", TERMS, stream).call.members


def test_json_that_has_begun_is_not_for_claude() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    asking = asked("chat", response_format=form)
    stream, _ = broken(asking, words('{"a":'), "gemini")
    assert can_continue(stream)
    assert continuing_passage(asking, "gemini", "m", TERMS, stream).call.format == "gemini"
    with pytest.raises(Unsupported):
        continuing_passage(asking, "messages", "m", TERMS, stream)


THOUGHT: list[Event] = [Opened(0, Reasoning("")), Grew(0, "hm")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], False),
        (words(), False),
        (words("  \n"), False),
        (words("a"), True),
        ([*words("a"), Closed(0)], True),
        (THOUGHT, False),
        ([*THOUGHT, Closed(0)], False),
        ([*THOUGHT, Closed(0), *words("a", number=1)], True),
        ([*words("a"), Closed(0), Opened(1, ToolCall("c", "f"))], False),
        ([Opened(0, Refusal("no"))], False),
        ([*words("a"), Cited(0, Citation("https://a", "A"))], False),
        ([*words("a"), Closed(0), Finished("stop")], False),
    ],
)
def test_only_words_can_be_gone_on_with(events: list[Event], expected: bool) -> None:
    passage = open_passage(asked("chat"), "messages", "m", TERMS)
    stream = begun(passage)
    assert isinstance(stream, TranslatedStream)
    stream.encoder.encode([Began(), *events])
    assert can_continue(stream) is expected


def test_several_choices_cannot_be_gone_on_with() -> None:
    stream, _ = broken(asked("chat", n=2), words("a"), "gemini")
    with pytest.raises(Unsupported):
        continuing_passage(asked("chat", n=2), "gemini", "m", TERMS, stream)


def test_a_stream_that_is_not_written_anew_cannot_be_gone_on_with() -> None:
    plain = Terms("call_1", 0)
    for wire in ("chat", "messages"):
        stream = begun(open_passage(asked("chat"), wire, "m", plain))
        fed(stream, wired(wire, [Began(), *words("a")]))
        assert (can_continue(stream), said(stream)) == (False, "")


def test_a_stream_that_told_its_end_is_not_gone_on_with() -> None:
    stream, _ = broken(asked("chat"), [*words("a"), Closed(0), Finished("stop")], "chat")
    assert not can_continue(stream)


@pytest.mark.parametrize("format_", CLIENTS)
def test_thoughts_before_the_break_stay_and_those_after_it_are_left_out(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, [*THOUGHT, Closed(0), *words("Par", number=1)], "chat")
    after: list[Event] = [
        Began(),
        Opened(0, Reasoning("again")),
        Closed(0),
        *words("is.", number=1),
        Closed(1),
    ]
    got += resumed(stream, asking, [*after, Finished("stop"), Ended()])
    assert (got.count(b'"hm"') > 0, b"again" in got) == (True, False)
    assert heard(format_, got)[0] == "Paris."


@pytest.mark.parametrize("format_", CLIENTS)
def test_a_call_after_the_words_ends_them(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words("Let me"))
    after: list[Event] = [*words(" see."), Closed(0), Opened(1, ToolCall("c1", "clock", '{"at":1}'))]
    got += resumed(stream, asking, [Began(), *after, Closed(1), Finished("tool_calls"), Ended()])
    assert heard(format_, got)[0] == "Let me see."
    answer = join(decoded(format_, got)).choices[0]
    assert [type(part) for part in answer.parts] == [Text, ToolCall]
    assert answer.finish == "tool_calls"


@pytest.mark.parametrize("format_", CLIENTS)
def test_a_call_without_words_ends_them_too(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words("Let me see."))
    call_: list[Event] = [Opened(0, ToolCall("c1", "clock", '{"at":1}')), Closed(0)]
    got += resumed(stream, asking, [Began(), *call_, Finished("tool_calls"), Ended()], "messages")
    heard(format_, got)
    parts = join(decoded(format_, got)).choices[0].parts
    assert next(part.text for part in parts if isinstance(part, Text)) == "Let me see."
    assert [part.name for part in parts if isinstance(part, ToolCall)] == ["clock"]


def decoded(format_: Format, body: bytes) -> list[Event]:
    decoder = CODECS[format_].stream_decoder(LIMIT_BYTES)
    return decoder.feed(body) + decoder.close()


@pytest.mark.parametrize("format_", CLIENTS)
def test_a_text_that_had_ended_is_followed_by_another(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, [*words(*FIRST), Closed(0)])
    assert can_continue(stream)
    got += resumed(stream, asking, whole_stream(*SECOND))
    assert heard(format_, got) == (BOTH, REGULAR[format_], 1)


@pytest.mark.parametrize("format_", CLIENTS)
def test_the_client_is_told_why_the_first_stream_broke(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words("a"))
    second = begun(continuing_passage(asking, "messages", "m", TERMS, stream))
    fault = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n'
    got += fed(second, [*wired("messages", [Began(), *words("b")]), fault])
    assert isinstance(second.fault, Overloaded)
    assert b"full" not in got
    got += second.fail(TimedOut("it paused"))
    assert b"it paused" in got
    assert not join(decoded(format_, got)).choices[0].finish


@pytest.mark.parametrize("after", [[], words(), [Opened(0, Reasoning("hm")), Closed(0)]])
@pytest.mark.parametrize("format_", CLIENTS)
def test_who_says_nothing_has_not_gone_on(format_: Format, after: list[Event]) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words("Half an"))
    second = begun(continuing_passage(asking, "messages", "m", TERMS, stream))
    got += fed(second, wired("messages", [Began(), *after, Finished("stop"), Ended()]))
    with pytest.raises(Empty):
        second.close()
    assert (second.begun, second.done) == (False, True)
    got += stream.fail(TimedOut("it paused"))
    assert b"it paused" in got
    assert not join(decoded(format_, got)).choices[0].finish


@pytest.mark.parametrize("format_", CLIENTS)
def test_a_signature_on_a_part_of_the_text_is_left_out(format_: Format) -> None:
    asking = asked(format_)
    stream, got = broken(asking, words(*FIRST))
    signed: list[Event] = [Opened(0, Text("".join(SECOND), signature="c2ln")), Closed(0)]
    got += resumed(stream, asking, [Began(), *signed, Finished("stop"), Ended()], "gemini")
    assert heard(format_, got)[0] == BOTH
    assert b"c2ln" not in got


def test_a_filter_that_struck_ends_the_answer() -> None:
    stream, got = broken(asked("chat"), words("Half an"))
    got += resumed(stream, asked("chat"), [Began(), Finished("content_filter"), Ended()])
    choice = join(decoded("chat", got)).choices[0]
    assert (choice.parts, choice.finish) == ((Text("Half an"),), "content_filter")


def test_an_upstream_that_says_all_of_it_again_and_no_more_has_ended_it() -> None:
    assert continued("One two", "One two") == "One two"


def test_a_whole_answer_is_not_gone_on_with() -> None:
    stream, _ = broken(asked("chat"), words(*FIRST))
    body = CODECS["chat"].encode_answer(Completion((Choice((Text("x"),), "stop"),)), HEADING)
    with pytest.raises(BadAnswer):
        continuing_passage(asked("chat"), "chat", "m", TERMS, stream).read(body)
    assert said(stream) == "".join(FIRST)
    used = Completion((Choice((Text("x"),), "stop"),), usage=Usage(3, 4))
    going_on = continuing_passage(asked("messages"), "chat", "m", TERMS, stream)
    refused = going_on.read(CODECS["chat"].encode_answer(used, HEADING))
    assert isinstance(refused.refusal, BadAnswer)
    assert (refused.body, refused.usage) == (b"", Usage(3, 4))


def test_the_fault_of_the_first_stream_is_kept_from_the_client_too() -> None:
    stream, _ = broken(asked("chat"), words("a"))
    fault = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n'
    assert stream.feed(fault) == b""
    assert isinstance(stream.fault, Overloaded)
    assert can_continue(stream)


@pytest.mark.parametrize("format_", ["chat", "responses", "gemini"])
def test_the_chances_of_tokens_stay_with_their_words(format_: Format) -> None:
    before = [Opened(0, Text("")), Grew(0, "One two", logprobs=chances("One", " two"))]
    stream, got = broken(asked(format_), before, "chat")
    second = begun(continuing_passage(asked(format_), "chat", "m", TERMS, stream))
    assert isinstance(second, TranslatedStream)
    again = Grew(0, "One two three", logprobs=chances("One", " tw", "o th", "ree"))
    got += second.encoder.encode([Began(), Opened(0, Text("")), again, Closed(0), Finished("stop"), Ended()])
    choice = join(decoded(format_, got)).choices[0]
    assert [each.token for each in choice.logprobs or ()] == ["One", " two", " th", "ree"]


def chances(*tokens: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token, -0.5) for token in tokens)


def test_sources_point_into_the_whole_text() -> None:
    stream, got = broken(asked("chat"), words("One two "))
    second = begun(continuing_passage(asked("chat"), "chat", "m", TERMS, stream))
    assert isinstance(second, TranslatedStream)
    after = [*words(" three"), Cited(0, Citation("https://a", "A", start=1, end=6)), Closed(0)]
    got += second.encoder.encode([*after, Finished("stop"), Ended()])
    cited = [note for chunk in chunks(got) for note in chunk.get("annotations", ())]
    place = cited[0]["url_citation"]
    assert "One two three"[place["start_index"] : place["end_index"]] == "three"


def chunks(body: bytes) -> list[Any]:
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]


def test_the_note_is_a_comment_and_google_gets_none() -> None:
    assert seam_note("gemini", "spare", 4) == b""
    for format_ in ("chat", "responses", "messages"):
        note = seam_note(format_, "spare", 4)
        assert note.startswith(b": ")
        assert note.count(b"\n") == 2


def test_googles_sdk_could_not_read_a_comment() -> None:
    stream, got = broken(asked("gemini"), words("a"))
    got += seam_note("chat", "spare", 1) + resumed(stream, asked("gemini"), whole_stream("b"))
    with pytest.raises(errors.UnknownApiResponseError):
        heard("gemini", got)


@pytest.mark.parametrize("cut", range(1, len(BOTH)))
def test_any_break_of_any_repetition_gives_the_same(cut: int) -> None:
    """The second upstream says all again, in pieces of other sizes."""
    assert continued(BOTH[:cut], *(BOTH[at : at + 5] for at in range(0, len(BOTH), 5))) == BOTH

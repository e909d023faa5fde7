"""Answers written anew in their own format: recorded traffic says the same afterwards."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig import recordings
from rig.recordings import Recording, parameters
from rig.translation.formats import APIS, CLIENTS, LIMIT_BYTES, events_of, streamed
from rig.translation.structure import differences, normal
from unit.stand_ins import call

from gateway.errors import Filtered
from gateway.exchange import Call, Format, Usage
from gateway.formats.neutral.events import Faulted, join
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.relayed import RelayedPassage
from gateway.formats.passage.seam import Terms
from gateway.formats.passage.translated import TranslatedPassage

pytestmark = pytest.mark.wire

ALL = [r for r in recordings.load(*APIS) if APIS[r.api] in CLIENTS and r.status == 200]
ANSWERS = parameters(r for r in ALL if not r.is_stream and b"blockReason" not in r.body)
BLOCKED = parameters(r for r in ALL if not r.is_stream and b"blockReason" in r.body)
STREAMS = parameters(r for r in ALL if r.is_stream)
REQUESTS: dict[Format, dict[str, Any]] = {
    "chat": {},
    "messages": {"max_tokens": 9},
    "responses": {"input": "hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


def asked(format_: Format, *, stream: bool = False) -> Call:
    """A plain call in a format."""
    options = {"stream_options": {"include_usage": True}} if stream and format_ == "chat" else {}
    made = call(format_, **REQUESTS[format_], **options)
    members = dict(made.members)
    if format_ in {"responses", "gemini"}:
        del members["messages"]
    envelope = msgspec.structs.replace(made.envelope, stream=stream, wants_usage=True)
    return msgspec.structs.replace(made, members=members, envelope=envelope)


def rewritten(format_: Format, *, stream: bool = False) -> TranslatedPassage:
    passage = open_passage(asked(format_, stream=stream), format_, "up", Terms("call_1", 0, rewritten=True))
    assert isinstance(passage, TranslatedPassage)
    return passage


def format_of(recording: Recording) -> Any:
    return APIS[recording.api]


@pytest.mark.parametrize("format_", REQUESTS)
def test_the_request_goes_up_as_it_came(format_: Format) -> None:
    made = asked(format_)
    passage = open_passage(made, format_, "up", Terms("call_1", 0, rewritten=True))
    assert isinstance(passage, TranslatedPassage)
    assert passage.call is made


def test_what_has_no_codec_or_cannot_be_read_is_relayed() -> None:
    terms = Terms("call_1", 0, rewritten=True)
    assert isinstance(open_passage(call("embeddings", input="x"), "embeddings", "up", terms), RelayedPassage)
    assert isinstance(open_passage(call(messages=5), "chat", "up", terms), RelayedPassage)


@pytest.mark.parametrize("recording", ANSWERS)
def test_a_whole_answer_says_the_same(recording: Recording) -> None:
    format_ = format_of(recording)
    whole = rewritten(format_).read(recording.body)
    relayed = RelayedPassage(asked(format_), Terms("call_1", 0)).read(recording.body)
    again = rewritten(format_).read(whole.body)
    assert not set(differences(normal(json.loads(whole.body)), normal(json.loads(again.body))))
    assert whole.empty == relayed.empty
    assert _tokens(whole.usage) == _tokens(relayed.usage)


@pytest.mark.parametrize("recording", BLOCKED)
def test_a_prompt_that_was_not_let_through_has_no_answer(recording: Recording) -> None:
    again = rewritten(format_of(recording)).read(recording.body)
    assert again.body == b""
    assert isinstance(again.refusal, Filtered)
    relayed = RelayedPassage(asked(format_of(recording)), Terms("call_1", 0)).read(recording.body)
    assert relayed.body == recording.body
    assert isinstance(relayed.refusal, Filtered)


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_says_the_same(recording: Recording) -> None:
    format_, body = format_of(recording), streamed(recording)
    begin = rewritten(format_, stream=True).stream
    assert begin is not None
    stream = begin(LIMIT_BYTES)
    sent = stream.feed(body) + stream.close()
    before, after = events_of(format_, [body]), events_of(format_, [sent])
    faulted = any(isinstance(event, Faulted) for event in before)
    assert (stream.fault is not None) is faulted
    one, two = join(before), join(after)
    assert [choice.finish for choice in one.choices] == [choice.finish for choice in two.choices]
    assert [_words(choice) for choice in one.choices] == [_words(choice) for choice in two.choices]
    if not faulted:
        assert one.usage == two.usage


def _tokens(usage: Usage | None) -> tuple[int, int] | None:
    return None if usage is None else (usage.input_tokens, usage.output_tokens)


def _words(choice: Any) -> list[Any]:
    return [getattr(part, "text", None) or getattr(part, "arguments", None) for part in choice.parts]

"""Every recorded answer for every client: said in another format, it still says the same."""

from __future__ import annotations

from typing import Any, TypeGuard

import pytest
from rig import recordings
from rig.recordings import Recording, parameters
from rig.translation.formats import APIS, CLIENTS, codec, events_of, heading, stream_of, streamed
from rig.translation.limits import ONE_CHOICE, finishes, tokens
from rig.translation.witness.facts import Said, Tokens
from rig.translation.witness.seen import facts_of, tokens_of

from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.crossing import crossing_answer, crossing_event
from gateway.formats.neutral.events import Ended, Faulted, Finished, join, whole
from gateway.formats.neutral.parts import Media, Refusal, Text, ToolCall

pytestmark = pytest.mark.wire

ALL = recordings.load(*APIS)
ANSWERS = parameters(r for r in ALL if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in ALL if r.status == 200 and r.is_stream)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_says_the_same_to_every_client(recording: Recording, client: str) -> None:
    completion = codec(APIS[recording.api]).decode_answer(recording.body)
    leaving = completion if APIS[recording.api] == client else crossing_answer(completion)
    written = codec(client).encode_answer(leaving, heading())
    heard = codec(client).decode_answer(written)
    check_same(completion, heard, client)
    if APIS[recording.api] != client:
        check_words(heard, client)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_says_the_same_to_every_client(recording: Recording, client: str) -> None:
    events = events_of(APIS[recording.api], [streamed(recording)])
    leaving = events if APIS[recording.api] == client else [crossing_event(event) for event in events]
    again = events_of(client, [stream_of(client, leaving, heading())])
    failed = any(isinstance(event, Faulted) for event in events)
    assert any(isinstance(event, Faulted) for event in again) == failed
    if failed:
        assert not any(isinstance(event, Ended) for event in again)
    elif any(isinstance(event, Ended) for event in events):
        assert isinstance(again[-1], Ended) or not any(isinstance(event, Finished) for event in events)
        check_same(join(events), join(again), client)
        if APIS[recording.api] != client:
            check_words(join(again), client)


@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_without_a_stream_can_be_told_as_one(recording: Recording) -> None:
    """For a client that wants a stream of an upstream that has none."""
    completion = crossing_answer(codec(APIS[recording.api]).decode_answer(recording.body))
    for client in CLIENTS:
        again = events_of(client, [stream_of(client, whole(completion), heading())])
        check_same(completion, join(again), client)


def check_same(told: Completion, heard: Completion, client: str) -> None:
    """What a client hears against what the upstream told."""
    if client in ONE_CHOICE:
        told = Completion(told.choices[:1], usage=told.usage)
    ways = finishes(told, client)
    assert [said_in(c.parts) for c in heard.choices] == [said_in(c.parts) for c in told.choices]
    for one, other in zip(facts_of(heard).choices, facts_of(told).choices, strict=True):
        assert calls_in(one, client) == calls_in(other, client)
    if not all(c.finish is None for c in told.choices):
        assert all((c.finish or "") in way for c, way in zip(heard.choices, ways, strict=True)), (heard, ways)
    check_usage(told, heard, client)
    for choice in heard.choices:
        ids = [part.id for part in choice.parts if isinstance(part, ToolCall)]
        assert all(ids)
        assert len(set(ids)) == len(ids)


def check_words(heard: Completion, client: str) -> None:
    """The reasons for the end are words of the client's format, never the upstream's."""
    assert {choice.finish_raw for choice in heard.choices if choice.finish is not None} <= VOCABULARY[client]


VOCABULARY = {
    "chat": {"stop", "length", "tool_calls", "content_filter"},
    "responses": {"completed", "max_output_tokens", "content_filter"},
    "messages": {"end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn"},
    "gemini": {"STOP", "MAX_TOKENS", "SAFETY", "OTHER", "PROHIBITED_CONTENT"},
}
"""The words that SDKs know as reasons for the end."""


def check_usage(told: Completion, heard: Completion, client: str) -> None:
    """The same tokens; of a usage that contradicts itself (more cached than there is), any."""
    wanted = tokens(told, client)
    if wanted is not None and (wanted.cached > wanted.input or wanted.reasoning > wanted.output):
        assert heard.usage is not None
        return
    assert tokens_of(heard.usage) == (wanted or ZERO.get(client))


ZERO = {"messages": Tokens()}
"""Formats that cannot leave the usage out."""

OBJECTS = frozenset({"messages", "gemini"})
"""Formats whose arguments are a value: text that is no JSON (cut short, a custom tool's) is put into one."""


def calls_in(said: Said, client: str) -> list[Any]:
    """The calls as a client can hear them."""
    return [
        (name, "a text" if client in OBJECTS and (is_text(given) or is_wrapped(given)) else given)
        for name, given in said.calls
    ]


def is_text(given: Any) -> bool:
    return isinstance(given, str)


def is_wrapped(given: Any) -> bool:
    return isinstance(given, dict) and len(given) == 1 and {"INVALID_JSON", "input"} >= given.keys()


def said_in(parts: tuple[object, ...]) -> str:
    """All words of an answer: formats without refusals or sound say them as text."""
    words = [part.transcript if isinstance(part, Media) else part.text for part in parts if is_said(part)]
    return "".join(words)


def is_said(part: object) -> TypeGuard[Text | Refusal | Media]:
    return isinstance(part, Text | Refusal | Media)

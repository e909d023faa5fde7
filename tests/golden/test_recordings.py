"""Recorded traffic through every codec: nothing is overlooked, nothing is lost, all is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from golden import ledger
from rig import recordings
from rig.recordings import Recording, parameters
from rig.script import split_at_random, split_in_bytes
from rig.translation import witness
from rig.translation.formats import (
    APIS,
    FORMATS,
    LIMIT_BYTES,
    NOT_TRANSLATED,
    codec,
    events_of,
    heading,
    members,
    root,
    stream_of,
    streamed,
)
from rig.translation.structure import as_json, camel, differences, normal, unread
from rig.translation.witness.facts import Facts, aws_frames, ndjson, sse
from rig.translation.witness.seen import facts_of

from gateway.errors import BadRequest, Unsupported
from gateway.formats.framing.sse import split_events
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Began, Ended, Faulted, Finished, join

pytestmark = pytest.mark.wire

ALL = recordings.load(*APIS)
REQUESTS = parameters(r for r in ALL if isinstance(r.request, dict))
ANSWERS = parameters(r for r in ALL if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in ALL if r.status == 200 and r.is_stream)

REFUSED_REQUESTS: dict[str, str] = {}
"""Recorded requests that are turned away, by a part of their names, each with what is wrong with them."""

UNMODELLED = ledger.read("unmodelled.txt")
UNKEPT = ledger.read("unkept.txt")


def format_of(recording: Recording) -> str:
    return APIS[recording.api]


def body_of(recording: Recording) -> dict[str, Any]:
    """A request's body without the model, which is the route's business."""
    body = as_reference(format_of(recording), recording.request)
    return {name: value for name, value in body.items() if name != "model"}


def as_reference(format_: str, request: Any) -> dict[str, Any]:
    """A request with the names that the provider's reference has."""
    named = camel(request) if format_ == "gemini" else request
    assert isinstance(named, dict)
    return named


def read_request(recording: Recording) -> Conversation:
    assert recording.request is not None
    return codec(format_of(recording)).decode_request(members(recording.request))


def chunks_of(recording: Recording) -> list[Any]:
    """The JSON values a recorded stream is made of."""
    format_, body = format_of(recording), streamed(recording)
    if format_ == "converse":
        return [{name: event} for name, event in aws_frames(body)]
    return ndjson(body) if format_ == "ollama" else sse(body)


def values_of(recordings_: tuple[Recording, ...], side: str) -> Iterator[tuple[str, Any]]:
    """The recorded JSON of one side, with the format of each."""
    for recording in recordings_:
        if side == "request" and isinstance(recording.request, dict):
            yield format_of(recording), as_reference(format_of(recording), recording.request)
        elif side == "answer" and recording.status == 200 and not recording.is_stream:
            yield format_of(recording), json.loads(recording.body)
        elif side == "chunk" and recording.status == 200 and recording.is_stream:
            yield from ((format_of(recording), chunk) for chunk in chunks_of(recording))


def test_each_recorded_interface_is_translated_or_has_a_reason_not_to_be() -> None:
    found = {
        path.name.rsplit("-stream-")[0].rsplit("-json-")[0] for path in recordings.FOLDER.glob("*/*.json")
    }
    assert found == set(APIS) | set(NOT_TRANSLATED)


@pytest.mark.parametrize("side", ["request", "answer", "chunk"])
@pytest.mark.parametrize("format_", FORMATS)
def test_no_recorded_member_is_overlooked(format_: str, side: str) -> None:
    kind = root(format_, side)
    overlooked = {
        path for name, value in values_of(ALL, side) if name == format_ for path in unread(value, kind)
    }
    assert overlooked == UNMODELLED.get((format_, side), set())


@pytest.mark.parametrize("recording", REQUESTS)
def test_a_request_is_the_same_after_decoding_and_encoding(recording: Recording) -> None:
    if any(part in recording.name for part in REFUSED_REQUESTS):
        with pytest.raises((BadRequest, Unsupported)):
            read_request(recording)
        return
    again = as_json(codec(format_of(recording)).encode_request(read_request(recording)))
    changed = set(differences(normal(body_of(recording)), normal(as_reference(format_of(recording), again))))
    assert changed <= UNKEPT.get((format_of(recording), "request"), set())


@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_is_the_same_after_decoding_and_encoding(recording: Recording) -> None:
    own = codec(format_of(recording))
    again = json.loads(own.encode_answer(own.decode_answer(recording.body), heading()))
    changed = set(differences(normal(json.loads(recording.body)), normal(again)))
    assert changed <= UNKEPT.get((format_of(recording), "answer"), set())


def test_no_line_of_the_ledger_has_become_needless() -> None:
    needed: dict[tuple[str, str], set[str]] = {}
    for recording in ALL:
        own = codec(format_of(recording))
        if isinstance(recording.request, dict) and not any(p in recording.name for p in REFUSED_REQUESTS):
            again = as_json(own.encode_request(read_request(recording)))
            named = as_reference(format_of(recording), again)
            found = differences(normal(body_of(recording)), normal(named))
            needed.setdefault((format_of(recording), "request"), set()).update(found)
        if recording.status == 200 and not recording.is_stream:
            again = json.loads(own.encode_answer(own.decode_answer(recording.body), heading()))
            found = differences(normal(json.loads(recording.body)), normal(again))
            needed.setdefault((format_of(recording), "answer"), set()).update(found)
    needless = {key: paths - needed.get(key, set()) for key, paths in UNKEPT.items()}
    assert not {key: paths for key, paths in needless.items() if paths}


@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_is_understood(recording: Recording) -> None:
    completion = codec(format_of(recording)).decode_answer(recording.body)
    check_understood(completion, witness.WHOLE[format_of(recording)](recording.body))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_is_understood(recording: Recording) -> None:
    events = events_of(format_of(recording), [streamed(recording)])
    told = witness.STREAM[format_of(recording)](recording.body)
    assert any(isinstance(event, Faulted) for event in events) == told.failed
    check_understood(join(events), told)


def check_understood(completion: Completion, told: Facts) -> None:
    """What a codec made of an answer against what its JSON says."""
    understood = facts_of(completion)
    assert [said.text for said in understood.choices] == [said.text for said in told.choices]
    assert [said.calls for said in understood.choices] == [said.calls for said in told.choices]
    assert [said.refusal for said in understood.choices] == [said.refusal for said in told.choices]
    if not told.failed:
        assert all(
            one.finish <= two.finish for one, two in zip(understood.choices, told.choices, strict=True)
        )
    assert understood.tokens == told.tokens


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_says_the_same_however_it_is_split(recording: Recording) -> None:
    format_, body = format_of(recording), streamed(recording)
    whole = described(events_of(format_, [body]))
    splittings = [split_at_random(body, seed, largest) for seed, largest in ((1, 7), (2, 100), (3, 3000))]
    if format_ not in {"converse", "ollama"}:
        splittings.append(split_events(body))
    if len(body) < 60_000:
        splittings.append(split_in_bytes(body))
    for pieces in splittings:
        assert described(events_of(format_, pieces)) == whole


def described(events: list[Any]) -> list[Any]:
    """Events that can be compared: an error is its kind and its words."""
    return [
        (type(event.error), event.error.code, event.error.message) if isinstance(event, Faulted) else event
        for event in events
    ]


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_has_the_shape_that_is_promised(recording: Recording) -> None:
    events = events_of(format_of(recording), [streamed(recording)])
    assert isinstance(events[0], Began | Faulted)
    assert sum(isinstance(event, Began) for event in events) <= 1
    ends = [index for index, event in enumerate(events) if isinstance(event, Ended)]
    assert ends in ([], [len(events) - 1])
    finished = [event.choice for event in events if isinstance(event, Finished)]
    assert len(finished) == len(set(finished))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_is_the_same_after_encoding_and_decoding(recording: Recording) -> None:
    format_ = format_of(recording)
    events = events_of(format_, [streamed(recording)])
    again = events_of(format_, [stream_of(format_, events, heading())])
    failed = any(isinstance(event, Faulted) for event in events)
    assert any(isinstance(event, Faulted) for event in again) == failed
    if not failed:
        assert comparable(join(again)) == comparable(join(events))


def comparable(completion: Completion) -> Any:
    """What has to survive: the choices but for what only a whole answer can say, the usage, the model."""
    choices = [msgspec.structs.replace(choice, raw=None) for choice in completion.choices]
    return msgspec.to_builtins((choices, completion.usage, completion.model))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_cut_stream_never_ends(recording: Recording) -> None:
    """Whatever of its bytes are missing at the end, a stream that has not ended is not taken for whole."""
    format_, body = format_of(recording), streamed(recording)
    finished_at = _first_end(format_, body)
    for cut in {finished_at // 3, finished_at // 2, finished_at - 1}:
        decoder = codec(format_).stream_decoder(LIMIT_BYTES)
        events = decoder.feed(body[:cut])
        assert not any(isinstance(event, Ended) for event in events)


def _first_end(format_: str, body: bytes) -> int:
    """How many bytes until the stream has ended, found by halving; all of them where it never does."""
    low, high = 1, len(body)
    while low < high:
        middle = (low + high) // 2
        events = codec(format_).stream_decoder(LIMIT_BYTES).feed(body[:middle])
        low, high = (low, middle) if any(isinstance(e, Ended) for e in events) else (middle + 1, high)
    return low

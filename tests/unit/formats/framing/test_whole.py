"""Which events can be read, told cheaply and told exactly."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.formats.framing.sse import data_of
from gateway.formats.framing.whole import decode_events, is_damaged, is_object, is_whole_event

ONE = b'data: {"a": "\xc3\xa9"}\n\n'


class Seen(msgspec.Struct):
    """What a decoder looks for; it walks over all else."""

    b: int = 0


decode = msgspec.json.Decoder(Seen).decode


@pytest.mark.parametrize("events", [ONE, ONE * 3, ONE.replace(b"\n", b"\r\n"), b'data: {"a": {}}'])
def test_events_of_objects_are_told_at_once(events: bytes) -> None:
    assert decode_events(events, decode) == [Seen()] * events.count(b"data")
    named = b"event: x\n" + events
    assert is_whole_event(named, 9) == (events.count(b"data") == 1)


def test_each_event_is_decoded() -> None:
    assert decode_events(b'data: {"b": 1}\n\ndata: {"b": 2}\n\n', decode) == [Seen(1), Seen(2)]
    assert decode_events(b'data: {"b": 1}\n\ndata: {"b": ""}\n\n', decode) is None


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
        ONE + b"data: [DONE]\n\n",
        ONE + b": ping\n\n",
        ONE + b"event: x\n" + ONE,
        b'data: {"a": 1\n\ndata: "b": 2}\n\n',
        b'data: {"a": "\xc3"}\n\n',
        b'data: {"a": "\\ud83d"}\n\n',
        b'data: {"a": ' + b"[" * 100_000 + b"\n\n",
        b'data: {"a": 1,\ndata: "b": 2}\n\n',
    ],
)
def test_all_others_are_left_to_a_closer_look(events: bytes) -> None:
    assert decode_events(events, decode) is None
    assert not is_whole_event(events, 0)


@pytest.mark.parametrize("data", [b"{}", b' {"a": 1}\n', b'{"a": "\\ud83d"}', b'{"a":\n[]}'])
def test_an_object_is_one(data: bytes) -> None:
    assert is_object(data)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[]", b"{", b'"{}"', b"{} {}", b'{"a": "\xff"}', b'{"a": ' + b"[" * 100_000, b"null"]
)
def test_what_is_none_is_none(data: bytes) -> None:
    assert not is_object(data)


@pytest.mark.parametrize(
    "event", [b": ping\n\n", b"event: ping\n\n", b"\n\n", b"data: [DONE] \n\n", b"id: 7\n\n"]
)
def test_what_breaks_no_reader_is_no_damage(event: bytes) -> None:
    assert not is_damaged(event, data_of(event))


@pytest.mark.parametrize(
    "event", [b"data:\n\n", b"data: {\n\n", b"event: x\ndata: []\n\n", b"data:  \r\n\r\n"]
)
def test_what_breaks_a_reader_is_damage(event: bytes) -> None:
    assert is_damaged(event, data_of(event))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=8) | st.just(b'"a": 1'), max_size=4).map(b"".join))
def test_the_cheap_answer_never_contradicts_the_exact_one(inside: bytes) -> None:
    event = b'data: {"x": 1, ' + inside.replace(b"\n", b"").replace(b"\r", b"") + b"}\n\n"
    if is_whole_event(event, 0):
        assert is_object(data_of(event))
        assert isinstance(json.loads(data_of(event)), dict)

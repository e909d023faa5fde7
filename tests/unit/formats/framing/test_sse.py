"""Where events end, and what they say."""

from __future__ import annotations

import pytest

from gateway.errors import Broken
from gateway.formats.framing.sse import Framer, begins_as_events, data_of, split_events, with_data

TWO = b"data: 1\n\ndata: 2\n\n"


def test_whole_events_pass_as_they_are() -> None:
    assert Framer(100).feed(TWO) == TWO


def test_half_an_event_is_held_back_until_its_end() -> None:
    framer = Framer(100)
    assert framer.feed(b"data: 1\n\ndata") == b"data: 1\n\n"
    assert framer.feed(b": 2\n") == b""
    assert framer.feed(b"\n") == b"data: 2\n\n"
    assert framer.rest() == b""


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_an_end_is_found_wherever_it_is_split(end: bytes) -> None:
    for cut in range(1, len(end)):
        framer = Framer(100)
        assert framer.feed(b"data: 1" + end[:cut]) == b""
        assert framer.feed(end[cut:] + b"data: 2") == b"data: 1" + end
        assert framer.rest() == b"data: 2"


def test_a_piece_that_ends_well_does_not_overtake_what_is_held() -> None:
    framer = Framer(100)
    framer.feed(b"data: 1")
    assert framer.feed(b"\n\ndata: 2\n\n") == TWO


def test_the_rest_is_given_once() -> None:
    framer = Framer(100)
    framer.feed(b"data: 1\n")
    assert framer.rest() == b"data: 1\n"
    assert framer.rest() == b""


def test_an_event_without_end_breaks_the_stream_at_the_limit() -> None:
    framer = Framer(10)
    assert framer.feed(b"x" * 10) == b""
    with pytest.raises(Broken, match="more than 10 bytes"):
        framer.feed(b"x")


def test_the_limit_is_for_one_event_and_not_for_the_stream() -> None:
    framer = Framer(10)
    assert len(b"".join(framer.feed(b"data: 1\n\nda") + framer.feed(b"ta: 2\n\n") for _ in range(50))) == 900


@pytest.mark.parametrize(
    "events",
    [
        [b"data: 1\n\n", b": comment\n\n", b"event: x\ndata: 2\n\n"],
        [b"data: 1\r\n\r\n", b"data: 2\r\n\r\n"],
        [b"data: 1\r\r", b"data: 2\r\r"],
        [b"data: 1\n\r\n", b"data: 2\n\n"],
        [b"data: 1\n\n", b"data: 2"],
        [b"data: 1\n\n", b"\n\n"],
        [],
    ],
)
def test_events_are_split_after_their_blank_lines(events: list[bytes]) -> None:
    assert split_events(b"".join(events)) == events


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a": 1}\n\n', b'{"a": 1}'),
        (b'data: {"a": 1}  \n\n', b'{"a": 1}'),
        (b'data:{"a": 1}\n\n', b'{"a": 1}'),
        (b'data: {"a": 1}\r\n\r\n', b'{"a": 1}'),
        (b'data: {"a": 1}', b'{"a": 1}'),
        (b'data: {"a": 1}\n', b'{"a": 1}'),
        (b'event: error\ndata: {"a": 1}\n\n', b'{"a": 1}'),
        (b'id: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\n', b'{"a":\n1}'),
        (b'data: {"a":\ndata: 1}\n\n', b'{"a":\n1}'),
        (b": OPENROUTER PROCESSING\n\n", b""),
        (b"event: ping\n\n", b""),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b"data:  \r\n\r\n", b""),
        (b"data:\ndata: \n\n", b""),
        (b"\n\n", b""),
        (b"data: [DONE]\n\n", b"[DONE]"),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


@pytest.mark.parametrize(
    "data", [b"data: 1", b"event: x", b"id: 1", b"retry: 1", b": ping", b"\xef\xbb\xbfdata: 1"]
)
def test_events_are_known_by_their_first_byte(data: bytes) -> None:
    assert begins_as_events(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"<html>", b" data: 1"])
def test_other_answers_are_too(data: bytes) -> None:
    assert not begins_as_events(data)


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("step", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_a_mark_at_the_very_beginning_is_left_out_once(step: int, end: bytes) -> None:
    framer = Framer(100)
    event = b"data: " + MARK + end
    data = MARK + event + MARK + event
    passed = b"".join(framer.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert passed == event + MARK + event


@pytest.mark.parametrize("half", [b"\xef", b"\xef\xbb", b"\xef\xbbdata: 1", b"\xefdata: 1"])
def test_half_a_mark_is_none(half: bytes) -> None:
    framer = Framer(100)
    assert framer.feed(half[:1]) + framer.feed(half[1:]) + framer.rest() == half
    assert framer.rest() == b""


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (b"data: 1\n\n", b"data: new\n\n"),
        (b"data:1\r\n\r\n", b"data: new\r\n\r\n"),
        (b"event: x\ndata: 1\ndata: 2\nid: 7\n\n", b"event: x\ndata: new\nid: 7\n\n"),
        (b": data: 1\r\ndata: 1\r\ndata: 2\r\n\r\n", b": data: 1\r\ndata: new\r\n\r\n"),
        (b"data: 1", b"data: new"),
    ],
)
def test_data_is_put_on_one_line(event: bytes, changed: bytes) -> None:
    assert with_data(event, b"new") == changed
    assert data_of(changed) == b"new"

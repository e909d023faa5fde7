"""However the network splits a stream, the client gets the same bytes and the gateway sees the same end."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Broken
from gateway.formats.chat.stream import RelayedStream
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_damaged

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ['"usage":{"prompt_tokens":1}', "data: [DONE]", '"finish_reason":"stop"', "\n\n", "\r\n\r\n"]
    ),
)
USAGES = st.sampled_from([None, {}, {"prompt_tokens": 3, "completion_tokens": 2}, {"prompt_tokens": 9}])
CHUNKS = st.fixed_dictionaries(
    {"choices": st.one_of(st.just([]), st.builds(lambda text: [{"delta": {"content": text}}], TEXTS))},
    optional={
        "usage": USAGES,
        "model": st.one_of(st.none(), TEXTS),
        "error": st.sampled_from([None, {"message": "x"}]),
        "x": st.dictionaries(st.sampled_from(["model", "usage", "error"]), TEXTS, max_size=2),
    },
)
ENDS = st.sampled_from(["\n\n", "\r\n\r\n"])
EVENTS = st.one_of(
    st.builds(
        lambda chunk, end, name: f"{name}data: {json.dumps(chunk)}{end}",
        CHUNKS,
        ENDS,
        st.sampled_from(["", "event: e\n"]),
    ),
    st.sampled_from(
        [
            ": comment\n\n",
            "data: [DONE]\n\n",
            "data: {\n\n",
            "event: ping\n\n",
            "\n\n",
            "data: [DONE]\r\n\r\n",
        ]
    ),
    st.builds(lambda end: 'data: {"choices": [{"finish_reason": "stop"}]}' + end, ENDS),
)
RESTS = st.sampled_from(["", "data: [DONE]", 'data: {"choices": []}', 'data: {"cho', "data: x\n", ": c"])
STREAMS = st.builds(
    lambda events, rest: ("".join(events) + rest).encode(), st.lists(EVENTS, max_size=8), RESTS
)
CUTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=12)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def outcome(pieces: list[bytes], *, withhold: bool, rename: str | None) -> tuple[Any, ...]:
    stream = RelayedStream(withhold_usage=withhold, rename=rename, limit_bytes=100_000)
    sent = b"".join([stream.feed(piece) for piece in pieces]) + stream.close()
    fault = stream.fault
    told = None if fault is None else (type(fault), fault.message)
    return sent, stream.usage, stream.finished, stream.done, told, stream.begun, stream.skipped, stream.text()


@settings(max_examples=300, deadline=None)
@given(STREAMS, CUTS, st.booleans(), st.sampled_from([None, "fast"]))
def test_any_split_gives_the_same(data: bytes, cuts: list[int], withhold: bool, rename: str | None) -> None:
    whole = outcome([data], withhold=withhold, rename=rename)
    assert outcome(pieces_of(data, cuts), withhold=withhold, rename=rename) == whole
    assert outcome([bytes([byte]) for byte in data], withhold=withhold, rename=rename) == whole


def expected(data: bytes) -> list[bytes]:
    """What is to pass of a stream: nothing damaged, nothing said after its end, no end after an error."""
    passed: list[bytes] = []
    finished = failed = False
    for event in split_events(data):
        said = data_of(event)
        if is_damaged(event, said):
            continue
        if said == b"[DONE]":
            return passed if failed else [*passed, event]
        chunk = json.loads(said) if said else {}
        choice = (chunk.get("choices") or [{}])[0]
        failed = failed or bool(chunk.get("error"))
        if chunk.get("error") or not (finished and choice.get("delta", {}).get("content")):
            passed.append(event)
        finished = finished or "finish_reason" in choice
    return passed


@settings(max_examples=300, deadline=None)
@given(STREAMS, CUTS)
def test_what_passes_is_what_came_but_for_damage_repetitions_and_a_rest(data: bytes, cuts: list[int]) -> None:
    sent = outcome(pieces_of(data, cuts), withhold=False, rename=None)[0]
    came, passed = expected(data), split_events(sent)
    assert [event.rstrip() for event in came[: len(passed)]] == [event.rstrip() for event in passed]
    assert all(not data_of(event) or not event.endswith(b"\n\n") for event in came[len(passed) :])


@settings(max_examples=200, deadline=None)
@given(STREAMS, CUTS)
def test_whatever_passes_can_be_read(data: bytes, cuts: list[int]) -> None:
    sent = outcome(pieces_of(data, cuts), withhold=True, rename="fast")[0]
    for event in split_events(sent):
        text = data_of(event)
        assert not text or text == b"[DONE]" or isinstance(json.loads(text), dict)
    assert sent.count(b"[DONE]\n") + sent.count(b"[DONE]\r") <= 1 or b'"' in sent


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b"\n\n", b":", b"\r\n\r\n"]), max_size=30)
)
def test_a_framer_loses_and_invents_nothing(pieces: list[bytes]) -> None:
    framer = Framer(1000)
    ready = [framer.feed(piece) for piece in pieces]
    assert b"".join(ready) + framer.rest() == b"".join(pieces)
    for events in filter(None, ready):
        assert events.endswith((b"\n\n", b"\r\n\r\n"))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b"\n\n", b":"]), max_size=30).map(b"".join)
)
def test_split_events_join_again(data: bytes) -> None:
    assert b"".join(split_events(data)) == data


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=30), st.integers(min_value=1, max_value=40))
def test_a_framer_never_holds_more_than_its_limit(pieces: list[bytes], limit_bytes: int) -> None:
    framer, held = Framer(limit_bytes), 0
    for piece in pieces:
        try:
            held += len(piece) - len(framer.feed(piece))
        except Broken:
            return
        assert held <= limit_bytes

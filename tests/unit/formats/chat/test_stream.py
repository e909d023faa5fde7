"""A stream on its way through: what passes, what is withheld, what is learned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import chat
from rig.script import sse

from gateway.errors import Broken
from gateway.exchange import Usage
from gateway.formats.chat.stream import RelayedStream

USAGE = Usage(9, 3)


class Passed:
    """A stream's bytes put through, and what there is to see afterwards."""

    def __init__(
        self, data: bytes, *, withhold: bool = False, rename: str | None = None, step: int = 0
    ) -> None:
        self.stream = RelayedStream(withhold_usage=withhold, rename=rename, limit_bytes=10_000)
        pieces = [data[at : at + step] for at in range(0, len(data), step)] if step else [data]
        self.sent = b"".join([self.stream.feed(piece) for piece in pieces] + [self.stream.close()])

    @property
    def end(self) -> tuple[bool, bool, bool]:
        return self.stream.finished, self.stream.done, self.stream.failed


def stream_of(*events: Any, done: bool = True) -> bytes:
    return b"".join(sse(*events, done=done))


PLAIN = stream_of(*chat.chunks(usage=False))
METERED = stream_of(*chat.chunks())
in_any_pieces = pytest.mark.parametrize("step", [0, 1, 7, 100])


@in_any_pieces
def test_what_nobody_has_to_change_passes_byte_for_byte(step: int) -> None:
    for data in (PLAIN, METERED, METERED.replace(b"\n", b"\r\n")):
        passed = Passed(data, step=step)
        assert passed.sent == data
        assert passed.end == (True, True, False)


@in_any_pieces
def test_the_usage_is_seen_and_shown_to_who_asked(step: int) -> None:
    passed = Passed(METERED, step=step)
    assert passed.stream.usage == USAGE
    assert b'"usage"' in passed.sent


@in_any_pieces
def test_the_usage_chunk_is_withheld_from_who_did_not_ask(step: int) -> None:
    passed = Passed(METERED, withhold=True, step=step)
    assert passed.stream.usage == USAGE
    assert passed.sent == PLAIN


def test_null_usages_pass_before_the_one_that_is_withheld() -> None:
    """OpenAI puts `"usage": null` into every chunk before."""
    nulls = [chunk | {"usage": None} for chunk in chat.chunks(usage=False)]
    for dumped in (json.dumps, lambda value: json.dumps(value, separators=(",", ":"))):
        events = [b"data: " + dumped(chunk).encode() + b"\n\n" for chunk in nulls]
        last = b"data: " + dumped(chat.chunk(None, usage=chat.USAGE)).encode() + b"\n\n"
        passed = Passed(b"".join([*events, last, b"data: [DONE]\n\n"]), withhold=True)
        assert passed.sent == b"".join([*events, b"data: [DONE]\n\n"])
        assert passed.stream.usage == USAGE


def test_azures_first_chunk_has_no_choices_and_passes() -> None:
    first = chat.chunk(None, id="", created=0, model="", prompt_filter_results=[{"prompt_index": 0}])
    passed = Passed(stream_of(first, *chat.chunks()), withhold=True)
    assert passed.sent == stream_of(first, *chat.chunks(usage=False))


def test_groq_tells_its_usage_twice() -> None:
    """With the finish under `x_groq`, which passes, and again with empty choices, which is withheld."""
    finish = chat.chunk({}, "stop", x_groq={"id": "req_1", "usage": chat.USAGE})
    said = chat.chunks(usage=False)[:-1]
    passed = Passed(stream_of(*said, finish, chat.chunk(None, usage=chat.USAGE)), withhold=True)
    assert passed.sent == stream_of(*said, finish)
    assert passed.stream.usage == USAGE


def test_openrouters_usage_comes_with_choices_and_passes() -> None:
    last = chat.chunk({"content": ""}, "stop", usage=chat.USAGE)
    data = b": OPENROUTER PROCESSING\n\n" + stream_of(*chat.chunks(usage=False), last)
    passed = Passed(data, withhold=True)
    assert passed.sent == data
    assert passed.stream.usage == USAGE


def test_of_cumulative_usages_the_last_counts() -> None:
    steps = [chat.chunk({"content": "a"}, usage=chat.USAGE | {"completion_tokens": n}) for n in range(1, 4)]
    for data in (stream_of(*steps), *sse(*steps, done=False)[2:]):
        assert Passed(data).stream.usage == USAGE


def test_a_stream_without_usage_has_none() -> None:
    assert Passed(PLAIN).stream.usage is None
    assert Passed(stream_of(chat.chunk({}, "stop", usage={}))).stream.usage is None


@in_any_pieces
@pytest.mark.parametrize("before", [b"", b"event: error\n"])
def test_an_error_event_passes_and_is_noted(before: bytes, step: int) -> None:
    """Groq names the event; OpenRouter does not."""
    data = stream_of(*chat.chunks(usage=False)[:2], done=False)
    data += before + stream_of(chat.error("out of memory"), done=False)
    passed = Passed(data, step=step)
    assert passed.sent == data
    assert passed.end == (False, False, True)


def test_an_error_after_the_finish_is_noted() -> None:
    failed = chat.chunk({"content": ""}, "error") | chat.error("provider disconnected")
    assert Passed(stream_of(*chat.chunks(usage=False), failed)).end == (True, True, True)


@pytest.mark.parametrize(
    "chunk", [chat.chunk({"content": "x"}, error=None), chat.chunk({"content": '"error": 1'})]
)
def test_no_error_is_no_error(chunk: Any) -> None:
    assert Passed(stream_of(chunk)).end == (False, True, False)


TALK = [
    "data: [DONE]",
    "\n\ndata: [DONE]\n\n",
    '"finish_reason":"stop"',
    '{"finish_reason": "stop"}',
    '"usage":{"prompt_tokens":1}',
    'event: error\ndata: {"error": {"message": "x"}}',
    '"model":"other"',
]


@in_any_pieces
@pytest.mark.parametrize("content", TALK)
def test_generated_text_about_streams_is_only_text(content: str, step: int) -> None:
    data = stream_of(chat.chunk({"content": content}), done=False)
    passed = Passed(data, withhold=True, step=step)
    assert passed.sent == data
    assert passed.end == (False, False, False)
    assert passed.stream.usage is None


@pytest.mark.parametrize("ending", ["stop", "length", "tool_calls", "content_filter"])
def test_a_finish_reason_finishes(ending: str) -> None:
    for pretty in (None, 1):
        data = "data: " + json.dumps(chat.chunk({}, ending), indent=pretty).replace("\n", "\ndata: ") + "\n\n"
        assert Passed(data.encode()).end == (True, False, False)


@pytest.mark.parametrize("ending", [None, ""])
def test_a_null_or_empty_reason_does_not_finish(ending: str | None) -> None:
    """Snowflake sends empty ones with every tool call."""
    assert Passed(stream_of(chat.chunk({"content": "x"}, ending), done=False)).end == (False, False, False)


@pytest.mark.parametrize(
    "done", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]"]
)
def test_done_is_seen_in_all_its_forms(done: bytes) -> None:
    passed = Passed(done)
    assert passed.end == (False, True, False)
    assert passed.sent.rstrip() == done.rstrip()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_last_event_without_its_blank_line_is_completed(end: bytes) -> None:
    """What follows, an error event of the gateway perhaps, must not become a part of it."""
    event = stream_of(chat.chunk({}, "stop"), done=False).rstrip() + end
    passed = Passed(event)
    assert passed.sent.startswith(event)
    assert passed.sent.endswith(b"\n\n")
    assert passed.end == (True, False, False)


@pytest.mark.parametrize(
    "half", [b'data: {"choices": [', b"data: ", b"dat", b"data: [DO", b'data: "x"', b"event: x\n"]
)
def test_half_an_event_at_the_end_is_dropped(half: bytes) -> None:
    assert Passed(PLAIN + half).sent == PLAIN


def test_broken_json_is_the_clients_to_judge() -> None:
    data = b'data: {"usage": {"prompt_tokens": 1}, "choices": [\n\ndata: {"error": nul}\n\n'
    passed = Passed(data)
    assert passed.sent == data
    assert passed.stream.usage is None


def test_endless_nesting_does_not_end_the_gateway() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for event in (b'data: {"error": ' + deep + b"}", b'data: {"a": ' + deep + b"}", b"data: " + deep[:5000]):
        stream = RelayedStream(withhold_usage=True, rename="n", limit_bytes=1_000_000)
        sent = stream.feed(event + b"\n\n") + stream.feed(event) + stream.close()
        assert sent.startswith(event)
        assert stream.usage is None


def test_an_event_beyond_the_limit_breaks_the_stream() -> None:
    with pytest.raises(Broken):
        Passed(b"data: " + b"x" * 10_001, step=1000)


@in_any_pieces
def test_every_chunk_is_renamed_and_nothing_else_changes(step: int) -> None:
    nested = chat.chunk({"content": '"model":"x"'}, system={"model": chat.UPSTREAM_MODEL})
    data = b": comment {}\n\n" + stream_of(nested, *chat.chunks())
    passed = Passed(data, rename="fast", step=step)
    renamed = [chunk | {"model": "fast"} for chunk in (nested, *chat.chunks())]
    assert passed.sent == b": comment {}\n\n" + stream_of(*renamed)
    assert passed.stream.usage == USAGE


def test_renaming_and_withholding_go_together() -> None:
    renamed = [chunk | {"model": "fast"} for chunk in chat.chunks(usage=False)]
    assert Passed(METERED, rename="fast", withhold=True).sent == stream_of(*renamed)


@pytest.mark.parametrize(
    ("event", "renamed"),
    [
        (b'data: {"model":null,"choices":[]}\n\n', b'data: {"model":"n","choices":[]}\n\n'),
        (b'event: x\ndata: {"model":"a"}\n\n', b'event: x\ndata: {"model":"n"}\n\n'),
        (b'data: {"model":"a"}\r\n\r\n', b'data: {"model":"n"}\r\n\r\n'),
        (b': {"model":"a"}\n\n', b': {"model":"a"}\n\n'),
        (b': {}\ndata: {"model":"a"}\n\n', b': {}\ndata: {"model":"n"}\n\n'),
        (b'data: {"choices":[]}\n\n', b'data: {"choices":[]}\n\n'),
        (b'data: {"model":"a","choices":{}}\n\n', b'data: {"model":"n","choices":{}}\n\n'),
        (b"data: [DONE]\n\n", b"data: [DONE]\n\n"),
    ],
)
def test_a_single_event_is_renamed(event: bytes, renamed: bytes) -> None:
    assert Passed(event, rename="n").sent == renamed


def test_an_event_over_several_lines_is_renamed_too() -> None:
    passed = Passed(b'data: {"model":\ndata: "a"}\n\n', rename="n")
    lines = [line.removeprefix(b"data: ") for line in passed.sent.strip().split(b"\n")]
    assert json.loads(b"\n".join(lines)) == {"model": "n"}


def test_the_text_so_far_can_be_counted() -> None:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=1000)
    for event in sse(*chat.chunks(usage=False))[:3]:
        stream.feed(event)
    assert stream.text() == "Hello, "

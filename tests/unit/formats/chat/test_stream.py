"""A stream on its way through: what passes, what is withheld, what is learned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import chat
from rig.script import sse

from gateway.errors import (
    Broken,
    ContextTooLong,
    Failed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    UpstreamError,
)
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
        return self.stream.finished, self.stream.done, self.stream.fault is not None


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
    passed = Passed(stream_of(*chat.chunks(usage=False), failed))
    assert passed.end == (True, False, True), "no end is one after an error"
    assert b"[DONE]" not in passed.sent


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


DAMAGED = [
    b'data: {"usage": {"prompt_tokens": 1}, "choices": [\n\n',
    b'data: {"error": nul}\n\n',
    b"data: <html>\n\n",
    b"data: [1]\n\n",
    b'data: "x"\n\n',
    b"data: null\n\n",
    b"data: {}}\n\n",
    b'data: {"a": "\xff"}\n\n',
    b'event: error\ndata: {"error": {"mess\n\n',
    b'data: {"a": 1,\ndata: "b"\n\n',
    b'data: {\n"a": 1}\n\n',
]


@in_any_pieces
@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("rename", [None, "fast"])
def test_an_event_that_nobody_can_read_is_left_out(damaged: bytes, rename: str | None, step: int) -> None:
    first, *rest = sse(*chat.chunks(usage=False))
    whole, passed = Passed(PLAIN, rename=rename), None
    passed = Passed(b"".join([first, damaged, *rest]), rename=rename, step=step)
    assert passed.sent == whole.sent
    assert passed.end == (True, True, False)
    assert passed.stream.skipped == 1


def test_a_stream_of_which_nothing_can_be_read_is_not_whole() -> None:
    passed = Passed(b"".join(DAMAGED))
    assert passed.sent == b""
    assert passed.end == (False, False, False)
    assert not passed.stream.begun
    assert passed.stream.skipped == len(DAMAGED)


@pytest.mark.parametrize("text", ['"\\ud83d"', '"\\ude00"', '"\u00e9\U0001f600"', "1e400", '"a\\u0000b"'])
def test_what_clients_can_read_passes(text: str) -> None:
    """Hosts cut a character into its two halves."""
    data = b'data: {"choices": [{"delta": {"content": %b}}]}\n\n' % text.encode()
    assert Passed(data).sent == data


@in_any_pieces
def test_nothing_passes_after_the_end(step: int) -> None:
    passed = Passed(METERED + METERED, step=step)
    assert passed.sent == METERED
    assert passed.stream.text() == Passed(METERED).stream.text()
    assert passed.end == (True, True, False)


SPOKEN: list[dict[str, Any]] = [
    {"content": "a"},
    {"content": [{"type": "text", "text": "a"}]},
    {"refusal": "no"},
    {"reasoning_content": "hm"},
    {"reasoning": "hm"},
    {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
    {"function_call": {"name": "f"}},
    {"audio": {"data": "AA=="}},
]


@pytest.mark.parametrize("delta", SPOKEN)
def test_a_stream_begins_with_what_was_said(delta: dict[str, Any]) -> None:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=1000)
    role = {"role": "assistant", "content": "", "refusal": None, "tool_calls": []}
    for event in (b": ping\n\n", *sse(chat.chunk(None, usage=chat.USAGE), chat.chunk(role), done=False)):
        stream.feed(event)
        assert not stream.begun
    stream.feed(sse(chat.chunk(delta))[0])
    assert stream.begun


def test_an_old_completion_begins_with_its_text() -> None:
    assert not Passed(stream_of(chat.text_completion(""))).stream.begun
    assert Passed(stream_of(chat.text_completion("a"))).stream.begun


@pytest.mark.parametrize(
    ("finish", "begun"),
    [("stop", False), ("error", False), ("eos", False), ("length", True), ("content_filter", True)],
)
def test_an_end_that_is_an_answer_begins_a_stream_and_a_stop_does_not(finish: str, *, begun: bool) -> None:
    passed = Passed(stream_of(chat.chunk({"role": "assistant"}), chat.chunk({}, finish)))
    assert (passed.stream.begun, passed.stream.finished) == (begun, True)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'data: {"error": {"message": "x", "code": 503}}', Overloaded),
        (
            b'data: {"object":"error","message":"The queue is full.","type":"x","param":null,"code":503}',
            Overloaded,
        ),
        (b'data: {"error": {"message": "x", "code": "insufficient_quota"}}', QuotaSpent),
        (b'data: {"error": {"message": "x", "type": "rate_limit_error"}}', RateLimited),
        (b'data: {"error": "Overloaded", "code": 1}', Failed),
        (b'event: error\ndata: {"message": "x", "code": "context_length_exceeded"}', ContextTooLong),
    ],
)
def test_an_error_has_the_class_that_it_deserves(event: bytes, kind: type[UpstreamError]) -> None:
    role = stream_of(chat.chunk({"role": "assistant"}), done=False)
    passed = Passed(role + event + b"\n\n")
    assert type(passed.stream.fault) is kind
    assert passed.sent == role + event + b"\n\n"
    assert not passed.stream.begun


def test_an_error_may_come_without_an_event_around_it() -> None:
    passed = Passed(b'{"error": {"message": "busy",\n "code": 503}}\n')
    assert passed.sent == b""
    assert isinstance(passed.stream.fault, Overloaded)


def test_the_end_that_lacks_is_written_once() -> None:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=1000)
    stream.feed(stream_of(*chat.chunks(usage=False), done=False))
    assert (stream.finished, stream.done) == (True, False)
    assert stream.mend() == b"data: [DONE]\n\n"
    assert (stream.done, stream.mend(), stream.feed(METERED), stream.close()) == (True, b"", b"", b"")


def test_endless_nesting_does_not_end_the_gateway() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for event in (b'data: {"error": ' + deep + b"}", b'data: {"a": ' + deep + b"}", b"data: " + deep[:5000]):
        stream = RelayedStream(withhold_usage=True, rename="n", limit_bytes=1_000_000)
        sent = stream.feed(event + b"\n\n") + stream.feed(event) + stream.close()
        assert sent == b""
        assert stream.skipped == 1
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


def said(index: int, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def called(index: int, **function: str) -> dict[str, Any]:
    return said(0, tool_calls=[{"index": index, "function": function}])


A, B, STOP = said(0, content="a"), said(0, content="b"), said(0, "stop")
USED = {"choices": [], "usage": chat.USAGE}


@in_any_pieces
@pytest.mark.parametrize("withhold", [False, True])
def test_what_a_choice_says_again_after_its_end_does_not_pass(step: int, *, withhold: bool) -> None:
    passed = Passed(stream_of(A, B, STOP, A, B, STOP, USED), withhold=withhold, step=step)
    assert passed.sent == stream_of(A, B, STOP, STOP, *([] if withhold else [USED]))
    assert (passed.stream.text(), passed.stream.usage) == ("ab", USAGE)


@in_any_pieces
def test_one_choice_may_end_before_the_others(step: int) -> None:
    other = said(1, content="c")
    data = stream_of(A, other, STOP, other, said(1, "stop"))
    assert Passed(data, step=step).sent == data
    assert Passed(stream_of(A, other, STOP, other, A, said(1, "stop")), step=step).sent == data


@in_any_pieces
def test_calls_beside_the_first_may_follow_an_end(step: int) -> None:
    """Together tells an end after each."""
    calls = [called(0, name="f", arguments="{}"), said(0, "tool_calls"), called(1, name="g", arguments="{}")]
    data = stream_of(*calls, said(0, "tool_calls"))
    assert Passed(data, step=step).sent == data
    assert Passed(stream_of(*calls, said(0, "tool_calls"), *calls), step=step).sent.count(b'"name"') == 2


@in_any_pieces
def test_an_old_completion_is_not_said_twice_either(step: int) -> None:
    text = {"choices": [{"index": 0, "text": "a", "finish_reason": None}]}
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    assert Passed(stream_of(text, end, text, end), step=step).sent == stream_of(text, end, end)


@in_any_pieces
def test_what_is_no_word_passes_after_the_end(step: int) -> None:
    late = [said(0, content="", annotations=[{"type": "x"}]), {"choices": [], "provider": "x"}, USED]
    data = stream_of(A, STOP, *late)
    assert Passed(data, step=step).sent == data


@in_any_pieces
def test_an_error_after_the_end_passes(step: int) -> None:
    error = said(0, content="x") | {"error": {"message": "late"}}
    passed = Passed(stream_of(A, STOP, error), step=step)
    assert passed.sent == stream_of(A, STOP, error, done=False)
    assert passed.stream.fault is not None


@in_any_pieces
@pytest.mark.parametrize("name", [b"", b"event: error\n"])
def test_no_end_passes_after_an_error(step: int, name: bytes) -> None:
    error = name + stream_of(chat.error("it burns", "server_error", "on_fire"), done=False)
    passed = Passed(stream_of(A, done=False) + error + b"data: [DONE]\n\n", step=step)
    assert passed.sent == stream_of(A, done=False) + error
    assert isinstance(passed.stream.fault, Failed)


@in_any_pieces
@pytest.mark.parametrize("ends", [b"\n\n", b"\r\n\r\n"])
def test_damage_amid_a_call_ends_the_stream_with_an_error(step: int, ends: bytes) -> None:
    begun = stream_of(called(0, name="f", arguments='{"a": '), done=False)
    rest = stream_of(called(0, arguments="1}"), said(0, "tool_calls"))
    passed = Passed((begun + b'data: {"choi\n\n' + rest).replace(b"\n\n", ends), step=step)
    assert passed.sent.startswith(begun.replace(b"\n\n", ends))
    assert passed.sent.count(b"data: ") == 2
    assert passed.end == (False, False, True)
    assert isinstance(passed.stream.fault, Broken)


def test_damage_that_was_a_call_itself_does_too() -> None:
    passed = Passed(b'data: {"choices": [{"delta": {"tool_calls": [{"ind\n\n' + stream_of(STOP))
    assert isinstance(passed.stream.fault, Broken)


def test_damage_amid_a_call_is_seen_however_long_ago_that_began() -> None:
    long = [called(0, arguments="x" * 5000) for _ in range(9)]
    data = stream_of(called(0, name="f"), *long, done=False)
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=10_000)
    for event in sse(called(0, name="f"), *long, done=False):
        stream.feed(event)
    assert b"error" in stream.feed(b"data: {\n\n")
    assert (stream.skipped, len(data) > 32 * 1024) == (1, True)


def test_damage_before_and_after_a_call_costs_no_more_than_itself() -> None:
    call = [called(0, name="f", arguments="{}"), said(0, "tool_calls")]
    empty = A | {"choices": [{"index": 0, "delta": {"content": "a", "tool_calls": []}}]}
    data = stream_of(empty, done=False) + b"data: {\n\n" + stream_of(*call, done=False) + b"data: {\n\n"
    passed = Passed(data + stream_of(USED))
    assert passed.sent == stream_of(empty, *call, USED)
    assert passed.stream.fault is None


def fed(*events: dict[str, Any], choices: int = 1, together: bool = False) -> RelayedStream:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=10_000, choices=choices)
    pieces = sse(*events, done=False)
    for piece in [b"".join(pieces)] if together else pieces:
        stream.feed(piece)
    return stream


in_one_piece_or_more = pytest.mark.parametrize("together", [False, True])


@in_one_piece_or_more
def test_a_stream_has_finished_when_all_its_choices_have(*, together: bool) -> None:
    events = [A, said(1, content="c"), STOP]
    assert not fed(*events, together=together).finished
    assert not fed(*events, said(1, content="d"), together=together).finished
    assert fed(*events, said(1, "stop"), together=together).finished


@in_one_piece_or_more
def test_as_many_choices_have_to_end_as_were_asked_for(*, together: bool) -> None:
    assert not fed(A, STOP, choices=2, together=together).finished
    assert fed(A, STOP, said(1, "stop"), choices=2, together=together).finished


@in_one_piece_or_more
def test_a_call_after_the_end_has_to_end_too(*, together: bool) -> None:
    end = said(0, "tool_calls")
    late = [called(0, name="f", arguments="{}"), end, called(1, name="g", arguments='{"a": ')]
    assert not fed(*late, together=together).finished
    assert fed(*late, called(1, arguments="1}"), end, together=together).finished


def test_damage_amid_the_call_of_another_choice_is_no_matter_of_the_first() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    stream = fed(A, said(1, tool_calls=[call]), STOP)
    assert b"error" in stream.feed(b"data: {\n\n")
    assert isinstance(stream.fault, Broken)


def test_an_end_is_known_in_a_chunk_of_another_shape() -> None:
    odd = {"choices": [{"index": None, "delta": {}, "finish_reason": "stop"}]}
    assert fed(A, odd).finished


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_strict_reader_gets_the_end(end: bytes) -> None:
    """What lacks its blank line is never dispatched."""
    passed = Passed(PLAIN.removesuffix(b"\n\n") + end)
    assert passed.sent == PLAIN.removesuffix(b"\n\n") + end + b"\n\n"
    assert passed.end == (True, True, False)


@in_any_pieces
def test_what_keeps_the_line_alive_breaks_no_call(step: int) -> None:
    begun, *rest = sse(*chat.tool_chunks("find", '{"a": "b"}'))
    whole = begun + b"".join(b"data:\n\n" + event for event in rest)
    passed = Passed(whole, step=step)
    assert passed.sent == begun + b"".join(rest)
    assert (passed.end, passed.stream.skipped) == ((True, True, False), 0)


def test_a_host_that_gives_one_choice_however_many_were_asked_for_is_waited_for_until_its_end() -> None:
    stream = RelayedStream(withhold_usage=False, rename=None, limit_bytes=10_000, choices=2)
    stream.feed(stream_of(*chat.chunks(usage=False), done=False))
    assert not stream.finished
    stream.close()
    assert (stream.finished, stream.fault) == (True, None)

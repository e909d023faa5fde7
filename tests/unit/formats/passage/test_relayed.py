"""Relayed answers of each format: what is read of them, and what of them a renaming route changes."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from rig.script import sse
from unit.stand_ins import call

from gateway.errors import BadAnswer, Broken, Failed, Filtered, Overloaded, QuotaSpent, RateLimited
from gateway.exchange import Format, Usage
from gateway.formats.neutral.completion import About
from gateway.formats.passage.relayed import RelayedPassage, relayed
from gateway.formats.passage.seam import AnswerStream, Terms, Whole
from gateway.formats.passage.watching import WATCHES

ANTHROPIC = {"id": "m", "type": "message", "role": "assistant", "model": "up", "content": []}
WHOLE: dict[Format, tuple[dict[str, Any], Usage | None]] = {
    "chat": (
        {
            "model": "up",
            "choices": [{"message": {"content": "x"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        },
        Usage(3, 2),
    ),
    "messages": (
        ANTHROPIC
        | {
            "content": [{"type": "text", "text": "x"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4},
        },
        Usage(7, 2, cached_tokens=4),
    ),
    "responses": (
        {
            "model": "up",
            "output": [{"type": "function_call"}],
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        },
        Usage(3, 2),
    ),
    "gemini": (
        {
            "modelVersion": "up",
            "candidates": [{"content": {"parts": [{"text": "x"}]}}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        },
        Usage(3, 2),
    ),
    "embeddings": ({"model": "up", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3)),
    "rerank": ({"results": [], "meta": {"billed_units": {"search_units": 2}}}, Usage(searches=2)),
    "moderations": ({"model": "up", "results": []}, Usage()),
    "count_tokens": ({"input_tokens": 14}, Usage()),
    "images": (
        {"data": [], "usage": {"input_tokens": 3, "output_tokens": 2}},
        Usage(3, 2, image_output_tokens=2),
    ),
    "transcriptions": ({"text": "x", "duration": 8.5}, Usage(audio_s=8.5)),
}


def passage(format_: Format, rename: str | None = None, **members: Any) -> RelayedPassage:
    return RelayedPassage(call(format_, **members), Terms("call_1", 0, rename))


def begun(format_: Format, rename: str | None = None, **members: Any) -> AnswerStream:
    return passage(format_, rename, stream=True, **members).stream(10_000)


@pytest.mark.parametrize("format_", WHOLE)
def test_a_whole_answer_passes_unchanged_and_its_usage_is_read(format_: Format) -> None:
    value, usage = WHOLE[format_]
    body = json.dumps(value, indent=1).encode()
    named = "up" if {"model", "modelVersion"} & set(value) else ""
    finish = "tool_calls" if format_ == "responses" else ""
    assert passage(format_).read(body) == Whole(body, usage, about=About(named, finish))


@pytest.mark.parametrize("format_", ["chat", "messages", "responses", "gemini", "embeddings"])
def test_a_renaming_route_changes_the_name_alone(format_: Format) -> None:
    value, usage = WHOLE[format_]
    shown = passage(format_, "mine").read(json.dumps(value).encode())
    assert json.loads(shown.body) == {
        name: "mine" if name in {"model", "modelVersion"} else member for name, member in value.items()
    }
    assert shown.usage == usage


EMPTY: list[tuple[Format, dict[str, Any]]] = [
    ("chat", {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}),
    ("completions", {"choices": [{"text": "", "finish_reason": "stop"}]}),
    ("messages", {"content": [], "stop_reason": "end_turn"}),
    ("messages", {"content": [{"type": "text", "text": ""}], "stop_reason": "end_turn"}),
    ("responses", {"output": [], "status": "completed"}),
    ("responses", {"output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": []}]}),
    ("responses", {"output": [{"type": "message", "content": [{"type": "output_text", "text": ""}]}]}),
    ("gemini", {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}),
    ("gemini", {"candidates": [{"content": {"parts": [{"text": "", "thought": True}]}}]}),
]
SAID: list[tuple[Format, dict[str, Any]]] = [
    ("messages", {"content": [], "stop_reason": "max_tokens"}),
    ("messages", {"content": [], "stop_reason": "refusal"}),
    ("messages", {"content": [{"type": "tool_use", "id": "t"}], "stop_reason": "tool_use"}),
    ("messages", {"content": [{"type": "thinking", "thinking": "hm"}], "stop_reason": "end_turn"}),
    (
        "responses",
        {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ),
    ("responses", {"output": [], "status": "queued"}),
    ("responses", {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}),
    ("responses", {"output": [{"type": "reasoning", "summary": [], "encrypted_content": "x"}]}),
    ("gemini", {"candidates": [{"finishReason": "MAX_TOKENS"}]}),
    ("gemini", {"candidates": [{"content": {}, "finishReason": "SAFETY"}]}),
    ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}),
    ("embeddings", {"data": []}),
    ("rerank", {"results": []}),
    ("moderations", {}),
]


@pytest.mark.parametrize(("format_", "value"), EMPTY)
def test_an_answer_that_says_nothing_is_empty(format_: Format, value: dict[str, Any]) -> None:
    assert passage(format_).read(json.dumps(value).encode()).empty


@pytest.mark.parametrize(("format_", "value"), SAID)
def test_an_answer_that_says_anything_is_not(format_: Format, value: dict[str, Any]) -> None:
    assert not passage(format_).read(json.dumps(value).encode()).empty


@pytest.mark.parametrize("format_", ["chat", "completions", "messages", "responses", "gemini"])
def test_an_answer_without_its_contents_is_bad(format_: Format) -> None:
    with pytest.raises(BadAnswer, match="has no"):
        passage(format_).read(b'{"usage": null}')
    with pytest.raises(BadAnswer, match="HTML page"):
        passage(format_).read(b" <!DOCTYPE html><html>")
    with pytest.raises(BadAnswer, match="is empty"):
        passage(format_).read(b"")


@pytest.mark.parametrize(
    ("format_", "value", "kind"),
    [
        ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, Overloaded),
        (
            "responses",
            {"status": "failed", "error": {"code": "rate_limit_exceeded"}, "output": []},
            RateLimited,
        ),
        ("gemini", {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}, Overloaded),
    ],
)
def test_an_error_in_place_of_an_answer_is_told(
    format_: Format, value: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        passage(format_).read(json.dumps(value).encode())


def test_a_blocked_prompt_is_passed_on_as_it_was_told_beside_what_it_means() -> None:
    body = b'{"promptFeedback": {"blockReason": "SAFETY"}}'
    answer = passage("gemini").read(body)
    assert answer.body == body
    assert isinstance(answer.refusal, Filtered)
    assert answer.usage is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_prompt_tells_its_tokens(*, stream: bool) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-3-pro"}
    used = {"promptTokenCount": 12, "trafficType": "ON_DEMAND_PRIORITY"}
    body = json.dumps(blocked | {"usageMetadata": used}).encode()
    answer = passage("gemini", stream=stream).read(body)
    assert answer.body == (b"" if stream else body)
    assert isinstance(answer.refusal, Filtered)
    assert answer.usage == Usage(12, tier="priority")
    assert answer.about == About("gemini-3-pro", "content_filter", "priority")


def test_a_page_is_no_transcript() -> None:
    with pytest.raises(BadAnswer, match="HTML page"):
        passage("transcriptions").read(b"<html><body>502</body></html>")
    assert passage("transcriptions").read(b"just words").usage == Usage()


@pytest.mark.parametrize("format_", sorted(set(WATCHES) - {"speech", "transcriptions", "translations"}))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[1]", b'{"a": "\xff"'])
def test_what_is_no_whole_json_object_is_no_answer(format_: Format, body: bytes) -> None:
    with pytest.raises(Failed):
        passage(format_).read(body)


STREAMS: dict[Format, list[bytes]] = {
    "messages": [
        b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"
        for event in (
            {
                "type": "message_start",
                "message": ANTHROPIC | {"usage": {"input_tokens": 3, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 2},
            },
            {"type": "message_stop"},
        )
    ],
    "responses": sse(
        {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "model": "up"}},
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {"id": "i", "type": "message", "role": "assistant", "content": []},
        },
        {
            "type": "response.content_part.added",
            "sequence_number": 2,
            "output_index": 0,
            "item_id": "i",
            "content_index": 0,
            "part": {"type": "output_text", "text": ""},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 3,
            "output_index": 0,
            "item_id": "i",
            "content_index": 0,
            "delta": "Hi",
        },
        {
            "type": "response.completed",
            "sequence_number": 4,
            "response": {
                "id": "r",
                "model": "up",
                "status": "completed",
                "output": [],
                "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
            },
        },
        done=False,
    ),
    "gemini": [
        b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
        for chunk in (
            {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}}], "modelVersion": "up"},
            {
                "candidates": [{"content": {"parts": [], "role": "model"}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
                "modelVersion": "up",
            },
        )
    ],
}


@pytest.mark.parametrize("format_", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_passes_unchanged_and_says_what_it_used(format_: Format, size: int) -> None:
    stream, data = begun(format_), b"".join(STREAMS[format_])
    passed = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert passed + stream.close() == data
    assert (stream.usage, stream.finished, stream.done, stream.fault) == (Usage(3, 2), True, True, None)
    assert stream.text() == "Hi"


@pytest.mark.parametrize("format_", STREAMS)
def test_a_stream_without_its_end_is_not_done(format_: Format) -> None:
    stream = begun(format_)
    for event in STREAMS[format_][:-2] or STREAMS[format_][:1]:
        stream.feed(event)
    stream.close()
    assert (stream.finished, stream.done) == (False, False)


@pytest.mark.parametrize("format_", STREAMS)
def test_half_an_event_at_the_end_is_dropped(format_: Format) -> None:
    stream = begun(format_)
    first = STREAMS[format_][0]
    assert stream.feed(first + first[: len(first) // 2]) == first
    assert stream.close() == b""


@pytest.mark.parametrize("format_", STREAMS)
def test_a_renamed_stream_shows_the_routes_name(format_: Format) -> None:
    stream = begun(format_, "mine")
    passed = b"".join(stream.feed(event) for event in STREAMS[format_])
    assert b'"up"' not in passed
    assert b'"mine"' in passed
    assert stream.usage == Usage(3, 2)


@pytest.mark.parametrize("format_", STREAMS)
def test_an_event_beyond_the_limit_breaks_the_stream(format_: Format) -> None:
    with pytest.raises(Broken):
        begun(format_).feed(b"data: " + b"x" * 20_000)


@pytest.mark.parametrize("format_", STREAMS)
def test_an_event_that_nobody_can_read_is_left_out(format_: Format) -> None:
    data, odd = b"".join(STREAMS[format_]), b"event: x\ndata: {broken\n\n"
    stream = begun(format_)
    passed = b"".join(stream.feed(event + odd) for event in STREAMS[format_])
    assert passed + stream.close() == data
    assert (stream.usage, stream.finished, stream.done) == (Usage(3, 2), True, True)


STRANGE: dict[Format, dict[str, Any]] = {
    "messages": {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
    "responses": {"type": "response.output_text.delta", "delta": 5},
    "gemini": {"candidates": 5},
}


@pytest.mark.parametrize("format_", STREAMS)
def test_what_cannot_be_decoded_passes_once_something_was_said(format_: Format) -> None:
    strange = b"event: x\ndata: " + json.dumps(STRANGE[format_]).encode() + b"\n\n"
    stream = begun(format_)
    for event in STREAMS[format_][:-1]:
        stream.feed(event)
    assert stream.begun
    assert stream.feed(strange) == strange
    assert stream.done is False
    with pytest.raises(Broken):
        begun(format_).feed(strange)


@pytest.mark.parametrize("format_", STREAMS)
@pytest.mark.parametrize("together", [True, False])
def test_a_stream_begins_with_its_first_word(format_: Format, *, together: bool) -> None:
    stream, events = begun(format_), STREAMS[format_]
    at = next(at for at, event in enumerate(events) if b'"Hi"' in event)
    for event in events[:at]:
        stream.feed(event)
        assert not stream.begun
    stream.feed(b"".join(events[at:]) if together else events[at])
    assert stream.begun


@pytest.mark.parametrize("format_", ["messages", "responses"])
@pytest.mark.parametrize("together", [True, False])
def test_nothing_passes_after_the_end(format_: Format, *, together: bool) -> None:
    stream, data = begun(format_), b"".join(STREAMS[format_])
    passed = stream.feed(data + data) if together else stream.feed(data) + stream.feed(data)
    assert passed + stream.close() == data
    assert (stream.text(), stream.mend()) == ("Hi", b"")


FAULTS: list[tuple[Format, dict[str, Any], type[Exception]]] = [
    ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, Overloaded),
    ("messages", {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, RateLimited),
    ("responses", {"type": "error", "code": "insufficient_quota", "message": "x"}, QuotaSpent),
    (
        "responses",
        {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "x"}}},
        RateLimited,
    ),
    ("responses", {"error": {"code": 503, "type": "overloaded_error", "message": "x"}}, Overloaded),
    ("gemini", {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}, Overloaded),
    ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, Filtered),
    ("images", {"type": "error", "error": {"code": "moderation_blocked", "message": "x"}}, Filtered),
]


@pytest.mark.parametrize(("format_", "event", "kind"), FAULTS)
@pytest.mark.parametrize("said", [True, False])
def test_an_error_in_a_stream_has_its_class_and_passes(
    format_: Format, event: dict[str, Any], kind: type[Exception], *, said: bool
) -> None:
    stream = begun(format_)
    # A prompt that was let through cannot be turned away any more.
    until = -2 if said and format_ != "gemini" else said and kind is not Filtered
    for before in STREAMS.get(format_, [])[:until]:
        stream.feed(before)
    told = b"data: " + json.dumps(event).encode() + b"\n\n"
    assert stream.feed(told) == told
    assert type(stream.fault) is kind
    assert not stream.done


def test_googles_error_may_come_without_an_event_around_it() -> None:
    stream = begun("gemini")
    assert stream.feed(b'{\n "error": {"code": 429, "message": "x"}\n}\n') + stream.close() == b""
    assert isinstance(stream.fault, RateLimited)


def test_the_end_that_lacks_is_written_once() -> None:
    stream = begun("messages")
    for event in STREAMS["messages"][:-1]:
        stream.feed(event)
    assert (stream.finished, stream.done) == (True, False)
    assert stream.mend() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert (stream.done, stream.mend(), stream.feed(STREAMS["messages"][-1])) == (True, b"", b"")


def test_images_begin_with_their_first_event_and_need_no_mending() -> None:
    stream = begun("images")
    partial, last = sse(
        {"type": "image_generation.partial_image"}, {"type": "image_generation.completed"}, done=False
    )
    stream.feed(b": ping\n\ndata: {half\n\n")
    assert not stream.begun
    assert stream.feed(b"data: {half\n\n" + partial + last) == partial + last
    assert (stream.begun, stream.finished, stream.mend()) == (True, True, b"")


@pytest.mark.parametrize("format_", STREAMS)
def test_a_long_stream_is_decoded_in_between_and_forgets_nothing(format_: Format) -> None:
    events = STREAMS[format_]
    middle = next(event for event in events if b'"Hi"' in event)
    at = events.index(middle)
    stream = begun(format_)
    for event in [*events[:at], *[middle] * 1000, *events[at + 1 :]]:
        stream.feed(event)
    stream.close()
    assert stream.text() == "Hi" * 1000
    assert (stream.usage, stream.done) == (Usage(3, 2), True)


@pytest.mark.parametrize("format_", [*STREAMS, "chat", "images"])
def test_an_error_is_written_in_the_clients_dialect(format_: Format) -> None:
    told = begun(format_).fail(Overloaded("too busy"))
    data = json.loads(next(line[5:] for line in told.splitlines() if line.startswith(b"data:")))
    error = data.get("error", data)
    assert error["message"] == "too busy"


def test_sound_passes_as_it_comes_and_its_characters_are_counted() -> None:
    stream = begun("speech", input="a pond")
    assert not stream.begun
    assert stream.feed(b"\x00\x01") == b"\x00\x01"
    assert (stream.begun, stream.done, stream.fault, stream.mend()) == (True, False, None, b"")
    assert stream.close() == b""
    assert (stream.done, stream.finished, stream.usage) == (True, True, Usage(characters=6))
    with pytest.raises(Broken):
        stream.fail(Broken("cut"))


SEALED = base64.b64encode(b'forebay.messages.{"signature":"sig"}').decode()
THOUGHTS: dict[Format, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "ho",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "forebay.messages.sig", "index": 0}
                ],
            },
            {"role": "user", "content": "and?"},
        ]
    },
    "messages": {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "forebay.gemini.sig"},
                    {"type": "thinking", "thinking": "mine", "signature": "own"},
                    {"type": "text", "text": "ho"},
                ],
            },
            {"role": "user", "content": "and?"},
        ],
    },
    "responses": {
        "input": [
            {"type": "message", "role": "user", "content": "hi"},
            {
                "type": "reasoning",
                "id": "forebay.messages.rs_1",
                "summary": [],
                "encrypted_content": "forebay.messages.sig",
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
            {"type": "message", "role": "user", "content": "and?"},
        ]
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [{"text": "hm", "thought": True, "thoughtSignature": SEALED}, {"text": "ho"}],
            },
            {"role": "user", "parts": [{"text": "and?"}]},
        ]
    },
}


@pytest.mark.parametrize("format_", THOUGHTS)
def test_what_another_provider_sealed_stays_here(
    format_: Format,
) -> None:
    asked = call(format_, **THOUGHTS[format_])
    if "messages" not in THOUGHTS[format_]:
        members = {name: member for name, member in asked.members.items() if name != "messages"}
        asked = msgspec.structs.replace(asked, members=members)
    passage = relayed(asked, Terms("call_1", 0))
    sent = msgspec.json.encode(passage.call.members)
    assert b"forebay." not in sent
    assert SEALED.encode() not in sent
    assert b'"ho"' in sent
    assert (b'"own"' in sent) is (format_ == "messages")
    assert passage.dropped
    assert json.loads(sent)["model"] == "fast"


def test_a_call_without_seals_is_not_opened() -> None:
    asked = call("messages", messages=[{"role": "user", "content": "x"}], max_tokens=9)
    assert relayed(asked, Terms("call_1", 0)).call is asked


_USING = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
_STARTED = sse(
    {"type": "message_start", "message": ANTHROPIC | {"usage": {"input_tokens": 3, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": _USING},
    done=False,
)
_CLOSED = sse({"type": "content_block_stop", "index": 0}, done=False)
_STOPPED = sse(
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
    done=False,
)


@pytest.mark.parametrize("step", [1, 10_000])
def test_damage_amid_a_call_ends_a_decoded_stream_with_an_error(step: int) -> None:
    data = b"".join([*_STARTED, b"data: {\n\n", *_CLOSED, *_STOPPED])
    stream = begun("messages")
    sent = b"".join([stream.feed(data[at : at + step]) for at in range(0, len(data), step)]) + stream.close()
    assert sent.startswith(b"".join(_STARTED) + b"event: error\n")
    assert (b"message_stop" in sent, stream.done, stream.skipped) == (False, False, 1)
    assert isinstance(stream.fault, Broken)


def test_damage_after_a_call_costs_no_more_than_itself() -> None:
    events = [*_STARTED, *_CLOSED, b"data: {\n\n", *_STOPPED]
    stream = begun("messages")
    assert stream.feed(b"".join(events)) == b"".join([*_STARTED, *_CLOSED, *_STOPPED])
    assert (stream.fault, stream.done, stream.skipped) == (None, True, 1)


HALF = json.dumps("a \ud83d").encode()


@pytest.mark.parametrize("format_", ["chat", "messages", "gemini", "responses"])
def test_an_answer_that_ends_amid_a_character_passes_unchanged(format_: Format) -> None:
    """A limit may cut a pair in two: clients read half of one."""
    value = WHOLE[format_][0]
    if format_ == "responses":
        message = {"type": "message", "content": [{"type": "output_text", "text": "x"}]}
        value = value | {"output": [message]}
    body = json.dumps(value).encode().replace(b'"x"', HALF)
    assert HALF in body
    read = passage(format_).read(body)
    assert (read.body, read.usage, read.empty) == (body, WHOLE[format_][1], False)


def test_an_answer_that_ends_amid_a_character_is_renamed_in_place() -> None:
    body = json.dumps(WHOLE["chat"][0]).encode().replace(b'"x"', HALF)
    assert passage("chat", "fast").read(body).body == body.replace(b'"up"', b'"fast"')


def test_an_error_amid_a_character_is_told() -> None:
    body = b'{"error": {"message": %b, "code": 429}}' % HALF
    for format_ in ("chat", "messages", "gemini"):
        with pytest.raises(RateLimited, match="a \ufffd"):
            passage(format_).read(body)

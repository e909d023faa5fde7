"""ConverseStream, read and written."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    Broken,
    Failed,
    GatewayError,
    Overloaded,
    RateLimited,
    Rejected,
    UpstreamError,
)
from gateway.exchange import Usage
from gateway.formats.converse.stream_decoder import STATUSES, ConverseStreamDecoder
from gateway.formats.converse.stream_encoder import ConverseStreamEncoder
from gateway.formats.framing.event_stream import FrameReader, encode_frame, encode_headers
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
    join,
    whole,
)
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

HEADING = Heading("1", "m", 1_700_000_000, Conversation(()))
LIMIT_BYTES = 1 << 20
START = ("messageStart", {"role": "assistant"})
STOP = ("messageStop", {"stopReason": "end_turn"})
USAGE = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
METADATA = ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 7}})
SOURCE = {"title": "t", "location": {"web": {"url": "https://a"}}}
END = [Finished("stop", "end_turn"), Metered(Usage(5, 3)), Ended({"metrics": {"latencyMs": 7}})]

Wire = tuple[str, Any]


def frame(name: str, payload: Any, kind: str = "event") -> bytes:
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encode_frame(encode_headers(headers), json.dumps(payload).encode())


def delta(index: int, **value: Any) -> Wire:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": value, "p": "abc"}


def start(index: int, **value: Any) -> Wire:
    return "contentBlockStart", {"contentBlockIndex": index, "start": value}


def stop(index: int) -> Wire:
    return "contentBlockStop", {"contentBlockIndex": index}


def read(stream: bytes) -> list[Event]:
    decoder = ConverseStreamDecoder(LIMIT_BYTES)
    return decoder.feed(stream) + decoder.close()


def events(*wire: Wire) -> list[Event]:
    return read(b"".join(frame(name, payload) for name, payload in wire))


def inner(*wire: Wire) -> list[Event]:
    """The events of blocks between a message's beginning and its end."""
    found = events(START, *wire, STOP, METADATA)
    assert found[0] == Began()
    assert found[-3:] == END
    return found[1:-3]


def written(*said: Event) -> list[Wire]:
    stream = ConverseStreamEncoder(HEADING).encode(said)
    return [(str(h[":event-type"]), json.loads(p)) for h, p in FrameReader(LIMIT_BYTES).feed(stream)]


def again(said: list[Event]) -> list[Event]:
    encoder = ConverseStreamEncoder(HEADING)
    return read(b"".join(encoder.encode([event]) for event in said))


def test_text_opens_with_its_first_words() -> None:
    assert inner(delta(0, text="a"), delta(0, text="b"), stop(0), delta(1, text="c"), stop(1)) == [
        Opened(0, Text("a")),
        Grew(0, "b"),
        Closed(0),
        Opened(1, Text("c")),
        Closed(1),
    ]


def test_thinking_grows_with_its_signature() -> None:
    wire = [delta(0, reasoningContent={"text": "r"}), delta(0, reasoningContent={"signature": "s"}), stop(0)]
    assert inner(*wire) == [
        Opened(0, Reasoning(origin="converse")),
        Grew(0, "r"),
        Grew(0, "s", "signature"),
        Closed(0),
    ]


def test_encrypted_thinking_is_put_together_before_its_base64_is_taken_off() -> None:
    pieces = [base64.b64encode(piece).decode() for piece in (b"Eu8", b"ECkg=")]
    assert inner(*(delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces), stop(0)) == [
        Opened(0, Reasoning(origin="converse")),
        Grew(0, "Eu8ECkg=", "encrypted"),
        Closed(0),
    ]


def test_calls_may_interleave() -> None:
    one, two = {"toolUseId": "1", "name": "a"}, {"toolUseId": "2", "name": "b", "type": "tool_use"}
    assert inner(
        start(0, toolUse=one),
        start(1, toolUse=two),
        delta(1, toolUse={"input": "{}"}),
        delta(0, toolUse={"input": '{"a"'}),
        stop(1),
        delta(0, toolUse={"input": ":1}"}),
        stop(0),
    ) == [
        Opened(0, ToolCall("1", "a", origin="converse")),
        Opened(1, ToolCall("2", "b", origin="converse")),
        Grew(1, "{}", "arguments"),
        Grew(0, '{"a"', "arguments"),
        Closed(1),
        Grew(0, ":1}", "arguments"),
        Closed(0),
    ]


def test_sources_may_come_before_their_text() -> None:
    citation = Citation("https://a", "t", origin="converse", raw=SOURCE)
    assert inner(delta(0, citation=SOURCE), delta(0, text="a"), stop(0)) == [
        Opened(0, Text("")),
        Cited(0, citation),
        Grew(0, "a"),
        Closed(0),
    ]


@pytest.mark.parametrize("cut", [False, True])
def test_what_bedrock_runs_itself_is_opaque_and_put_together_at_its_end(cut: bool) -> None:
    call = {"toolUseId": "1", "name": "search", "type": "server_tool_use"}
    result = {"toolUseId": "1", "type": "search_result", "status": "success"}
    stops = [] if cut else [stop(0), stop(1)]
    joined = join(
        events(
            START,
            start(0, toolUse=call),
            delta(0, toolUse={"input": '{"q":'}),
            delta(0, toolUse={"input": '"a"}'}),
            start(1, toolResult=result),
            delta(1, toolResult=[{"text": "x"}]),
            delta(1, toolResult=[{"json": {"y": 1}}]),
            *stops,
            STOP,
            METADATA,
        )
    )
    content = [{"text": "x"}, {"json": {"y": 1}}]
    assert joined.choices[0].parts == (
        Opaque("converse", "toolUse", {"toolUse": {**call, "input": {"q": "a"}}}),
        Opaque("converse", "toolResult", {"toolResult": {**result, "content": content}}),
    )


@pytest.mark.parametrize(
    ("source", "media"),
    [
        ({"bytes": "UE5H"}, Media("image", "image/png", data="UE5H")),
        ({"s3Location": {"uri": "s3://b/k"}}, Media("image", "image/png", url="s3://b/k")),
    ],
)
def test_a_generated_image_is_whole_at_its_end(source: Any, media: Media) -> None:
    said = events(START, start(0, image={"format": "png"}), delta(0, image={"source": source}), stop(0), STOP)
    assert join(said).choices[0].parts == (media,)
    assert join(again(said)) == join(said)


def test_what_is_unknown_is_skipped() -> None:
    assert inner(
        ("eventOfTomorrow", {"a": 1}),
        start(0, blockOfTomorrow={}),
        delta(0, deltaOfTomorrow={}),
        ("contentBlockDelta", {}),
        stop(0),
        delta(1, text="a"),
        delta(1, toolResult=[{"text": "x"}]),
        stop(1),
    )[:1] == [Opened(0, Text("a"))]


def test_results_within_a_call_are_skipped() -> None:
    call = {"toolUseId": "1", "name": "search", "type": "server_tool_use"}
    said = events(START, start(0, toolUse=call), delta(0, toolResult=[{"text": "x"}]), stop(0), STOP)
    assert join(said).choices[0].parts == (Opaque("converse", "toolUse", {"toolUse": {**call, "input": {}}}),)


def test_nothing_follows_the_end() -> None:
    assert events(START, STOP, METADATA, STOP, METADATA, delta(0, text="a")) == [Began(), *END]


def test_metadata_may_come_first() -> None:
    assert events(START, METADATA, STOP) == [Began(), END[1], END[0], END[2]]


def test_a_message_that_is_whole_has_ended_without_its_metadata() -> None:
    decoder = ConverseStreamDecoder(LIMIT_BYTES)
    assert decoder.feed(frame(*START) + frame(*STOP)) == [Began(), END[0]]
    assert decoder.close() == [Ended()]


@pytest.mark.parametrize("wire", [[], [START], [START, delta(0, text="a"), stop(0)], [START, METADATA]])
def test_a_message_that_is_not_whole_has_not_ended(wire: list[Wire]) -> None:
    assert not any(isinstance(event, Finished | Ended) for event in events(*wire))


def test_what_only_converse_says_is_kept() -> None:
    fields = {"stop_sequence": "|"}
    said = events(
        START,
        ("messageStop", {"stopReason": "stop_sequence", "additionalModelResponseFields": fields}),
        (
            "metadata",
            {
                "usage": {**USAGE, "cacheReadInputTokens": 0},
                "trace": {"a": 1},
                "serviceTier": {"type": "flex"},
            },
        ),
    )
    assert said[1] == Finished(
        "stop_sequence", "stop_sequence", raw={"additionalModelResponseFields": fields}
    )
    assert said[-1] == Ended(
        {"usage.cacheReadInputTokens": 0, "trace": {"a": 1}, "serviceTier": {"type": "flex"}}
    )
    assert again(said) == said


FAULTS: dict[str, type[UpstreamError]] = {
    "internalServerException": Failed,
    "modelStreamErrorException": Failed,
    "serviceUnavailableException": Overloaded,
    "throttlingException": RateLimited,
    "validationException": Rejected,
}


@pytest.mark.parametrize("name", STATUSES)
def test_an_exception_ends_the_stream_with_its_meaning(name: str) -> None:
    stream = frame(*START) + frame(name, {"message": "no"}, "exception") + frame(*STOP) + frame(*METADATA)
    began, faulted = read(stream)
    assert began == Began()
    assert isinstance(faulted, Faulted)
    assert type(faulted.error) is FAULTS[name]
    assert faulted.error.message == "no"


def test_a_models_own_status_counts_most() -> None:
    told = {"originalStatusCode": 529, "originalMessage": "overloaded"}
    (faulted,) = read(frame("modelStreamErrorException", told, "exception"))
    assert isinstance(faulted, Faulted)
    assert (faulted.error.status, faulted.error.message) == (529, "overloaded")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({":message-type": "error", ":error-code": "InternalError", ":error-message": "gone"}, "gone"),
        ({":message-type": "exception", ":exception-type": "ofTomorrow"}, ""),
        ({}, ""),
    ],
)
def test_an_error_of_any_kind_is_a_fault(headers: dict[str, str], message: str) -> None:
    (faulted,) = read(encode_frame(encode_headers(headers), b""))
    assert isinstance(faulted, Faulted)
    assert message in faulted.error.message
    assert faulted.error.message


@pytest.mark.parametrize(
    "stream",
    [
        frame(*delta(0, text="a")),
        frame(*START) + frame(*STOP) + frame(*delta(0, text="a")),
        frame(*START) + frame("contentBlockDelta", {"delta": {"text": 5}}),
        frame(*START) + frame(*delta(0, reasoningContent={"redactedContent": "*"})),
        frame(*START) + frame(*delta(0, text="a")) + frame(*delta(0, reasoningContent={"text": "b"})),
        frame(*START) + frame(*delta(0, reasoningContent={"text": "b"})) + frame(*delta(0, text="a")),
        frame(*START) + frame(*delta(0, text="a")) + frame(*delta(0, toolUse={"input": "b"})),
        frame(*START) + frame(*delta(0, reasoningContent={"text": "b"})) + frame(*delta(0, citation={})),
        frame(*START) + frame(*start(0, toolUse={"toolUseId": "1"})) + frame(*delta(0, text="a")),
        frame(*START) + frame(*start(0, toolResult={"type": "r"})) + frame(*delta(0, toolUse={"input": "b"})),
        frame(*START) + frame(*delta(0, text="a")) + frame(*start(0, toolUse={"toolUseId": "1"})),
        frame("throttlingException", {"message": 5}, "exception"),
        frame(*START)[:-1],
    ],
)
def test_what_is_no_stream_of_this_format_is_broken(stream: bytes) -> None:
    with pytest.raises(Broken):
        read(stream)


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"trace": "\xff"}', b'{"trace": ' + b"[" * 100_000])
def test_a_payload_that_cannot_be_read_is_skipped(payload: bytes) -> None:
    decoder = ConverseStreamDecoder(LIMIT_BYTES)
    assert decoder.feed(encode_frame(encode_headers({":event-type": "metadata"}), payload)) == []
    assert (decoder.skipped, decoder.finished) == (1, False)


def test_an_event_beyond_the_limit_breaks_the_stream() -> None:
    decoder = ConverseStreamDecoder(1000)
    with pytest.raises(Broken, match="more than 1000 bytes"):
        decoder.feed(frame(*delta(0, text="a" * 1000)))


def test_a_long_stream_is_read_and_written_piece_by_piece() -> None:
    wire = [START, *(delta(0, text="a") for _ in range(10_000)), stop(0), STOP, METADATA]
    said = events(*wire)
    assert join(said).choices[0].parts == (Text("a" * 10_000),)
    assert join(again(said)) == join(said)


PARTS: list[Part] = [
    Text("a"),
    Text(""),
    Text("a", citations=(Citation("https://a", "t", origin="converse", raw=SOURCE),)),
    Text("", citations=(Citation("https://a", "t", origin="converse", raw=SOURCE),)),
    Reasoning("r", signature="s", origin="converse"),
    Reasoning(encrypted="Eu8E", origin="converse"),
    Reasoning(encrypted="base64:/+8=", origin="converse"),
    ToolCall("1", "a", '{"b": [1.0, "c"]}', origin="converse"),
    ToolCall("1", "a", "", origin="converse"),
    ToolCall("1", "a", '{"cut', origin="converse"),
    Opaque(
        "converse",
        "toolUse",
        {"toolUse": {"toolUseId": "1", "name": "s", "type": "server_tool_use", "input": {}}},
    ),
    Opaque(
        "converse", "toolResult", {"toolResult": {"toolUseId": "1", "type": "r", "content": [{"text": "x"}]}}
    ),
    Media("image", "image/png", data="UE5H"),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_whole_answer_said_as_a_stream_is_the_same_answer(part: Part) -> None:
    choice = Choice((Text("before"), part, Text("after")), finish="stop", finish_raw="end_turn")
    completion = Completion((choice,), usage=Usage(5, 3), extra={"metrics": {"latencyMs": 1}})
    assert join(again(whole(completion))) == completion


SAID_IN_OURS = [
    START,
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "a"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "\n\nb"}}}),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "forebay.messages.S1"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "S2"}}}),
    stop(0),
    (
        "contentBlockDelta",
        {
            "contentBlockIndex": 1,
            "delta": {
                "reasoningContent": {"redactedContent": base64.b64encode(b"forebay.gemini.S3").decode()}
            },
        },
    ),
    stop(1),
    start(2, toolUse={"toolUseId": "1", "name": "look"}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{"}}}),
    stop(2),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"text": "n"}}),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"text": "o"}}),
    stop(3),
    ("messageStop", {"stopReason": "max_tokens"}),
    ("metadata", {"usage": USAGE}),
]


def test_an_answer_of_another_format_is_said_in_ours() -> None:
    assert (
        written(
            Began("id", "model"),
            Opened(0, Reasoning(origin="messages")),
            Grew(0, "a", "summary", new_summary=True),
            Grew(0, "b", "summary", new_summary=True),
            Grew(0, "S1", "signature"),
            Grew(0, "S2", "signature"),
            Closed(0, content=Reasoning("ab")),
            Opened(1, ToolCall("1", "look", signature="S3", origin="gemini")),
            Grew(1, "{", "arguments"),
            Grew(1, "S4", "signature"),
            Closed(1),
            Opened(2, Refusal("n")),
            Grew(2, "o"),
            Closed(2),
            Opened(3, Opaque("responses", "web_search_call", {})),
            Grew(3, "", "opaque", value={"x": 1}),
            Closed(3),
            Finished("length", "length"),
            Metered(Usage(1, 1)),
            Metered(Usage(5, 3)),
            Ended({"system_fingerprint": "f"}),
        )
        == SAID_IN_OURS
    )


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (RateLimited("slow"), "throttlingException"),
        (Overloaded("full"), "serviceUnavailableException"),
        (Rejected("bad"), "validationException"),
        (Failed("down"), "internalServerException"),
    ],
)
def test_a_failure_is_written_as_an_exception(error: GatewayError, name: str) -> None:
    stream = frame(*START) + ConverseStreamEncoder(HEADING).fail(error)
    (_, (headers, payload)) = FrameReader(LIMIT_BYTES).feed(stream)
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", name)
    assert json.loads(payload) == {"message": error.message}
    (_, faulted) = read(stream)
    assert isinstance(faulted, Faulted)
    assert type(faulted.error) is type(error)


WORDS = st.sampled_from(
    [
        *("contentBlockIndex", "delta", "start", "text", "toolUse", "toolResult", "citation", "image"),
        *("reasoningContent", "redactedContent", "input", "source", "bytes", "format", "stopReason"),
    ]
)
LIKELY = st.recursive(
    st.none() | st.integers(-3, 3) | st.text(max_size=4),
    lambda value: st.lists(value, max_size=3) | st.dictionaries(WORDS, value, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([name for name, _ in (START, start(0), delta(0), stop(0), STOP, METADATA)])


@given(st.lists(st.tuples(NAMES, LIKELY), max_size=6), st.integers(1, 50))
def test_any_events_are_read_or_broken_and_the_same_under_any_splitting(wire: Any, size: int) -> None:
    stream = frame(*START) + b"".join(frame(name, payload) for name, payload in wire)

    def outcome(pieces: list[bytes]) -> list[Any]:
        decoder = ConverseStreamDecoder(LIMIT_BYTES)
        found: list[Any] = []
        with contextlib.suppress(Broken):
            for piece in pieces:
                found += decoder.feed(piece)
            found += decoder.close()
            return found
        return ["broken"]

    at_once = outcome([stream])
    assert outcome([stream[i : i + size] for i in range(0, len(stream), size)]) == at_once
    assert at_once == ["broken"] or msgspec.json.encode(join(at_once))

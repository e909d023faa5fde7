"""Usage that is nonsense is not told, in any format; one beside what is no answer is told all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from rig import recordings
from rig.recordings import Recording, parameters
from rig.script import sse
from rig.translation.formats import APIS
from unit.stand_ins import call

from gateway.errors import BadAnswer, Failed, Filtered, RateLimited
from gateway.exchange import SPENT, Format, Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import whole
from gateway.formats.neutral.parts import Text
from gateway.formats.neutral.reading import MOST_TOKENS, believed
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.seam import AnswerStream, Passage, Terms, Whole

TERMS = Terms("call_1", 0)
OPENAI = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1, "audio_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2, "image_tokens": 1},
    "prompt_audio_seconds": 2,
    "num_search_queries": 1,
}
IMAGES = {
    "input_tokens": 9,
    "output_tokens": 7,
    "input_tokens_details": {"image_tokens": 4, "cached_tokens": 2, "audio_tokens": 1},
}
TOLD: dict[Format, dict[str, Any]] = {
    "chat": {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": OPENAI},
    "completions": {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": OPENAI},
    "responses": {
        "output": [{"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}],
        "usage": {
            "input_tokens": 9,
            "output_tokens": 7,
            "total_tokens": 16,
            "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
    },
    "messages": {
        "model": "up",
        "content": [{"type": "text", "text": "x"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 7,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 2,
            "cache_creation": {"ephemeral_1h_input_tokens": 1},
            "output_tokens_details": {"thinking_tokens": 2},
            "server_tool_use": {"web_search_requests": 1},
        },
    },
    "gemini": {
        "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4,
            "toolUsePromptTokenCount": 1,
            "totalTokenCount": 17,
            "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 3}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
        },
    },
    "converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
        "stopReason": "end_turn",
        "usage": {
            "inputTokens": 3,
            "outputTokens": 7,
            "totalTokens": 16,
            "cacheReadInputTokens": 4,
            "cacheWriteInputTokens": 2,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 1}],
        },
    },
    "cohere": {
        "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 9, "output_tokens": 7, "image_tokens": 1}, "cached_tokens": 2},
    },
    "ollama": {
        "message": {"role": "assistant", "content": "x"},
        "done": True,
        "prompt_eval_count": 9,
        "eval_count": 7,
    },
    "embeddings": {"data": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}},
    "gemini_embeddings": {
        "embeddings": [{"values": [0.5]}],
        "usageMetadata": {"promptTokenCount": 9},
    },
    "cohere_embeddings": {
        "embeddings": {"float": [[0.5]]},
        "meta": {"billed_units": {"input_tokens": 9, "image_tokens": 2}},
    },
    "titan_embeddings": {"embedding": [0.5], "inputTextTokenCount": 9},
    "ollama_embeddings": {"embeddings": [[0.5]], "prompt_eval_count": 9},
    "rerank": {"results": [], "meta": {"billed_units": {"search_units": 2}}},
    "voyage_rerank": {"data": [], "usage": {"total_tokens": 9}},
    "images": {"data": [], "usage": IMAGES},
    "image_edits": {"data": [], "usage": IMAGES},
    "transcriptions": {"text": "x", "usage": {"seconds": 9}},
    "translations": {"text": "x", "duration": 9.5},
}
"""An answer of each format, with all the numbers that its usage may have."""
FREE = {
    *("count_tokens", "gemini_count", "converse_count", "responses_count", "moderations"),
    "speech",  # what was spoken is counted here
}
CLIENTS: dict[Format, Format] = {
    "converse": "messages",
    "cohere": "chat",
    "ollama": "chat",
    "voyage_rerank": "rerank",
} | {wire: "embeddings" for wire in TOLD if wire.endswith("_embeddings")}
"""Who calls where clients do not speak the format."""
ASKED: dict[Format, dict[str, Any]] = {
    "embeddings": {"input": "x"},
    "rerank": {"query": "q", "documents": ["x"]},
}
CONTENTS = frozenset({"choices", "output", "content", "candidates", "message", "embeddings", "embedding"})
ROOMS = frozenset({"usage", "usageMetadata", "meta"})


def passage(wire: Format, client: Format | None = None, **members: Any) -> Passage:
    client = client or CLIENTS.get(wire, wire)
    asked = call(client, **ASKED.get(client, {}), **members)
    if client in ASKED:
        del asked.members["messages"]
    return open_passage(asked, wire, "m", TERMS)


def read(wire: Format, value: Any, client: Format | None = None) -> Whole:
    return passage(wire, client).read(json.dumps(value).encode())


def numbers(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers of a usage stand."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, (*at, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from numbers(inner, (*at, i))
    elif type(value) in {int, float} and (at[0] in ROOMS or len(at) == 1):
        yield at


def with_number(value: Any, at: tuple[Any, ...], number: float) -> Any:
    changed = json.loads(json.dumps(value))
    inner = changed
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = number
    return changed


def is_sane(usage: Usage) -> bool:
    return all(0 <= getattr(usage, name) <= 2 * MOST_TOKENS for name in SPENT)


def test_every_format_that_tells_of_usage_is_here() -> None:
    assert set(TOLD) == set(get_args(Format)) - FREE
    for wire, value in TOLD.items():
        usage = read(wire, value).usage
        assert usage is not None, wire
        assert usage != Usage(), wire
        assert list(numbers(value)), wire


@pytest.mark.parametrize("number", [-500_000, -1, 10**13, 10**200, 1e308, -1e308])
@pytest.mark.parametrize(
    ("wire", "at"),
    [
        pytest.param(wire, at, id=f"{wire}-{'.'.join(map(str, at))}")
        for wire, value in TOLD.items()
        for at in numbers(value)
    ],
)
def test_no_number_of_an_upstream_is_charged_that_nobody_can_have_counted(
    wire: Format, at: tuple[Any, ...], number: float
) -> None:
    try:
        usage = read(wire, with_number(TOLD[wire], at, number)).usage
    except BadAnswer:  # some formats take no fraction for a count
        assert isinstance(number, float)
        return
    assert usage is None or is_sane(usage)
    honest = read(wire, TOLD[wire]).usage
    assert usage is None or honest is None or usage.output_tokens >= honest.output_tokens


@pytest.mark.parametrize("name", SPENT)
@pytest.mark.parametrize("number", [-1, MOST_TOKENS + 1, float("inf"), float("nan"), 10**400])
def test_each_amount_is_looked_at(name: str, number: float) -> None:
    assert believed(Usage(**{name: number})) is None
    for sane in (Usage(**{name: MOST_TOKENS}), Usage(**{name: 0})):
        assert believed(sane) is sane
        assert believed(sane, None, 0, MOST_TOKENS) is sane
        assert believed(sane, number) is None


@pytest.mark.parametrize("number", [-500_000, 10**200])
@pytest.mark.parametrize("wire", CODECS)
def test_neither_is_it_in_a_stream(wire: Format, number: int) -> None:
    def streamed(tokens: int) -> AnswerStream:
        completion = Completion((Choice((Text("Hi"),), "stop"),), usage=Usage(3, tokens))
        heading = Heading("1", "m", 0, Conversation(()), wants_usage=True)
        begin = passage(wire, stream=True).stream
        assert begin is not None
        stream = begin(1 << 20)
        stream.feed(CODECS[wire].stream_encoder(heading).encode(whole(completion)))
        stream.close()
        return stream

    assert streamed(7).usage == Usage(3, 7)
    nonsense = streamed(number)
    assert (nonsense.usage, nonsense.finished, nonsense.fault) == (None, True, None)


def test_seconds_that_nobody_can_have_heard_are_not_told() -> None:
    for told in ('{"usage": {"seconds": 1e308}}', '{"duration": -7}', '{"usage": {"seconds": 1e999}}'):
        assert passage("transcriptions").read(told.encode()).usage is None
    assert read("transcriptions", {"text": "x", "duration": True}).usage == Usage()
    assert read("images", {"data": [], "usage": {"input_tokens": "many"}}).usage is None


@pytest.mark.parametrize("format_", ["images", "transcriptions"])
def test_events_of_media_tell_no_usage_before_they_do(format_: Format) -> None:
    begin = passage(format_, stream=True).stream
    assert begin is not None
    stream = begin(1 << 20)
    kind = "image_generation.partial_image" if format_ == "images" else "transcript.text.delta"
    stream.feed(b"".join(sse({"type": kind}, done=False)))
    assert (stream.begun, stream.finished, stream.usage) == (True, False, None)
    last = kind.rpartition(".")[0] + ".completed"
    stream.feed(b"".join(sse({"type": last, "usage": {"input_tokens": 3, "output_tokens": 2}}, done=False)))
    assert (stream.finished, stream.usage) == (True, Usage(3, 2))
    stream.feed(b"".join(sse({"type": last, "usage": {"output_tokens": -500_000}}, done=False)))
    assert (stream.finished, stream.usage) == (True, None)


def without_contents(value: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in CONTENTS}


REFUSED = [wire for wire, value in TOLD.items() if without_contents(value) != value]


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("wire", REFUSED)
def test_what_is_no_answer_tells_what_it_used(wire: Format, *, nulls: bool) -> None:
    value = without_contents(TOLD[wire])
    if nulls:
        value = dict.fromkeys(TOLD[wire]) | value
    for client in {CLIENTS.get(wire, wire), "chat" if wire in CODECS else CLIENTS.get(wire, wire)}:
        refused = read(wire, value, client)
        assert isinstance(refused.refusal, BadAnswer)
        assert (refused.body, refused.usage) == (b"", read(wire, TOLD[wire]).usage)
        nonsense = with_number(value, next(numbers(value)), -500_000)
        with pytest.raises(BadAnswer):
            read(wire, nonsense, client)


def test_an_error_keeps_its_class_beside_the_usage() -> None:
    used = {"input_tokens": 9000, "output_tokens": 30_000}
    failed = {"status": "failed", "model": "up", "output": [], "usage": used}
    for client in ("responses", "chat"):
        answer = read("responses", failed | {"error": {"code": "rate_limit_exceeded"}}, client)
        assert isinstance(answer.refusal, RateLimited)
        assert (answer.body, answer.usage, answer.about.model) == (b"", Usage(9000, 30_000), "up")
        with pytest.raises(RateLimited):
            read("responses", failed | {"error": {"code": "rate_limit_exceeded"}, "usage": None}, client)


def test_thoughts_that_came_to_nothing_are_billed() -> None:
    used = {"promptTokenCount": 9000, "thoughtsTokenCount": 60_000, "totalTokenCount": 69_000}
    answer = read("gemini", {"candidates": [], "usageMetadata": used, "modelVersion": "up"})
    assert answer.usage == Usage(9000, 60_000, reasoning_tokens=60_000)
    assert (answer.empty, answer.about.model) == (False, "up")


def test_so_is_what_cannot_be_said_to_the_client() -> None:
    finished = {"finishReason": "MALFORMED_FUNCTION_CALL", "content": {"parts": []}}
    answer = read("gemini", TOLD["gemini"] | {"candidates": [finished]}, "messages")
    assert isinstance(answer.refusal, Failed)
    assert (answer.body, answer.usage) == (b"", read("gemini", TOLD["gemini"]).usage)


def test_a_prompt_that_any_upstream_did_not_let_through_is_billed() -> None:
    failed = {"status": "failed", "error": {"code": "content_filter"}, "output": []}
    answer = read("responses", failed | {"usage": {"input_tokens": 9, "output_tokens": 0}})
    assert isinstance(answer.refusal, Filtered)
    assert (answer.usage, answer.about.finish) == (Usage(9), "content_filter")


WHOLE = [one for one in recordings.load(*APIS) if one.status == 200 and not one.is_stream]


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(WHOLE))
def test_recorded_answers_without_their_contents_tell_the_same(recording: Recording) -> None:
    wire = APIS[recording.api]
    intact = passage(wire).read(recording.body)
    if intact.refusal is not None:  # it has no contents
        return
    refused = read(wire, without_contents(json.loads(recording.body)))
    assert isinstance(refused.refusal, BadAnswer)
    assert intact.usage is not None
    assert refused.usage is not None
    if refused.usage.searches != intact.usage.searches:  # some are told nowhere but in the contents
        assert wire in {"responses", "gemini"}
    assert msgspec.structs.replace(refused.usage, searches=intact.usage.searches) == intact.usage

"""What recorded answers tell of themselves, on every way: the model, the end, the class of service."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from rig import recordings
from rig.recordings import Recording, parameters
from rig.script import split_at_random
from rig.translation.formats import APIS, streamed
from rig.translation.witness.facts import aws_frames, ndjson, sse
from unit.stand_ins import call

from gateway.errors import UpstreamError
from gateway.exchange import Format, Usage
from gateway.formats.neutral.completion import About, Finish
from gateway.formats.passage.relayed import RelayedPassage
from gateway.formats.passage.seam import Passage, Terms
from gateway.formats.passage.translated import translated

pytestmark = pytest.mark.wire

RELAYED: dict[str, Format] = {
    "openai.chat": "chat",
    "mistral.chat": "chat",
    "openai.completions": "completions",
    "openai.responses": "responses",
    "anthropic.messages": "messages",
    "gemini.generate": "gemini",
    "openai.embeddings": "embeddings",
    "voyage.embeddings": "embeddings",
    "voyage.rerank": "rerank",
    "cohere.rerank": "rerank",
    "openai.moderations": "moderations",
}
ANSWERED = [r for r in recordings.load(*{*RELAYED, *APIS}) if r.status == 200]
FINISHES = get_args(Finish)
LIMIT_BYTES = 1 << 20
TERMS = Terms("call_1", 0)
ENDS = re.compile(
    rb'"(?:finish_reason|stop_reason|finishReason|stopReason|done_reason|blockReason)" *: *("[^"]|\d)'
)
STANDARD = {"", "default", "standard", "auto", "on_demand", "ON_DEMAND"}


def values_of(recording: Recording) -> list[Any]:
    """The JSON that an answer consists of."""
    if not recording.is_stream:
        return [json.loads(recording.body)]
    body = streamed(recording) if recording.api in APIS else recording.body
    if APIS.get(recording.api) == "converse":
        return [{name: event} for name, event in aws_frames(body)]
    return ndjson(body) if APIS.get(recording.api) == "ollama" else sse(body)


def tells_its_end(recording: Recording) -> bool:
    if recording.api == "openai.responses":
        return b'"completed"' in recording.body or b'"incomplete"' in recording.body
    called_without_a_word = recording.provider == "snowflake" and b'"toolu' in recording.body
    return bool(ENDS.search(recording.body)) or called_without_a_word


def told(recording: Recording, *names: str) -> list[str]:
    """What stands under these names at the top, in the usage, or in what a stream wraps."""
    found: list[str] = []
    for value in values_of(recording):
        for holder in ("", "response", "message", "usage", "usageMetadata"):
            inner = value.get(holder, {}) if holder else value
            inner = inner if isinstance(inner, dict) else {}
            usage = inner.get("usage") if holder == "message" else None
            for place in (inner, usage if isinstance(usage, dict) else {}):
                found += [place[name] for name in names if isinstance(place.get(name), str) and place[name]]
    return found


def read(passage: Passage, recording: Recording) -> tuple[About, Usage | None]:
    """What is written down of an answer that takes this way."""
    if passage.stream is None or not recording.is_stream:
        whole = passage.read(recording.body)
        return whole.about, whole.usage
    stream = passage.stream(LIMIT_BYTES)
    body = streamed(recording) if recording.api in APIS else recording.body
    for piece in split_at_random(body, 7, 900):
        stream.feed(piece)
    stream.close()
    if stream.fault is not None:
        raise stream.fault
    return stream.about, stream.usage


def ways(recording: Recording) -> dict[str, Passage]:
    """The ways that an answer may take: as it is, and to clients of other formats."""
    found: dict[str, Passage] = {}
    if recording.api in RELAYED:
        asked = call(RELAYED[recording.api], stream=recording.is_stream)
        found["relayed"] = RelayedPassage(asked, TERMS)
    wire = APIS.get(recording.api)
    for format_ in ("chat", "messages"):
        if wire is not None and wire != format_:
            found[format_] = translated(call(format_, stream=recording.is_stream), wire, "m", TERMS)
    return found


@pytest.mark.parametrize("recording", parameters(ANSWERED))
def test_an_answer_tells_who_gave_it_why_it_ended_and_in_which_class(recording: Recording) -> None:
    models = told(recording, "model", "modelVersion")
    tiers = told(recording, "service_tier", "serviceTier", "trafficType")
    finishes = set()
    for way, passage in ways(recording).items():
        try:
            about, usage = read(passage, recording)
        except UpstreamError:
            continue  # it tells an error in place of an answer
        assert about.model == (models[0] if models else ""), way
        assert about.finish in ({*FINISHES} if tells_its_end(recording) else {""}), way
        assert about.tier == ("" if not tiers or tiers[-1] in STANDARD else tiers[-1]), way
        assert usage is None or usage.tier == about.tier
        finishes.add(about.finish)
    assert len(finishes) <= 1

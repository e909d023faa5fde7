"""How near the estimates of prompts are to what providers counted, over the recorded calls that are all text.

    pytest -s tests/golden/test_prompt_estimates.py

prints the tables: as estimated; learnt, each call estimated before it is learnt of; known, each estimated
after all other recorded calls of its model were learnt of.

What is a plain text is nearly always estimated well before anything is learnt: by the number of its words and
what is known of templates. Calls with tools are not: what providers put around those is in no request, and
of more than a hundred models only two calls were recorded of each, so that hardly anything can be learnt.
Of one and the same request 145 tokens are counted here and 63 there.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

import pytest
from rig import recordings
from rig.recordings import Recording
from rig.translation import witness
from rig.translation.formats import APIS, members, streamed

from gateway.config.signals import SensitivitySpec
from gateway.exchange import Call, Caller, Envelope
from gateway.quotas.estimates import Estimates, Prompt
from gateway.routing.signals.body import contents_of, turns_of
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.signals import Signals
from gateway.routing.signals.size import as_asked, prompt_of

pytestmark = pytest.mark.wire

NEAR = 0.15
FEW_TOKENS = 16
"""A difference that matters to nobody, however short the prompt is."""
NOT_ALL_IN_THE_REQUEST = frozenset(
    {
        *("builtin_tool", "mcp", "server_tool_out", "web_search", "grounding", "url_context", "guardrail"),
        *("previous_response_id", "cached_content", "context_management", "documents"),
    }
)
"""Features of recordings whose provider read more than it was sent."""
BY_ITS_PROVIDER = ("item_in:", "item_out:", "block_out:")
SEARCHING = frozenset({"perplexity"})
OF_OTHER_MODELS = "models"
"""A member by which another model may have answered than the one that is named."""
CALLED = re.compile(r'"(tool_calls|tool_use|tool_result|toolUse|functionCall|function_call)"')
"""What a request has that calls tools, whether or not it offers any."""
MEDIA = frozenset({"images", "audio", "files"})
READERS = compile_readers({}, SensitivitySpec())


@dataclass(frozen=True)
class Counted:
    """A recorded call: what there is to count of its prompt, and what its provider counted."""

    model: str
    prompt: Prompt
    tools: bool
    schema: bool
    reported: int

    def after(self, learnt: Estimates) -> int:
        return learnt.input_tokens(self.model, self.prompt)

    def teach(self, estimates: Estimates) -> None:
        estimates.learn_input(self.model, self.prompt, self.reported)


@dataclass(frozen=True)
class Row:
    """How near a set of estimates is."""

    calls: int
    near: float
    near_or_few: float
    median_error: float
    whole: float

    def __str__(self) -> str:
        return (
            f"{self.calls:5d} {self.near:10.0%} {self.near_or_few:14.0%} "
            f"{self.median_error:13.0%} {self.whole:12.2f}"
        )


HEAD = f"{'calls':>41} {'in 15 %':>10} {'or 16 tokens':>14} {'median error':>13} {'sum to sum':>12}"


@cache
def index() -> dict[str, tuple[str, frozenset[str]]]:
    """The model and the features of each recording, by name."""
    with (recordings.FOLDER / "index.tsv").open() as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return {
            row["file"].removesuffix(".json"): (row["model"], frozenset(row["features"].split()))
            for row in rows
        }


@cache
def all_text() -> tuple[Counted, ...]:
    return tuple(counted for found in recordings.load(*APIS) if (counted := read(found)) is not None)


def read(recording: Recording) -> Counted | None:
    """What was counted for a recorded call; None where more was read than its text, or nothing was told."""
    if recording.status != 200 or not isinstance(recording.request, dict) or recording.provider in SEARCHING:
        return None
    if OF_OTHER_MODELS in recording.request:
        return None
    model, features = index()[recording.name]
    if features & NOT_ALL_IN_THE_REQUEST or any(name.startswith(BY_ITS_PROVIDER) for name in features):
        return None
    format_ = APIS[recording.api]
    witnesses = witness.STREAM if recording.is_stream else witness.WHOLE
    tokens = witnesses[format_](streamed(recording) if recording.is_stream else recording.body).tokens
    if tokens is None or not tokens.input:
        return None
    sent = members(recording.request)
    signals = Signals(Call(format_, Caller("t", "k"), Envelope(model), sent, {}), READERS)
    if signals.features & MEDIA:
        return None
    turns = turns_of(sent)
    prompt = as_asked(prompt_of(sent, turns, contents_of(sent, turns)), format_, signals.features)
    tools = prompt.tools or CALLED.search(json.dumps(recording.request)) is not None
    schema = bool(features & {"json_schema", "json_mode"})
    return Counted(model, prompt, tools, schema, read_by_cohere(recording) or tokens.input)


def read_by_cohere(recording: Recording) -> int:
    """What Cohere's model read: it bills less, and tells both. 0: it is another provider's."""
    body = streamed(recording) if recording.is_stream else recording.body
    found = re.search(rb'"tokens":\s*\{\s*"input_tokens":\s*(\d+)', body)
    return int(found.group(1)) if found and recording.provider == "cohere" else 0


def compare(pairs: Iterable[tuple[int, int]]) -> Row:
    """Judge estimates, each with what was reported."""
    judged = list(pairs)
    errors = [abs(expected - reported) / reported for expected, reported in judged]
    few = [abs(expected - reported) <= FEW_TOKENS for expected, reported in judged]
    return Row(
        len(judged),
        sum(error <= NEAR for error in errors) / len(judged),
        sum(error <= NEAR or is_few for error, is_few in zip(errors, few, strict=True)) / len(judged),
        median(errors),
        sum(expected for expected, _ in judged) / sum(reported for _, reported in judged),
    )


def as_estimated(calls: Iterable[Counted]) -> list[int]:
    return [call.after(Estimates()) for call in calls]


def as_learnt(calls: Iterable[Counted]) -> list[int]:
    estimates, expected = Estimates(), []
    for call in calls:
        expected.append(call.after(estimates))
        call.teach(estimates)
    return expected


def as_known(calls: tuple[Counted, ...]) -> list[int]:
    expected = []
    for at, call in enumerate(calls):
        estimates = Estimates()
        for other in (*calls[:at], *calls[at + 1 :]):
            if other.model == call.model:
                other.teach(estimates)
        expected.append(call.after(estimates))
    return expected


@cache
def tables() -> dict[tuple[str, str], Row]:
    """Rows by kind of call and by how it was estimated."""
    calls = all_text()
    often = Counter((call.model, call.tools) for call in calls)
    kinds = {
        "plain text": [not call.tools and not call.schema for call in calls],
        "with a schema": [not call.tools and call.schema for call in calls],
        "with tools": [call.tools for call in calls],
        "of models seen 4 times": [often[call.model, call.tools] >= 4 for call in calls],
        "all": [True for _ in calls],
    }
    ways = {"estimated": as_estimated(calls), "learnt": as_learnt(calls), "known": as_known(calls)}
    return {
        (kind, way): compare(
            (tokens, call.reported)
            for tokens, call, taken in zip(expected, calls, chosen, strict=True)
            if taken
        )
        for kind, chosen in kinds.items()
        for way, expected in ways.items()
    }


def test_what_is_learnt_brings_estimates_nearer_to_what_providers_count() -> None:
    print("\n" + HEAD)
    for (kind, way), row in tables().items():
        print(f"{kind:24s} {way:10s} {row}")
    for kind in ("with a schema", "with tools", "of models seen 4 times", "all"):
        estimated, learnt, known = (tables()[kind, way] for way in ("estimated", "learnt", "known"))
        assert estimated.near < learnt.near <= known.near + 0.01
        assert estimated.median_error >= learnt.median_error >= known.median_error - 0.01


def test_nine_plain_texts_in_ten_are_within_15_percent_before_anything_is_learnt() -> None:
    assert tables()["plain text", "estimated"].calls >= 60
    assert tables()["plain text", "estimated"].near >= 0.9
    assert tables()["plain text", "estimated"].near_or_few >= 0.95
    assert tables()["plain text", "learnt"].near >= 0.88


def test_of_models_whose_name_says_nothing_templates_are_learnt() -> None:
    plain = [call for call in all_text() if not call.tools and not call.schema]
    names = {name: f"m{at}" for at, name in enumerate(sorted({call.model for call in plain}))}
    unnamed = tuple(replace(call, model=names[call.model]) for call in plain)
    ways = {"estimated": as_estimated(unnamed), "learnt": as_learnt(unnamed), "known": as_known(unnamed)}
    rows = {
        way: compare((tokens, call.reported) for tokens, call in zip(expected, unnamed, strict=True))
        for way, expected in ways.items()
    }
    print()
    for way, row in rows.items():
        print(f"{'plain text, no names':24s} {way:10s} {row}")
    assert rows["estimated"].near < rows["learnt"].near < rows["known"].near


def test_estimates_are_as_near_as_they_were() -> None:
    """What holds now; whoever makes it better raises these."""
    assert len(all_text()) > 230
    assert tables()["all", "estimated"].near >= 0.53
    assert tables()["all", "learnt"].near >= 0.62
    assert tables()["with tools", "learnt"].near >= 0.54
    assert tables()["of models seen 4 times", "known"].median_error <= 0.13


def test_all_calls_together_are_estimated_well_once_something_is_learnt() -> None:
    assert tables()["all", "learnt"].whole == pytest.approx(1, abs=0.05)
    assert tables()["all", "known"].whole == pytest.approx(1, abs=0.05)

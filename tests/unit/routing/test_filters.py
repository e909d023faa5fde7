"""Why a target cannot take a call, and what a call is expected to cost."""

from __future__ import annotations

from typing import Any

import pytest
from unit.routing.stand_ins import StandInHealth, StandInSensitivity, StandInSignals, price, site

from gateway.exchange import Facts, Format
from gateway.routing.filters import (
    EXPECTED_OUTPUT_TOKENS,
    expected_cost_nanousd,
    expected_output_tokens,
    forbidden,
    is_late,
    latest_s,
    not_taken,
    too_dear,
    too_long,
)
from gateway.routing.routes import Limits

MILLI_USD = 1_000_000
HAIKU, SONNET = price(1, 5), price(3, 15)


def signals(**more: Any) -> Any:
    return StandInSignals(**more)


@pytest.mark.parametrize(
    ("labels", "place", "reason"),
    [
        (frozenset(), site("a"), ""),
        ({"restricted"}, site("a"), "may not have restricted data"),
        ({"restricted"}, site("a", region="us"), "may not have restricted data"),
        ({"restricted"}, site("a", region="eu"), ""),
        ({"restricted"}, site("a", self_hosted=True), ""),
        ({"harmless"}, site("a"), ""),
    ],
)
def test_data_goes_only_where_the_policy_lets_it(labels: set[str], place: Any, reason: str) -> None:
    policy: Any = StandInSensitivity(restricted=("eu",))
    assert forbidden(policy, signals(labels=frozenset(labels)), place) == reason


@pytest.mark.parametrize(
    ("takes", "has", "reason"),
    [
        (None, {"images"}, ""),
        ({"tools", "images"}, {"images"}, ""),
        ({"tools"}, {"images"}, "does not take images"),
        (set(), {"json_schema", "audio"}, "does not take audio or JSON schemas"),
        (set(), set(), ""),
    ],
)
def test_a_model_is_left_out_for_what_it_is_known_not_to_take(takes: Any, has: Any, reason: str) -> None:
    facts = Facts(takes=None if takes is None else frozenset(takes))
    assert not_taken(facts, signals(features=frozenset(has))) == reason


@pytest.mark.parametrize(
    ("tokens", "asked", "reason"),
    [
        (8192, None, ""),
        (9000, None, ""),
        (9200, None, "context window of 8192 tokens, the call has about 9200"),
        (6000, 2192, ""),
        (6000, 2792, ""),
        (6000, 4096, "context window of 8192 tokens, the call has about 6000 and asks for 4096 more"),
        (1, 8192, "context window of 8192 tokens, the call has about 1 and asks for 8192 more"),
    ],
)
def test_prompt_and_answer_have_to_fit_but_for_the_margin_of_an_estimate(
    tokens: int, asked: int | None, reason: str
) -> None:
    assert too_long(Facts(context_tokens=8192), signals(tokens=tokens, max_tokens=asked)) == reason


def test_an_unknown_window_is_no_reason_and_nothing_is_counted_for_it() -> None:
    call = signals(tokens=10**9)
    assert not too_long(Facts(), call)
    assert call.asked == []


@pytest.mark.parametrize(
    ("cost", "limit", "reason"),
    [
        (None, 1, ""),
        (5, None, ""),
        (MILLI_USD, MILLI_USD, ""),
        (MILLI_USD + 1, MILLI_USD, "would cost about $0.001000001, the limit is $0.001"),
        (2_500 * MILLI_USD, 1_000 * MILLI_USD, "would cost about $2.5, the limit is $1"),
        (1, 0, "would cost about $0.000000001, the limit is $0"),
    ],
)
def test_what_costs_more_than_it_may_is_left_out(cost: int | None, limit: int | None, reason: str) -> None:
    assert too_dear(cost, Limits(cost_nanousd=limit)) == reason


@pytest.mark.parametrize("max_tokens", [None, 1024, 4096])
def test_ordinary_prompts_keep_the_ceilings_of_their_task_whatever_clients_must_ask_for(
    max_tokens: int | None,
) -> None:
    labelling = signals(tokens=600, max_tokens=max_tokens, format="messages")
    assert not too_dear(expected_cost_nanousd(HAIKU, labelling), Limits(cost_nanousd=MILLI_USD))
    thinking = signals(tokens=12_000, max_tokens=max_tokens, format="messages")
    assert not too_dear(expected_cost_nanousd(SONNET, thinking), Limits(cost_nanousd=50 * MILLI_USD))


def test_a_ceiling_still_keeps_out_what_is_clearly_dearer() -> None:
    assert too_dear(expected_cost_nanousd(SONNET, signals(tokens=600)), Limits(cost_nanousd=MILLI_USD))
    assert too_dear(expected_cost_nanousd(HAIKU, signals(tokens=1200)), Limits(cost_nanousd=MILLI_USD))


@pytest.mark.parametrize(
    ("format_", "asked", "tokens"),
    [
        ("chat", None, EXPECTED_OUTPUT_TOKENS),
        ("chat", 4096, EXPECTED_OUTPUT_TOKENS),
        ("messages", 5, 5),
        ("embeddings", None, 0),
        ("rerank", 100, 0),
    ],
)
def test_a_limit_on_the_answer_is_its_most_and_not_its_expectation(
    format_: Format, asked: int | None, tokens: int
) -> None:
    assert expected_output_tokens(signals(format=format_, max_tokens=asked)) == tokens


def test_a_call_costs_its_prompt_and_its_expected_answer() -> None:
    assert expected_cost_nanousd(HAIKU, signals(tokens=1000, max_tokens=10)) == 1000 * 1000 + 10 * 5000
    assert expected_cost_nanousd(HAIKU, signals(tokens=1000, format="embeddings")) == 1000 * 1000


@pytest.mark.parametrize(
    ("limits", "streamed", "whole"),
    [
        (Limits(), None, None),
        (Limits(latency_s=2.0), 2.0, 2.0),
        (Limits(first_token_s=0.5), 0.5, None),
        (Limits(first_token_s=0.5, latency_s=2.0), 0.5, 2.0),
        (Limits(first_token_s=3.0, latency_s=2.0), 2.0, 2.0),
    ],
)
def test_a_stream_has_until_its_first_token_and_a_whole_answer_until_its_end(
    limits: Limits, streamed: float | None, whole: float | None
) -> None:
    assert latest_s(limits, stream=True) == streamed
    assert latest_s(limits, stream=False) == whole


def test_late_is_who_lately_took_twice_what_it_has() -> None:
    health: Any = StandInHealth(first_token_s=1.1, latency_s=3.0)
    assert is_late(health, 0.5, stream=True)
    assert not is_late(health, 0.6, stream=True)
    assert is_late(health, 1.4, stream=False)
    assert not is_late(health, 1.5, stream=False)
    unknown: Any = StandInHealth()
    assert not is_late(unknown, 0.001, stream=True)

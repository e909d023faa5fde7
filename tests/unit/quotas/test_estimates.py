"""What a call will use, as it is learnt from what calls have used."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from gateway.quotas.estimates import Estimates, Prompt

MODEL = "a-model"


def said(tokens: int, *, tools: bool = False) -> Prompt:
    """So many tokens with nothing around them."""
    return Prompt(tokens, tools=tools)


def taught(counted: Callable[[int], int], calls: int = 30, *, tools: bool = False) -> Estimates:
    """Estimates after so many calls of a model whose provider counts that for what we estimate."""
    estimates, chance = Estimates(), random.Random(7)
    for _ in range(calls):
        tokens = chance.randint(10, 4000)
        estimates.learn_input(MODEL, said(tokens, tools=tools), counted(tokens))
    return estimates


@pytest.mark.parametrize("tokens", [0, 1, 17, 1_000_000])
@pytest.mark.parametrize("tools", [False, True])
def test_what_was_never_seen_is_taken_as_estimated(tokens: int, tools: bool) -> None:
    assert Estimates().input_tokens(MODEL, said(tokens, tools=tools)) == tokens


@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.4, 2.5])
@pytest.mark.parametrize("tokens", [500, 5_000, 50_000])
def test_the_ratio_of_a_model_is_learnt(ratio: float, tokens: int) -> None:
    estimates = taught(lambda tokens: round(tokens * ratio))
    assert estimates.input_tokens(MODEL, said(tokens)) == pytest.approx(tokens * ratio, rel=0.05)


@pytest.mark.parametrize("added", [67, 346, 1300])
def test_what_a_provider_adds_to_each_prompt_is_learnt(added: int) -> None:
    estimates = taught(lambda tokens: round(tokens * 1.1) + added)
    for tokens in (20, 500, 50_000):
        assert estimates.input_tokens(MODEL, said(tokens)) == pytest.approx(tokens * 1.1 + added, rel=0.06)


def test_one_short_call_is_enough_to_know_of_a_long_addition() -> None:
    estimates = Estimates()
    estimates.learn_input(MODEL, said(50), 1550)
    assert estimates.input_tokens(MODEL, said(60)) == pytest.approx(1560, rel=0.2)
    assert estimates.input_tokens(MODEL, said(20_000)) < 25_000


def test_calls_with_tools_are_learnt_of_by_themselves() -> None:
    estimates = taught(lambda tokens: tokens + 500, tools=True)
    assert estimates.input_tokens(MODEL, said(100)) == 100
    assert estimates.input_tokens(MODEL, said(100, tools=True)) == pytest.approx(600, rel=0.1)


def test_calls_with_a_schema_are_learnt_of_by_themselves() -> None:
    estimates = Estimates()
    estimates.learn_input(MODEL, Prompt(100, schema=True), 600)
    assert estimates.input_tokens(MODEL, Prompt(100)) == 100
    assert estimates.input_tokens(MODEL, Prompt(100, schema=True)) == pytest.approx(600, rel=0.1)


def test_models_are_learnt_of_by_themselves() -> None:
    assert taught(lambda tokens: tokens * 2).input_tokens("another-model", said(100)) == 100


@pytest.mark.parametrize(
    ("model", "one_turn", "three_turns"),
    [
        ("gpt-4o-mini", 106, 112),
        ("nobody-knows-it", 106, 112),
        ("openai/gpt-oss-120b", 167, 173),
        ("us.anthropic.claude-sonnet-4-6", 108, 116),
        ("gemini-2.5-flash", 100, 100),
        ("Qwen/Qwen2.5-72B-Instruct", 129, 139),
        ("Qwen/Qwen3-32B", 108, 118),
        ("meta-llama/Llama-3.3-70B-Instruct", 135, 145),
        ("mistral-large-latest", 103, 107),
    ],
)
def test_what_a_family_puts_around_turns_is_known_from_the_beginning(
    model: str, one_turn: int, three_turns: int
) -> None:
    assert Estimates().input_tokens(model, Prompt(100, 1)) == one_turn
    assert Estimates().input_tokens(model, Prompt(100, 3)) == three_turns


def test_a_lone_text_has_nothing_around_it() -> None:
    assert Estimates().input_tokens("gpt-3.5-turbo-instruct", Prompt(100)) == 100


@pytest.mark.parametrize(
    ("prompt", "expected"), [(Prompt(100, 1, tools=True), 524), (Prompt(100, 1, reasons=True), 136)]
)
def test_instructions_for_tools_and_for_thinking_are_known_of(prompt: Prompt, expected: int) -> None:
    assert Estimates().input_tokens("claude-sonnet-4-5", prompt) == expected


def test_one_odd_answer_moves_what_is_known_of_a_family_less_than_what_is_not_known() -> None:
    moved = {}
    for model in ("gpt-4o", "nobody-knows-it"):
        estimates = Estimates()
        estimates.learn_input(model, Prompt(20, 1), 45)
        moved[model] = estimates.input_tokens(model, Prompt(20, 1)) - 26
    assert 0 < moved["gpt-4o"] < moved["nobody-knows-it"] <= 19


@pytest.mark.parametrize(
    "odd",
    [(12, 14_000), (3000, 25), (4000, 90), (5, 100_000)],
    ids=["searched", "image by a link", "text left out", "file by its id"],
)
@pytest.mark.parametrize("calls", [3, 60])
def test_odd_calls_among_others_change_little(odd: tuple[int, int], calls: int) -> None:
    estimates, chance = Estimates(), random.Random(3)
    for at in range(calls * 6):
        tokens = chance.randint(50, 3000)
        if at % 6 == 2:
            estimates.learn_input(MODEL, said(odd[0]), odd[1])
        else:
            estimates.learn_input(MODEL, said(tokens), round(tokens * 1.2))
    for tokens in (400, 3000):
        assert estimates.input_tokens(MODEL, said(tokens)) == pytest.approx(tokens * 1.2, rel=0.3)


@pytest.mark.parametrize("nonsense", [-1, 1 << 41, 10**200, 10**400])
def test_nothing_is_learnt_of_what_nobody_can_have_counted(nonsense: int) -> None:
    estimates = Estimates()
    for prompt in (said(1000), said(1)):
        estimates.learn_input(MODEL, prompt, nonsense)
    estimates.learn_output("r", MODEL, nonsense)
    assert estimates.remembered == 0


@pytest.mark.parametrize("reported", [1, 5, 50_000_000])
def test_nothing_learnt_makes_an_estimate_absurd(reported: int) -> None:
    estimates = Estimates()
    for _ in range(200):
        estimates.learn_input(MODEL, said(1000), reported)
    assert 500 <= estimates.input_tokens(MODEL, said(1000)) <= 3 * 1000 + 4096


def test_what_is_newer_counts_more() -> None:
    estimates = taught(lambda tokens: tokens, calls=100)
    for estimated in range(100, 4000, 20):
        estimates.learn_input(MODEL, said(estimated), estimated * 2)
    assert estimates.input_tokens(MODEL, said(1000)) == pytest.approx(2000, rel=0.05)


@pytest.mark.parametrize(("estimated", "reported"), [(0, 10), (10, 0), (-1, 5), (0, 0)])
def test_what_says_nothing_is_not_learnt(estimated: int, reported: int) -> None:
    estimates = Estimates()
    estimates.learn_input(MODEL, said(estimated), reported)
    assert estimates.input_tokens(MODEL, said(100)) == 100


# Answers


@pytest.mark.parametrize(
    ("asked", "most", "expected"),
    [(100, None, 100), (100, 50, 50), (50, 100, 50), (None, None, 256), (None, 100, 100), (None, 4096, 256)],
)
def test_an_answer_is_as_long_as_asked_for_and_never_longer_than_its_model_can(
    asked: int | None, most: int | None, expected: int
) -> None:
    assert Estimates().output_tokens("route", MODEL, asked, most) == expected


def test_answers_that_nobody_limits_are_as_long_as_lately_with_room_for_most() -> None:
    estimates, chance = Estimates(), random.Random(5)
    lengths = [round(chance.gauss(1000, 100)) for _ in range(500)]
    for length in lengths:
        estimates.learn_output("route", MODEL, length)
    typical = estimates.output_tokens("route", MODEL, None)
    assert typical == pytest.approx(1200, abs=80)
    assert sum(length <= typical for length in lengths) > 0.95 * len(lengths)


def test_short_answers_are_not_trusted_before_there_were_eight() -> None:
    estimates, expected = Estimates(), []
    for _ in range(9):
        estimates.learn_output("route", MODEL, 3)
        expected.append(estimates.output_tokens("route", MODEL, None))
    assert expected == [256] * 7 + [16] * 2


def test_routes_are_learnt_of_by_themselves() -> None:
    estimates = Estimates()
    estimates.learn_output("long", MODEL, 5000)
    assert estimates.output_tokens("long", MODEL, None) > 5000
    assert estimates.output_tokens("short", MODEL, None) == 256


def test_answers_that_became_shorter_are_noticed() -> None:
    estimates = Estimates()
    for length in [4000] * 100 + [100] * 200:
        estimates.learn_output("route", MODEL, length)
    assert 100 < estimates.output_tokens("route", MODEL, None) < 200


def test_an_answer_of_nothing_is_learnt_of() -> None:
    estimates = Estimates()
    for _ in range(20):
        estimates.learn_output("route", MODEL, 0)
    assert estimates.output_tokens("route", MODEL, None) == 16


def test_the_memory_of_a_worker_is_bounded_and_the_newest_are_kept() -> None:
    estimates = Estimates()
    for at in range(10_000):
        estimates.learn_input(f"m{at}", said(100), 200)
        estimates.learn_output("route", f"m{at}", 5000)
    assert estimates.remembered <= 2 * 4096
    assert estimates.input_tokens("m0", said(100)) == 100
    assert estimates.input_tokens("m9999", said(100)) > 120
    assert estimates.output_tokens("route", "m0", None) == 256
    assert estimates.output_tokens("route", "m9999", None) > 5000

"""In which order targets are tried: one strategy after the other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from unit.routing.stand_ins import StandInSignals, candidate, chance, moment, names

from gateway.config.ways import StickyBy, StrategyKind, StrategySpec, WeightsSpec
from gateway.exchange import Caller, Moment
from gateway.routing.routes import Candidate
from gateway.routing.strategies import FIRST_CALLS, Score, compile_strategy

NO_EXPLORING = 0.99


def ordered(
    kind: StrategyKind | StrategySpec | None,
    candidates: Sequence[Candidate],
    signals: Any = None,
    when: Moment | None = None,
    salt: str = "route",
) -> list[str]:
    strategy = compile_strategy(kind, salt)
    return names(strategy(candidates, signals or StandInSignals(), when or moment(NO_EXPLORING)))


@pytest.mark.parametrize("kind", [None, "priority", StrategySpec(kind="priority")])
def test_priority_keeps_the_order_as_written(kind: Any) -> None:
    assert ordered(kind, [candidate("b"), candidate("a"), candidate("c")]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("drawn", "order"),
    [
        (0.0, ["a", "b", "c"]),
        (0.19, ["a", "b", "c"]),
        (0.2, ["b", "a", "c"]),
        (0.49, ["b", "c", "a"]),
        (0.5, ["c", "b", "a"]),
        (1 - 2**-53, ["c", "b", "a"]),
    ],
)
def test_weighted_draws_by_weight_and_never_the_same_twice(drawn: float, order: list[str]) -> None:
    pool = [candidate("a", weight=2), candidate("b", weight=3), candidate("c", weight=5)]
    assert ordered("weighted", pool, when=moment(drawn)) == order


def test_weightless_targets_are_a_last_resort_in_the_order_as_written() -> None:
    pool = [candidate(name, weight=weight) for name, weight in (("z", 0), ("a", 1), ("y", 0))]
    assert ordered("weighted", pool) == ["a", "z", "y"]
    assert ordered("weighted", [candidate("z", weight=0), candidate("y", weight=0)]) == ["z", "y"]


def test_least_busy_goes_by_calls_under_way() -> None:
    pool = [candidate("a", in_flight=3), candidate("b", in_flight=1), candidate("c", in_flight=2)]
    assert ordered("least_busy", pool) == ["b", "c", "a"]


def test_chance_decides_between_the_equally_busy() -> None:
    pool = [candidate("a", in_flight=1), candidate("b"), candidate("c")]
    firsts = Counter(ordered("least_busy", pool, when=chance(seed))[0] for seed in range(200))
    assert set(firsts) == {"b", "c"}
    assert min(firsts.values()) > 60


def test_cheapest_goes_by_the_price_of_the_call_and_the_unpriced_come_last() -> None:
    pool = [candidate("?"), candidate("b", cost_nanousd=9), candidate("a", cost_nanousd=0)]
    pool += [candidate("also b", cost_nanousd=9), candidate("also ?")]
    assert ordered("cheapest", pool) == ["a", "b", "also b", "?", "also ?"]


def test_fastest_counts_the_first_token_and_the_time_to_generate_the_rest() -> None:
    pool = [
        candidate("starts soon", first_token_s=0.1, tokens_per_s=20.0),
        candidate("generates fast", first_token_s=0.9, tokens_per_s=200.0),
    ]
    assert ordered("fastest", pool, StandInSignals(stream=True)) == ["generates fast", "starts soon"]
    short = StandInSignals(stream=True, max_tokens=5)
    assert ordered("fastest", pool, short) == ["starts soon", "generates fast"]


def test_fastest_goes_by_whole_answers_where_one_is_asked_for() -> None:
    pool = [
        candidate("a", first_token_s=0.1, latency_s=5.0, tokens_per_s=1000.0),
        candidate("b", first_token_s=0.5, latency_s=2.0, tokens_per_s=10.0),
    ]
    assert ordered("fastest", pool, StandInSignals(stream=False)) == ["b", "a"]
    assert ordered("fastest", pool, StandInSignals(stream=True)) == ["a", "b"]


def test_what_was_never_asked_is_asked_first_but_by_few_calls_at_once() -> None:
    known = candidate("known", first_token_s=0.1)
    assert ordered("fastest", [known, candidate("new")]) == ["new", "known"]
    asked = candidate("new", in_flight=FIRST_CALLS)
    assert ordered("fastest", [known, asked]) == ["known", "new"]
    failing = candidate("new", error_rate=1.0)
    assert ordered("fastest", [known, failing]) == ["known", "new"]


@pytest.mark.parametrize("kind", ["fastest", "score"])
def test_a_share_of_the_calls_tries_another_target_first(kind: StrategyKind) -> None:
    pool = [candidate(name, first_token_s=s) for name, s in (("slow", 3.0), ("fast", 1.0), ("mid", 2.0))]
    exploring = StrategySpec(kind=kind, explore=0.1)
    assert ordered(exploring, pool, when=moment(0.0)) == ["mid", "fast", "slow"]
    assert ordered(exploring, pool, when=moment(0.049)) == ["mid", "fast", "slow"]
    assert ordered(exploring, pool, when=moment(0.051)) == ["slow", "fast", "mid"]
    assert ordered(exploring, pool, when=moment(0.1)) == ["fast", "mid", "slow"]
    never = StrategySpec(kind=kind, explore=0.0)
    assert ordered(never, pool, when=moment(0.0)) == ["fast", "mid", "slow"]


def test_exploring_takes_no_more_than_its_share() -> None:
    pool = [
        candidate("fast", first_token_s=1.0),
        candidate("dead", in_flight=9),
        candidate("slow", latency_s=9),
    ]
    when = chance(5)
    firsts = Counter(ordered("fastest", pool, when=when)[0] for _ in range(10_000))
    assert 400 < firsts["dead"] + firsts["slow"] < 600
    assert min(firsts["dead"], firsts["slow"]) > 150


BY: list[tuple[StickyBy, dict[str, Any]]] = [
    ("user", {"user": "someone"}),
    ("user", {"caller": Caller("acme", "key-2")}),
    ("conversation", {"conversation": "c-7"}),
    ("conversation", {"user": "someone"}),
    ("prefix", {"prompt": b"You are a pirate."}),
    ("key", {"caller": Caller("acme", "key-2")}),
    ("tenant", {"caller": Caller("globex", "key-1")}),
]


@pytest.mark.parametrize(("by", "changed"), BY)
def test_sticky_calls_go_by_what_they_stick_to(by: StickyBy, changed: dict[str, Any]) -> None:
    pool = [candidate(str(number)) for number in range(64)]
    spec = StrategySpec(kind="sticky", by=by)
    one, other = StandInSignals(), StandInSignals(**changed)
    assert ordered(spec, pool, one) == ordered(spec, pool, one)
    assert ordered(spec, pool, one) != ordered(spec, pool, other)


@pytest.mark.parametrize(
    ("by", "changed"),
    [
        ("user", {"conversation": "c-7", "prompt": b"x"}),
        ("conversation", {"prompt": b"x"}),
        ("key", {"user": "someone"}),
        ("tenant", {"caller": Caller("acme", "key-2"), "user": "someone"}),
    ],
)
def test_sticky_calls_go_by_nothing_else(by: StickyBy, changed: dict[str, Any]) -> None:
    pool = [candidate(str(number)) for number in range(64)]
    spec = StrategySpec(kind="sticky", by=by)
    assert ordered(spec, pool, StandInSignals()) == ordered(spec, pool, StandInSignals(**changed))


def test_a_sticky_prefix_ends_where_it_is_said_to() -> None:
    pool = [candidate(str(number)) for number in range(64)]
    spec = StrategySpec(kind="sticky", by="prefix", prefix_chars=4)
    orders = [ordered(spec, pool, StandInSignals(prompt=prompt)) for prompt in (b"abcd", b"abcdefg", b"abcx")]
    assert orders[0] == orders[1] != orders[2]


def test_routes_spread_the_same_users_apart() -> None:
    pool = [candidate(str(number)) for number in range(64)]
    assert ordered("sticky", pool, salt="one") != ordered("sticky", pool, salt="other")


def test_sticky_users_with_odd_names_are_spread_too() -> None:
    pool = [candidate("a"), candidate("b")]
    assert set(ordered("sticky", pool, StandInSignals(user="\ud800\u2603"))) == {"a", "b"}


def test_weightless_targets_stick_to_nobody() -> None:
    pool = [candidate("z", weight=0), candidate("a"), candidate("b")]
    assert {ordered("sticky", pool, StandInSignals(user=str(n)))[-1] for n in range(50)} == {"z"}


def scores(pool: list[Candidate], **weights: float) -> list[float]:
    signals: Any = StandInSignals(stream=True)
    return Score(WeightsSpec(**weights), 0.0).sums(pool, signals)


def test_a_score_adds_up_what_each_is_in_times_the_best() -> None:
    pool = [
        candidate("a", cost_nanousd=100, first_token_s=1.0, error_rate=0.0),
        candidate("b", cost_nanousd=300, first_token_s=0.5, error_rate=0.5),
    ]
    assert scores(pool) == [1 + 2 + 1, 3 + 1 + 2]
    assert scores(pool, cost=2, latency=1, errors=0) == [2 + 2, 6 + 1]


def test_the_lowest_score_comes_first() -> None:
    pool = [
        candidate("dear", cost_nanousd=300, first_token_s=0.5),
        candidate("slow", cost_nanousd=100, first_token_s=1.4),
    ]
    assert ordered("score", pool) == ["slow", "dear"]
    by_time = StrategySpec(kind="score", weights=WeightsSpec(cost=0.1, latency=1, errors=1))
    assert ordered(by_time, pool) == ["dear", "slow"]


def test_a_score_is_bounded_where_the_best_is_free_or_others_are_unknown() -> None:
    pool = [
        candidate("free", cost_nanousd=0, first_token_s=1.0),
        candidate("dear", cost_nanousd=10**9, first_token_s=1.0),
        candidate("unpriced", first_token_s=1.0),
    ]
    assert scores(pool, latency=0, errors=0) == [1.0, 10.0, 10.0]


def test_a_score_presumes_the_best_of_the_new_and_the_worst_of_the_silent() -> None:
    pool = [candidate("known", first_token_s=2.0), candidate("new"), candidate("silent", error_rate=1.0)]
    assert scores(pool, cost=0, errors=0) == [1.0, 1.0, 10.0]
    assert scores(pool, cost=0, latency=0) == [1.0, 1.0, 10.0]


def test_alike_targets_stay_as_written() -> None:
    pool = [candidate("b"), candidate("a"), candidate("c")]
    for kind in ("score", "fastest", "cheapest"):
        assert ordered(kind, pool) == ["b", "a", "c"]


@pytest.mark.parametrize("kind", ["weighted", "least_busy", "fastest", "score", "sticky", "cheapest"])
def test_the_same_chance_gives_the_same_order(kind: StrategyKind) -> None:
    pool = [candidate(str(number), weight=number, first_token_s=number) for number in range(8)]
    orders = [[ordered(kind, pool, when=when) for _ in range(20)] for when in (chance(3), chance(3))]
    assert orders[0] == orders[1]
    assert all(len(set(order)) == 8 for order in itertools.chain(*orders))

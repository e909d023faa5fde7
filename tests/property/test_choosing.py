"""Choosing targets: weights hold, identities stay where they are, budgets bound, data stays in its places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.routing.stand_ins import (
    StandInHealth,
    StandInSensitivity,
    StandInSignals,
    candidate,
    chance,
    demand,
    moment,
    names,
    target,
)

from gateway.config.ways import StrategyKind, StrategySpec
from gateway.exchange import Facts
from gateway.routing.budgets import Allowance
from gateway.routing.choice import choose
from gateway.routing.health.health import Obstacle
from gateway.routing.strategies import compile_strategy

KINDS: tuple[StrategyKind, ...] = get_args(StrategyKind)
CALLS = 20_000
ONE_IN_TEN_THOUSAND: Mapping[int, float] = {1: 15.137, 2: 18.421, 3: 21.108, 4: 23.513}
"""What chi-square exceeds so rarely, by degrees of freedom."""

WEIGHTS = [(1.0, 1.0), (9.0, 1.0), (1.0, 2.0, 3.0, 4.0), (0.01, 0.01), (100.0, 1.0, 0.0, 1.0, 50.0)]

FEW = settings(max_examples=60, deadline=None)
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=7, unique=True)
SECONDS = st.none() | st.floats(0, 1000)
HEALTHS = st.builds(
    StandInHealth,
    in_flight=st.integers(0, 100),
    first_token_s=SECONDS,
    latency_s=SECONDS,
    tokens_per_s=st.none() | st.floats(0, 1e5),
    error_rate=st.floats(0, 1),
    keeps_away=st.none() | st.just(Obstacle("rests", 1.0)),
)


def chi_square(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How far counts are from what the shares promise."""
    total, whole = sum(counts.values()), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items() if share}
    assert not counts.keys() - expected.keys()
    return sum((counts.get(name, 0) - due) ** 2 / due for name, due in expected.items())


def holds(counts: Mapping[str, int], shares: Mapping[str, float]) -> bool:
    freedom = sum(share > 0 for share in shares.values()) - 1
    return chi_square(counts, shares) < ONE_IN_TEN_THOUSAND[freedom]


def pool(weights: Iterable[float]) -> tuple[list[Any], dict[str, float]]:
    shares = {f"target-{number}": weight for number, weight in enumerate(weights)}
    return [candidate(name, weight=weight) for name, weight in shares.items()], shares


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weights_hold_within_statistical_bounds(weights: tuple[float, ...], seed: int) -> None:
    candidates, shares = pool(weights)
    strategy, signals, when = compile_strategy("weighted", ""), demand().signals, chance(seed)
    firsts = Counter(names(strategy(candidates, signals, when))[0] for _ in range(CALLS))
    assert holds(firsts, shares)


def test_after_the_first_is_drawn_the_weights_of_the_others_hold() -> None:
    candidates, shares = pool((1.0, 2.0, 3.0, 4.0))
    strategy, signals, when = compile_strategy("weighted", ""), demand().signals, chance(4)
    orders = [names(strategy(candidates, signals, when)) for _ in range(CALLS)]
    for first in shares:
        seconds = Counter(order[1] for order in orders if order[0] == first)
        assert holds(seconds, {name: share for name, share in shares.items() if name != first})


@pytest.mark.parametrize("weights", WEIGHTS)
def test_identities_are_spread_by_weight(weights: tuple[float, ...]) -> None:
    candidates, shares = pool(weights)
    strategy = compile_strategy("sticky", "route")
    firsts = Counter(first_of(strategy, candidates, str(number)) for number in range(CALLS))
    assert holds(firsts, shares)


def first_of(strategy: Any, candidates: list[Any], user: str) -> str:
    return order_of(strategy, candidates, user)[0]


def order_of(strategy: Any, candidates: list[Any], user: str) -> list[str]:
    return names(strategy(candidates, StandInSignals(user=user), moment()))


@FEW
@given(NAMES, st.text(max_size=20), st.data())
def test_an_identity_moves_only_when_its_target_goes(
    found: list[str], user: str, data: st.DataObject
) -> None:
    """And where one comes, only to that one: whoever is taken out, the others keep their order."""
    strategy = compile_strategy("sticky", "route")
    weights = {name: data.draw(st.sampled_from([0.5, 1.0, 7.0])) for name in found}
    gone = data.draw(st.sampled_from(found))
    whole = order_of(strategy, [candidate(name, weight=weights[name]) for name in found], user)
    rest = [candidate(name, weight=weights[name]) for name in reversed(found) if name != gone]
    assert order_of(strategy, rest, user) == [name for name in whole if name != gone]


@FEW
@given(NAMES, st.text(max_size=20), st.data())
def test_a_target_that_gains_weight_only_takes_and_one_that_loses_only_gives(
    found: list[str], user: str, data: st.DataObject
) -> None:
    strategy = compile_strategy("sticky", "route")
    changed = data.draw(st.sampled_from(found))
    before = order_of(strategy, [candidate(name) for name in found], user)
    after = order_of(strategy, [candidate(name, weight=1.0 + (name == changed)) for name in found], user)
    assert after.index(changed) <= before.index(changed)
    assert [name for name in after if name != changed] == [name for name in before if name != changed]


def test_a_target_that_comes_takes_no_more_than_its_share() -> None:
    strategy = compile_strategy("sticky", "route")
    candidates, _ = pool((1.0, 1.0, 1.0))
    grown, _ = pool((1.0, 1.0, 1.0, 1.0))
    users = [str(number) for number in range(CALLS)]
    moved = [u for u in users if first_of(strategy, candidates, u) != first_of(strategy, grown, u)]
    assert {first_of(strategy, grown, user) for user in moved} == {"target-3"}
    assert holds({"moved": len(moved), "stayed": CALLS - len(moved)}, {"moved": 1, "stayed": 3})


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(st.data())
def test_each_strategy_gives_all_of_its_candidates_in_some_order(
    kind: StrategyKind, data: st.DataObject
) -> None:
    found = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
    candidates = [
        candidate(
            name,
            weight=data.draw(st.sampled_from([0.0, 1e-9, 1.0, 1e6])),
            cost_nanousd=data.draw(st.none() | st.integers(0, 10**12)),
            **vars(data.draw(HEALTHS)),
        )
        for name in found
    ]
    spec = StrategySpec(kind=kind, explore=data.draw(st.sampled_from([0.0, 0.05, 1.0])))
    draws = st.floats(0, 1, exclude_max=True)
    signals: Any = StandInSignals(stream=data.draw(st.booleans()), user=data.draw(st.text(max_size=5)))
    ordered = compile_strategy(spec, "")(candidates, signals, moment(lambda: data.draw(draws)))
    # By score they come back as copies, with the score written down; their deployments are the same.
    assert sorted(id(one.deployment) for one in ordered) == sorted(id(one.deployment) for one in candidates)


@FEW
@given(st.floats(0, 1), st.floats(0, 20), st.lists(st.booleans(), max_size=300))
def test_the_retry_budget_holds_for_any_sequence(share: float, reserve: float, asks: list[bool]) -> None:
    allowance = Allowance(share, reserve)
    taken = [0]
    since = [0]
    for asks_for_more in asks:
        taken.append(taken[-1])
        since.append(since[-1])
        if asks_for_more:
            taken[-1] += allowance.take()
        else:
            allowance.pay_in()
            since[-1] += 1
    rounding = 1e-9 * len(asks)
    for begin in range(len(taken)):  # whatever stretch is looked at, not only from the start
        for end in range(begin, len(taken), 7):
            bound = (since[end] - since[begin]) * share + reserve
            assert taken[end] - taken[begin] <= bound + rounding


REGIONS = st.sampled_from(["", "eu", "us"])
PLACES = st.lists(st.tuples(REGIONS, st.booleans()), max_size=6)
LABELS = st.sampled_from([frozenset[str](), frozenset({"secret"}), frozenset({"other", "secret"})])


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(PLACES, LABELS, st.sets(REGIONS.filter(bool)), st.data())
def test_no_target_that_may_not_have_the_data_is_ever_a_candidate(
    kind: StrategyKind,
    places: list[tuple[str, bool]],
    labels: frozenset[str],
    allowed: set[str],
    data: st.DataObject,
) -> None:
    """Whatever the strategy, and however bad the targets that may have it are doing."""
    targets = [
        target(
            str(number),
            region=region,
            self_hosted=own,
            priority=data.draw(st.integers(0, 2)),
            weight=data.draw(st.sampled_from([0.0, 1.0, 5.0])),
            health=data.draw(HEALTHS),
            facts=data.draw(st.sampled_from([Facts(), Facts(context_tokens=50)])),
        )
        for number, (region, own) in enumerate(places)
    ]
    policy = StandInSensitivity(secret=tuple(allowed))
    asked = demand(StandInSignals(labels=labels), policy, latency_s=1.0)
    made = choose(targets, compile_strategy(kind, ""), asked, chance(data.draw(st.integers(0, 9))))
    forbidden = {
        f"{number}/m"
        for number, (region, own) in enumerate(places)
        if "secret" in labels and not own and region not in allowed
    }
    assert {left.name for left in made.left_out if left.forbidden} == forbidden
    assert not forbidden & {one.deployment.name for one in made.candidates}
    told = [left.name for left in made.left_out] + [one.deployment.name for one in made.candidates]
    assert sorted(told) == [f"{number}/m" for number in range(len(places))]
    assert all(left.reason for left in made.left_out)

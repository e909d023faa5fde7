"""Who can take a call, who cannot and why, and in which order they are tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from unit.routing.stand_ins import (
    StandInHealth,
    StandInSensitivity,
    StandInSignals,
    demand,
    moment,
    names,
    price,
    target,
)
from unit.stand_ins import call
from unit.stand_ins import demand as real_demand

from gateway.exchange import Facts
from gateway.routing.choice import LATE_ASKED, Choice, LeftOut, choose
from gateway.routing.health.health import Obstacle
from gateway.routing.routes import Strategy, Target
from gateway.routing.strategies import as_written, cheapest

MILLI_USD = 1_000_000


def choice(
    *targets: Target, signals: Any = None, strategy: Strategy = as_written, policy: Any = None, **limits: Any
) -> Choice:
    return choose(targets, strategy, demand(signals, policy, **limits), moment())


def test_plain_targets_are_all_tried_in_the_order_as_written() -> None:
    made = choice(target("b"), target("a"), target("c"))
    assert names(made.candidates) == ["b", "a", "c"]
    assert made.left_out == ()


def test_nothing_costly_is_asked_of_a_call_when_nothing_needs_it() -> None:
    signals = StandInSignals()
    choice(target("a"), target("b"), signals=signals, latency_s=1.0, cost_nanousd=1)
    assert signals.asked == []


@pytest.mark.parametrize("known", [{"facts": Facts(context_tokens=9999)}, {"price": price(1, 2)}])
def test_the_prompt_is_counted_where_a_fact_or_a_price_needs_it(known: dict[str, Any]) -> None:
    signals = StandInSignals()
    choice(target("a", **known), signals=signals)
    assert set(signals.asked) == {"prompt_tokens"}


def test_a_target_without_a_model_takes_the_requested_one() -> None:
    made = choice(target("a", model=None), target("a", model="other"), signals=StandInSignals(model="asked"))
    assert [one.deployment.name for one in made.candidates] == ["a/asked", "a/other"]


def test_a_target_that_is_written_twice_is_tried_twice() -> None:
    twice = target("a")
    assert names(choice(twice, target("b"), twice).candidates) == ["a", "b", "a"]


def test_no_targets_make_an_empty_choice() -> None:
    assert choice() == Choice((), ())


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (
            target("x", when=lambda _signals, _moment: False),
            LeftOut("x/m", "is not meant for such calls: its `when` does not hold"),
        ),
        (target("x", speaks=("embeddings",)), LeftOut("x/m", "takes no chat calls")),
        (target("x"), LeftOut("x/m", "may not have restricted data", forbidden=True)),
        (
            target("x", region="eu", facts=Facts(takes=frozenset())),
            LeftOut("x/m", "does not take tools"),
        ),
        (
            target("x", region="eu", facts=Facts(context_tokens=50)),
            LeftOut("x/m", "context window of 50 tokens, the call has about 100", "context_length"),
        ),
        (
            target("x", region="eu", price=price(100, 100)),
            LeftOut("x/m", "would cost about $0.0164, the limit is $0.001"),
        ),
    ],
)
def test_who_cannot_take_the_call_is_left_out_with_the_reason(left: Target, expected: LeftOut) -> None:
    signals = StandInSignals(labels=frozenset({"restricted"}), features=frozenset({"tools"}))
    policy = StandInSensitivity(restricted=("eu",))
    can = target("can", region="eu")
    made = choice(left, can, signals=signals, policy=policy, cost_nanousd=MILLI_USD)
    assert names(made.candidates) == ["can"]
    assert [replace(one, unless_alone=None) for one in made.left_out] == [expected]


def test_a_target_that_lacks_something_is_asked_where_nobody_else_can_be() -> None:
    lacking = target("lacking", facts=Facts(takes=frozenset()))
    signals = StandInSignals(features=frozenset({"tools"}))
    assert names(choice(lacking, target("other", speaks=("embeddings",)), signals=signals).candidates) == [
        "lacking"
    ]
    resting = target("resting", health=StandInHealth(keeps_away=Obstacle("rests", 7.5)))
    made = choice(lacking, resting, signals=signals)
    assert made.candidates == (), "somebody who has it all is back soon"
    assert made.cause == "overloaded"


def test_an_obstacle_passes_and_says_when() -> None:
    resting = target("x", health=StandInHealth(keeps_away=Obstacle("rests after 5 failures", 7.5)))
    made = choice(resting, target("can"))
    assert names(made.candidates) == ["can"]
    (left,) = made.left_out
    assert (left.name, left.reason, left.retry_after_s) == ("x/m", "rests after 5 failures", 7.5)
    assert left.cause == made.cause == "overloaded"


def test_what_never_changes_is_told_before_what_passes() -> None:
    """Else a client would wait for a target that cannot take its call."""
    obstacle = StandInHealth(keeps_away=Obstacle("rests", 1.0))
    made = choice(target("x", health=obstacle, facts=Facts(context_tokens=50)))
    assert made.cause == "context_length"


def test_a_backend_that_may_not_have_the_data_is_not_even_looked_up() -> None:
    forbidden = target("x")
    looked_up: list[str] = []
    forbidden.site.deployment = looked_up.append
    signals = StandInSignals(labels=frozenset({"restricted"}))
    assert not choice(forbidden, signals=signals, policy=StandInSensitivity(restricted=())).candidates
    assert looked_up == []


def test_a_call_is_translated_where_its_own_format_is_not_spoken() -> None:
    made = choice(target("a", speaks=("messages", "embeddings", "gemini")), target("b"))
    assert [one.wires for one in made.candidates] == [("messages", "gemini"), ("chat",)]


def test_priorities_come_before_the_strategy() -> None:
    made = choice(
        target("dear", priority=0, price=price(9, 9)),
        target("last", priority=2, price=price(1, 1)),
        target("fair", priority=0, price=price(5, 5)),
        target("cheap", priority=1, price=price(2, 2)),
        strategy=cheapest,
    )
    assert names(made.candidates) == ["fair", "dear", "cheap", "last"]


def test_what_a_call_will_cost_is_told_where_there_is_a_price() -> None:
    made = choice(target("a", price=price(1, 5)), target("b"))
    assert [one.cost_nanousd for one in made.candidates] == [100 * 1000 + 64 * 5000, None]


def late_and_timely() -> tuple[Target, ...]:
    return (
        target("late", health=StandInHealth(first_token_s=2.0, latency_s=2.0)),
        target("unknown"),
        target("timely", priority=1, health=StandInHealth(first_token_s=0.1, latency_s=0.1)),
    )


@pytest.mark.parametrize("stream", [False, True])
def test_late_targets_come_behind_those_that_keep_the_limit(stream: bool) -> None:
    made = choice(*late_and_timely(), signals=StandInSignals(stream=stream), latency_s=0.5)
    assert names(made.candidates) == ["unknown", "timely", "late"]
    assert made.left_out == ()


def test_a_first_token_limit_is_none_on_whole_answers() -> None:
    made = choice(*late_and_timely(), signals=StandInSignals(stream=False), first_token_s=0.5)
    assert names(made.candidates) == ["late", "unknown", "timely"]


def test_now_and_then_a_late_target_is_asked_again_or_it_would_stay_late_for_ever() -> None:
    draws: Iterator[float] = itertools.chain([LATE_ASKED - 0.001], itertools.repeat(LATE_ASKED))
    when = moment(lambda: next(draws))
    asked = demand(latency_s=0.5)
    assert names(choose(late_and_timely(), as_written, asked, when).candidates)[0] == "late"
    assert names(choose(late_and_timely(), as_written, asked, when).candidates)[-1] == "late"


def test_a_call_that_is_unchanged_is_not_read_again() -> None:
    of = call()
    asked = real_demand(of)
    assert asked.of(of) is asked
    assert asked.of(call()) is not asked

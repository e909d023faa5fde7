"""What a call has to pass: its limits by what it will use, bounds on its size, and what soft budgets do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from unit.stand_ins import CALLER, call, candidate, entrance, plan_of, record, target

from gateway.admission.entrance import Entrance
from gateway.admission.lease import CallLease
from gateway.errors import BadRequest, BudgetExceeded, Denied, QuotaExceeded
from gateway.exchange import Attempt, Call, Price, Rates, Record, Schedule, Usage
from gateway.quotas.counting import Ask, Meter
from gateway.quotas.periods import Period
from gateway.quotas.rules import Line, Metric, Rule, Scope

USD = 1_000_000_000
PRICE = Price.flat("p1", Rates.plain(1000 * USD, 1000 * USD))
"""A thousand dollars for a million tokens: a tenth of a cent each."""
EACH_NANOUSD = USD // 1000


def line(metric: Metric, limit: int) -> Line:
    return Line(metric, Meter("window", limit, 60_000), f"{limit} {metric} per minute")


def rule(name: str, *lines: Line, **settings: Any) -> Rule:
    return Rule(name, settings.pop("kind", "quota"), lambda _scope: True, ("tenant",), lines, **settings)


def budget(limit_nanousd: int, **settings: Any) -> Rule:
    month = Line("nanousd", Meter("period", limit_nanousd), "$1 per month", Period("month"))
    return rule("money", month, kind="budget", **settings)


def admitted(at: Entrance, asked: Call, price: Price = PRICE) -> tuple[Call, Record]:
    """Let a call in at a priced target; the call that goes on, and its record."""
    seen = record(model="fast")
    priced = candidate(target("one"))
    deployment = msgspec.structs.replace(priced.deployment, price=price)
    plan = plan_of(asked, msgspec.structs.replace(priced, deployment=deployment))
    return asyncio.run(at.admit(plan, seen)), seen


def taken(at: Entrance, *held: Rule) -> list[int]:
    scope = Scope(CALLER.tenant, key=CALLER.key, route="fast", model="fast")

    async def read() -> list[int]:
        await at.desk.close()
        now_ms = at.desk.store.now_ms()
        asks = [Ask(one.counter(now_ms)) for one in at.rules.of(scope) if not held or one.rule in held]
        return [told.taken for told in (await at.desk.store.exchange(asks)).told]

    return asyncio.run(read())


def test_without_limits_nothing_is_taken() -> None:
    asked = call()
    let_in, seen = admitted(entrance(), asked)
    assert (let_in, seen.lease) == (asked, None)


def test_what_is_reserved_is_settled_by_what_was_used() -> None:
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)), budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    requests, tokens, nanousd = taken(at)
    assert (requests, 100 < tokens < 150) == (1, True)
    assert nanousd == tokens * EACH_NANOUSD
    used = Attempt("one", "fast", 0.0, usage=Usage(7, 5), price=PRICE)
    for _ in range(2):  # the second time changes nothing
        seen.lease.settle([used])
        assert taken(at) == [1, 12, 12 * EACH_NANOUSD]


def test_what_no_upstream_can_have_used_is_not_given_back() -> None:
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)), budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    credited = Attempt("one", "fast", 0.0, usage=Usage(1, -500_000), price=PRICE)
    used = Attempt("two", "fast", 0.0, usage=Usage(7, 5), price=PRICE)
    seen.lease.settle([credited, used])
    assert taken(at) == [1, 13, 12 * EACH_NANOUSD]


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e308])
def test_where_the_cost_cannot_be_said_what_was_planned_is_charged(seconds: float) -> None:
    hour = Price.flat("p2", Rates.of({"input": 1000 * USD, "output": 1000 * USD, "audio_hour": USD}))
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)), budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100), hour)
    planned = taken(at)
    assert seen.lease is not None
    told = list[object]()
    seen.lease.settled = told.append
    seen.lease.settle([Attempt("one", "fast", 0.0, usage=Usage(7, 5, audio_s=seconds), price=hour)])
    assert (taken(at), len(told)) == (planned, 1)


def test_nonsense_is_settled_whatever_is_learnt_of_it() -> None:
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)))
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    before = taken(at)
    seen.lease.settle([Attempt("one", "fast", 0.0, usage=Usage(10**400, 10**400), price=PRICE)])
    assert taken(at)[1] > before[1] > 0


def test_what_was_taken_comes_back_whatever_becomes_of_those_who_hear_of_it() -> None:
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)))
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    seen.lease.settled = lambda _: {}["defect"]
    with pytest.raises(KeyError):
        seen.lease.settle([Attempt("one", "fast", 0.0, usage=Usage(7, 5), price=PRICE)])
    assert taken(at) == [1, 12]


def test_what_was_not_used_at_all_comes_back_but_for_the_request() -> None:
    at = entrance(rule("q", line("requests", 9), line("tokens", 10_000)), budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    seen.lease.settle([Attempt("one", "fast", 0.0)])
    assert taken(at) == [1, 0, 0]


def test_each_of_several_answers_is_reserved() -> None:
    at = entrance(rule("q", line("output_tokens", 10_000)))
    admitted(at, call(max_tokens=100, n=3))
    assert taken(at) == [300]


def test_a_dearer_attempt_takes_more_and_is_settled_with_the_rest() -> None:
    at = entrance(budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100))
    lease = seen.lease
    assert lease is not None
    [first] = taken(at)
    assert lease.has_room(PRICE)
    assert not lease.has_room(PRICE)

    async def enlarged() -> bool:
        return await lease.enlarge()

    assert asyncio.run(enlarged())
    assert taken(at) == [2 * first]
    lease.settle([Attempt("one", "fast", 0.0, usage=Usage(1, 1), price=PRICE)] * 2)
    assert taken(at) == [4 * EACH_NANOUSD]


def test_an_attempt_that_the_budget_does_not_cover_is_not_made() -> None:
    at = entrance(budget(USD // 5))
    _, seen = admitted(at, call(max_tokens=100))
    lease = seen.lease
    assert lease is not None
    lease.has_room(PRICE)
    assert not lease.has_room(PRICE)

    async def enlarged() -> bool:
        return await lease.enlarge()

    assert not asyncio.run(enlarged())
    lease.spare(PRICE)
    assert lease.promised <= taken(at)[0]


@pytest.mark.parametrize(
    ("limit", "error", "status"),
    [(rule("q", line("tokens", 99)), QuotaExceeded, 429), (budget(1), BudgetExceeded, 402)],
)
def test_who_is_beyond_a_limit_is_turned_away_and_told_how_it_stands(
    limit: Rule, error: type[Denied], status: int
) -> None:
    with pytest.raises(error) as caught:
        admitted(entrance(limit), call(max_tokens=100))
    assert (caught.value.status, caught.value.limit) == (status, limit.name)


def test_headers_tell_what_is_left() -> None:
    at = entrance(rule("q", line("requests", 10)))
    _, seen = admitted(at, call())
    assert seen.lease is not None
    told = dict(seen.lease.headers())
    assert told[b"x-ratelimit-limit-requests"] == b"10"
    assert told[b"x-ratelimit-remaining-requests"] == b"9"


def output_of(asked: Call) -> Any:
    return json.loads(msgspec.json.encode(asked.members)).get("max_completion_tokens")


def test_output_is_capped_where_a_rule_does_that_and_where_nobody_said() -> None:
    caps = rule("q", most_output_tokens=50, caps_output=True)
    assert output_of(admitted(entrance(caps), call(max_completion_tokens=80))[0]) == 50
    assert output_of(admitted(entrance(caps), call(max_completion_tokens=20))[0]) == 20
    assert output_of(admitted(entrance(caps), call())[0]) == 50
    assert output_of(admitted(entrance(rule("q", most_output_tokens=50)), call())[0]) == 50


def test_more_output_or_a_longer_prompt_than_a_rule_allows_is_refused() -> None:
    with pytest.raises(BadRequest, match="80 tokens of output are asked for, the limit 'q' is 50"):
        admitted(entrance(rule("q", most_output_tokens=50)), call(max_tokens=80))
    with pytest.raises(BadRequest, match=r"the prompt has about .* tokens, the limit 'q' is 3"):
        admitted(entrance(rule("q", most_prompt_tokens=3)), call())


def spent(at: Entrance) -> None:
    """Use more than there is."""
    _, seen = admitted(at, call(max_tokens=100))
    assert seen.lease is not None
    seen.lease.settle([Attempt("one", "fast", 0.0, usage=Usage(1000, 1000), price=PRICE)])
    asyncio.run(at.desk.close())


def test_a_soft_budget_warns_or_takes_another_route() -> None:
    warns = entrance(budget(USD, over="warn"))
    spent(warns)
    let_in, seen = admitted(warns, call())
    assert seen.lease is not None
    assert (b"x-forebay-over-budget", b"money") in seen.lease.headers()
    assert let_in.envelope.model == "fast"

    saves = entrance(budget(USD, over="downgrade", downgrade="small"))
    spent(saves)
    other, seen = admitted(saves, call())
    assert (other.envelope.model, other.caller.routes, seen.lease) == ("small", (), None)
    let_in, seen = admitted(saves, other)  # as it is planned anew
    assert seen.lease is not None
    assert let_in is other
    assert (b"x-forebay-downgraded", b"small") in seen.lease.headers()


def test_a_call_is_sent_another_way_once_and_never_without_its_limits() -> None:
    to_small = budget(USD, over="downgrade", downgrade="small")
    to_tiny = rule("other", *to_small.lines, kind="budget", over="downgrade", downgrade="tiny")
    at = entrance(to_small, to_tiny)
    spent(at)
    small = call(model="small", max_tokens=9)
    let_in, seen = admitted(at, small)  # was asked for as fast
    assert let_in is small
    assert seen.lease is not None
    assert seen.lease.headers().count((b"x-forebay-downgraded", b"small")) == 1


def test_a_budget_that_only_measures_changes_nothing() -> None:
    measures = entrance(budget(USD, over="downgrade", downgrade="small", shadow=True))
    spent(measures)
    let_in, seen = admitted(measures, call())
    assert seen.lease is not None
    assert (let_in.envelope.model, seen.lease.headers()) == ("fast", [])


def test_a_target_without_a_price_does_not_hide_what_a_later_one_costs() -> None:
    at = entrance(budget(USD // 5))
    seen = record(model="fast")
    asyncio.run(at.admit(plan_of(call(max_tokens=100), target("one")), seen))
    lease = seen.lease
    assert lease is not None
    assert lease.has_room(None)
    assert not lease.has_room(PRICE)

    async def enlarged() -> bool:
        return await lease.enlarge()

    assert asyncio.run(enlarged())
    lease.settle([Attempt("two", "fast", 0.0, usage=Usage(40, 60), price=PRICE)])
    assert taken(at) == [100 * EACH_NANOUSD]


IN_CLASSES = Price(
    "p1",
    PRICE.standard,
    {
        "priority": Schedule(Rates.plain(2000 * USD, 2000 * USD)),
        "fast": Schedule(Rates.plain(6000 * USD, 6000 * USD)),
        "flex": Schedule(Rates.plain(500 * USD, 500 * USD)),
    },
)


@pytest.mark.parametrize(
    ("members", "times"),
    [
        ({}, 1),
        ({"service_tier": "default"}, 1),
        ({"service_tier": "scale"}, 1),
        ({"service_tier": "priority"}, 2),
        ({"service_tier": "flex"}, 0.5),
        ({"service_tier": "auto"}, 6),
    ],
)
def test_what_is_reserved_is_what_the_class_costs_that_is_asked_for(
    members: dict[str, Any], times: float
) -> None:
    at = entrance(budget(100 * USD))
    _, seen = admitted(at, call(max_tokens=100, **members), IN_CLASSES)
    lease = seen.lease
    assert isinstance(lease, CallLease)
    planned = lease.planned
    assert planned.nanousd == taken(at)[0] == planned.tokens * EACH_NANOUSD * times
    # Also what an attempt costs that comes later, and one of which nobody can say what it used.
    assert lease.has_room(IN_CLASSES)
    assert not lease.has_room(IN_CLASSES)
    lease.settle([Attempt("one", "fast", 0.0, transcript=str, price=IN_CLASSES)])
    assert taken(at) == [planned.nanousd]

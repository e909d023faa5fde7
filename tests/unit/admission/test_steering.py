"""What operators do with limits at run time, and what they are not let do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from unit.admission.rules import ACME, CALLERS, MONTH_ENDS_MS, NOW_MS, RULES, USD, Store

from gateway.admission.standing import Standing
from gateway.admission.steering import Order, Reset, Revise, Show, operations, perform
from gateway.quotas.rules import Scope

BETA = Scope("beta")
ALL = tuple(Scope(name, tags=caller.tags) for name, caller in CALLERS.items())
ANN = msgspec.structs.replace(ACME, user="ann")


@pytest.fixture
def store() -> Store:
    return Store()


def do(order: Order, store: Store) -> list[Standing]:
    return asyncio.run(perform(order, RULES, store))


def spent(store: Store, *scopes: Scope) -> list[int]:
    return [one.taken for one in do(Show(scopes or ALL), store) if one.rule == "paid"]


def test_scopes_that_share_a_counter_show_it_once(store: Store) -> None:
    shown = do(Show(ALL), store)
    assert [(one.rule, *one.per.values()) for one in shown] == [
        ("paid", "acme"),
        ("shared",),
        ("paid", "beta"),
    ]


def test_reset_forgets_what_was_taken_and_says_how_much_that_was(store: Store) -> None:
    asyncio.run(store.take(ANN, "free", 7))
    before = do(Reset("free", (ANN,)), store)
    assert [(one.metric, one.taken) for one in before] == [("requests", 7), ("tokens", 7)]
    assert [one.taken for one in do(Show((ANN,)), store) if one.rule == "free"] == [0, 0]


def test_reset_of_one_tenant_leaves_the_others_alone(store: Store) -> None:
    for scope in (ACME, BETA):
        asyncio.run(store.take(scope, "paid", 5 * USD))
    do(Reset("paid", (ACME,)), store)
    assert spent(store) == [0, 5 * USD]


def test_reset_of_all_has_to_be_said(store: Store) -> None:
    for scope in (ACME, BETA):
        asyncio.run(store.take(scope, "paid", 5 * USD))
    with pytest.raises(ValueError, match="paid counts each tenant apart: say which with --tenant"):
        do(Reset("paid", ALL), store)
    assert spent(store) == [5 * USD, 5 * USD]
    do(Reset("paid", ALL, all=True), store)
    assert spent(store) == [0, 0]


def test_a_counter_that_all_share_is_reset_without_naming_anybody(store: Store) -> None:
    assert [one.rule for one in do(Reset("shared", ALL), store)] == ["shared"]


def test_a_budget_that_is_set_holds_until_its_period_ends(store: Store) -> None:
    [now] = do(Revise("paid", (ACME,), 700 * USD), store)
    assert (now.limit, now.revised) == (700 * USD, True)
    store.at_ms = MONTH_ENDS_MS - 1
    assert do(Show((ACME, BETA)), store)[0].limit == 700 * USD
    assert [one.limit for one in do(Show((BETA,)), store) if one.rule == "paid"] == [500 * USD]
    store.at_ms = MONTH_ENDS_MS
    assert do(Show((ACME,)), store)[0].limit == 500 * USD


def test_a_budget_that_is_set_for_a_while_is_the_written_one_after_it(store: Store) -> None:
    do(Revise("paid", (ACME,), 700 * USD, until_ms=NOW_MS + 1000), store)
    store.at_ms += 1000
    assert do(Show((ACME,)), store)[0].limit == 500 * USD


def test_a_budget_can_be_the_written_one_again(store: Store) -> None:
    do(Revise("paid", (ACME,), 700 * USD), store)
    [now] = do(Revise("paid", (ACME,), None), store)
    assert (now.limit, now.revised) == (500 * USD, False)


def test_a_rolling_budget_is_set_for_its_length(store: Store) -> None:
    [now] = do(Revise("shared", ALL, 12 * USD), store)
    assert now.limit == 12 * USD
    store.at_ms += 3_600_000
    assert do(Show((ACME,)), store)[1].limit == 10 * USD


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Reset("fre", (ANN,)), 'no rule is called "fre"; did you mean "free"\\?'),
        (Reset("zzz", (ANN,)), 'no rule is called "zzz"; known: free, paid'),
        (Reset("free", (ACME,)), "free counts each user apart: say which with --user"),
        (Reset("free", (BETA,)), "free does not hold for beta; if it is for some keys"),
        (Reset("provider", (ACME,)), "provider does not hold for acme; if it is for some keys, routes"),
        (Reset("short", (ACME,)), "short counts nothing"),
        (Revise("free", (ANN,), 5), "free is no budget: change policies/quotas.yaml"),
        (Revise("paid", ALL, 5), "paid counts each tenant apart"),
        (Revise("paid", (ACME,), 5, until_ms=NOW_MS), "that time is over"),
        (Revise("paid", (ACME,), 5, until_ms=MONTH_ENDS_MS + 1), "its period ends before that"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(store: Store, order: Order, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        do(order, store)


def test_orders_come_as_json_and_the_rules_are_those_of_that_moment(store: Store) -> None:
    asked = []

    def rules() -> object:
        asked.append(1)
        return RULES

    perform_json = operations(rules, store)["limits"]
    order = msgspec.Raw(msgspec.json.encode(Revise("paid", (ACME,), 700 * USD)))
    [now] = asyncio.run(perform_json(order))
    assert (now.limit, asked) == (700 * USD, [1])
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'drop'"):
        asyncio.run(perform_json(msgspec.Raw(b'{"do": "drop"}')))

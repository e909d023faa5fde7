"""Which calls a promise is about, and whether they kept it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    Bug,
    ClientGone,
    ContextTooLong,
    Failed,
    Filtered,
    GatewayError,
    NoTarget,
    QuotaExceeded,
    RateLimited,
    Refused,
    Rejected,
    ShuttingDown,
    StoreDown,
    TimedOut,
    UnknownModel,
    UnknownRoute,
)
from gateway.exchange import Attempt, Record, Usage
from gateway.exchange.price import Price, Rates
from gateway.slo.objectives import ALERTS, Kind, Objective, span_text

CENT = Price.flat("v", Rates.plain(10**13, 0))
"""A token of input costs a cent."""


def promise(kind: Kind = "availability", **fields: Any) -> Objective:
    return Objective("promised", kind, 0.99, **fields)


def record(**fields: Any) -> Record:
    """A stream that went well: asked at 100 s, whole at 101 s, begun at 103 s, to end at 110 s."""
    well = {"status": 200, "ending": "finished", "stream": True, "received_s": 101.0, "first_byte_s": 103.0}
    return Record("call_1", "chat", 100.0, **(well | fields))


def unanswered(error: GatewayError, ending: Any) -> Record:
    return record(error=error, ending=ending, status=error.status, first_byte_s=None)


def tried(input_tokens: int, price: Price | None = CENT, cause: str = "") -> Attempt:
    return Attempt("b", "m", 100.0, cause=cause, usage=Usage(input_tokens, 1), price=price)


def judged(objective: Objective, call: Record) -> bool | None:
    return objective.judge(call, 110.0)


@pytest.mark.parametrize(
    "error",
    [NoTarget("n"), StoreDown("s"), Failed("f"), TimedOut("t"), RateLimited("r"), ShuttingDown("s")],
    ids=lambda error: type(error).__name__,
)
def test_who_got_no_answer_for_no_fault_of_its_own_was_failed(error: GatewayError) -> None:
    assert judged(promise(), unanswered(error, "failed")) is False


@pytest.mark.parametrize("error", [Refused("r"), UnknownModel("u")], ids=["credential", "model"])
def test_rejections_of_our_credential_or_our_routing_are_ours(error: GatewayError) -> None:
    assert judged(promise(), unanswered(error, "failed")) is False


def test_a_defect_and_a_broken_stream_are_bad() -> None:
    assert judged(promise(), unanswered(Bug("b"), "bug")) is False
    assert judged(promise(), record(ending="broken", error=Failed("cut"))) is False


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (BadRequest("b"), "refused"),
        (UnknownRoute("u"), "refused"),
        (QuotaExceeded("q"), "refused"),
        (BudgetExceeded("b"), "refused"),
        (Rejected("r"), "failed"),
        (ContextTooLong("c"), "failed"),
        (Filtered("f"), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_clients_did_themselves_does_not_count(error: GatewayError, ending: Any) -> None:
    assert judged(promise(), unanswered(error, ending)) is None


def test_a_client_that_leaves_was_served_once_its_answer_had_begun() -> None:
    gone = {"ending": "client_gone", "error": ClientGone("gone")}
    assert judged(promise(), record(**gone)) is True
    assert judged(promise(), record(**gone, first_byte_s=None)) is None


def test_a_stream_has_to_begin_in_time_after_the_whole_request() -> None:
    assert judged(promise("first_token", within_s=2.0), record()) is True
    assert judged(promise("first_token", within_s=1.9), record()) is False
    assert judged(promise("first_token", within_s=2.5), record(received_s=None)) is False
    assert judged(promise("first_token", within_s=1.9), record(stream=False)) is None
    assert judged(promise("first_token", within_s=1.9), unanswered(Failed("f"), "failed")) is None


def test_an_answer_has_to_be_over_in_time() -> None:
    assert judged(promise("duration", within_s=9.0), record()) is True
    assert judged(promise("duration", within_s=8.9), record(stream=False)) is False
    assert judged(promise("duration", within_s=8.9), record(ending="broken")) is None


@pytest.mark.parametrize("kind", ["first_token", "duration"])
def test_whoever_leaves_after_waiting_longer_than_promised_was_not_served_in_time(kind: Kind) -> None:
    gone = record(ending="client_gone", error=ClientGone("gone"), first_byte_s=None)
    assert judged(promise(kind, within_s=8.9), gone) is False
    assert judged(promise(kind, within_s=9.0), gone) is None


def test_a_call_costs_what_all_of_its_attempts_cost() -> None:
    both = record(attempts=[tried(2, cause="upstream_failed"), tried(3)])
    assert judged(promise("cost", at_most_nanousd=50_000_000), both) is True
    assert judged(promise("cost", at_most_nanousd=49_999_999), both) is False


def test_a_cost_that_is_not_known_does_not_count() -> None:
    cost = promise("cost", at_most_nanousd=1)
    assert judged(cost, record(attempts=[tried(2, None)])) is None
    assert judged(cost, record(attempts=[Attempt("b", "m", 1.0)])) is None
    assert judged(cost, record(attempts=[tried(2)], ending="client_gone")) is None


def test_the_gateways_own_calls_do_not_count() -> None:
    assert judged(promise(), record(purpose="shadow")) is None


def test_routes_are_globs_and_what_had_none_is_of_none() -> None:
    some = promise(routes=("gpt-*", "local"))
    assert [name for name in ("gpt-5", "local", "locally", "") if some.covers(name, "default")] == [
        *("gpt-5", "local")
    ]
    assert not promise(routes=("*",)).covers("", "default")
    assert promise().covers("", "default")


def test_classes_are_names() -> None:
    assert promise(classes=("free",)).covers("fast", "free")
    assert not promise(classes=("free",)).covers("fast", "default")


def test_the_usual_alerts_use_up_these_shares_of_a_months_budget() -> None:
    shares = [round(one.burn * one.long_s / (30 * 86_400), 6) for one in ALERTS]
    assert shares == [0.02, 0.05, 0.1, 0.1]
    assert [f"{span_text(one.long_s)} {span_text(one.short_s)} {one.severity}" for one in ALERTS] == [
        *("1h 5m page", "6h 30m page", "1d 2h ticket", "3d 6h ticket")
    ]

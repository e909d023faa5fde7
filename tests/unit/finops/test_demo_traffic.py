"""The demo's calls: the same by the same seed, and as plausible as they claim to be."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.exchange import Price, Rates
from gateway.finops.demo.books import PRICED, Prices, budgets, changes_ms, entries
from gateway.finops.demo.traffic import DAY_MS, HOUR_MS, Plan
from gateway.finops.demo.world import DEARER, SPIKE, TENANTS
from gateway.ledger.entries import Entry

UNTIL = 1_795_260_000_000
RATES = Rates.plain(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_000)


def price_of(backend: str, provider: str, model: str) -> Price | None:
    assert provider
    return Price.flat("public:x@1", RATES)


def made(days: int = 30, calls: int = 400, seed: int = 1, until: int = UNTIL) -> list[Entry]:
    plan = Plan(days, calls, seed, until)
    return list(entries(plan, Prices(price_of, changes_ms(plan))))


ROWS = made()


def test_the_same_seed_gives_the_same_calls_and_another_one_others() -> None:
    assert made(5, 50) == made(5, 50)
    assert made(5, 50) != made(5, 50, seed=2)


@pytest.mark.parametrize("days", [1, 3, 30])
@pytest.mark.parametrize("until", [UNTIL, UNTIL - UNTIL % DAY_MS + 1])
def test_all_of_it_lies_within_its_days(days: int, until: int) -> None:
    rows = made(days, 60, until=until)
    assert all(until - days * DAY_MS <= row.time < until for row in rows)
    assert sum(row.calls for row in rows) == pytest.approx(days * 60, rel=0.1)


def test_every_row_is_marked_as_demo_whoever_looks_at_it() -> None:
    assert {row.source for row in ROWS} == {"demo"}
    assert all(row.tenant.startswith("demo-") and row.key.startswith("demo-") for row in ROWS)
    assert all(row.price.startswith(PRICED) for row in ROWS if row.price)


def test_costs_are_exact_and_their_kinds_add_up() -> None:
    for row in ROWS:
        kinds = [getattr(row, name) for name in Entry.__struct_fields__ if name.startswith("cost_")]
        assert sum(kinds) == row.cost >= 0
        assert row.cached_tokens + row.cache_write_tokens <= row.input_tokens
        assert row.reasoning_tokens <= row.output_tokens
        if row.price and row.model not in {DEARER.name, "llama-3.3-70b"}:
            assert row.cost_output == (row.output_tokens - row.reasoning_tokens) * RATES.output


def test_each_call_is_told_once_and_each_attempt_has_its_number() -> None:
    calls = Counter[str]()
    attempts: dict[str, list[int]] = {}
    for row in ROWS:
        calls[row.call] += row.calls
        attempts.setdefault(row.call, []).append(row.attempt)
    assert set(calls.values()) == {0, 1}
    assert all(row.purpose == "shadow" for row in ROWS if not calls[row.call])
    assert all(sorted(numbers) in ([0], list(range(1, len(numbers) + 1))) for numbers in attempts.values())


def test_there_is_something_of_everything_to_look_at() -> None:
    assert {row.waste for row in ROWS} == {"", "failed", "cancelled", "hedged", "shadow"}
    assert {row.ending for row in ROWS} >= {"finished", "client_gone", "broken", "failed", "refused"}
    assert {row.confidence for row in ROWS} == {"", "reported", "counted", "estimated"}
    assert {row.why for row in ROWS} >= {"first", "next", "hedge"}
    assert len({row.model for row in ROWS if row.model}) >= 10
    assert any(row.cached_tokens for row in ROWS)
    assert any(row.input_tokens and not row.price for row in ROWS)
    assert len({row.price for row in ROWS if row.price and row.model == DEARER.name}) == 2


def test_nights_and_weekends_are_quiet() -> None:
    helpdesk = [row for row in ROWS if row.team == "helpdesk"]
    hours = Counter((row.time // HOUR_MS + 1) % 24 for row in helpdesk)
    assert sum(hours[hour] for hour in range(9, 18)) > 5 * sum(hours[hour] for hour in range(6))
    days = Counter((row.time // DAY_MS + 3) % 7 for row in helpdesk)
    assert max(days[5], days[6]) < min(days[day] for day in range(4))


def test_one_tenant_has_a_spike() -> None:
    spent = Counter[int]()
    for row in ROWS:
        if row.tenant == SPIKE[0]:
            spent[row.time // DAY_MS] += row.cost
    (_, most), (_, next_most) = spent.most_common(2)
    assert most > 2 * next_most


def test_budgets_are_nearly_used() -> None:
    spent = {tenant.name: 1000 * 10**15 for tenant in TENANTS}
    assert all(1000 < usd < 2500 for usd in budgets(spent).values())
    assert budgets({"demo-labs": 1}) == {"demo-labs": 1}

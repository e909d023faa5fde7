"""Statements and exports over the real engine: they add up to the ledger, to the femto-dollar."""

from __future__ import annotations

import argparse
import csv
import io
import random
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import pytest
from contract.seeded_usage import opened_ledger, usd
from rig.entries import an_entry

from gateway.commands.usage import focus, statement
from gateway.commands.usage.books import Books
from gateway.exchange import Caller
from gateway.finops.focus import COLUMNS, Export
from gateway.finops.statement.asking import Statements
from gateway.finops.statement.composing import total_of
from gateway.finops.statement.months import Month, month_of
from gateway.finops.statement.sheet import as_csv
from gateway.ledger.entries import MEASURES, Entry, reversal_of
from gateway.protocols import UsageStore

MONTH = month_of("2026-11")
NOW = MONTH.until_s + 86_400
FAR = "Asia/Kolkata"
"""Its months begin at half past an hour of UTC."""
TENANTS = {"acme": Caller("acme", ""), "far": Caller("far", "", timezone=FAR)}
KINDS = ("input", "cached", "cache_write", "output", "reasoning", "other")
DAY_MS = 86_400_000


class Row(NamedTuple):
    """An entry, and when it was booked: Unix ms."""

    entry: Entry
    booked: int


def calls() -> Iterator[Entry]:
    chance = random.Random(11)
    for number in range(900):
        rates = [chance.randrange(1, 10**10) for _ in KINDS]
        price = chance.choice(["v1", "v2", ""])
        used = {kind: chance.randrange(3000) for kind in KINDS}
        used["other"] = chance.randrange(3)
        costs = {
            f"cost_{kind}": used[kind] * rate if price else 0 for kind, rate in zip(KINDS, rates, strict=True)
        }
        # From before the month until after it, many close to its edges in one zone or the other.
        near = chance.choice([MONTH.since_s, MONTH.until_s, MONTH.since_s + chance.randrange(30 * 86_400)])
        yield an_entry(
            time=near * 1000 + chance.randrange(-24 * 3_600_000, 24 * 3_600_000),
            call=f"call_{number}",
            tenant=chance.choice(["acme", "far", "third"]),
            team=chance.choice(["search", "=cmd()", "<b>"]),
            key=chance.choice(["k1", "k2"]),
            route="fast",
            backend=chance.choice(["openai", "own"]),
            model=chance.choice(["gpt-5", "gpt-4o"]),
            price=price,
            waste=chance.choice(["", "", "failed", "hedged"]),
            confidence=chance.choice(["reported", "reported", "counted", "estimated"]),
            input_tokens=used["input"] + used["cached"] + used["cache_write"],
            cached_tokens=used["cached"],
            cache_write_tokens=used["cache_write"],
            output_tokens=used["output"] + used["reasoning"],
            reasoning_tokens=used["reasoning"],
            searches=used["other"],
            **costs,
            cost=sum(costs.values()),
        )


def corrected(entries: Iterable[Entry]) -> Iterator[Row]:
    """Some are booked back, and anew at half the price: soon, near an edge of the month, or after it."""
    chance = random.Random(12)
    edges = [edge * 1000 for edge in (MONTH.since_s, MONTH.until_s)]
    for entry in entries:
        near = chance.choice([entry.time, *edges, edges[0] + 9 * DAY_MS, edges[1] + 3 * DAY_MS])
        booked = max(near + chance.randrange(-DAY_MS, DAY_MS), entry.time + 1000)
        yield from rebooked(entry, booked)


def rebooked(entry: Entry, booked: int) -> Iterator[Row]:
    yield Row(reversal_of(entry), booked)
    halves = {name: getattr(entry, name) // 2 for name in MEASURES if name.startswith("cost_")}
    cost = sum(halves.values())
    yield Row(
        msgspec.structs.replace(entry, entry="rebooking", revision=1, price="v3", cost=cost, **halves), booked
    )


CHARGES = list(calls())
ROWS = [*(Row(one, one.time + 2000) for one in CHARGES), *corrected(CHARGES[::3])]


def book(store: UsageStore, rows: Iterable[Row], token: str) -> None:
    values = [(*msgspec.structs.astuple(row.entry), row.booked) for row in rows]
    store.insert("ledger", (*Entry.__struct_fields__, "booked"), values, token)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsageStore]:
    with opened_ledger(tmp_path_factory.mktemp("ledger")) as store:
        book(store, ROWS, "seed")
        yield store


class Expected:
    """What plain Python says of a span: the charges of its calls, and the corrections booked in it."""

    def __init__(self, since_s: int, until_s: int, *tenants: str) -> None:
        def is_in(ms: int) -> bool:
            return since_s * 1000 <= ms < until_s * 1000

        mine = [row for row in ROWS if not tenants or row.entry.tenant in tenants]
        corrections = [row.entry for row in mine if row.entry.entry != "charge" and is_in(row.booked)]
        self.charges = [row.entry for row in mine if row.entry.entry == "charge" and is_in(row.entry.time)]
        self.of_month = [one for one in corrections if is_in(one.time)]
        self.earlier = [one for one in corrections if not is_in(one.time)]
        self.all = [*self.charges, *corrections]


def cost(entries: Iterable[Entry], name: str = "cost") -> int:
    return sum(getattr(one, name) for one in entries)


def books(store: UsageStore, raw_days: int | None = 100) -> Books:
    config: Any = SimpleNamespace(
        tenants=SimpleNamespace(tenants=TENANTS), retention=SimpleNamespace(days={"ledger": raw_days})
    )
    return Books(store, config, NOW)


@pytest.mark.parametrize("tenant", ["acme", "far", "third"])
def test_a_statement_adds_up_to_the_ledger_in_the_tenants_own_month(store: UsageStore, tenant: str) -> None:
    desk = Statements(store, TENANTS)
    month = desk.month(tenant, "2026-11", NOW)
    assert (month.since_s % 3600 == 1800) == (tenant == "far")
    found = desk.of(tenant, month, NOW)
    rows = Expected(month.since_s, month.until_s, tenant)
    assert min(map(len, (rows.charges, rows.of_month, rows.earlier))) >= 8
    assert found.total == cost(rows.all)
    by_part = {part: total_of(lines) for part, lines in found.parts}
    assert by_part["usage"] == cost(one for one in rows.charges if not one.waste)
    assert by_part["waste"] == cost(one for one in rows.charges if one.waste)
    assert by_part["correction"] == cost(rows.of_month) < 0
    assert by_part["credit"] == cost(rows.earlier) < 0
    assert sum(team.cost for team in found.teams) == found.total
    assert sum(line.calls for line in (*found.lines, *found.waste)) == cost(rows.charges, "calls")
    shares = {share.confidence: share.cost for share in found.shares}
    for confidence, share in shares.items():
        assert share == cost(one for one in rows.all if one.confidence == confidence)
    assert sum(shares.values()) == found.total
    versions = {price.version: price.cost for price in found.prices}
    assert versions == {name: cost(one for one in rows.all if one.price == name) for name in versions}
    for _, lines in found.parts:
        for line in lines:
            assert sum(line.costs.values()) == line.cost
    assert found.unpriced_attempts == cost((one for one in rows.all if not one.price), "attempts")


def test_what_is_booked_after_a_month_does_not_change_its_statement(store: UsageStore) -> None:
    desk = Statements(store, TENANTS)
    august, september = month_of("2026-08"), month_of("2026-09")
    price = {"price": "v1", "input_tokens": 8, "cost_input": 8 * 10**12, "cost": 8 * 10**12}
    call = an_entry(tenant="late", time=august.since_s * 1000 + 9 * DAY_MS, **price)
    book(store, [Row(call, call.time)], "late-1")
    before = desk.of("late", august, NOW)
    sheet = as_csv(before)
    assert (before.total, desk.of("late", september, NOW).total) == (8 * 10**12, 0)
    book(store, rebooked(call, september.until_s * 1000 - 1), "late-2")
    assert as_csv(desk.of("late", august, NOW)) == sheet
    after = desk.of("late", september, NOW)
    assert (after.total, total_of(after.credits), after.lines) == (-4 * 10**12, -4 * 10**12, ())
    assert "credit" in as_csv(after)
    exported = [focus_of(store, one) for one in (august, september)]
    assert [[(row["ChargeClass"], Decimal(row["BilledCost"])) for row in rows] for rows in exported] == [
        [("", Decimal("0.008"))],
        [("Correction", Decimal("-0.008")), ("Correction", Decimal("0.004"))],
    ]
    assert {row["ChargePeriodStart"] for rows in exported for row in rows} == {"2026-08-10T00:00:00Z"}
    assert exported[1][0]["BillingPeriodStart"] == "2026-09-01T00:00:00Z"


def test_the_csv_of_a_statement_adds_up_and_holds_no_formula(store: UsageStore, tmp_path: Path) -> None:
    out = tmp_path / "statement.csv"
    args = argparse.Namespace(tenant="acme", month="2026-11", format="csv", out=out)
    assert statement.run(args, books(store)) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    *lines, total = rows
    assert total["part"] == "total"
    exact = usd(cost(Expected(MONTH.since_s, MONTH.until_s, "acme").all))
    assert Decimal(total["cost_usd"]) == exact == sum(Decimal(line["cost_usd"]) for line in lines)
    for line in rows:
        assert Decimal(line["cost_usd"]) == sum(
            Decimal(line[name]) for name in line if name.endswith("_usd") and not name.startswith("cost_")
        )
    assert {line["team"] for line in lines} == {"search", "'=cmd()", "<b>"}
    assert {line["part"] for line in lines} == {"usage", "waste", "correction", "credit"}


def test_the_page_of_a_statement_is_whole_and_asks_nobody(store: UsageStore, tmp_path: Path) -> None:
    out = tmp_path / "statement.html"
    args = argparse.Namespace(tenant="acme", month="2026-11", format="html", out=out)
    assert statement.run(args, books(store)) == 0
    text = out.read_text()
    whole, _, rest = f"{usd(cost(Expected(MONTH.since_s, MONTH.until_s, 'acme').all)):f}".partition(".")
    assert f"Total US$ {int(whole):,}.{rest.rstrip('0')}" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert not re.search(r"(?:src|href|url\()", text)
    assert "@page { size: A4 landscape" in text
    assert "the provider did not report" in text
    assert "without a known price" in text
    assert "booked back, and booked anew" in text
    assert "Corrections of earlier months" in text


def test_of_a_month_without_calls_there_is_a_statement_too(store: UsageStore, tmp_path: Path) -> None:
    out = tmp_path / "statement.html"
    args = argparse.Namespace(tenant="nobody", month="2026-11", format="html", out=out)
    assert statement.run(args, books(store)) == 0
    assert "Nothing was used." in out.read_text()


def test_of_a_month_whose_rows_are_forgotten_it_is_said_what_is_left(
    store: UsageStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "statement.html"
    args = argparse.Namespace(tenant="acme", month="2026-11", format="html", out=out)
    for raw_days, told in ((30, True), (31, False), (None, False)):
        assert statement.run(args, books(store, raw_days)) == 0
        assert ("not kept any more" in out.read_text()) == told
        assert ("not kept any more" in capsys.readouterr().err) == told
    plain = {
        "month": "2026-11",
        "tenant": [],
        "account": "acct",
        "with_demo": False,
        "out": tmp_path / "focus.csv",
    }
    assert focus.run(argparse.Namespace(**plain), books(store, 30)) == 0
    assert "not kept any more" in capsys.readouterr().err
    # What began at half an hour cannot be told from sums of hours.
    desk = Statements(store, TENANTS, 30)
    assert desk.month("acme", "2026-11", NOW).name == "2026-11"
    with pytest.raises(ValueError, match="Asia/Kolkata"):
        desk.month("far", "2026-11", NOW)


def focus_of(store: UsageStore, month: Month) -> list[dict[str, str]]:
    return list(focus.focus_rows(store, Export(month, "acct"), ("late",), demo=False))


def focused(store: UsageStore, tmp_path: Path, **given: Any) -> list[dict[str, str]]:
    out = tmp_path / "focus.csv"
    plain = {"month": "2026-11", "tenant": [], "account": "acct", "with_demo": False, "out": out}
    assert focus.run(argparse.Namespace(**(plain | given)), books(store)) == 0
    return list(csv.DictReader(io.StringIO(out.read_text())))


def test_the_focus_export_adds_up_to_the_ledger(store: UsageStore, tmp_path: Path) -> None:
    rows = focused(store, tmp_path)
    expected = Expected(MONTH.since_s, MONTH.until_s)
    assert billed(rows) == usd(cost(expected.all))
    for tenant in ("acme", "far", "third"):
        mine = Expected(MONTH.since_s, MONTH.until_s, tenant)
        assert billed(row for row in rows if row["SubAccountId"] == tenant) == usd(cost(mine.all))
    for kind in KINDS:
        of_kind = [row for row in rows if row["SkuId"].endswith(f"/{kind}")]
        assert billed(of_kind) == usd(cost(expected.all, f"cost_{kind}"))
    for kind in ("cached", "reasoning", "cache_write"):
        of_kind = [row for row in rows if row["SkuId"].endswith(f"/{kind}")]
        used = sum(int(row["ConsumedQuantity"]) for row in of_kind)
        assert used == cost(expected.all, f"{kind}_tokens")
    wasted = cost(one for one in expected.all if one.waste)
    assert sum(Decimal(row["x_WastedCost"]) for row in rows) == usd(wasted)


def test_a_correction_is_a_part_of_the_charge_until_its_period_is_invoiced(
    store: UsageStore, tmp_path: Path
) -> None:
    rows = focused(store, tmp_path)
    expected = Expected(MONTH.since_s, MONTH.until_s)
    plain = [row for row in rows if not row["ChargeClass"]]
    late = [row for row in rows if row["ChargeClass"] == "Correction"]
    assert billed(plain) == usd(cost([*expected.charges, *expected.of_month]))
    assert billed(late) == usd(cost(expected.earlier)) != 0
    assert {row["ChargePeriodStart"][:10] for row in late} == {"2026-10-31"}
    assert {row["ChargePeriodStart"][:7] for row in plain} == {"2026-11"}
    assert len(plain) + len(late) == len(rows)


def billed(rows: Iterable[dict[str, str]]) -> Decimal:
    return sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))


def test_the_focus_export_keeps_to_the_specification(store: UsageStore, tmp_path: Path) -> None:
    rows = focused(store, tmp_path, tenant=["acme"])
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        assert not [name for name in NOT_NULL if not row[name]]
        assert row["ChargeCategory"] == "Usage"
        assert row["ChargeClass"] in {"", "Correction"}
        assert row["ServiceCategory"] == "AI and Machine Learning"
        assert row["PricingCategory"] == "Standard"
        for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", row[name])
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
        assert row["SubAccountId"] == "acme"
        cost = Decimal(row["BilledCost"])
        assert Decimal(row["ListCost"]) == Decimal(row["ContractedCost"]) == cost
        if row["ChargeClass"] == "":
            assert Decimal(row["ConsumedQuantity"]) > 0
            product = Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
            assert abs(product - cost) < Decimal("1e-20")


NOT_NULL = (
    *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"),
    *("ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost"),
    *("InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName"),
    *("ServiceCategory", "ServiceName", "SubAccountId", "Tags"),
)
"""Mandatory columns that must not be null in rows of usage, and those that we promise."""

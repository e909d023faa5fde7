"""Where a bill and the ledger differ, and why: each reason by an example."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from unit.finops.reconciling import bills
from unit.finops.reconciling.bills import booked

from gateway.finops.reconciling.comparing import Booked, Cell, Comparison, booked_of, compare, window_of
from gateway.finops.reconciling.invoices import Invoice, read_invoice
from gateway.finops.reconciling.reasons import explain

FIRST = date(2026, 11, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(10)]
SPAN = (DAYS[0], DAYS[-1])


def bill(rows: Iterable[Sequence[Any]], titles: str = "date,model,usd,kind,tokens") -> Invoice:
    lines = [titles, *(",".join(map(str, row)) for row in rows)]
    return read_invoice(lines, {name: name for name in titles.split(",")})


def told(invoice: Invoice, ledger: Sequence[Booked], tolerance: str = "0.01") -> Comparison:
    comparison = compare(invoice, ledger, SPAN)
    explain(comparison, Decimal(tolerance), Decimal("0.01"))
    return comparison


def only(comparison: Comparison) -> Cell:
    assert len(comparison.models) == 1
    return comparison.models[0]


def test_where_they_agree_nothing_is_said() -> None:
    ledger = [booked(day, usd={"input": 3, "output": 2}) for day in DAYS]
    comparison = told(bill((day, "gpt-4o-2024-08-06", 5, "", "") for day in DAYS), ledger)
    assert comparison.total.difference == 0
    assert not any(cell.why for cell in (comparison.total, *comparison.models, *comparison.days))
    assert (only(comparison).model, comparison.shift_hours) == ("gpt-4o", 0)


def test_real_bills_are_compared_with_models_of_the_ledger() -> None:
    invoice = read_invoice(bills.OPENAI_COSTS.splitlines())
    ledger = [
        booked(
            DAYS[1],
            model="gpt-4o",
            usd={"input": "2.5", "cached": "0.125", "output": 1},
            tokens={"input": 1_000_000, "cached": 100_000, "output": 100_000},
        )
    ]
    comparison = told(invoice, ledger, "0")
    assert comparison.total.difference == 0
    assert only(comparison).why == []


def test_an_export_of_usage_is_compared_by_tokens() -> None:
    invoice = read_invoice(bills.OPENAI_USAGE.splitlines())
    ledger = [
        booked(
            DAYS[1],
            model="gpt-5-mini",
            tokens={"input": 4000, "cached": 1000, "output": 600},
            usd={"input": 9},
        )
    ]
    comparison = told(invoice, ledger)
    assert (comparison.unit, comparison.total.difference) == ("tokens", 100)
    assert only(comparison).why == ["output tokens: 700 billed, 600 booked"]


def test_models_that_only_one_has_are_named_with_a_guess() -> None:
    ledger = [booked(DAYS[0], model="my-gpt-deployment", usd={"input": 5})]
    comparison = told(bill([(DAYS[0], "gpt-5-deployment", 5, "", "")]), ledger)
    elsewhere = "of another account, or under another name"
    why = {cell.model: cell.why for cell in comparison.models}
    assert why == {
        "my-gpt-deployment": [
            f"not on the bill: 5 attempts {elsewhere} (is it 'gpt-5-deployment'?)",
        ],
        "gpt-5-deployment": [
            "not in the ledger: calls beside the gateway, or under another name (is it 'my-gpt-deployment'?)"
        ],
    }
    assert comparison.total.difference == 0


def test_days_of_another_time_zone_are_found() -> None:
    # Spend grows by the day, so that the hours matter; the bill's days are those of UTC-8.
    hours = [(day, hour) for day in [*DAYS, SPAN[1] + timedelta(days=1)] for hour in range(24)]
    ledger = [booked(day, hour, usd={"input": 1 + (day - FIRST).days ** 2 + hour % 5}) for day, hour in hours]
    sums: dict[date, Decimal] = {}
    for one in ledger:
        day = FIRST + timedelta(days=(one.hour - 8 - ledger[0].hour) // 24)
        sums[day] = sums.get(day, Decimal(0)) + one.usd["input"]
    comparison = told(bill((day, "gpt-4o", sums[day], "", "") for day in DAYS), ledger)
    assert comparison.shift_hours == -8
    assert comparison.total.difference == 0
    assert comparison.total.why[0].startswith("the bill's days begin at UTC+8h: by days of UTC $")


def test_a_discount_is_told_by_its_constant_ratio() -> None:
    ledger = [booked(day, usd={"input": 3 + number, "output": 2}) for number, day in enumerate(DAYS)]
    rows = [(day, "gpt-4o", (5 + number) * 0.85, "", "") for number, day in enumerate(DAYS)]
    (why,) = only(told(bill(rows), ledger)).why
    assert why == (
        "each of 10 days is billed 15.0 % below what was booked: a discount (0.15) or an older price is "
        "missing in policies/prices.yaml (booked by public:openai/gpt-4o@1)"
    )


def test_a_price_of_one_kind_is_told() -> None:
    ledger = [
        booked(day, usd={"input": 2, "cached": 1}, tokens={"input": 1_000_000, "cached": 400_000})
        for day in DAYS
    ]
    rows = [
        row
        for day in DAYS
        for row in ((day, "gpt-4o", 2, "input", 1_000_000), (day, "gpt-4o", 0.5, "cached", 400_000))
    ]
    assert only(told(bill(rows), ledger)).why == [
        "price of cached input: billed $1.25, booked $2.5 per million tokens"
    ]


def test_tokens_of_a_kind_that_was_taken_for_another_are_told() -> None:
    ledger = [booked(day, usd={"input": 5}, tokens={"input": 2_000_000}) for day in DAYS]
    rows = [
        row
        for day in DAYS
        for row in (
            (day, "gpt-4o", "2.50", "input", 1_000_000),
            (day, "gpt-4o", "1.25", "cached", 1_000_000),
        )
    ]
    assert only(told(bill(rows), ledger)).why == [
        "input tokens: 10,000,000 billed, 20,000,000 booked, of as much input in all",
        "cached input tokens: 10,000,000 billed, 0 booked, of as much input in all",
    ]


def test_what_only_the_bill_has_of_a_kind_is_told_also_without_tokens() -> None:
    ledger = [booked(day, usd={"input": 5}) for day in DAYS]
    rows = [
        row
        for day in DAYS
        for row in ((day, "gpt-4o", "5", "input", ""), (day, "gpt-4o", day.day, "web search", ""))
    ]
    assert only(told(bill(rows), ledger)).why == ["only one has other: $55 billed"]


def test_doubtful_wasted_and_unpriced_attempts_are_told() -> None:
    ledger = [booked(day, usd={"input": 5}, doubtful=2, wasted=1) for day in DAYS]
    rows = [(day, "gpt-4o", 5 if day.day % 2 else 3, "", "") for day in DAYS]
    assert only(told(bill(rows), ledger)).why == [
        "$20 (40%) of what was booked was counted or estimated here",
        "about as much ($10) was booked for attempts that failed or were cancelled",
    ]
    ledger = [booked(day, usd={"input": 5}, unpriced=3, prices=("default:x@1",)) for day in DAYS]
    assert only(told(bill((day, "gpt-4o", f"{day.day}.50", "", "") for day in DAYS), ledger)).why == [
        "30 attempts had no known price and were booked as 0",
        "some were booked at the declared default for unknown models",
    ]


def test_the_day_with_almost_all_of_it_is_named() -> None:
    ledger = [booked(day, usd={"input": 5}) for day in DAYS]
    rows = [(day, "gpt-4o", 50 if day.day == 4 else 5, "", "") for day in DAYS]
    comparison = told(bill(rows), ledger)
    assert only(comparison).why == [
        "almost all of it on 2026-11-04: calls that only one of the two has (billed more)"
    ]
    assert [cell.day for cell in comparison.days if not cell.is_within(Decimal("0.01"), Decimal(0))] == [
        DAYS[3]
    ]


def test_rounding_is_told_as_such() -> None:
    ledger = [booked(day, usd={"input": "0.0249"}) for day in DAYS]
    comparison = told(bill((day, "gpt-4o", "0.02", "", "") for day in DAYS), ledger)
    assert only(comparison).why == ["rounding: the bill's 10 lines are rounded"]


def test_a_bill_that_names_no_models_is_compared_by_days() -> None:
    ledger = [booked(day, model=model, usd={"input": 2}) for day in DAYS for model in ("gpt-4o", "gpt-5")]
    comparison = told(bill(((day, 4) for day in DAYS), "date,usd"), ledger)
    assert comparison.total.difference == 0
    assert len(comparison.models) == 1


def test_the_rows_of_the_question_are_read() -> None:
    row = (495_000, "gpt-5", 3, 10, 4, 1, 7, *(10**15 * n for n in range(1, 6)), 5 * 10**14, 1, 2, ["v1"])
    (one,) = booked_of([row])
    assert one.tokens == {"input": 10, "cached": 4, "cache_write": 1, "output": 7}
    assert one.usd["output"] == 4
    assert (one.doubtful, one.wasted, one.unpriced, one.prices) == (
        Decimal("0.5"),
        Decimal("1e-15"),
        2,
        ("v1",),
    )


def test_the_window_has_room_for_any_time_zone() -> None:
    since, until = window_of((date(2026, 11, 2), date(2026, 11, 2)))
    assert (until - since) == 3 * 86_400

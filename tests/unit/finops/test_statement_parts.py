"""Statements: months in time zones, unit prices, what is corrected, and credits of earlier months."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from gateway.finops.statement.bookings import AMOUNTS, Booking, Correction, text_of, unit_prices
from gateway.finops.statement.composing import Whose, compose, total_of
from gateway.finops.statement.months import month_around, month_of
from gateway.finops.statement.paper import as_html
from gateway.finops.statement.sheet import as_csv

NOVEMBER = month_of("2026-11")
WHOSE = Whose("acme", "", NOVEMBER, NOVEMBER.until_s + 1.0)


def booking(day: int = NOVEMBER.since_s, price: str = "v1", waste: str = "", **amounts: int) -> Booking:
    amounts = dict.fromkeys(AMOUNTS, 0) | {"attempts": 1, "calls": 1} | amounts
    amounts["cost"] = sum(value for name, value in amounts.items() if name.startswith("cost_"))
    return Booking(
        day, "acme", "search", "k", "fast", "openai", "gpt-5", price, waste, "reported", "gateway", amounts
    )


def negated(one: Booking) -> Booking:
    return msgspec.structs.replace(one, amounts={name: -amount for name, amount in one.amounts.items()})


def test_a_month_begins_where_its_tenant_is() -> None:
    assert (NOVEMBER.since_s, NOVEMBER.until_s, NOVEMBER.rollup) == (1793491200, 1796083200, "usage_day")
    berlin, kolkata = month_of("2026-11", "Europe/Berlin"), month_of("2026-11", "Asia/Kolkata")
    assert (berlin.since_s, berlin.rollup) == (1793491200 - 3600, "usage_hour")
    assert (kolkata.since_s, kolkata.rollup) == (1793491200 - 19800, "ledger")
    assert month_of("2026-03", "Europe/Berlin").until_s - month_of("2026-03").until_s == -7200
    assert len(list(month_of("2028-02").days())) == 29


def test_the_month_before_is_found_also_in_january() -> None:
    assert month_around(1798761600.0).name == "2027-01"
    assert month_around(1798761600.0, ago=1).name == "2026-12"
    assert month_around(1798761600.0, "America/New_York").name == "2026-12"


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-1", "1999-01", "2026-11-01", "nov"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-11"):
        month_of(text)


def test_a_unit_price_is_told_where_it_was_one() -> None:
    one = booking(input_tokens=10, cost_input=30_000_000_000)
    other = booking(input_tokens=10, cost_input=20_000_000_000)
    assert unit_prices([one, one]) == {"input": Decimal(3)}
    assert unit_prices([one, other]) == {"input": None}
    assert unit_prices([booking(input_tokens=3, cost_input=10)]) == {"input": None}
    assert unit_prices([booking(price="", input_tokens=3)]) == {}


def test_money_is_written_with_all_its_digits() -> None:
    assert text_of(Decimal("1.000000000000001")) == "1.000000000000001"
    assert text_of(Decimal(10)) == "10.00"
    assert text_of(Decimal("-0.5"), 0) == "-0.5"
    assert text_of(Decimal("1E+2"), 0) == "100"


def test_charges_stand_as_charged_and_corrections_for_themselves() -> None:
    charge = booking(cost_input=100)
    anew = booking(price="v2", cost_input=60)
    corrected = [Correction(negated(charge), True, True), Correction(anew, True, True)]
    found = compose(WHOSE, [anew], corrected)  # what stands: the reversal has met the charge
    assert (total_of(found.lines), total_of(found.corrections), found.total) == (100, -40, 60)
    assert [price.version for price in found.prices] == ["v1", "v2"]


def test_what_is_corrected_later_is_a_credit_of_that_month() -> None:
    october = NOVEMBER.since_s - 86_400
    of_october = [
        Correction(negated(booking(october, cost_input=100)), False, True),
        Correction(booking(october, price="v2", cost_input=60), False, True),
    ]
    found = compose(WHOSE, [booking(cost_output=7)], of_october)
    assert (total_of(found.lines), total_of(found.credits), found.total) == (7, -40, -33)
    later = Correction(negated(booking(cost_output=7)), True, False)
    assert compose(WHOSE, [], [later]).total == 7, "a statement does not change when it is made again"
    assert "Credits" in as_html(found, 0.0)
    assert "credit" in as_csv(found)


def test_what_is_not_sure_is_said() -> None:
    unsure = msgspec.structs.replace(booking(price="", input_tokens=5), confidence="estimated")
    demo = msgspec.structs.replace(booking(cost_input=1), source="demo", confidence="counted")
    guess = booking(price="default:unknown@1", cost_input=3)
    whose = msgspec.structs.replace(WHOSE, now_unix_s=0.0, is_summed=True)
    text = as_html(compose(whose, [unsure, demo, guess], []), 0.0)
    for said in (
        "demo data",
        "not over",
        "not kept any more",
        "US$ 0.000000000000003 of the total are a guess",
        "did not report",
        "1 attempts went to models without a known price",
    ):
        assert said in text

"""What may be asked for, and what is read for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.errors import BadRequest
from gateway.exchange import Caller
from gateway.finops.searching import SEARCHES, cursor_of, read_search
from gateway.finops.terms import DIMENSIONS, LONGEST_S, ROLLUPS, STEPS, Terms, exactly, read_terms

NOW = int(datetime(2026, 11, 21, 19, 34, 56, tzinfo=UTC).timestamp())
MINUTE, HOUR, DAY = 60, 3600, 86400
ADMIN = Caller("acme", "root", admin=True)
TENANT = Caller("globex", "k")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def terms(caller: Caller = ADMIN, **query: Any) -> Terms:
    return read_terms({n: (v,) if isinstance(v, str) else v for n, v in query.items()}, caller, NOW)


def test_nothing_asked_is_the_last_week_by_the_hour() -> None:
    asked = terms()
    assert (asked.since, asked.until) == (at("2026-11-14T19:00"), at("2026-11-21T20:00"))
    assert (asked.step, asked.grain, asked.is_stepped) == (HOUR, HOUR, False)
    assert (asked.tenants, asked.by, asked.limit, asked.format) == ((), (), None, "json")


@pytest.mark.parametrize(
    ("query", "since", "until", "step", "grain"),
    [
        ({"since": "30m"}, "2026-11-21T19:04", "2026-11-21T19:35", MINUTE, MINUTE),
        ({"since": "24h"}, "2026-11-20T19:00", "2026-11-21T20:00", HOUR, HOUR),
        ({"since": "24h", "step": "minute"}, "2026-11-20T19:34", "2026-11-21T19:35", MINUTE, MINUTE),
        ({"since": "30d"}, "2026-10-22", "2026-11-22", DAY, DAY),
        ({"since": "4w", "step": "hour"}, "2026-10-24T19:00", "2026-11-21T20:00", HOUR, HOUR),
        ({"since": "month"}, "2026-11-01", "2026-11-22", DAY, DAY),
        ({"since": "2026-10-01", "until": "2026-11-01"}, "2026-10-01", "2026-11-01", DAY, DAY),
        # Minutes are forgotten first, then hours.
        (
            {"since": "2026-11-01T01:00", "until": "2026-11-01T02:00"},
            "2026-11-01T01:00",
            "2026-11-01T02:00",
            HOUR,
            HOUR,
        ),
        ({"since": "2024-11-01T01:00", "until": "2024-11-01T02:00"}, "2024-11-01", "2024-11-02", DAY, DAY),
        # Named moments are kept where rows fine enough can be read,
        (
            {"since": "2026-10-01T07:00", "until": "2026-11-01"},
            *("2026-10-01T07:00", "2026-11-01", DAY, HOUR),
        ),
        (
            {"since": "2026-11-20T07:11", "until": "2026-11-21T08:12Z"},
            *("2026-11-20T07:11", "2026-11-21T08:12", HOUR, MINUTE),
        ),
        # and rounded outward where not.
        (
            {"since": "2026-10-01T07:11", "until": "2026-11-01"},
            *("2026-10-01T07:00", "2026-11-01", DAY, HOUR),
        ),
        (
            {"since": "2026-11-20T07:11:12", "until": "2026-11-20T08:12:13"},
            *("2026-11-20T07:11", "2026-11-20T08:13", MINUTE, MINUTE),
        ),
        ({"since": "2026-11-20T09:00+02:00"}, "2026-11-20T07:00", "2026-11-21T20:00", HOUR, HOUR),
        ({"since": "2026-11-20T09:00 02:00"}, "2026-11-20T07:00", "2026-11-21T20:00", HOUR, HOUR),
        ({"since": str(at("2026-11-20T07:00"))}, "2026-11-20T07:00", "2026-11-21T20:00", HOUR, HOUR),
    ],
)
def test_spans(query: dict[str, str], since: str, until: str, step: int, grain: int) -> None:
    asked = terms(**query)
    assert (asked.since, asked.until, asked.step, asked.grain) == (at(since), at(until), step, grain)


def test_the_span_before_is_of_equal_length() -> None:
    assert terms(since="2026-11-10", until="2026-11-17").before == at("2026-11-03")


def test_the_month_is_that_of_the_beginning() -> None:
    assert terms(since="2026-10-31", until="2026-11-17").month == at("2026-10-01")


def test_raw_rows_are_asked_for_exactly() -> None:
    query = {"since": ("2026-10-01T07:11:12",), "until": ("now",)}
    asked = exactly(query, read_terms(query, ADMIN, NOW), NOW)
    assert (asked.since, asked.until) == (at("2026-10-01T07:11:12"), NOW + 1)
    assert exactly({"until": ("2026-11-01",)}, terms(), NOW).until == at("2026-11-01")


@given(
    some.integers(0, NOW - 1), some.integers(1, 4_000 * DAY), some.booleans(), some.sampled_from(["", *STEPS])
)
def test_edges_lie_on_the_rows_and_hold_all_that_was_asked_for(
    since: int, length: int, is_exact: bool, step: str
) -> None:
    query = {"since": (str(since),), "until": (str(min(since + length, NOW)),), "step": (step,)}
    try:
        asked = read_terms(query, ADMIN, NOW)
    except BadRequest:
        return
    assert asked.since <= since < since + 1 <= min(since + length, NOW) <= asked.until
    assert asked.since % asked.grain == asked.until % asked.grain == 0
    assert since - asked.since < asked.grain
    assert asked.step % asked.grain == 0
    assert asked.grain in ROLLUPS
    assert asked.until - asked.since <= LONGEST_S[asked.grain] + 2 * asked.grain


@pytest.mark.parametrize(
    ("query", "param", "told"),
    [
        ({"sinse": "7d"}, "sinse", "is no parameter here; there are since, until"),
        ({"since": "7 days"}, "since", "an ISO date or time"),
        ({"since": "0d"}, "since", "an ISO date or time"),
        ({"since": "2026-13-01"}, "since", "an ISO date or time"),
        ({"since": "-1"}, "since", "an ISO date or time"),
        ({"since": "9999999999"}, "since", "between 1970 and 2100"),
        ({"since": "999999d"}, "since", "between 1970 and 2100"),
        ({"since": "2026-11-21", "until": "2026-11-21"}, "since", "before `until`"),
        ({"since": "1d", "until": "2d"}, "since", "before `until`"),
        ({"since": ("1d", "2d")}, "since", "once"),
        ({"since": "1971-01-01"}, "since", "3700 days"),
        ({"since": "2026-11-01T01:00", "until": "2026-11-01T02:00", "step": "minute"}, "step", "14 days ago"),
        ({"step": "week"}, "step", "auto, minute, hour, day"),
        ({"step": "minute", "since": "4d"}, "step", "up to 3 days"),
        ({"step": "hour", "since": "401d"}, "step", "up to 400 days"),
        ({"by": "tenant,user"}, "by", "tenant, team, key"),
        ({"by": "tenant; DROP TABLE ledger"}, "by", "not 'tenant; DROP"),
        ({"by": ",".join(DIMENSIONS[:9])}, "by", "up to 8"),
        ({"limit": "0"}, "limit", "from 1 to 10000"),
        ({"limit": "10001"}, "limit", "from 1 to 10000"),
        ({"limit": "1e3"}, "limit", "from 1 to 10000"),
        ({"format": "xml"}, "format", "json, csv, parquet"),
        ({"tenant": "x" * 257}, "tenant", "256"),
        ({"tenant": "x\0"}, "tenant", "NUL"),
        ({"model": tuple(map(str, range(101)))}, "model", "100"),
    ],
)
def test_what_makes_no_sense_is_told(query: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        terms(**query)
    assert refused.value.param == param
    assert told in refused.value.message


@pytest.mark.parametrize("asked", [(), ("acme",), ("",), ("globex", "acme"), ("' OR 1=1 --",), ("*",)])
def test_whoever_is_no_admin_sees_its_own_tenant_whatever_it_asks_for(asked: tuple[str, ...]) -> None:
    assert terms(TENANT, tenant=asked).tenants == ("globex",)
    assert not terms(TENANT, tenant=asked).sees_all
    assert terms(ADMIN, tenant=asked).tenants == asked


def test_dimensions_come_in_the_order_asked_for_once_each() -> None:
    assert terms(by="model, tenant,,model").by == ("model", "tenant")
    assert terms(by=("key", "team,key")).by == ("key", "team")


def test_a_search() -> None:
    query = {
        "user": ("a", "b"),
        "status": ("200",),
        "min_cost_usd": ("0.0000000000000014",),
        "min_ms": ("2.5",),
    }
    search = read_search(query | {"before": ("1795289696123-call_ab",)})
    assert search.parameters() == {
        "users": ["a", "b"],
        **{name: [] for name in ("conversations", "endings", "errors", "wastes", "calls")},
        "statuses": [200],
        "min_cost": "0.000000000000001",
        "min_ms": 2.5,
        "before_ms": 1_795_289_696_123,
        "before_call": "call_ab",
    }


def test_a_cursor_comes_back() -> None:
    search = read_search({"before": (cursor_of(1_795_289_696.123, "call_ab-c"),)})
    assert (search.before_ms, search.before_call) == (1_795_289_696_123, "call_ab-c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("status", value) for value in ("ok", "-1", "2000", "200 OR 1=1")],
        *[("min_cost_usd", value) for value in ("-1", "nan", "inf", "1e99", "x", "0' OR '1")],
        *[("min_ms", value) for value in ("-1", "nan", "inf", "x")],
        *[
            ("before", value)
            for value in ("x", "1", "1-", "-call", "9" * 16 + "-x", "1-\n", "1-" + "x" * 257)
        ],
    ],
)
def test_a_search_that_makes_no_sense_is_told(name: str, value: str) -> None:
    assert name in SEARCHES
    with pytest.raises(BadRequest) as refused:
        read_search({name: (value,)})
    assert refused.value.param == name

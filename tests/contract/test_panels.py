"""Every question against the real engine, compared with plain sums over the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
import pytest
from contract.seeded_usage import (
    DAY,
    NOW,
    TENANTS,
    calls_of,
    fill,
    grouped,
    is_error,
    is_quantile,
    measures,
    opened_ledger,
    total,
    usd,
)
from rig.entries import an_entry

from gateway.errors import BadRequest, StoreDown, UnknownRoute
from gateway.exchange import Caller, Price, Rates
from gateway.finops.panels import PANELS
from gateway.finops.questions import Questions, Table
from gateway.finops.searching import read_search
from gateway.finops.terms import DIMENSIONS, Terms, exactly, read_terms
from gateway.ledger.entries import Entry
from gateway.protocols import UsageStore
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import Place

ADMIN = Caller("acme", "root", admin=True)
BASELINE = Price.flat("base@1", Rates.plain(2_000_000_001, 16_000_000_003, 200_000_007, 2_500_000_009))
ENTRIES = calls_of(7, 1200)
HOUR_SPENDER = [
    an_entry(
        call=f"h{day}-{hour}", tenant="steady", time=(NOW - day * DAY - hour * 3600) * 1000, cost=2 * 10**15
    )
    for day in range(20)
    for hour in range(24)
]
SPIKE = an_entry(call="spike", tenant="steady", time=(NOW - 2 * DAY) * 1000, cost=90 * 10**15)
SPENDING = [*HOUR_SPENDER, SPIKE]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsageStore]:
    with opened_ledger(tmp_path_factory.mktemp("ledger")) as store:
        fill(store, [*ENTRIES, *SPENDING])
        price = msgspec.json.encode(BASELINE).decode()
        rows = [
            ("v1", "openai", "gpt-5", price, NOW * 1000),
            ("foreign", "else", "where", price, NOW * 1000),
            ("plain", "openai", "old", msgspec.json.encode(BASELINE.standard.rates).decode(), NOW * 1000),
        ]
        store.insert("prices", ("version", "backend", "model", "rates", "seen"), rows, "prices")
        yield store


@pytest.fixture
def questions(store: UsageStore) -> Questions:
    return Questions(store, lambda: BASELINE)


def terms(caller: Caller = ADMIN, **query: Any) -> Terms:
    """Terms of a query; by default, of the tenants with random calls."""
    if caller.admin:
        query.setdefault("tenant", TENANTS)
    return read_terms(listed(query), caller, NOW)


def listed(query: dict[str, Any]) -> dict[str, Sequence[str]]:
    return {name: (value,) if isinstance(value, str) else value for name, value in query.items()}


def within(asked: Terms, entries: Sequence[Entry] = ENTRIES) -> list[Entry]:
    filters = {"tenant": asked.tenants, **asked.filters}
    return [
        one
        for one in entries
        if asked.since * 1000 <= one.time < asked.until * 1000
        and all(not values or getattr(one, name) in values for name, values in filters.items())
    ]


def dicts(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def start_of(step: int) -> Any:
    return lambda one: one.time // 1000 // step * step


SPANS = [
    {"since": "7d"},
    {"since": "24h"},
    {"since": "90m"},
    {"since": "30d"},
    {"since": "month"},
    {"since": "2026-11-10T03:00", "until": "2026-11-12T04:00Z"},
    {"since": "2026-11-20T03:17", "until": "2026-11-21T04:41"},
    {"since": "7d", "step": "day"},
    {"since": "7d", "team": ("red", ""), "backend": "openai", "model": ("gpt-5", "gpt-5-mini")},
    {"since": "7d", "route": "own", "key": ("key-1", "key-2"), "tenant": "globex"},
]


@pytest.mark.parametrize("query", SPANS)
def test_totals_are_the_sums(questions: Questions, query: dict[str, Any]) -> None:
    asked = terms(**query)
    [row] = dicts(questions.panel("totals", asked))
    entries = within(asked)
    assert {name: row[name] for name in measures(entries)} == measures(entries)
    before = within(msgspec.structs.replace(asked, since=asked.before, until=asked.since))
    assert row["before_calls"] == total(before, "calls")
    assert row["before_errors"] == total(before, "calls", is_error)
    assert row["before_cost_usd"] == usd(total(before, "cost"))
    assert row["before_output_tokens"] == total(before, "output_tokens")
    for name, level in (("p50", 0.5), ("p95", 0.95)):
        speaking = [one for one in entries if one.calls == 1 and one.entry == "charge"]
        totals = [one.total_ms for one in speaking if one.total_ms is not None]
        firsts = [one.first_token_ms for one in speaking if one.first_token_ms is not None]
        assert is_quantile(row[f"total_{name}_ms"], totals, level)
        assert is_quantile(row[f"first_token_{name}_ms"], firsts, level)


@pytest.mark.parametrize("query", SPANS)
@pytest.mark.parametrize(
    "by", ["", "model", "tenant,team", ",".join(DIMENSIONS[:8]), ",".join(DIMENSIONS[6:])]
)
@pytest.mark.parametrize("step", ["", "auto"])
def test_usage_by_any_dimensions(questions: Questions, query: dict[str, Any], by: str, step: str) -> None:
    asked = terms(**({"step": step} | query), by=by, limit="10000")
    data, whole, is_cut = questions.usage(asked)
    assert not is_cut
    entries = within(asked)

    def key(one: Entry) -> Any:
        time = (start_of(asked.step)(one),) if asked.is_stepped else ()
        return (*time, *(str(getattr(one, name)) for name in asked.by))

    wanted = {group: measures(rows) for group, rows in grouped(entries, key).items()}
    places = len(asked.by) + asked.is_stepped
    found = {row[:places]: row for row in data.rows}
    assert len(found) == len(data.rows)
    names = [column.name for column in data.columns]
    told = {group: {n: row[names.index(n)] for n in measures([])} for group, row in found.items()}
    if not by and not asked.is_stepped and not entries:
        return
    assert told == wanted
    [row] = dicts(whole)
    assert {name: row[name] for name in measures(entries)} == measures(entries)
    assert list(found) == sorted(found, key=lambda group: order(found[group], asked, names))


def order(row: Sequence[Any], asked: Terms, names: list[str]) -> Any:
    first = row[: 1 if asked.is_stepped else 0]
    dimensions = row[len(first) : len(first) + len(asked.by)]
    return (*first, -row[names.index("cost_usd")], -row[names.index("calls")], *map(str.encode, dimensions))


def test_more_rows_than_asked_for_are_told(questions: Questions) -> None:
    data, whole, is_cut = questions.usage(terms(by="key,model", limit="3"))
    assert (len(data.rows), is_cut) == (3, True)
    assert dicts(whole)[0]["calls"] == total(within(terms()), "calls")


@pytest.mark.parametrize("query", SPANS)
@pytest.mark.parametrize("by", ["model", "tenant", "key"])
def test_series_add_up_with_the_rest_as_other(questions: Questions, query: dict[str, Any], by: str) -> None:
    asked = terms(**query, by=by, limit="2")
    rows = dicts(questions.panel("series", asked))
    entries = within(asked)
    named = grouped(entries, attrgetter(by))
    costs = {name: total(of_name, "cost") for name, of_name in named.items()}
    calls = {name: total(of_name, "calls") for name, of_name in named.items()}
    top = sorted(costs, key=lambda name: (-costs[name], -calls[name], name.encode()))[:2]
    wanted = grouped(
        entries,
        lambda one: (start_of(asked.step)(one), getattr(one, by) if getattr(one, by) in top else "(other)"),
    )
    assert {(row["time"], row["name"]) for row in rows} == set(wanted)
    for row in rows:
        of_row = wanted[row["time"], row["name"]]
        assert row["cost_usd"] == usd(total(of_row, "cost"))
        assert row["calls"] == total(of_row, "calls")
        assert row["errors"] == total(of_row, "calls", is_error)
        assert row["input_tokens"] == total(of_row, "input_tokens")
        assert row["output_tokens"] == total(of_row, "output_tokens")


def test_breakdown_by_three(questions: Questions) -> None:
    asked = terms(by="tenant,model,waste", limit="1000")
    rows = dicts(questions.panel("breakdown", asked))
    wanted = grouped(within(asked), attrgetter("tenant", "model", "waste"))
    assert len(rows) == len(wanted)
    for row in rows:
        of_row = measures(wanted[row["name1"], row["name2"], row["name3"]])
        assert {name: row[name] for name in of_row} == of_row
    assert [row["cost_usd"] for row in rows] == sorted((row["cost_usd"] for row in rows), reverse=True)


def test_kinds_add_up_to_all_tokens_and_all_money(questions: Questions) -> None:
    asked = terms(since="7d", step="day")
    rows = dicts(questions.panel("kinds", asked))
    entries = within(asked)
    for kind in ("cached", "cache_write", "reasoning"):
        told = sum(row["tokens"] for row in rows if row["kind"] == kind)
        assert told == total(entries, f"{kind}_tokens")
    for time, of_day in grouped(entries, start_of(DAY)).items():
        of_time = [row for row in rows if row["time"] == time]
        assert sum(row["cost_usd"] for row in of_time) == usd(total(of_day, "cost"))
        tokens = total(of_day, "input_tokens") + total(of_day, "output_tokens")
        assert sum(row["tokens"] for row in of_time) == tokens
        for row in of_time:
            assert row["cost_usd"] == usd(total(of_day, f"cost_{row['kind']}"))


def cut(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1e-15"), rounding="ROUND_DOWN")


def test_unit_costs(questions: Questions) -> None:
    asked = terms(by="tenant")
    rows = dicts(questions.panel("unit_costs", asked))
    groups = grouped(within(asked), attrgetter("tenant"))
    assert {row["name"] for row in rows} == set(groups)
    for row in rows:
        of_row = measures(groups[row["name"]])
        cost = of_row["cost_usd"]
        assert row["per_call_usd"] == cut(cost / of_row["calls"])
        tokens = of_row["input_tokens"] + of_row["output_tokens"]
        assert row["per_1k_tokens_usd"] == cut(cost * 1000 / tokens)
        for name in ("good_conversation", "user"):
            assert row[f"{name}s"] == of_row[f"{name}s"]
            assert row[f"per_{name}_usd"] == cut(cost / row[f"{name}s"])


def test_what_there_is_none_of_has_no_unit_cost(questions: Questions) -> None:
    rows = dicts(questions.panel("unit_costs", terms(by="purpose", since="30d")))
    [shadows] = [row for row in rows if row["name"] == "shadow"]
    assert (shadows["per_call_usd"], shadows["calls"]) == (None, 0)
    assert shadows["per_1k_tokens_usd"] > 0


@pytest.mark.parametrize("baseline", ["", "v1", "openai/gpt-5", "plain"])
def test_savings_are_told_against_the_baseline(questions: Questions, baseline: str) -> None:
    asked = terms(by="model", baseline=baseline)
    table = questions.panel("savings", asked)
    assert table.baseline == ({"": "base@1", "plain": "plain"}.get(baseline, "v1"))
    rates = BASELINE.standard.rates
    groups = grouped(within(asked), attrgetter("model"))
    assert {row["name"] for row in dicts(table)} == set(groups)
    for row in dicts(table):
        entries = groups[row["name"]]
        useful = [one for one in entries if not one.waste and one.purpose == "call"]
        fresh = sum(one.input_tokens - one.cached_tokens - one.cache_write_tokens for one in useful)
        at_baseline = fresh * rates.input + total(useful, "cached_tokens") * rates.cached
        at_baseline += total(useful, "cache_write_tokens") * rates.cache_write
        at_baseline += total(useful, "output_tokens") * rates.output
        cost, saved = total(entries, "cost"), total(entries, "saved")
        assert row["cost_usd"] == usd(cost)
        assert row["uncached_usd"] == usd(cost + saved)
        assert row["saved_by_cache_usd"] == usd(saved)
        assert row["baseline_usd"] == usd(at_baseline)
        assert row["saved_by_routing_usd"] == usd(at_baseline - cost)
        assert row["fallback_usd"] == usd(total(entries, "cost", lambda one: one.why == "fallback"))


def test_without_a_baseline_only_what_caches_saved_is_told(store: UsageStore) -> None:
    table = Questions(store).panel("savings", terms())
    assert table.baseline is None
    for row in dicts(table):
        assert (row["baseline_usd"], row["saved_by_routing_usd"]) == (None, None)
    assert any(row["saved_by_cache_usd"] for row in dicts(table))


def test_a_baseline_that_was_never_paid_is_refused(questions: Questions) -> None:
    with pytest.raises(BadRequest, match="there is no price 'x'"):
        questions.panel("savings", terms(baseline="x"))


def test_waste(questions: Questions) -> None:
    asked = terms()
    groups = grouped([one for one in within(asked) if one.waste], attrgetter("waste", "cause"))
    wanted = {key: (total(rows, "attempts"), usd(total(rows, "cost"))) for key, rows in groups.items()}
    found = questions.panel("waste", asked).rows
    assert {row[:2]: row[2:] for row in found} == wanted


@pytest.mark.parametrize("query", SPANS)
def test_movers(questions: Questions, query: dict[str, Any]) -> None:
    asked = terms(**query, by="key")
    now = grouped(within(asked), attrgetter("key"))
    then = grouped(
        within(msgspec.structs.replace(asked, since=asked.before, until=asked.since)), attrgetter("key")
    )
    rows = dicts(questions.panel("movers", asked))
    assert {row["name"] for row in rows} == now.keys() | then.keys()
    for row in rows:
        cost, before = total(now.get(row["name"], []), "cost"), total(then.get(row["name"], []), "cost")
        assert (row["cost_usd"], row["before_usd"]) == (usd(cost), usd(before))
        assert row["change_usd"] == usd(cost - before)
        wanted = pytest.approx((cost - before) / before, abs=1e-5) if before else None
        assert row["change_share"] == wanted
    changes = [abs(row["change_usd"]) for row in rows]
    assert changes == sorted(changes, reverse=True)


def test_latency(questions: Questions) -> None:
    asked = terms(step="day", since="10d")
    rows = dicts(questions.panel("latency", asked))
    groups = grouped(within(asked), start_of(DAY))
    assert [row["time"] for row in rows] == sorted(groups)
    for row in rows:
        charges = [one for one in groups[row["time"]] if one.entry == "charge"]
        speaking = [one for one in charges if one.calls == 1]
        for name in ("first_token_ms", "total_ms"):
            samples = [getattr(one, name) for one in speaking if getattr(one, name) is not None]
            for level in (50, 95, 99):
                told = row[f"{name.removesuffix('_ms')}_p{level}_ms"]
                assert is_quantile(told, samples, level / 100)
        speeds = [one.output_per_s for one in charges if one.output_per_s is not None]
        assert is_quantile(row["output_per_s_p50"], speeds, 0.5)


def test_errors(questions: Questions) -> None:
    asked = terms(step="hour")
    told = [one for one in within(asked) if one.error]
    groups = grouped(told, lambda one: (start_of(3600)(one), one.error))
    wanted = {key: total(rows, "calls") for key, rows in groups.items()}
    found = questions.panel("errors", asked).rows
    assert {row[:2]: row[2] for row in found} == {key: calls for key, calls in wanted.items() if calls}


def test_backends(questions: Questions) -> None:
    asked = terms(since="10d")
    rows = dicts(questions.panel("backends", asked))
    groups = grouped([one for one in within(asked) if one.backend], attrgetter("backend", "model"))
    assert {(row["backend"], row["model"]) for row in rows} == set(groups)
    for row in rows:
        entries = groups[row["backend"], row["model"]]
        failures = total(
            entries, "attempts", lambda o: bool(o.cause) and o.waste not in {"cancelled", "hedged"}
        )
        assert row["attempts"] == total(entries, "attempts")
        assert row["failures"] == failures
        assert row["failure_share"] == pytest.approx(failures / row["attempts"], abs=1e-6)
        assert row["cost_usd"] == usd(total(entries, "cost"))
        times = [one.attempt_ms for one in entries if one.entry == "charge" and one.attempt_ms is not None]
        assert is_quantile(row["attempt_p95_ms"], times, 0.95)


def test_confidence(questions: Questions) -> None:
    asked = terms()
    used = [one for one in within(asked) if one.confidence]
    groups = grouped(used, lambda one: one.confidence if one.price else "unpriced")
    whole = total(used, "cost")
    rows = dicts(questions.panel("confidence", asked))
    assert [row["confidence"] for row in rows] == ["reported", "counted", "estimated", "unpriced"]
    for row in rows:
        entries = groups[row["confidence"]]
        assert row["attempts"] == total(entries, "attempts")
        assert row["cost_usd"] == usd(total(entries, "cost"))
        assert row["share"] == pytest.approx(total(entries, "cost") / whole, abs=1e-6)


def test_burndown_runs_within_the_calendar_month(questions: Questions) -> None:
    asked = terms(since="2026-11-10", until="2026-11-22", by="tenant")
    rows = dicts(questions.panel("burndown", asked))
    month = within(msgspec.structs.replace(asked, since=asked.month))
    assert {row["name"] for row in rows} == set(TENANTS)
    for row in rows:
        mine = [one for one in month if one.tenant == row["name"]]
        today = [one for one in mine if start_of(DAY)(one) == row["time"]]
        so_far = [one for one in mine if start_of(DAY)(one) <= row["time"]]
        assert row["time"] >= asked.since
        assert row["cost_usd"] == usd(total(today, "cost"))
        assert row["running_usd"] == usd(total(so_far, "cost"))


def test_users(questions: Questions) -> None:
    asked = exactly({"since": ("5d",)}, terms(since="5d"), NOW)
    rows = dicts(questions.panel("users", asked))
    groups = grouped([one for one in within(asked) if one.user], attrgetter("user"))
    assert {row["user"] for row in rows} == set(groups)
    for row in rows:
        entries = groups[row["user"]]
        told = measures(entries)
        names = ("calls", "errors", "input_tokens", "output_tokens", "cost_usd", "conversations")
        assert {name: row[name] for name in names} == {name: told[name] for name in names}
        assert row["last"] == max(one.time for one in entries) // 1000


def test_a_spike_is_an_anomaly(questions: Questions) -> None:
    rows = dicts(questions.panel("anomalies", terms(tenant="steady")))
    assert [(row["tenant"], row["cost_usd"], row["usual_usd"]) for row in rows] == [
        ("steady", Decimal(92), Decimal(2))
    ]
    assert rows[0]["time"] == SPIKE.time // 3_600_000 * 3600


@pytest.mark.parametrize("name", ["totals", "breakdown", "latency", "backends"])
def test_without_raw_rows_the_states_of_the_rollups_tell_the_same(store: UsageStore, name: str) -> None:
    asked = terms(since="10d")
    raw, kept = (Questions(store, lambda: BASELINE, days).panel(name, asked) for days in (100, 0))
    assert len(raw.rows) == len(kept.rows) > 0
    for told, known in zip(raw.rows, kept.rows, strict=True):
        # The order in which states are merged makes a last digit.
        assert told == tuple(
            pytest.approx(one, rel=0.03) if isinstance(one, float | int) else one for one in known
        )


# Empty spans


@pytest.mark.parametrize("name", PANELS)
def test_an_empty_span_is_an_empty_answer(questions: Questions, name: str) -> None:
    table = questions.panel(name, terms(since="2020-01-01", until="2020-01-05"))
    if name == "totals":
        [row] = dicts(table)
        assert (row["calls"], row["cost_usd"], row["total_p50_ms"]) == (0, 0, None)
    else:
        assert list(table.rows) == []


def test_usage_of_nothing_has_a_total_of_nothing(questions: Questions) -> None:
    data, whole, _ = questions.usage(terms(since="2020-01-01", until="2020-01-05", by="model"))
    assert list(data.rows) == []
    [row] = dicts(whole)
    assert (row["calls"], row["cost_usd"], row["total_p50_ms"]) == (0, Decimal(0), None)


# Calls


def search(questions: Questions, caller: Caller = ADMIN, **query: Any) -> list[dict[str, Any]]:
    """All pages of a search."""
    given = listed(query if not caller.admin else {"tenant": TENANTS} | query)
    found = list[dict[str, Any]]()
    common = {name: value for name, value in given.items() if name in {"since", "until", "limit", "tenant"}}
    asked = exactly(given, read_terms(given, caller, NOW, tuple(set(given) - set(common))), NOW)
    for _ in range(1000):
        table, following = questions.calls(asked, read_search(given))
        found += dicts(table)
        if following is None:
            return found
        given["before"] = (following,)
    raise AssertionError


SEARCHED = [
    {},
    {"limit": "7", "since": "3d"},
    {"user": ("user-1", "user-3")},
    {"conversation": "acme-3"},
    {"status": "429"},
    {"ending": ("failed", "client_gone")},
    {"error": "upstream_failed"},
    {"waste": "hedged"},
    {"waste": "failed", "limit": "1"},
    {"min_cost_usd": "0.01"},
    {"min_cost_usd": "0.025", "limit": "3"},
    {"min_ms": "9000.5"},
    {"call": "call_7_000017", "since": "30d"},
    {"backend": "azure", "model": "gpt-5"},
    {"route": "own", "team": "", "key": "key-2"},
]


@pytest.mark.parametrize("query", SEARCHED)
def test_calls_are_found_by_any_of_their_attempts(questions: Questions, query: dict[str, Any]) -> None:
    span = {name: query[name] for name in ("since",) if name in query}
    asked = exactly(listed(span), terms(**span), NOW)
    wanted = dict[str, list[Entry]]()
    for call, entries in grouped(within(asked), attrgetter("call")).items():
        cost = total(entries, "cost")
        if any(fits(one, query) for one in entries) and usd(cost) >= Decimal(query.get("min_cost_usd", "0")):
            wanted[call] = entries
    rows = search(questions, **query)
    assert [row["call"] for row in rows] == sorted(
        wanted, key=lambda call: (wanted[call][0].time, call), reverse=True
    )
    assert wanted, "the search is of something"
    for row in rows:
        entries = wanted[row["call"]]
        speaks = max(entries, key=lambda one: (one.calls, one.attempt))
        assert row["cost_usd"] == usd(total(entries, "cost"))
        assert row["wasted_usd"] == usd(total(entries, "cost", lambda one: bool(one.waste)))
        assert row["attempts"] == total(entries, "attempts")
        assert round(row["time"] * 1000) == entries[0].time
        names = ("tenant", "team", "key", "user", "route", "backend", "model", "status", "ending", "stream")
        assert [row[name] for name in names] == [getattr(speaks, name) for name in names]
        assert row["corrected"] == any(one.revision for one in entries)


def fits(one: Entry, query: dict[str, Any]) -> bool:
    if one.total_ms is None or one.total_ms < float(query.get("min_ms", "-inf")):
        return "min_ms" not in query and fits_names(one, query)
    return fits_names(one, query)


def fits_names(one: Entry, query: dict[str, Any]) -> bool:
    names = (
        "user",
        "conversation",
        "ending",
        "error",
        "waste",
        "call",
        "backend",
        "model",
        "route",
        "team",
        "key",
    )
    lists = listed({name: query[name] for name in (*names, "status") if name in query})
    return all(str(getattr(one, name)) in values for name, values in lists.items())


def test_one_call_with_all_its_entries(questions: Questions) -> None:
    corrected = next(one for one in ENTRIES if one.revision)
    entries = [one for one in ENTRIES if one.call == corrected.call]
    found = questions.call(corrected.call, ())
    assert len(found) == len(entries)
    assert set(found[0]) == {*Entry.__struct_fields__, "booked"}
    assert all(isinstance(row["booked"], float) for row in found)
    assert sum(row["cost"] for row in found) == usd(total(entries, "cost"))
    assert {row["time"] for row in found} == {corrected.time / 1000}
    with pytest.raises(UnknownRoute):
        questions.call("call_of_nobody", ())
    with pytest.raises(UnknownRoute):
        questions.call(corrected.call, ("nobody",))


# Files


def test_parquet_has_the_names_of_the_dimensions(questions: Questions) -> None:
    asked = terms(by="tenant,model", step="day")
    whole = b"".join(questions.parquet("usage", asked))
    assert whole[:4] == whole[-4:] == b"PAR1"
    for name in (b"tenant", b"model", b"time", b"cost_usd"):
        assert name in whole
    assert b"name1" not in whole
    assert b"".join(questions.parquet("movers", terms()))[:4] == b"PAR1"
    with pytest.raises(BadRequest):
        questions.parquet("anomalies", terms())


@pytest.mark.parametrize("name", [*PANELS, "calls"])
def test_the_columns_of_the_sql_are_those_that_are_told(store: UsageStore, name: str) -> None:
    if name == "anomalies":
        return
    told = dict[str, tuple[str, ...]]()

    class Listening:
        def query(self, sql: str, parameters: Any) -> Any:
            found = store.query(sql, parameters)
            told[name] = found.names
            return found

    listening: Any = Listening()
    questions = Questions(listening, lambda: BASELINE)
    if name == "calls":
        table, _ = questions.calls(terms(), read_search({}))
        assert told[name] == (*(column.name for column in table.columns), "entries")
        return
    table = questions.panel(name, terms())
    assert told[name] == tuple(column.name for column in table.columns)


# What goes wrong


def test_a_tenant_sees_its_own_alone(questions: Questions) -> None:
    mine = Caller("globex", "k")
    foreign = {"tenant": ("acme", "' OR 1=1 --", "[]", "", "globex')")}
    for query in ({}, foreign):
        asked = read_terms({"since": ("10d",), **query}, mine, NOW)
        [row] = dicts(questions.panel("totals", asked))
        assert row["calls"] == total([one for one in within(asked) if one.tenant == "globex"], "calls") > 0
    assert {row["tenant"] for row in search(questions, mine, since="20d")} == {"globex"}


def test_another_tenants_price_is_no_baseline_for_a_tenant(questions: Questions) -> None:
    mine = Caller("globex", "k")
    paid = read_terms({"baseline": ("v1",)}, mine, NOW)
    assert questions.panel("savings", paid).baseline == "v1"
    with pytest.raises(BadRequest, match="there is no price"):
        questions.panel("savings", read_terms({"baseline": ("foreign",)}, mine, NOW))


def test_an_engine_that_is_not_there_is_told() -> None:
    questions = Questions(ClickHouse(lambda: Place("http://127.0.0.1:9")))
    with pytest.raises(StoreDown, match="usage cannot be told now: ClickHouse is not reachable") as told:
        questions.panel("totals", terms())
    assert told.value.status == 503

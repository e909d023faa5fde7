"""Ask the ledger: the questions of the API, the pages and the command line. Blocking: callers use a thread.

Texts are files (dashboards/sql), what is asked for is bound to their parameters, and all of them are told
whose rows may be seen. Tables are named from `ROLLUPS`, dimensions from `DIMENSIONS`, and nowhere else. Money
stays Decimal from end to end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import isnan
from typing import Any

import msgspec

from gateway.errors import BadQuery, BadRequest, GatewayFault, StoreDown, UnknownRoute
from gateway.exchange import Price, Rates
from gateway.finops.anomalies import EVERYBODY, HOUR_S, Anomaly, Habits, find_anomalies, spend_of
from gateway.finops.panels import CALLS, PANELS, Column, Panel, usage_columns
from gateway.finops.searching import Search, cursor_of
from gateway.finops.sql import text_of
from gateway.finops.terms import DAY_S, MOST_DIMENSIONS, NOTHING, RAW_DAYS, ROLLUPS, Terms
from gateway.protocols import Found, UsageStore

DEFAULT_ROWS = 1000
ENTRIES_OF_A_CALL = 8
"""So many are looked at for each call of a page; one that has more may make the page shorter."""
ANOMALIES_S = 31 * DAY_S
"""Anomalies are looked for so far back at most, each against six weeks before it."""

_CODE = re.compile(r"code (\d+)\b")
_TOO_BIG = frozenset({158, 159, 160, 241, 307, 396})
"""ClickHouse: too many rows or bytes, too slow, out of memory."""
_NO_TABLE = frozenset({60, 81})


class Table(msgspec.Struct, frozen=True):
    """Columns, and rows of plain values: money is Decimal, None is nothing."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    baseline: str | None = None
    """The version of the price that savings are told against."""


class Questions:
    """`baseline` gives the price that savings are told against where none is named; None: there is none.

    `raw_days` is how long the ledger keeps its raw rows; None: for ever.
    """

    def __init__(
        self,
        store: UsageStore,
        baseline: Callable[[], Price | None] | None = None,
        raw_days: int | None = RAW_DAYS,
    ) -> None:
        self._store = store
        self._raw_days = raw_days
        self._baseline = baseline or _no_price

    def usage(self, terms: Terms) -> tuple[Table, Table, bool]:
        """Return usage by dimensions and steps, all of it in one row, and whether there are more rows."""
        limit = terms.limit or DEFAULT_ROWS
        step = terms.step if terms.is_stepped else 0
        asked = self._parameters(terms) | _dimensions(terms.by, MOST_DIMENSIONS)
        columns = usage_columns(terms.by, stepped=bool(step))
        rows = self._ask("usage", asked | {"step": step, "limit": limit + 1})
        skipped = 1 + len(terms.by), 1 + MOST_DIMENSIONS
        first = 0 if step else 1
        data = [(*row[first : skipped[0]], *row[skipped[1] :]) for row in rows[:limit]]
        whole = rows
        if terms.by or step:
            whole = self._ask("usage", asked | _dimensions((), MOST_DIMENSIONS) | {"step": 0, "limit": 1})
        measures = usage_columns((), stepped=False)
        total = [row[1 + MOST_DIMENSIONS :] for row in whole] or [_nothing(measures)]
        return Table(columns, _plain(data)), Table(measures, _plain(total)), len(rows) > limit

    def panel(self, name: str, terms: Terms) -> Table:
        """Answer a panel's question; raises UnknownRoute, and BadRequest for dimensions that it has not."""
        panel = panel_of(name)
        if name == "anomalies":
            return Table(panel.columns, self._anomalies(terms, panel))
        asked, baseline = self._asked(panel, terms)
        rows = self._ask(name, asked)
        return Table(panel.columns, _plain(rows), baseline)

    def calls(self, terms: Terms, search: Search) -> tuple[Table, str | None]:
        """Return a page of calls, the newest first, and where the next page begins."""
        limit = terms.limit or CALLS.limit
        most = limit * ENTRIES_OF_A_CALL
        asked = self._parameters(terms) | search.parameters() | {"limit": limit, "entries": most}
        rows = self._ask("calls", asked)
        # Each row ends with the number of its entries.
        is_full = len(rows) == limit or sum(row[-1] for row in rows) >= most
        following = cursor_of(rows[-1][1], rows[-1][0]) if rows and is_full else None
        return Table(CALLS.columns, _plain([row[:-1] for row in rows])), following

    def call(self, call: str, tenants: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return all entries of one call, by the names of the ledger's columns; raises UnknownRoute."""
        found = self._find("call", {"call": call, "tenants": list(tenants)})
        if not found.rows:
            raise UnknownRoute("there is no such call", code="call_not_found")
        names = ("time", *found.names[1:])
        rows = [(row[0] / 1000, *(_moment(value) for value in row[1:])) for row in found.rows]
        return [dict(zip(names, row, strict=True)) for row in _plain(rows)]

    def is_demo(self, tenants: tuple[str, ...]) -> bool:
        """Tell whether the ledger has data of the demo."""
        return bool(self._ask("is_demo", {"tenants": list(tenants)})[0][0])

    def parquet(self, name: str, terms: Terms) -> Iterator[bytes]:
        """Answer a panel's question, or that for `usage`, as a Parquet file."""
        if name == "usage":
            return self._export(*self._usage_by_name(terms))
        panel = panel_of(name)
        if name == "anomalies":
            raise BadRequest("anomalies come as json or csv", param="format")
        return self._export(text_of(name), self._asked(panel, terms)[0])

    def _usage_by_name(self, terms: Terms) -> tuple[str, dict[str, Any]]:
        """Return the question for usage with each column named after its dimension."""
        step = terms.step if terms.is_stepped else 0
        asked = self._parameters(terms) | _dimensions(terms.by, MOST_DIMENSIONS)
        asked |= {"step": step, "limit": terms.limit or DEFAULT_ROWS}
        # Both sides of each AS are constants of this program.
        names = {name: f"name{place}" for place, name in enumerate(terms.by, 1)}
        columns = usage_columns(terms.by, stepped=bool(step))
        chosen = ", ".join(f"{names.get(column.name, column.name)} AS {column.name}" for column in columns)
        return " ".join(("SELECT", chosen, "FROM (", text_of("usage"), ")")), asked

    def _asked(self, panel: Panel, terms: Terms) -> tuple[dict[str, Any], str | None]:
        """Return the parameters of a panel's SQL, and the baseline's version where it has one."""
        by = terms.by or ((panel.by,) if panel.by else ())
        if len(by) > panel.most_by:
            most = f"up to {panel.most_by} dimensions" if panel.most_by else "no dimension"
            raise BadRequest(f"the panel {panel.name} takes {most} in `by`", param="by")
        asked = self._parameters(terms) | _dimensions(by, 3) | {"limit": terms.limit or panel.limit}
        if panel.name != "savings":
            return asked, None
        version, rates = self._rates(terms)
        return asked | _rates(rates), version

    def _parameters(self, terms: Terms) -> dict[str, Any]:
        # The days themselves are whole in the sums alone: the oldest one is being forgotten.
        age_s = terms.asked_at - terms.before
        is_kept = self._raw_days is None or age_s <= (self._raw_days - 1) * DAY_S
        return {
            "since": terms.since,
            "until": terms.until,
            "before": terms.before,
            "month": terms.month,
            "step": terms.step,
            "rollup": ROLLUPS[terms.grain],
            "raw": int(is_kept),
            "tenants": list(terms.tenants),
            **{f"{name}s": list(values) for name, values in terms.filters.items()},
        }

    def _rates(self, terms: Terms) -> tuple[str | None, Rates | None]:
        """Return the rates of the baseline; raises BadRequest where the one that was named is not known."""
        if not terms.baseline:
            price = self._baseline()
            return (price.version, price.standard.rates) if price else (None, None)
        payers = [] if terms.sees_all else list(terms.tenants)
        found = self._ask("price", {"price": terms.baseline, "tenants": payers})
        if not found:
            raise BadRequest(
                f"there is no price {terms.baseline[:100]!r}; `baseline` is the version of a price that was "
                "paid, or backend/model",
                param="baseline",
            )
        return found[0][0], _decoded(found[0][1])

    def _anomalies(self, terms: Terms, panel: Panel) -> list[tuple[Any, ...]]:
        since, until = max(terms.since, terms.until - ANOMALIES_S) // HOUR_S, -(-terms.until // HOUR_S)
        habits = Habits()
        asked = {
            "tenants": list(terms.tenants),
            "since": max((since - habits.weeks * 168) * HOUR_S, 0),
            "until": until * HOUR_S,
            "demo": 1,
        }
        rows = self._ask("hourly_spend", asked)
        found = find_anomalies(spend_of(rows), since, until, habits, running=until - 1)
        return [_row_of(one) for one in reversed(found[-(terms.limit or panel.limit) :])]

    def _ask(self, name: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return self._find(name, parameters).rows

    def _find(self, name: str, parameters: Mapping[str, Any]) -> Found:
        try:
            return self._store.query(text_of(name), parameters)
        except (BadQuery, StoreDown) as error:
            raise _meaning(error) from error

    def _export(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        try:
            return self._store.export(sql, parameters, "Parquet")
        except (BadQuery, StoreDown) as error:
            raise _meaning(error) from error


def panel_of(name: str) -> Panel:
    """Return the panel of a name; raises UnknownRoute."""
    panel = PANELS.get(name)
    if panel is None:
        known = ", ".join(PANELS)
        raise UnknownRoute(f"there is no panel {name[:50]!r}; there are {known}", code="panel_not_found")
    return panel


def _dimensions(by: Sequence[str], places: int) -> dict[str, str]:
    filled = (*by, *(NOTHING,) * (places - len(by)))
    return {f"by{place}": name for place, name in enumerate(filled, 1)}


def _rates(rates: Rates | None) -> dict[str, Any]:
    """Return the parameters of savings.sql: dollars for one of each, as exact texts."""
    given = rates or Rates.plain(0, 0)
    dollars = {
        f"rate_{name}": f"{Decimal(getattr(given, name)).scaleb(-15):f}" for name in Rates.__struct_fields__
    }
    return {"is_known": int(rates is not None), **dollars}


def _decoded(text: str) -> Rates:
    """Read what the table of prices has: rates, or a price, of which the standard ones count."""
    try:
        return msgspec.json.decode(text, type=Rates)
    except msgspec.ValidationError:
        return msgspec.json.decode(text, type=_Standing).standard.rates


class _Schedule(msgspec.Struct):
    rates: Rates


class _Standing(msgspec.Struct):
    standard: _Schedule


def _meaning(error: GatewayFault) -> Exception:
    """Say what an error of the store means for who has asked."""
    code = _CODE.search(error.message)
    number = int(code[1]) if code else 0
    if number in _TOO_BIG:
        return BadRequest(
            "this asks for more than can be told at once: ask for a shorter span, a longer step, fewer "
            "dimensions, or one tenant, route or model",
            code="too_much_asked",
            param="since",
        )
    if number in _NO_TABLE:
        return StoreDown("the ledger is not set up yet; try again in a moment", detail=error.detail)
    if isinstance(error, StoreDown):
        return StoreDown(f"usage cannot be told now: {error.message}", detail=error.detail)
    return error


def _row_of(one: Anomaly) -> tuple[Any, ...]:
    amounts = (Decimal(amount).scaleb(-15) for amount in (one.cost, one.usual, one.low, one.high))
    return (one.time_s, "(all)" if one.tenant == EVERYBODY else one.tenant, *amounts, one.score)


def _nothing(columns: Sequence[Column]) -> tuple[Any, ...]:
    """Return the row of measures where nothing was used."""
    empty = {"number": 0, "usd": Decimal(0)}
    return tuple(empty.get(column.type) for column in columns)


def _plain(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [
        tuple(None if isinstance(value, float) and isnan(value) else value for value in row) for row in rows
    ]


def _moment(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


def _no_price() -> None:
    return None

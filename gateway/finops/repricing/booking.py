"""Go through the ledger, page by page, and book what its attempts cost at the prices that were in force.

Holds one page at a time. What was booked stands: after an interruption the next run finishes the batch that
was under way and finds nothing to change in those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import time
from typing import NamedTuple, Protocol

import msgspec

from gateway.exchange import Price
from gateway.finops.repricing.journal import Journal
from gateway.finops.repricing.revaluing import Change, attempts_of, entries_for, months_of, newest_of, revalue
from gateway.finops.sql import text_of
from gateway.ledger.entries import Entry
from gateway.ledger.ledger import PriceRow
from gateway.protocols import UsageStore


class PricesInTime(Protocol):
    """Which prices were in force when."""

    def at(self, backend: str, provider: str, model: str, unix_s: float) -> Price | None:
        """Return the price of a model at a backend and a time; None: it is not known."""


class Span(msgspec.Struct, frozen=True):
    """What is repriced: whose attempts, where, and when (Unix ms)."""

    since_ms: int
    until_ms: int
    tenants: tuple[str, ...] = ()
    """Empty: all."""
    backend: Callable[[str], bool] = lambda _: True
    model: Callable[[str], bool] = lambda _: True
    page: int = 5000


class Sum(msgspec.Struct):
    """What changed for a tenant, of a model; amounts are femto-USD."""

    attempts: int = 0
    before: int = 0
    after: int = 0


class Outcome(msgspec.Struct):
    """What came of it."""

    looked_at: int = 0
    changed: dict[tuple[str, str, str], Sum] = {}
    """By tenant, backend and model."""
    finished: int = 0
    """Entries of an interrupted run before."""
    removed: dict[str, int] = {}
    """Attempts at backends that the configuration does not have any more."""
    unpriced: dict[tuple[str, str], int] = {}
    """Attempts at a backend and model without a price: they stay as they are."""

    def add(self, change: Change) -> None:
        """Count a change."""
        before, after = change
        total = self.changed.setdefault((before.tenant, before.backend, before.model), Sum())
        total.attempts += 1
        total.before += before.cost
        total.after += after.cost


class Repricing(msgspec.Struct):
    """What it takes: the ledger, the prices, and who sells at each backend that is configured."""

    store: UsageStore
    prices: PricesInTime
    sellers: Mapping[str, str]
    """By backend: its preset or provider; empty where public prices do not count."""
    journal: Journal
    versions: set[str] = msgspec.field(default_factory=set)
    """That the ledger has been told."""

    def run(self, span: Span) -> Outcome:
        """Book what changes. Raises StoreDown, Busy, Unbalanced; what was booked until then stands."""
        with self.journal.held():
            outcome = Outcome(finished=self.journal.finish(self.store))
            for changes in self._changes(span, outcome):
                for some in months_of(changes):
                    self._tell_prices(some)
                    self.journal.book(self.store, entries_for(some))
                    for change in some:
                        outcome.add(change)
            return outcome

    def rehearse(self, span: Span) -> Outcome:
        """Say what would change."""
        outcome = Outcome()
        for changes in self._changes(span, outcome):
            for change in changes:
                outcome.add(change)
        return outcome

    def _changes(self, span: Span, outcome: Outcome) -> Iterator[Sequence[Change]]:
        for tenant, targets in self._targets(span, outcome).items():
            for page in self._pages(span, tenant, targets):
                changes = list[Change]()
                for attempt in attempts_of(page):
                    newest = newest_of(attempt)
                    if newest is None or (newest.backend, newest.model) not in targets:
                        continue
                    outcome.looked_at += 1
                    if change := self._change(newest, outcome):
                        changes.append(change)
                yield changes

    def _change(self, newest: Entry, outcome: Outcome) -> Change | None:
        place = newest.backend, newest.model
        price = self.prices.at(newest.backend, self.sellers[newest.backend], newest.model, newest.time / 1000)
        if price is not None:
            return revalue(newest, price)
        if newest.confidence:
            outcome.unpriced[place] = outcome.unpriced.get(place, 0) + 1
        return None

    def _targets(self, span: Span, outcome: Outcome) -> dict[str, set[tuple[str, str]]]:
        """Return the backends and models of each tenant."""
        window = {"tenants": list(span.tenants), "since": span.since_ms, "until": span.until_ms}
        targets = dict[str, set[tuple[str, str]]]()
        for tenant, backend, model, attempts in self.store.query(text_of("reprice_targets"), window).rows:
            if not span.backend(backend) or not span.model(model):
                continue
            if backend in self.sellers:
                targets.setdefault(tenant, set()).add((backend, model))
            elif backend:
                outcome.removed[backend] = outcome.removed.get(backend, 0) + attempts
        return targets

    def _pages(self, span: Span, tenant: str, targets: set[tuple[str, str]]) -> Iterator[list[Entry]]:
        place = _Place(span.since_ms, "", -1)
        parameters = {
            "tenants": [tenant],
            "until": span.until_ms,
            "backends": sorted({backend for backend, _ in targets}),
            "models": sorted({model for _, model in targets}),
            "limit": span.page,
        }
        while True:
            found = self.store.query(text_of("reprice_page"), parameters | place._asdict())
            page = [msgspec.convert(tuple(row), Entry, strict=False) for row in found.rows]
            if page:
                yield page
            if len(page) < span.page:
                return
            place = _Place(page[-1].time, page[-1].call, page[-1].attempt)

    def _tell_prices(self, changes: Sequence[Change]) -> None:
        """Keep what the new versions of prices are, beside the ledger."""
        for _, after in changes:
            if after.price in self.versions:
                continue
            price = self.prices.at(after.backend, self.sellers[after.backend], after.model, after.time / 1000)
            rates = msgspec.json.encode(price).decode()
            row = msgspec.structs.astuple(
                PriceRow(after.price, after.backend, after.model, rates, int(time() * 1000))
            )
            self.store.insert("prices", PriceRow.__struct_fields__, [row], f"price-{after.price}")
            self.versions.add(after.price)


class _Place(NamedTuple):
    """Where a page begins: after that attempt."""

    since: int
    call: str
    attempt: int

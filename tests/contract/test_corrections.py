"""Corrections of the ledger: booked once, whatever happens meanwhile, and right to the femto-dollar."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rig.programs.lacking import lacking

from gateway.embedded.clickhouse import Engine
from gateway.errors import BadRows, StoreDown
from gateway.exchange import Price, Rates, Schedule, Usage
from gateway.finops.repricing import journal as journals
from gateway.finops.repricing.booking import Repricing, Span
from gateway.finops.repricing.journal import Busy, Journal, Unbalanced
from gateway.finops.repricing.revaluing import usage_of
from gateway.ledger.entries import MEASURES, Entry
from gateway.protocols import Found
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import Place, place_of

_numbers = itertools.count(1)
START, NOVEMBER = 1_761_782_400_000, 1_761_955_200_000
DAY = 86_400_000
ROLLUPS = ("usage_minute", "usage_hour", "usage_day")
OLD = Price.flat("own:old@1", Rates.plain(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_001))
NEW = Price("own:new@2", Schedule(Rates.plain(2_500_000_000, 10_000_000_000, 250_000_000, 3_125_000_003)))
SELLERS = {"openai": "openai", "cluster": "", "unknown": ""}


class Shop:
    """Prices: what `openai` sells is cheaper since the third of the days looked at."""

    def __init__(self, since_s: float = START / 1000 + 1.5 * 86_400) -> None:
        self.since_s = since_s

    def at(self, backend: str, provider: str, model: str, unix_s: float) -> Price | None:
        if backend == "unknown":
            return None
        return NEW if provider == "openai" and unix_s >= self.since_s else OLD


class Interrupted(ClickHouse):
    """A store that goes away at one of its inserts, before or after it has done it."""

    fails_at: int = -1
    has_done: bool = False
    inserts: int = 0

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], token: str) -> None:
        self.inserts += 1
        if self.inserts == self.fails_at:
            if self.has_done:
                super().insert(table, names, rows, token)
            raise StoreDown("gone")
        super().insert(table, names, rows, token)

    def run(self, sql: str) -> None:
        """Do something to the tables."""
        self._connected().command(sql)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if importlib.util.find_spec("chdb") is None:
        lacking("the embedded ClickHouse: chdb-core is not installed")
    folder = tmp_path_factory.mktemp("clickhouse")
    engine = Engine(folder)
    engine.start()
    try:
        engine.wait_ready(30.0)
        yield place_of(folder)
    finally:
        engine.stop()


@pytest.fixture
def store(engine: Place) -> Iterator[Interrupted]:
    place = Place(engine.url, engine.user, engine.password, f"corrections_{next(_numbers)}")
    store = Interrupted(lambda: place)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "reprice")


def charge(draw: random.Random, number: int, **fields: Any) -> Entry:
    written = draw.choice((0, 0, 40))
    usage = Usage(
        input_tokens=draw.randrange(100, 5000),
        output_tokens=draw.randrange(1, 900),
        cached_tokens=draw.choice((0, 60)),
        cache_write_tokens=written,
        origin=draw.choice(("reported", "counted", "estimated")),
    )
    cost = OLD.cost(usage)
    values: dict[str, Any] = dict.fromkeys(Entry.__struct_fields__, "")
    values |= dict.fromkeys(MEASURES, 0)
    values |= {name: None for name in values if name.endswith("_ms") and name not in MEASURES}
    values |= {name: value for name, value in msgspec.structs.asdict(usage).items() if name in MEASURES}
    values |= {f"cost_{kind}": amount for kind, amount in cost._asdict().items()}
    values |= {
        "time": START + draw.randrange(4 * DAY),
        "call": f"call-{number:06d}",
        "entry": "charge",
        "revision": 0,
        "attempt": 1,
        "calls": 1,
        "attempts": 1,
        "purpose": "call",
        "tenant": draw.choice(("acme", "globex's")),
        "user": f"user-{number % 7}",
        "tags": ("gold", "it's"),
        "backend": draw.choice(("openai", "openai", "cluster")),
        "model": draw.choice(("gpt-5", "gpt-5-mini")),
        "stream": True,
        "status": 200,
        "ending": "finished",
        "cost": sum(cost),
        "saved": OLD.saved(usage) if usage.cached_tokens or written else 0,
        "price": OLD.version,
        "confidence": usage.origin,
        "total_ms": 1234.5,
        "output_per_s": None,
        "source": "gateway",
    }
    return Entry(**values | fields)


def seed(store: ClickHouse, count: int, **fields: Any) -> list[Entry]:
    draw = random.Random(7)
    entries = [charge(draw, number, **fields) for number in range(count)]
    insert(store, entries)
    return entries


def insert(store: ClickHouse, entries: Sequence[Entry]) -> None:
    # By months, as the database keeps them.
    by_time = sorted(entries, key=lambda one: one.time)
    for month, some in itertools.groupby(by_time, lambda one: one.time >= NOVEMBER):
        rows = [msgspec.structs.astuple(entry) for entry in some]
        token = f"seed-{month}-{rows[0][1]}-{len(rows)}"
        ClickHouse.insert(store, "ledger", Entry.__struct_fields__, rows, token)


def sums(store: ClickHouse, table: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    """All measures by what the rollups keep apart."""
    exact = (
        f"reinterpret(sum({name}), 'Int128')" if name.startswith(("cost", "saved")) else f"sum({name})"
        for name in MEASURES
    )
    keys = "tenant, backend, model, price, confidence"
    question = " ".join(("SELECT", ", ".join((keys, *exact)), "FROM", table, "GROUP BY", keys))
    rows = store.query(question, {}).rows
    found = {tuple(row[:5]): tuple(map(int, row[5:])) for row in rows}
    return {key: amounts for key, amounts in found.items() if any(amounts)}


def expected(entries: Sequence[Entry], shop: Shop) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The same sums, had every attempt been booked with the right price at once."""
    total: dict[tuple[str, ...], list[int]] = {}
    for one in entries:
        entry = one
        price = shop.at(entry.backend, SELLERS.get(entry.backend, "-"), entry.model, entry.time / 1000)
        usage = usage_of(entry)
        if price is not None and usage is not None and entry.backend in SELLERS and entry.source != "demo":
            cost = price.cost(usage)
            kinds = {f"cost_{kind}": amount for kind, amount in cost._asdict().items()}
            saved = price.saved(usage) if usage.cached_tokens or usage.cache_write_tokens else 0
            entry = msgspec.structs.replace(entry, **kinds, cost=sum(cost), saved=saved, price=price.version)
        key = (entry.tenant, entry.backend, entry.model, entry.price, entry.confidence)
        line = total.setdefault(key, [0] * len(MEASURES))
        for at, name in enumerate(MEASURES):
            line[at] += getattr(entry, name)
    return {key: tuple(amounts) for key, amounts in total.items()}


def repricing(store: ClickHouse, journal: Journal, shop: Shop | None = None) -> Repricing:
    return Repricing(store, shop or Shop(), SELLERS, journal)


def span(**fields: Any) -> Span:
    return Span(START, START + 5 * DAY, **{"page": 80} | fields)


def all_are(store: ClickHouse, wanted: Mapping[tuple[str, ...], tuple[int, ...]]) -> None:
    for table in ("ledger", *ROLLUPS):
        assert sums(store, table) == wanted, table


def rows_of(store: ClickHouse) -> int:
    return int(store.query("SELECT count() FROM ledger", {}).rows[0][0])


def test_past_costs_are_those_of_the_prices_in_force_then(store: Interrupted, journal: Journal) -> None:
    entries = seed(store, 400)
    all_are(store, expected(entries, Shop(since_s=9e9)))
    outcome = repricing(store, journal).run(span())
    all_are(store, expected(entries, Shop()))
    changed = sum(one.attempts for one in outcome.changed.values())
    assert 50 < changed < outcome.looked_at == 400
    assert rows_of(store) == 400 + 2 * changed
    assert {key[1] for key in outcome.changed} == {"openai"}
    before = sum(one.before - one.after for one in outcome.changed.values())
    assert before == sum(entry.cost for entry in entries) - sum(
        amounts[MEASURES.index("cost")] for amounts in expected(entries, Shop()).values()
    )


def test_a_second_run_changes_nothing(store: Interrupted, journal: Journal) -> None:
    entries = seed(store, 200)
    repricing(store, journal).run(span())
    rows, inserts = rows_of(store), store.inserts
    assert not repricing(store, journal).run(span(page=50)).changed
    assert (rows_of(store), store.inserts) == (rows, inserts)
    all_are(store, expected(entries, Shop()))


def test_a_price_can_change_again_and_again(store: Interrupted, journal: Journal) -> None:
    entries = seed(store, 100)
    for since_s in (START / 1000, START / 1000 + 2 * 86_400, 9e9, START / 1000):
        repricing(store, journal, Shop(since_s)).run(span())
        all_are(store, expected(entries, Shop(since_s)))


@pytest.mark.parametrize("has_done", [False, True])
def test_interrupted_between_or_within_batches_the_next_run_finishes(
    store: Interrupted, journal: Journal, has_done: bool
) -> None:
    entries = seed(store, 300)
    wanted = expected(entries, Shop())
    store.has_done = has_done
    interruptions = 0
    for fails_at in itertools.count(1):
        store.fails_at, store.inserts = fails_at, 0
        try:
            repricing(store, journal).run(span())
        except StoreDown:
            interruptions += 1
            continue
        break
    assert interruptions > 3
    all_are(store, wanted)
    store.fails_at = -1
    assert not repricing(store, journal).run(span(page=1000)).changed
    all_are(store, wanted)


@pytest.mark.parametrize("feed", ROLLUPS)
def test_a_batch_that_a_rollup_never_got_is_completed(
    store: Interrupted, journal: Journal, feed: str
) -> None:
    entries = seed(store, 120)
    store.fails_at, store.has_done = 3, True
    store.run(f"DETACH TABLE {feed}_feed")
    with pytest.raises(StoreDown):
        repricing(store, journal).run(span(page=1000))
    store.run(f"ATTACH TABLE {feed}_feed")
    outcome = repricing(store, journal).run(span(page=1000))
    assert outcome.finished
    wanted = expected(entries, Shop())
    for table in {"ledger", *ROLLUPS} - {feed}:
        assert sums(store, table) == wanted, table


def test_nothing_is_booked_in_a_rehearsal(store: Interrupted, journal: Journal) -> None:
    entries = seed(store, 100)
    planned = repricing(store, journal).rehearse(span())
    assert store.inserts == 0
    all_are(store, expected(entries, Shop(since_s=9e9)))
    assert planned.changed == repricing(store, journal).run(span()).changed


def test_only_what_is_named_is_repriced(store: Interrupted, journal: Journal) -> None:
    seed(store, 200)
    outcome = repricing(store, journal).run(
        span(model=lambda name: name.endswith("mini"), tenants=("globex's",))
    )
    assert set(outcome.changed) == {("globex's", "openai", "gpt-5-mini")}


def test_removed_backends_unknown_prices_and_demo_data_are_left_alone(
    store: Interrupted, journal: Journal
) -> None:
    draw = random.Random(1)
    entries = [
        *(charge(draw, number, backend="gone") for number in range(5)),
        *(charge(draw, number, backend="unknown") for number in range(10, 14)),
        *(charge(draw, number, backend="openai", source="demo") for number in range(20, 40)),
        *(charge(draw, number, backend="openai", confidence="") for number in range(40, 60)),
    ]
    insert(store, entries)
    outcome = repricing(store, journal).run(span())
    assert (outcome.removed, sum(outcome.unpriced.values())) == ({"gone": 5}, 4)
    assert not outcome.changed
    assert store.inserts == 0


def test_a_batch_that_is_refused_is_not_tried_for_ever(
    store: Interrupted, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = seed(store, 20)

    def refuse(*_: object) -> None:
        raise BadRows("no")

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert", lambda table, *_: None if table == "prices" else refuse())
        with pytest.raises(BadRows):
            repricing(store, journal).run(span())
    repricing(store, journal).run(span())
    all_are(store, expected(entries, Shop()))


def test_two_runs_at_once_are_refused(store: Interrupted, journal: Journal) -> None:
    with journal.held(), pytest.raises(Busy, match="booked already"):
        repricing(store, journal).run(span())


def test_attempts_of_one_moment_are_never_divided_between_pages(store: Interrupted, journal: Journal) -> None:
    draw = random.Random(5)
    moment = START + 2 * DAY
    entries = [
        charge(draw, number // 3, time=moment, attempt=number % 3 + 1, backend="openai", tenant="acme")
        for number in range(15)
    ]
    insert(store, entries)
    for since_s, page in ((0, 1), (9e9, 2), (0, 7)):
        repricing(store, journal, Shop(since_s)).run(span(page=page))
        all_are(store, expected(entries, Shop(since_s)))


def test_an_old_interrupted_batch_is_not_sent_twice(
    store: Interrupted, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = seed(store, 80)
    store.fails_at, store.has_done = 2, True
    with pytest.raises(StoreDown):
        repricing(store, journal).run(span(page=1000))
    later = journals.time() + 7200
    monkeypatch.setattr(journals, "time", lambda: later)
    repricing(store, journal).run(span())
    all_are(store, expected(entries, Shop()))


def test_an_old_batch_that_a_rollup_never_got_is_told(
    store: Interrupted, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(store, 80)
    store.fails_at, store.has_done = 2, True
    store.run("DETACH TABLE usage_hour_feed")
    with pytest.raises(StoreDown):
        repricing(store, journal).run(span(page=1000))
    store.run("ATTACH TABLE usage_hour_feed")
    later = journals.time() + 7200
    monkeypatch.setattr(journals, "time", lambda: later)
    with pytest.raises(Unbalanced, match="usage_hour differ"):
        repricing(store, journal).run(span())


def test_what_new_versions_are_is_kept_beside_the_ledger(store: Interrupted, journal: Journal) -> None:
    seed(store, 50)
    repricing(store, journal).run(span())
    found: Found = store.query("SELECT version, rates FROM prices FINAL", {})
    assert [row[0] for row in found.rows] == [NEW.version]
    assert msgspec.json.decode(found.rows[0][1], type=Price) == NEW

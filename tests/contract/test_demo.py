"""`forebay demo` on the real engine: it fills, it goes away whole, and it touches nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from contract.seeded_usage import calls_of, fill, opened_ledger
from rig.gateway import prepared_folder

from gateway.commands.ledger import demo
from gateway.commands.usage.books import Books
from gateway.exchange import Caller, Price, Rates
from gateway.finops.demo.books import PRICED
from gateway.finops.demo.traffic import Plan
from gateway.finops.panels import PANELS
from gateway.finops.questions import Questions
from gateway.finops.searching import read_search
from gateway.finops.terms import read_terms
from gateway.protocols import UsageStore

NOW = 1_795_262_400 + 3600
ADMIN = Caller("", "", (), admin=True)
TABLES = ("ledger", "usage_minute", "usage_hour", "usage_day", "prices")
REAL = calls_of(5, 60, days=4)


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shared_store(state_dir: Path) -> Iterator[UsageStore]:
    """A ledger with some real calls, on an engine of this process."""
    with opened_ledger(state_dir) as store:
        fill(store, REAL)
        real = [("public:x@1", "openai", "gpt-5", "{}", 0)]
        store.insert("prices", ("version", "backend", "model", "rates", "seen"), real, "real")
        yield store


@pytest.fixture
def store(shared_store: UsageStore) -> Iterator[UsageStore]:
    """The same, and without a demo again afterwards."""
    yield shared_store
    demo.remove(shared_store)


def books(store: UsageStore) -> Books:
    config: Any = SimpleNamespace(prices=SimpleNamespace(of=price_of))
    return Books(store, config, NOW)


def price_of(backend: str, provider: str, model: str) -> Price | None:
    return Price.flat("public:x", Rates.plain(9_000_000_000, 45_000_000_000, 900_000_000, 11_250_000_000))


def only(store: UsageStore, asked: str) -> Any:
    [[value]] = store.query(asked, {}).rows
    return value


def contents(store: UsageStore, table: str) -> list[str]:
    """All rows of a table, as far as they can be compared."""
    chosen = "*"
    if table.startswith("usage_"):
        states = "first_token_ms, total_ms, attempt_ms, output_per_s"
        uniques = ("users", "conversations", "good_conversations")
        numbers = ", ".join(f"finalizeAggregation({name}) AS number_of_{name}" for name in uniques)
        chosen = f"* EXCEPT ({states}, {', '.join(uniques)}), {numbers}"
    asked = " ".join(("SELECT", chosen, "FROM {table:Identifier}", "FINAL" * (table != "ledger")))
    return sorted(map(str, store.query(asked, {"table": table}).rows))


def cost_in(store: UsageStore, table: str) -> int:
    asked = "SELECT sum(cost) FROM {table:Identifier} WHERE source = 'demo'"
    [[cost]] = store.query(asked, {"table": table}).rows
    return int(Decimal(cost).scaleb(15))


def test_the_demo_leaves_nothing_behind_and_touches_nothing_else(store: UsageStore) -> None:
    before = [contents(store, table) for table in TABLES]
    plan = Plan(9, 150, 3, NOW * 1000)
    made = demo.fill(books(store), plan)
    assert made.calls >= 9 * 150
    assert only(store, "SELECT count() FROM ledger WHERE source = 'demo'") == made.rows
    assert only(store, "SELECT sum(calls) FROM usage_hour WHERE source = 'demo'") == made.calls
    for table in TABLES[:4]:
        assert cost_in(store, table) == sum(made.cost.values())
    foreign = "SELECT count() FROM ledger WHERE (source = 'demo') != startsWith(tenant, 'demo-')"
    assert only(store, foreign) == 0
    [[versions]] = store.query("SELECT groupUniqArray(price) FROM ledger WHERE source = 'demo'", {}).rows
    [[known]] = store.query("SELECT groupUniqArray(version) FROM prices", {}).rows
    assert all(one.startswith(PRICED) for one in set(versions) - {""})
    assert set(versions) - {""} < set(known)
    again = demo.fill(books(store), plan)
    assert (again.rows, again.cost) == (made.rows, made.cost)
    assert only(store, "SELECT count() FROM ledger WHERE source = 'demo'") == made.rows
    assert demo.remove(store) > 0
    assert [contents(store, table) for table in TABLES] == before
    assert demo.remove(store) == 0


def test_batches_that_are_written_while_others_are_made_up_are_all_there(
    store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "AT_ONCE", 70)
    made = demo.fill(books(store), Plan(2, 200, 3, NOW * 1000))
    assert made.rows > 5 * 70
    assert only(store, "SELECT count() FROM ledger WHERE source = 'demo'") == made.rows
    assert cost_in(store, "ledger") == sum(made.cost.values())


def test_every_page_has_something_to_show_of_the_demo(store: UsageStore) -> None:
    questions = Questions(store, lambda: price_of("", "", ""))
    assert not questions.is_demo(())
    made = demo.fill(books(store), Plan(30, 200, 1, NOW * 1000))
    assert questions.is_demo(())
    assert questions.is_demo(("demo-labs",))
    assert not questions.is_demo(("acme",))
    mine = [f"demo-{name}" for name in ("shop", "bank", "studio", "labs", "startup")]
    terms = read_terms({"since": ["30d"], "tenant": mine}, ADMIN, NOW)
    for name in PANELS:
        table = questions.panel(name, terms)
        assert table.rows, name
        assert all(len(row) == len(table.columns) for row in table.rows), name
    _, total, _ = questions.usage(read_terms({"since": ["31d"], "tenant": mine}, ADMIN, NOW))
    named = dict(zip((column.name for column in total.columns), total.rows[0], strict=True))
    assert (named["calls"], named["cost_usd"]) == (made.calls, Decimal(sum(made.cost.values())).scaleb(-15))
    found, _ = questions.calls(terms, read_search({}))
    call = found.rows[0][0]
    assert {entry["source"] for entry in questions.call(call, ())} == {"demo"}
    spikes = {row[1] for row in questions.panel("anomalies", terms).rows}
    assert "demo-labs" in spikes


class Place:
    """A folder with a configuration, and a state directory that may have an engine already."""

    def __init__(self, folder: Path, state_dir: Path) -> None:
        backends = {"own": {"base_url": "http://127.0.0.1:9"}}
        routes = {"fast": {"targets": [{"backend": "own"}]}}
        prepared_folder(folder, {"ledger": {"enabled": True}, "backends": backends, "routes": routes})
        self.folder, self.state_dir = folder, state_dir

    def forebay(self, *words: str) -> str:
        places = ["--config", str(self.folder), "--state", str(self.state_dir)]
        argv = [sys.executable, "-m", "gateway", *words, *places]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def rows_made(said: str) -> int:
    found = re.search(r"([0-9,]+) rows", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


def test_the_command_uses_the_engine_that_runs(store: UsageStore, state_dir: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "config", state_dir)
    before = [contents(store, table) for table in TABLES]
    for calls in ("80", "50"):
        said = place.forebay("demo", "--days", "3", "--calls-per-day", calls)
        assert only(store, "SELECT count() FROM ledger WHERE source = 'demo'") == rows_made(said)
    told = yaml.safe_load(said.partition("policies/budgets.yaml:\n")[2])
    assert {name: budget["for"] for name, budget in told.items()} == {
        name: {"tenant": [name]} for name in told
    }
    assert told.keys() <= {"demo-shop", "demo-bank", "demo-studio", "demo-labs", "demo-startup"}
    assert re.fullmatch(r"removed the demo: \d+ attempts\n", place.forebay("demo", "--remove"))
    assert [contents(store, table) for table in TABLES] == before
    assert place.forebay("demo", "--remove") == "there is no demo data\n"


def test_the_command_starts_an_engine_where_none_runs_and_ends_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "config", tmp_path / "state")
    rows = rows_made(place.forebay("demo", "--days", "3", "--calls-per-day", "50"))
    assert not (tmp_path / "state" / "clickhouse" / "endpoint.json").exists()
    with opened_ledger(tmp_path / "state") as store:
        assert only(store, "SELECT count() FROM ledger") == rows

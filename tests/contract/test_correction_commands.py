"""`forebay usage reprice`, `reconcile` and `throughput`, and unusual spend: asked of a real ledger."""

from __future__ import annotations

import argparse
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from contract.test_corrections import START, Interrupted, Shop, charge, engine, insert, seed, store

from gateway.commands.usage import correction_options, reconcile, reprice, throughput
from gateway.commands.usage.books import Books
from gateway.finops.alarms import look
from gateway.finops.anomalies import FEMTO, Habits

__all__ = ["engine", "store"]
NOW_S = START / 1000 + 10 * 86_400


class Backend(NamedTuple):
    """As much of a backend's settings as the commands look at."""

    preset: str
    provider: str
    self_hosted: bool = False


class Resolved(NamedTuple):
    backends: dict[str, Backend]


class Config(NamedTuple):
    """As much of a configuration."""

    resolved: Resolved
    prices: Shop


CONFIG: Any = Config(
    Resolved({"openai": Backend("openai", "openai_compatible"), "cluster": Backend("", "ollama", True)}),
    Shop(),
)


@pytest.fixture
def books(store: Interrupted) -> Books:
    return Books(store, CONFIG, NOW_S)


def parsed(state: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb")
    for add in correction_options.VERBS:
        add(verbs)
    return argparse.Namespace(**{**vars(parser.parse_args(words)), "state": state})


def test_a_dry_run_tells_and_the_run_books_by_model_and_tenant(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = seed(books.store, 60)
    words = ("reprice", "--since", "2025-10-01", "--model", "gpt-5*")
    assert reprice.run(parsed(tmp_path, *words, "--dry-run"), books) == 0
    planned = capsys.readouterr().out
    assert "attempts would be booked anew" in planned
    assert reprice.run(parsed(tmp_path, *words), books) == 0
    booked = capsys.readouterr().out
    assert booked == planned.replace("would be", "were")
    assert "acme" in booked
    assert "gpt-5-mini" in booked
    assert reprice.run(parsed(tmp_path, *words), books) == 0
    assert (
        capsys.readouterr().out
        == f"nothing changes: {len(entries)} attempts have the prices that were in force\n"
    )


def test_a_span_the_wrong_way_round_is_refused(books: Books, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not before"):
        reprice.run(parsed(tmp_path, "reprice", "--since", "30m"), books)


def bill_of(entries: list[Any], path: Path, factor: float = 1.0) -> Path:
    sums: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.backend == "openai":
            day = datetime.fromtimestamp(entry.time / 1000, UTC).date().isoformat()
            sums[day, entry.model] = sums.get((day, entry.model), 0) + entry.cost
    lines = [f"{day},{model}-2025-08-07,{cost / 1e15 * factor:.15f}" for (day, model), cost in sums.items()]
    path.write_text("\n".join(["date,model,usd", *lines]))
    return path


def test_a_bill_that_agrees_exits_with_0_and_one_with_a_discount_with_1(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = seed(books.store, 200)
    columns = ("--columns", "date=date,model=model,usd=usd", "--provider", "openai")
    invoice = str(bill_of(entries, tmp_path / "bill.csv"))
    assert reconcile.run(parsed(tmp_path, "reconcile", "--invoice", invoice, *columns), books) == 0
    assert "all" in capsys.readouterr().out
    invoice = str(bill_of(entries, tmp_path / "cheap.csv", 0.9))
    words = ("reconcile", "--invoice", invoice, *columns, "--month", "2025-10")
    assert reconcile.run(parsed(tmp_path, *words, "--format", "json", "--tolerance", "5%"), books) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["since"], told["until"]) == ("2025-10-01", "2025-10-31")
    assert told["rows"][0]["scope"] == "total"
    assert reconcile.run(parsed(tmp_path, *words, "--format", "csv", "--tolerance", "15%"), books) == 0
    assert capsys.readouterr().out.startswith("scope,day,model,billed,booked,difference,share,why\ntotal,,,")


def test_what_cannot_be_compared_is_refused(books: Books, tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text("a,b\n1,2\n")
    invoice = str(tmp_path / "bill.csv")
    with pytest.raises(ValueError, match="Found: a, b"):
        reconcile.run(parsed(tmp_path, "reconcile", "--invoice", invoice, "--provider", "openai"), books)
    bill_of([], tmp_path / "bill.csv")
    (tmp_path / "bill.csv").write_text("date,usd\n2025-10-30,1\n")
    words = ("reconcile", "--invoice", invoice, "--columns", "date=date,usd=usd")
    with pytest.raises(ValueError, match=r"--provider ollama | openai"):
        reconcile.run(parsed(tmp_path, *words), books)
    with pytest.raises(ValueError, match="nothing of 2025-12"):
        reconcile.run(parsed(tmp_path, *words, "--backend", "openai", "--month", "2025-12"), books)


def test_throughput_writes_the_lines_of_a_price(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(3)
    moments = [START + 60_000 * minute for minute in range(120)]
    insert(
        books.store,
        [
            charge(draw, at, time=moment, backend="cluster", input_tokens=60_000, output_tokens=6000)
            for at, moment in enumerate(moments)
        ],
    )
    words = ("throughput", "--backend", "cluster", "--since", "2025-10-30", "--until", "2025-10-30T04:00")
    assert throughput.run(parsed(tmp_path, *words, "--usd-per-hour", "3.6"), books) == 0
    out = capsys.readouterr().out
    assert "      input_tokens_per_s: 1000.0\n      output_tokens_per_s: 100.0\n" in out
    assert "utilization: 0.5 " in out
    assert "utilization 1: $0.5000 input, $5.0000 output, per million tokens" in out
    assert throughput.run(parsed(tmp_path, "throughput", "--backend", "none"), books) == 1


def test_unusual_spend_is_found_in_the_ledger_and_demo_data_is_no_alarm(store: Interrupted) -> None:
    draw = random.Random(4)
    hour = START // 3_600_000 * 3_600_000
    first = hour - 14 * 24 * 3_600_000
    usual = [
        charge(draw, at, time=first + at * 3_600_000, tenant="acme", cost=10 * FEMTO) for at in range(14 * 24)
    ]
    spike = charge(draw, 999_999, time=hour, tenant="acme", cost=500 * FEMTO)
    insert(store, [*usual, spike, msgspec.structs.replace(spike, tenant="demo-x", source="demo")])
    found = look(store, hour / 1000 + 60, Habits())
    assert [(one.tenant, one.time_s, one.cost, one.usual) for one in found] == [
        ("acme", hour // 1000, 500 * FEMTO, 10 * FEMTO)
    ]

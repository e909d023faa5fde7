"""`forebay usage`: its options, what it asks, and how tables and errors are written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.commands.usage import books, options, running
from gateway.commands.usage.tables import Look, as_table
from gateway.compose.reading import as_a_client, load_config
from gateway.errors import ConfigErrors, StoreDown
from gateway.finops.panels import Column, usage_columns
from gateway.finops.questions import Table
from gateway.identity.keys import mint_key
from gateway.protocols import Found

NOW = 1_795_260_000.0


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="forebay")

    def add_places(of: argparse.ArgumentParser) -> None:
        of.add_argument("--config", type=Path, default=Path())
        of.add_argument("--state", type=Path, default=Path(".forebay"))

    options.register(parser.add_subparsers(dest="command", required=True), add_places)
    return parser.parse_args(list(words))


class Answers:
    """A store with one answer to all questions, which it remembers."""

    def __init__(self, rows: Any) -> None:
        self.rows, self.asked = rows, []

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Found:
        self.asked.append(parameters)
        if isinstance(self.rows, Exception):
            raise self.rows
        return Found((), self.rows)


MEASURED = (12, 1, 0, 13, 1000, 200, 0, 0, 0, Decimal("1234.567890123"), Decimal(0), Decimal("0.001"))
ROW = (0, "acme", *[""] * 7, *MEASURED, 3, 4, 4, 10.5, None, 20.0, 30.0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(answers: Any, *words: str) -> int:
        @contextmanager
        def opened(folder: Path, state: Path) -> Iterator[books.Books]:
            if isinstance(answers, Exception):
                raise answers
            config: Any = SimpleNamespace(
                tenants=SimpleNamespace(tenants={}), retention=SimpleNamespace(days={"ledger": 100})
            )
            yield books.Books(answers, config, NOW)

        monkeypatch.setattr(running, "opened_books", opened)
        return running.run(parsed("usage", *words))

    return run


def test_places_count_before_and_after_a_verb() -> None:
    before = parsed("usage", "--state", "there", "focus")
    assert (before.state, before.config) == (Path("there"), Path())
    assert parsed("usage", "focus", "--state", "there").state == Path("there")
    assert parsed("usage", "focus").state == Path(".forebay")


def test_options_are_asked_as_the_parameters_of_the_api(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    store = Answers([ROW])
    given = ("--by", "tenant", "--since", "2026-11-01", "--step", "day", "--tenant", "a", "--tenant", "b")
    assert run(store, *given, "--format", "json") == 0
    asked = store.asked[0]
    assert (asked["tenants"], asked["by1"], asked["step"], asked["since"]) == (
        ["a", "b"],
        "tenant",
        86_400,
        1_793_491_200,
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["object"], told["step"], told["by"]) == ("usage", "day", ["tenant"])
    assert told["data"][0]["cost_usd"] == told["total"]["cost_usd"] == "1234.567890123"


def test_a_table_is_aligned_and_adds_up(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Answers([ROW]), "--by", "tenant") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-3] for line in lines[2::2]] == ["1,234.57", "1,234.57"]
    assert "Cost, USD" in lines[0]
    assert lines[-1].startswith("total")
    assert "<0.01" in lines[2]
    assert run(Answers([ROW]), "--by", "tenant", "--exact") == 0
    assert "1,234.567890123" in capsys.readouterr().out


def test_csv_is_exact_and_goes_to_a_file_as_a_whole(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "usage.csv"
    assert run(Answers([ROW]), "--by", "tenant", "--format", "csv", "--out", str(out)) == 0
    names, row = out.read_text().splitlines()
    assert dict(zip(names.split(","), row.split(","), strict=True))["cost_usd"] == "1234.567890123"
    out.unlink()
    assert run(Answers(StoreDown("gone")), "--format", "csv", "--out", str(out)) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("answers", "words", "code", "said"),
    [
        (Answers([ROW]), ("--by", "colour"), 2, "colour"),
        (Answers([ROW]), ("--since", "soon"), 2, "since"),
        (Answers([ROW]), ("--limit", "0"), 2, "limit"),
        (StoreDown("ClickHouse is not reachable"), (), 1, "not reachable"),
        (Answers([ROW]), ("statement", "--tenant", "acme", "--month", "2026-13"), 2, "2026-11"),
        (Answers([ROW]), ("focus", "--month", "now"), 2, "2026-11"),
        (Answers([ROW]), ("--out", "/nowhere/at/all"), 1, "nowhere"),
    ],
)
def test_errors_are_words_and_exit_codes(
    run: Any, capsys: pytest.CaptureFixture[str], answers: Any, words: tuple[str, ...], code: int, said: str
) -> None:
    assert run(answers, *words) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.startswith("forebay usage")
    assert shown.out == ""


def test_where_nothing_was_used_the_table_says_so(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Answers([])) == 0
    assert capsys.readouterr().out == "nothing was used\n"


def test_names_cannot_break_the_table() -> None:
    columns = (*usage_columns(("user",), stepped=False)[:1], Column("cost_usd", "usd", "Cost"))
    data = Table(columns, [("a\x1b[31m\nb" + "x" * 60, Decimal("-0.001"))])
    total = Table(columns[1:], [(Decimal("-1234.5"),)])
    lines = as_table(data, total, Look()).splitlines()
    assert len(lines) == 5
    assert "\x1b" not in lines[2]
    assert lines[2].endswith(">-0.01")
    assert lines[4].endswith("-1,234.50")


@pytest.mark.parametrize("words", [("--days", "0"), ("--days", "x"), ("--calls-per-day", "-1")])
def test_a_demo_without_days_or_calls_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("demo", *words)
    assert ended.value.code == 2


def test_a_key_of_forebay_in_the_variable_of_the_sdk_is_no_provider_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", mint_key())
    folder = Path(__file__).parents[3]
    with pytest.raises(ConfigErrors):
        load_config(folder)
    assert "openai" not in load_config(folder, environ=as_a_client()).resolved.backends

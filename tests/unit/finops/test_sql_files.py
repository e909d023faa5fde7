"""The rules of dashboards/sql: a tenant's rows stay its own, parameters are bound, a file says what it is."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from gateway.finops.panels import CALLS, PANELS, Panel
from gateway.finops.terms import COMMON, DIMENSIONS, FILTERS, ROLLUPS

FILES = {
    file.name.removesuffix(".sql"): file.read_text(encoding="utf-8")
    for file in (resources.files("dashboards") / "sql").iterdir()
    if file.name.endswith(".sql")
}
OURS = {*PANELS, "usage", "calls", "call", "price"} - {"anomalies"}
NO_TENANTS = {name for name in FILES if name.startswith("reprice")}
"""Only command lines of whoever runs the gateway ask them."""

TENANTS = re.compile(
    r"\(\s*empty\(\{tenants:Array\(String\)\}\)\s+OR\s+"
    r"(?:has\(\{tenants:Array\(String\)\}, (?:\w+\.)?tenant\)"
    r"|(?:\w+\.)?tenant IN \{tenants:Array\(String\)\})\s*\)"
)
TABLE = re.compile(r"\bFROM\s+(ledger|usage_minute|usage_hour|usage_day|\{rollup:Identifier\})")
FREE = re.compile(r"(%\(|%s|\$\{|\{\}|\{\w+\})")


def bare(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("--"))


@pytest.mark.parametrize("name", sorted(set(FILES) - NO_TENANTS))
def test_each_question_is_told_whose_rows_may_be_seen(name: str) -> None:
    text = bare(FILES[name])
    assert "{tenants:Array(String)}" in text
    if name == "price":  # of a table without tenants: only the price of a row of one's own
        paid = "SELECT u.price FROM usage_day AS u WHERE has({tenants:Array(String)}, u.tenant)"
        assert f"OR p.version IN ({paid})" in text
        return
    assert len(TENANTS.findall(text)) >= len(TABLE.findall(text)) >= 1


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_pasted_into_a_question(name: str) -> None:
    assert not FREE.search(bare(FILES[name]))
    identifiers = set(re.findall(r"\{(\w+):Identifier\}", FILES[name]))
    assert identifiers <= {"rollup", *(f"by{place}" for place in range(1, 9))}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_file_begins_with_what_it_tells(name: str) -> None:
    head = "\n".join(line for line in FILES[name].splitlines() if line.startswith("-- "))
    for word in ("-- Columns: ", "-- Parameters: "):
        assert word in head
    told = head[head.index("-- Parameters: ") :]
    for parameter in set(re.findall(r"\{(\w+):", bare(FILES[name]))):
        ranged = re.fullmatch(r"(by)\d|(rate)_\w+", parameter)
        assert (ranged and f"{ranged[1] or ranged[2]}" in told) or parameter in told, parameter
    assert all(len(line) <= 120 for line in FILES[name].splitlines())


@pytest.mark.parametrize("panel", [*PANELS.values(), CALLS], ids=lambda panel: panel.name)
def test_a_panel_names_each_column_once(panel: Panel) -> None:
    names = [column.name for column in panel.columns]
    assert len(names) == len(set(names))


def test_what_can_be_asked_for_is_in_every_rollup() -> None:
    tables = resources.files("gateway.stores.clickhouse") / "migrations" / "0001_ledger.sql"
    text = tables.read_text(encoding="utf-8")
    for rollup in ROLLUPS.values():
        table = text.partition(f"CREATE TABLE {rollup}\n")[2].partition("\n)")[0]
        columns = set(re.findall(r"^    (\w+) ", table, re.MULTILINE))
        assert set(DIMENSIONS) <= columns
        assert set(FILTERS) <= set(COMMON)

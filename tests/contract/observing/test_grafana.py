"""Grafana's dashboards: the files are what is built, and what they ask can be answered, with right numbers.

The SQL is asked of a real engine, its macros and variables expanded as the data source and Grafana do it.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
import yaml
from rig.entries import an_entry
from rig.programs.lacking import lacking

from dashboards.grafana import asking, build
from gateway.embedded.clickhouse import Engine
from gateway.ledger.entries import Entry, reversal_of
from gateway.protocols import Found
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import place_of
from gateway.telemetry.metrics.families import FAMILIES

FOLDER = build.FOLDER
DAY_S = 86_400
START_S = 1_795_046_400
"""The 18th of November 2026: a Wednesday, at midnight UTC."""
FROM_S, TO_S = START_S + 2 * DAY_S + 1234, START_S + 4 * DAY_S + 2345
NAMES = Entry.__struct_fields__
SECONDS = {"minute": 60, "hour": 3600, "day": DAY_S}
DASHBOARDS = {name: json.loads(text) for name, text in build.written().items()}
FILTERS: list[dict[str, list[str]]] = [
    {},
    {"tenant": ["acme"]},
    {"tenant": ["acme", "o'hara"], "model": ["gpt-5"]},
    {"tenant": ["nobody"]},
    {"team": ["search"], "route": ["fast"], "backend": ["openai", "azure"]},
]


def panels(dashboard: str, *kinds: str) -> list[dict[str, Any]]:
    found = DASHBOARDS[dashboard]["panels"]
    return [panel for panel in found if not kinds or panel["type"] in kinds]


def asked() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every query of ClickHouse, with its dashboard and its panel."""
    return [
        (name, panel, target)
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
        if "rawSql" in target
    ]


QUESTIONS = asked()
LOOKS = [(0, "minute"), (0, "hour"), (0, "day"), (1, "hour"), (2, "day"), (3, "hour"), (4, "minute")]
"""What is chosen on a dashboard: one of the filters, and a resolution."""


def expanded(
    sql: str, filters: Mapping[str, Sequence[str]], *, resolution: str = "hour", by: str = "model"
) -> str:
    """Expand as Grafana does in the browser (variables), and then the data source on its server (macros)."""

    def variable(found: re.Match[str]) -> str:
        name, form = found[1], found[2] or ""
        if name in {"resolution", "by"}:
            return {"resolution": resolution, "by": by}[name]
        assert (name in asking.FILTERS, form) == (True, ":sqlstring")
        chosen = filters.get(name)
        if chosen is None:
            return asking.ALL
        return ",".join("'" + value.replace("'", "''") + "'" for value in chosen)

    text = re.sub(r"\$\{(\w+)(:\w+)?\}", variable, sql)
    macros = {"fromTime": f"toDateTime({FROM_S})", "toTime": f"toDateTime({TO_S})", "interval_s": "1800"}
    text = re.sub(r"\$__(\w+)\b", lambda found: macros[found[1]], text)
    assert "$" not in text
    assert "{" not in text
    return text


def entries() -> list[Entry]:
    """Six days of calls around the time range, some of them corrected."""
    chance, made = random.Random(6), []
    for number in range(3000):
        cost_input, cost_output = chance.randrange(10**13), chance.randrange(10**15)
        failed = chance.random() < 0.1
        tokens = chance.randrange(1, 5000)
        entry = an_entry(
            time=START_S * 1000 + chance.randrange(6 * DAY_S * 1000),
            call=f"call_{number}",
            tenant=chance.choice(["acme", "beta", "o'hara"]),
            team=chance.choice(["", "search"]),
            key=chance.choice(["key_1", "key_2"]),
            user=chance.choice(["", "ann", "bob"]),
            conversation=f"talk_{number % 50}",
            route=chance.choice(["fast", "slow"]),
            backend=chance.choice(["openai", "azure"]),
            model=chance.choice(["gpt-5", "gpt-4o-mini", "claude"]),
            ending="failed" if failed else "finished",
            cause="upstream_timeout" if failed else "",
            error="upstream_timeout" if failed else "",
            waste="failed" if failed else "",
            input_tokens=tokens,
            cached_tokens=tokens // 3,
            output_tokens=tokens // 2,
            cost_input=cost_input,
            cost_output=cost_output,
            cost=cost_input + cost_output,
            saved=cost_input // 2,
            price="openai/gpt-5@1",
            first_token_ms=chance.uniform(50, 900),
            total_ms=chance.uniform(900, 9000),
            attempt_ms=chance.uniform(900, 9000),
            output_per_s=chance.uniform(10, 200),
        )
        made.append(entry)
        if number % 40 == 0:
            made.append(reversal_of(entry))
    return made


ENTRIES = entries()


def chosen(resolution: str, filters: Mapping[str, Sequence[str]]) -> list[Entry]:
    """What a dashboard is about: from the beginning of the step in which the range begins."""
    since_s = FROM_S // SECONDS[resolution] * SECONDS[resolution]
    step_ms = SECONDS[resolution] * 1000
    return [
        entry
        for entry in ENTRIES
        if since_s * 1000 <= entry.time
        and entry.time // step_ms * step_ms < TO_S * 1000
        and all(getattr(entry, name) in values for name, values in filters.items())
    ]


ANSWERS: dict[str, Found] = {}
"""What was told before: the rows never change."""


def usd(rows: Sequence[Entry], name: str = "cost") -> float:
    return float(Decimal(sum(getattr(row, name) for row in rows)).scaleb(-15))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    if importlib.util.find_spec("chdb") is None:
        lacking("the embedded ClickHouse: chdb-core is not installed")
    folder = tmp_path_factory.mktemp("grafana")
    engine = Engine(folder)
    engine.start()
    try:
        engine.wait_ready(60.0)
        store = ClickHouse(lambda: place_of(folder))
        store.migrate()
        rows = [tuple(getattr(entry, name) for name in NAMES) for entry in ENTRIES]
        store.insert("ledger", NAMES, rows, "seed")
        yield store
        store.close()
    finally:
        engine.stop()


def ask(store: ClickHouse, sql: str, filters: Mapping[str, Sequence[str]], **chosen: str) -> Found:
    asked_for = expanded(sql, filters, **chosen)
    if asked_for not in ANSWERS:
        ANSWERS[asked_for] = store.query(asked_for, {})
    return ANSWERS[asked_for]


def test_the_files_are_what_is_built() -> None:
    there = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    assert there == build.written(), "run: python -m dashboards.grafana.build"


@pytest.mark.parametrize(("at", "resolution"), LOOKS)
def test_every_question_can_be_answered(ledger: ClickHouse, at: int, resolution: str) -> None:
    filters = FILTERS[at]
    for name, panel, target in QUESTIONS:
        found = ask(ledger, target["rawSql"], filters, resolution=resolution)
        where = f"{name}: {panel['title']}"
        nothing = filters.get("tenant") == ["nobody"] and panel["type"] != "stat"
        assert bool(found.rows) is not nothing, where
        if target["format"] == 0:
            assert found.names[0] == "time", where
            times = [row[0] for row in found.rows]
            assert times == sorted(times), where
            assert all(moment.timestamp() % SECONDS[resolution] == 0 for moment in times), where


@pytest.mark.parametrize("by", asking.DIMENSIONS)
def test_every_dimension_can_be_asked_for(ledger: ClickHouse, by: str) -> None:
    for _, panel, target in QUESTIONS:
        if "${by" in target["rawSql"]:
            found = ask(ledger, target["rawSql"], {}, by=by)
            assert found.rows, panel["title"]


@pytest.mark.parametrize(("at", "resolution"), LOOKS)
def test_the_numbers_are_those_of_the_rows(ledger: ClickHouse, at: int, resolution: str) -> None:
    filters = FILTERS[at]
    rows = chosen(resolution, filters)
    expected = {
        "cost_usd": usd(rows),
        "saved_usd": usd(rows, "saved"),
        "wasted_usd": usd([row for row in rows if row.waste]),
        "calls": sum(row.calls for row in rows),
        "errors": sum(row.calls for row in rows if row.ending == "failed"),
        "input_tokens": sum(row.input_tokens for row in rows),
        "output_tokens": sum(row.output_tokens for row in rows),
    }
    told = dict[str, float]()
    for _, panel, target in QUESTIONS:
        if panel["type"] == "stat":
            found = ask(ledger, target["rawSql"], filters, resolution=resolution)
            told |= {
                name: float(value)
                for name, value in zip(found.names, found.rows[0], strict=True)
                if name in expected
            }
    assert told == pytest.approx(expected, rel=1e-12, abs=1e-12)
    for title, whole in (
        ("Cost over time", "cost_usd"),
        ("Cost by kind of token", "cost_usd"),
        ("Calls over time", "calls"),
        ("Input tokens over time", "input_tokens"),
        ("Errors by code", "errors"),
    ):
        [sql] = [target["rawSql"] for _, panel, target in QUESTIONS if panel["title"] == title]
        found = ask(ledger, sql, filters, resolution=resolution)
        total = sum(float(row[2]) for row in found.rows)
        assert total == pytest.approx(expected[whole], rel=1e-9, abs=1e-12), title


def test_the_span_before_is_as_long_and_ends_where_this_one_begins(ledger: ClickHouse) -> None:
    since_s = FROM_S // 3600 * 3600
    before = [row for row in ENTRIES if 2 * since_s - TO_S <= row.time // 3_600_000 * 3600 < since_s]
    [sql] = [
        target["rawSql"]
        for _, _, target in QUESTIONS
        if "before_cost_usd" in target["rawSql"].split("FROM")[0]
    ]
    found = ask(ledger, sql, {})
    told = dict(zip(found.names, found.rows[0], strict=True))
    assert told["before_cost_usd"] == pytest.approx(usd(before), rel=1e-12)


def test_what_variables_offer_is_what_there_is(ledger: ClickHouse) -> None:
    offered = {
        variable["name"]: [row[0] for row in ledger.query(variable["query"], {}).rows]
        for variable in DASHBOARDS["cost.json"]["templating"]["list"]
        if variable["type"] == "query"
    }
    assert offered == {
        "tenant": ["acme", "beta", "o'hara"],
        "team": ["search"],
        "route": ["fast", "slow"],
        "model": ["claude", "gpt-4o-mini", "gpt-5"],
        "backend": ["azure", "openai"],
    }


# The dashboards themselves


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = DASHBOARDS[name]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)(?::\w+)?\}", json.dumps(dashboard["panels"])))
    used |= set(re.findall(r"\$([a-z]\w*)", json.dumps(dashboard["panels"])))
    assert used - {"__field"} == variables
    assert {"tenant", "route", "model", "backend"} <= variables or name == "gateway.json"
    assert [panel["id"] for panel in dashboard["panels"]] == list(range(1, len(dashboard["panels"]) + 1))
    for panel in dashboard["panels"]:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert x < 24
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_each_dashboard_has_an_address_of_its_own() -> None:
    uids = [dashboard["uid"] for dashboard in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"forebay-[a-z]+", uid) for uid in uids)


def test_every_column_of_a_table_and_every_number_has_a_title() -> None:
    for name in DASHBOARDS:
        for panel in panels(name, "table", "stat"):
            [target] = panel["targets"]
            columns = re.findall(r" AS (\w+)", target["rawSql"].partition("\nFROM")[0])
            titled = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
            assert titled == columns, panel["title"]


# Prometheus


def instruments() -> dict[str, set[str]]:
    """The gateway's metrics and their labels, by the names that Prometheus keeps them under."""
    found = dict[str, set[str]]()
    for family in FAMILIES.values():
        labels = {label.replace(".", "_") for label in family.labels}
        if family.kind == "histogram":
            found |= {f"{family.name}_{part}": labels for part in ("count", "sum")}
            found[f"{family.name}_bucket"] = labels | {"le"}
        else:
            found[family.name] = labels
    return found


def expressions() -> list[str]:
    return [target["expr"] for panel in panels("gateway.json") for target in panel["targets"]]


def test_prometheus_is_asked_for_metrics_and_labels_that_exist() -> None:
    known, asked_for = instruments(), set[str]()
    assert len(expressions()) > 10
    for expression in expressions():
        [name] = set(re.findall(r"forebay_\w+", expression))
        asked_for.add(name)
        assert name in known, expression
        by = re.findall(r"by \(([^)]*)\)", expression)
        matched = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression)
        labels = {label.strip() for group in by for label in group.split(",")} | set(matched)
        assert labels <= known[name] | {"instance"}, expression  # that one is the scrape's
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in known}
    shown = {re.sub(r"_bucket$", "", name) for name in asked_for}
    assert {name for name in shown if name not in families} == set()


def test_prometheus_offers_labels_that_exist() -> None:
    known = instruments()
    for variable in DASHBOARDS["gateway.json"]["templating"]["list"]:
        if variable["type"] == "query":
            [(name, label)] = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert label in known[name]


# Provisioning


def test_the_provisioned_sources_are_of_the_kinds_that_the_dashboards_ask() -> None:
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources.yaml").read_text())
    kinds = {source["type"] for source in sources["datasources"]}
    wanted = {
        variable["query"]
        for dashboard in DASHBOARDS.values()
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "datasource"
    }
    assert kinds == wanted


def test_the_provisioned_folder_is_where_the_readme_puts_the_files() -> None:
    providers = yaml.safe_load((FOLDER / "provisioning" / "dashboards.yaml").read_text())["providers"]
    readme = (FOLDER / "README.md").read_text()
    [path] = [provider["options"]["path"] for provider in providers]
    assert path in readme
    for name in DASHBOARDS:
        assert name in readme

"""GET /v1/usage... over HTTP, on the real engine: what is told, what is refused, and whose rows one sees."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from contract.seeded_usage import TENANTS, calls_of, fill, measures, opened_ledger, total, usd
from litestar import Litestar

from gateway.api import app as whole_app
from gateway.api.usage import usage_handlers
from gateway.exchange import Caller, Price, Rates
from gateway.finops.panels import PANELS
from gateway.finops.questions import Questions
from gateway.finops.terms import DIMENSIONS
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.keys import digest_of, mint_key
from gateway.ledger.entries import Entry
from gateway.stores import StoredKey
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import Place

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")

ACME, GLOBEX, ROOT = mint_key(), mint_key(), mint_key()
ENTRIES = calls_of(11, 500, days=5)
BASELINE = Price.flat("base@1", Rates.plain(2_000_000_001, 16_000_000_003))
SPAN = {"since": "2026-11-10", "until": "2026-11-23"}
MINE = [one for one in ENTRIES if one.tenant == "globex"]
THEIRS = [one for one in ENTRIES if one.tenant == "acme"]
SECRETS = sorted({one.call for one in ENTRIES if one.tenant != "globex"})


class Api:
    """The handlers of the usage alone, over a runtime that has no more than they need."""

    def __init__(self, questions: Questions) -> None:
        def key(name: str, secret: str, tenant: str, **more: Any) -> StoredKey:
            return StoredKey(name, tenant, digest_of(secret), ("*",), name="", created_unix_s=0, **more)

        keys = [
            key("a", ACME, "acme"),
            key("g", GLOBEX, "globex"),
            key("r", ROOT, "acme", admin=True),
        ]
        callers = {name: Caller(name, "", (("*",),)) for name in ("acme", "globex")}
        runtime: Any = SimpleNamespace(
            identity=Identity(KeyDirectory(keys, callers, None)), questions=questions, clean=str
        )
        self._app = Litestar(
            usage_handlers(lambda: runtime),
            exception_handlers={Exception: partial(whole_app._answer_error, lambda: runtime)},
            openapi_config=None,
            logging_config=None,
        )

    def get(self, path: str, key: str | None = ROOT, /, **query: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            app: Any = self._app
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                headers = {} if key is None else {"authorization": f"Bearer {key}"}
                return await client.get(f"/v1/usage{path}", params=query, headers=headers)

        return asyncio.run(ask())

    def told(self, path: str, key: str = ROOT, /, **query: Any) -> Any:
        response = self.get(path, key, **(SPAN | query))
        assert response.status_code == 200, response.text
        assert response.headers["cache-control"] == "no-store"
        return response.json()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with opened_ledger(tmp_path_factory.mktemp("usage")) as store:
        fill(store, ENTRIES)
        yield Api(Questions(store, lambda: BASELINE))


# What is told


def test_usage_by_model(api: Api) -> None:
    told = api.told("", by="model")
    assert (told["object"], told["step"], told["by"], told["truncated"]) == ("usage", None, ["model"], False)
    assert told["until"] - told["since"] == 13 * 86400
    assert {row["model"]: row["calls"] for row in told["data"]} == {
        model: total([one for one in ENTRIES if one.model == model], "calls")
        for model in {one.model for one in ENTRIES}
    }
    assert Decimal(told["total"]["cost_usd"]) == usd(total(ENTRIES, "cost"))
    assert not told["total"]["cost_usd"].endswith("0")
    assert "time" not in told["data"][0]


def test_usage_in_steps(api: Api) -> None:
    told = api.told("", step="day")
    assert told["step"] == "day"
    assert all(row["time"] % 86400 == 0 for row in told["data"])
    assert sum(Decimal(row["cost_usd"]) for row in told["data"]) == usd(total(ENTRIES, "cost"))


def test_a_tenant_gets_its_own_total(api: Api) -> None:
    for query in ({}, {"tenant": "acme"}):
        row = api.told("", GLOBEX, **query)["total"]
        wanted = measures(MINE)
        assert {name: row[name] for name in wanted if not name.endswith("usd")} == {
            name: value for name, value in wanted.items() if not name.endswith("usd")
        }
        assert Decimal(row["cost_usd"]) == wanted["cost_usd"]


def test_the_panels_are_listed_with_their_columns(api: Api) -> None:
    listed = {panel["panel"]: panel for panel in api.get("/panels").json()["data"]}
    assert set(listed) == set(PANELS)
    assert listed["totals"]["columns"][0] == {"name": "calls", "type": "number", "title": "Calls"}


@pytest.mark.parametrize("name", PANELS)
def test_each_panel_answers(api: Api, name: str) -> None:
    told = api.told(f"/panels/{name}")
    assert (told["object"], told["panel"], told["step"]) == ("usage.panel", name, "day")
    names = [column["name"] for column in told["columns"]]
    assert names == [column.name for column in PANELS[name].columns]
    assert told["rows"] or name == "anomalies"
    for row in told["rows"]:
        for column, value in zip(told["columns"], row, strict=True):
            if column["type"] in {"usd", "text"}:
                assert value is None or isinstance(value, str)
            else:
                assert value is None or isinstance(value, (int, float))
    table = api.get(f"/panels/{name}", format="csv", **SPAN)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.reader(io.StringIO(table.text)))
    assert lines[0] == names
    assert len(lines) == len(told["rows"]) + 1


def test_savings_name_their_baseline(api: Api) -> None:
    assert api.told("/panels/savings")["baseline"] == "base@1"


def test_usage_as_files(api: Api) -> None:
    table = api.get("", by="tenant,key", step="day", format="csv", **SPAN)
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert sum(Decimal(line["cost_usd"]) for line in lines) == usd(total(ENTRIES, "cost"))
    assert 'filename="forebay-usage.csv"' in table.headers["content-disposition"]
    parquet = api.get("", by="tenant,key", format="parquet", **SPAN)
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"


def test_what_a_spreadsheet_would_reckon_is_a_text() -> None:
    from gateway.api.usage import _cell

    values = ["=1+1", "@x", "+1", "-x", "a=1", Decimal("-1.50"), 3, None, ""]
    assert [_cell(value) for value in values] == ["'=1+1", "'@x", "'+1", "'-x", "a=1", "-1.5", 3, None, ""]


def test_calls_page_by_page(api: Api) -> None:
    seen = list[str]()
    query: dict[str, Any] = {"limit": 60}
    while True:
        page = api.told("/calls", GLOBEX, **query)
        seen += [row["call"] for row in page["data"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
    newest = sorted({(one.time, one.call) for one in MINE}, reverse=True)
    assert seen == [call for _, call in newest]


def test_one_call(api: Api) -> None:
    corrected = next(one for one in MINE if one.revision)
    told = api.get(f"/calls/{corrected.call}", GLOBEX).json()
    entries = [one for one in MINE if one.call == corrected.call]
    assert (told["object"], told["call"]) == ("usage.call", corrected.call)
    assert told["decision"] == corrected.decision
    assert [set(entry) for entry in told["entries"]] == [{*Entry.__struct_fields__, "booked"}] * len(entries)
    assert sum(Decimal(entry["cost"]) for entry in told["entries"]) == usd(total(entries, "cost"))


# Whose rows one sees


HOSTILE = (
    "acme",
    "' OR 1=1 --",
    "globex') OR (1=1",
    "{tenants:Array(String)}",
    "[]",
    "*",
    "%",
    "",
    "\\",
    "\\'",
)


def nothing_of_others(response: httpx.Response) -> None:
    """Neither names nor sums of others are in it; refusals are fine."""
    assert response.status_code in {200, 400, 404}, response.text
    if response.status_code != 200:
        assert response.json()["error"]["message"]
        return
    text = response.text
    assert not [secret for secret in SECRETS if secret in text]
    assert '"acme"' not in text
    assert "initech" not in text


@pytest.mark.parametrize("path", ["", *(f"/panels/{name}" for name in PANELS), "/calls"])
def test_no_parameter_shows_another_tenants_rows(api: Api, path: str) -> None:
    names = (
        "tenant",
        "team",
        "key",
        "route",
        "model",
        "backend",
        "by",
        "baseline",
        "step",
        "limit",
        "format",
    )
    searched = (
        "user",
        "conversation",
        "status",
        "ending",
        "error",
        "call",
        "waste",
        "before",
        "min_cost_usd",
        "min_ms",
    )
    by = {"by": "tenant"} if path in {"", "/panels/breakdown", "/panels/series"} else {}
    nothing_of_others(api.get(path, GLOBEX, **SPAN, **by))
    for name in (*names, *(searched if path == "/calls" else ())):
        for value in HOSTILE if name == "tenant" else HOSTILE[:2]:
            nothing_of_others(api.get(path, GLOBEX, **(SPAN | {name: value})))
        nothing_of_others(api.get(path, GLOBEX, **(SPAN | {name: ["globex", "acme"]})))
    for name in (
        "tenants",
        "tenants[]",
        "tenant[]",
        "param_tenants",
        "query",
        "database",
        "rollup",
        "since'",
    ):
        assert api.get(path, GLOBEX, **(SPAN | {name: "acme"})).status_code == 400
    for span in (
        {"since": "0'"},
        {"since": ["1d", "2d"]},
        {"since": "now() - 1"},
        {"until": "2026-11-23' --"},
    ):
        assert api.get(path, GLOBEX, **span).status_code == 400


def test_every_dimension_groups_ones_own_rows_alone(api: Api) -> None:
    for name in DIMENSIONS:
        told = api.told("", GLOBEX, by=name, tenant="acme")
        assert sum(row["calls"] for row in told["data"]) == total(MINE, "calls")
        assert {row[name] for row in told["data"]} == {str(getattr(one, name)) for one in MINE}


def test_a_call_of_another_tenant_is_not_there(api: Api) -> None:
    call = THEIRS[0].call
    theirs = api.get(f"/calls/{call}", GLOBEX)
    nobodys = api.get("/calls/call_of_nobody", GLOBEX)
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()
    assert api.get(f"/calls/{call}", ACME).status_code == 200
    assert api.get(f"/calls/{call}", ROOT).status_code == 200
    assert api.get(f"/calls/{call}' OR '1'='1", GLOBEX).status_code == 404
    assert api.told("/calls", GLOBEX, call=call)["data"] == []


def test_a_cursor_at_another_tenants_call_shows_ones_own_alone(api: Api) -> None:
    newest = max(one.time for one in ENTRIES)
    page = api.told("/calls", GLOBEX, before=f"{newest + 1}-{THEIRS[0].call}", limit=10000)
    assert {row["tenant"] for row in page["data"]} == {"globex"}
    assert len(page["data"]) == len({one.call for one in MINE})


def test_an_admin_sees_all_and_can_choose(api: Api) -> None:
    told = api.told("", by="tenant")
    assert {row["tenant"] for row in told["data"]} == set(TENANTS)
    for tenant in TENANTS:
        rows = [one for one in ENTRIES if one.tenant == tenant]
        assert Decimal(api.told("", tenant=tenant)["total"]["cost_usd"]) == usd(total(rows, "cost"))
    both = api.told("", tenant=["globex", "acme"])["total"]["calls"]
    assert both == total(MINE, "calls") + total(THEIRS, "calls")


# What is refused


@pytest.mark.parametrize("path", ["", "/panels", "/panels/totals", "/calls", "/calls/call_1"])
def test_nobody_is_told_nothing(api: Api, path: str) -> None:
    assert api.get(path, None).status_code == 401
    assert api.get(path, "fb-wrong").status_code == 401


@pytest.mark.parametrize(
    ("path", "query", "status", "param"),
    [
        ("", {"by": "user"}, 400, "by"),
        ("", {"sinse": "7d"}, 400, "sinse"),
        ("", {"user": "x"}, 400, "user"),
        ("/panels/totals", {"by": "model"}, 400, "by"),
        ("/panels/movers", {"by": "model,key"}, 400, "by"),
        ("/panels/savings", {"baseline": "nothing/known"}, 400, "baseline"),
        ("/panels/anomalies", {"format": "parquet"}, 400, "format"),
        ("/panels/nothing", {}, 404, None),
        ("/panels/calls", {}, 404, None),
        ("/calls", {"format": "parquet"}, 400, "format"),
        ("/calls", {"before": "yesterday"}, 400, "before"),
        ("/calls/call_of_nobody", {}, 404, None),
    ],
)
def test_refusals(api: Api, path: str, query: dict[str, str], status: int, param: str | None) -> None:
    response = api.get(path, **query)
    assert response.status_code == status, response.text
    assert response.json()["error"]["param"] == param


def test_a_database_that_is_down_is_a_503(api: Api) -> None:
    down = Api(Questions(ClickHouse(lambda: Place("http://127.0.0.1:9"))))
    for path in ("", "/panels/totals", "/panels/anomalies", "/calls", "/calls/call_1"):
        response = down.get(path)
        assert response.status_code == 503
        error = response.json()["error"]
        assert error["message"] == "usage cannot be told now: ClickHouse is not reachable"
    assert down.get("", format="parquet").status_code == 503


@pytest.mark.parametrize(
    "code", ["396, TOO_MANY_ROWS_OR_BYTES", "159, TIMEOUT_EXCEEDED", "241, MEMORY_LIMIT_EXCEEDED"]
)
def test_what_is_too_much_is_told_how_to_narrow(code: str) -> None:
    from gateway.errors import StoreDown

    class Full:
        def query(self, sql: str, parameters: Any) -> Any:
            raise StoreDown(f"ClickHouse does not answer: code {code}")

    full: Any = Full()
    response = Api(Questions(full)).get("/panels/series")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "too_much_asked"
    assert "shorter span" in error["message"]


def test_numbers_are_plain_json(api: Api) -> None:
    text = api.get("/panels/totals", since="2020-01-01", until="2020-01-02").text
    row = json.loads(text, parse_constant=pytest.fail)["rows"][0]
    assert row[9] == "0"

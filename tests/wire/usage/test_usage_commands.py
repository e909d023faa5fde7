"""`forebay usage` and the statement over HTTP, while a gateway serves: calls, and their sums."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, running_gateway
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream

OTHER, ADMIN = "fb-test-other-2kWq7TnRs5", "fb-test-admin-8sQd1LwYt2"
USD = {
    "gpt-4o": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10, "cached_usd_per_mtok": 1.25},
    "gpt-4o-mini": {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "cached_usd_per_mtok": 0.075},
}
CALLS = ((KEY, "gpt-4o-mini"),) * 4 + ((KEY, "gpt-4o"),) * 2 + ((OTHER, "gpt-4o"),) * 3
TENANT = {KEY: "tests", OTHER: "other"}
CACHED = 1000


def tokens_of(number: int) -> tuple[int, int]:
    """The input, of which `CACHED` are cached, and the output of a call."""
    return 1234 + number, 57 + 3 * number


def cost_of(number: int) -> Decimal:
    asked, said = tokens_of(number)
    rates = {name: Decimal(str(rate)) for name, rate in USD[CALLS[number][1]].items()}
    return (
        (asked - CACHED) * rates["input_usd_per_mtok"]
        + CACHED * rates["cached_usd_per_mtok"]
        + said * rates["output_usd_per_mtok"]
    ) / 1_000_000


def cost(*, tenant: str = "", model: str = "") -> Decimal:
    chosen = [
        number
        for number, (key, asked) in enumerate(CALLS)
        if tenant in {"", TENANT[key]} and model in {"", asked}
    ]
    return sum(map(cost_of, chosen), Decimal(0))


def answer(seen: Seen) -> Answer:
    asked, said = tokens_of(int(seen.json()["messages"][0]["content"]))
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    usage["prompt_tokens_details"] = {"cached_tokens": CACHED}
    return plain(json.dumps(chat.completion() | {"model": seen.model, "usage": usage}).encode())


def digest(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


POLICIES = {
    "tenants": {
        "tenants": {
            "tests": {"keys": [{"id": "the-key", "digest": digest(KEY), "team": "search"}]},
            "other": {"keys": [{"id": "their-key", "digest": digest(OTHER)}]},
            "office": {"keys": [{"id": "the-admin", "digest": digest(ADMIN), "admin": True}]},
        }
    },
    "prices": {"models": USD},
}


class Place:
    """A gateway that has answered `CALLS`, and the command line beside it."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder
        self.month = time.strftime("%Y-%m", time.gmtime())

    def call(self) -> None:
        for number, (key, model) in enumerate(CALLS):
            body = {"model": model, "messages": [{"role": "user", "content": str(number)}]}
            with self.client(key) as client:
                assert client.post("/v1/chat/completions", json=body).status_code == 200

    def client(self, key: str) -> httpx.Client:
        return self.gateway.client(headers={"authorization": f"Bearer {key}"})

    def told(self, key: str, path: str, **query: str) -> httpx.Response:
        with self.client(key) as client:
            return client.get(path, params=query)

    def forebay(self, *words: str) -> subprocess.CompletedProcess[str]:
        places = ["--config", str(self.folder), "--state", str(self.folder / "state")]
        argv = [sys.executable, "-m", "gateway", *words, *places]
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=60, env=os.environ | SECRETS, check=False
        )

    def said(self, *words: str) -> str:
        done = self.forebay(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("usage") / "config"
    with Upstream() as upstream:
        upstream.answer_with(answer)
        routing = {
            "ledger": {"enabled": True},
            "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
            "routes": {"gpt-*": {"targets": [{"backend": "fake"}]}},
        }
        with running_gateway(folder, routing, policies=POLICIES) as gateway:
            place = Place(gateway, folder)
            place.call()

            def is_booked() -> bool:
                found = place.told(ADMIN, "/v1/usage", since="1h")
                return found.status_code == 200 and found.json()["total"]["calls"] == len(CALLS)

            assert eventually(is_booked, 60), gateway.tail()
            yield place


def test_usage_as_a_table_and_as_csv_and_json(place: Place) -> None:
    asked = ("usage", "--by", "model", "--since", "1h")
    sums = {model: cost(model=model) for model in USD}
    lines = [re.split(r"\s{2,}", line) for line in place.said(*asked, "--exact").splitlines()]
    titles, _, *rows, _, total = (dict(zip(lines[0], line, strict=True)) for line in lines)
    assert set(titles) >= {"Model", "Calls", "Input tokens", "Cost, USD"}
    assert {row["Model"]: Decimal(row["Cost, USD"]) for row in rows} == sums
    assert (total["Model"], total["Calls"], Decimal(total["Cost, USD"])) == ("total", "9", cost())
    table = list(csv.DictReader(io.StringIO(place.said(*asked, "--format", "csv"))))
    assert {row["model"]: Decimal(row["cost_usd"]) for row in table} == sums
    assert {row["model"]: row["calls"] for row in table} == {"gpt-4o": "5", "gpt-4o-mini": "4"}
    told = json.loads(place.said(*asked, "--format", "json", "--tenant", "tests"))
    assert (told["object"], told["by"]) == ("usage", ["model"])
    assert Decimal(told["total"]["cost_usd"]) == cost(tenant="tests")
    assert told["total"]["cached_tokens"] == 6 * CACHED


def test_usage_as_parquet_is_read_by_others(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "usage.parquet"
    asked = ("usage", "--by", "tenant,model", "--since", "1h", "--format", "parquet", "--out", str(out))
    assert place.said(*asked) == ""
    assert (out.read_bytes()[:4], out.read_bytes()[-4:]) == (b"PAR1", b"PAR1")
    assert [path.name for path in tmp_path.iterdir()] == ["usage.parquet"]
    # Another process: a chDB in this one would be the only one that it may ever open.
    sql = "SELECT tenant, model, calls, toString(cost_usd) FROM file('usage.parquet', Parquet) ORDER BY ALL"
    read = f"import chdb; print(chdb.query({sql!r}, 'JSONCompactEachRow'), end='')"
    done = subprocess.run(
        [sys.executable, "-c", read], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(tenant, model, int(calls)) for tenant, model, calls, _ in rows] == [
        ("other", "gpt-4o", 3),
        ("tests", "gpt-4o", 2),
        ("tests", "gpt-4o-mini", 4),
    ]
    for tenant, model, _, usd in rows:
        assert Decimal(usd) == cost(tenant=tenant, model=model)


def total_of(sheet: str) -> Decimal:
    *_, last = csv.DictReader(io.StringIO(sheet))
    assert last["part"] == "total"
    return Decimal(last["cost_usd"])


def test_the_statement_of_a_tenant_has_its_calls_alone(place: Place, tmp_path: Path) -> None:
    asked = ("usage", "statement", "--tenant", "tests", "--month", place.month)
    done = place.forebay(*asked)
    assert done.returncode == 0, done.stderr
    assert total_of(done.stdout) == cost(tenant="tests")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))[:-1]
    assert {(line["team"], line["key"], line["part"]) for line in lines} == {("search", "the-key", "usage")}
    mini = next(line for line in lines if line["model"] == "gpt-4o-mini")
    assert (mini["input_usd_per_mtok"], mini["cached_usd_per_mtok"], mini["cached_tokens"]) == (
        "0.15",
        "0.075",
        "4000",
    )
    out = tmp_path / "statement.html"
    assert place.said(*asked, "--format", "html", "--out", str(out)) == ""
    assert f"Total US$ {cost(tenant='tests')}".rstrip("0") in out.read_text()
    assert "The month is not over" in out.read_text()


def test_what_is_no_month_and_who_is_no_tenant(place: Place) -> None:
    refused = place.forebay("usage", "statement", "--tenant", "tests", "--month", "november")
    assert (refused.returncode, refused.stdout) == (2, "")
    nobody = place.forebay("usage", "statement", "--tenant", "nobody", "--month", place.month)
    assert nobody.returncode == 0
    assert "nobody has used nothing" in nobody.stderr
    assert total_of(nobody.stdout) == 0


def test_the_focus_export_of_a_month_that_is_not_over_says_so(place: Place) -> None:
    done = place.forebay("usage", "focus", "--month", place.month)
    assert done.returncode == 0, done.stderr
    assert "is not over" in done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert sum(Decimal(row["BilledCost"]) for row in rows) == cost()
    for tenant in TENANT.values():
        mine = [row for row in rows if row["SubAccountId"] == tenant]
        assert sum(Decimal(row["EffectiveCost"]) for row in mine) == cost(tenant=tenant)
    assert {row["SkuMeter"] for row in rows} == {"Input", "Cached input", "Output"}
    assert (
        sum(int(row["ConsumedQuantity"]) for row in rows if row["SkuMeter"] == "Cached input") == 9 * CACHED
    )


@pytest.mark.parametrize("named", ["", "tests", "other", "office", "*", "tests' OR 1=1 --"])
def test_over_http_a_tenant_gets_its_own_statement_whatever_it_sends(place: Place, named: str) -> None:
    query = {"month": place.month} | ({"tenant": named} if named else {})
    sheet = place.told(OTHER, "/v1/usage/statement", **query)
    assert sheet.status_code == 200
    assert sheet.headers["content-type"].startswith("text/csv")
    assert total_of(sheet.text) == cost(tenant="other")
    assert "tests" not in sheet.text
    page = place.told(OTHER, "/v1/usage/statement", format="html", **query)
    assert "the-key" not in page.text
    assert "tenant other" in page.text


def test_over_http_an_admin_gets_anyones_statement(place: Place) -> None:
    for tenant in TENANT.values():
        sheet = place.told(ADMIN, "/v1/usage/statement", month=place.month, tenant=tenant)
        assert total_of(sheet.text) == cost(tenant=tenant)
    assert total_of(place.told(ADMIN, "/v1/usage/statement", month=place.month).text) == 0
    assert place.told("fb-nobodys-key", "/v1/usage/statement").status_code == 401


def test_a_demo_comes_and_goes_while_the_gateway_serves(place: Place) -> None:
    def is_demo(key: str) -> Any:
        return place.told(key, "/dashboard/me").json()["demo"]

    assert not is_demo(ADMIN)
    for calls in ("60", "40"):
        said = place.said("demo", "--days", "2", "--calls-per-day", calls)
        [row] = place.told(ADMIN, "/v1/usage/panels/totals", since="3d").json()["rows"]
        made = int(said.split()[1].replace(",", ""))
        assert row[0] == len(CALLS) + made
    assert is_demo(ADMIN)
    assert not is_demo(KEY)
    assert "demo" not in place.said("usage", "focus", "--month", place.month)
    assert place.said("demo", "--remove").startswith("removed the demo")
    assert not is_demo(ADMIN)
    told = place.told(ADMIN, "/v1/usage", since="30d").json()
    assert (told["total"]["calls"], Decimal(told["total"]["cost_usd"])) == (len(CALLS), cost())

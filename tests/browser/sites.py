"""A gateway whose ledger has calls of which a test knows all: those of the demo, seeded anew each time."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
from rig.gateway import CREDENTIALS, KEY, eventually, running_gateway
from rig.script import Pause, plain
from rig.upstream import Upstream, refusing_port

from gateway.errors import StoreDown
from gateway.finops.demo.books import Prices, changes_ms, entries
from gateway.finops.demo.traffic import Plan
from gateway.ledger.entries import Entry
from gateway.policy.prices import compile as compile_prices
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import place_of

ADMIN_KEY = "fb-test-admin-Nc4uG7rPq9"
TENANT = "demo-labs"
"""Whose key `KEY` is here."""
DAYS, CALLS_A_DAY, HOUR_S = 10, 400, 3600
FEMTO = 15
ANSWER = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
BUDGET_USD = 500
"""Of `TENANT` in a month."""
WELL, DOWN, PROBED = "openai", "anthropic", "cluster"
"""Backends: one answers, one refuses connections, of one only the probe fails."""


class Site(NamedTuple):
    """Where it is, and what is in its ledger."""

    url: str
    entries: Sequence[Entry]
    until: int
    """Unix time of the whole hour before which all calls were."""

    def ask(self, path: str, key: str = ADMIN_KEY, **query: str) -> Any:
        """Ask the API with a key; fails for all but 200."""
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.get(self.url + path, params=query, headers=headers, timeout=20, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, model: str, times: int = 1) -> None:
        """Have calls made now, after all that is in the ledger, and wait until they are there."""
        made = list[str]()
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        for _ in range(times):
            headers = {"authorization": f"Bearer {KEY}"}
            url = f"{self.url}/v1/chat/completions"
            answer = httpx.post(url, json=body, headers=headers, timeout=20, trust_env=False)
            made.append(answer.headers["x-forebay-call-id"])
        assert all(eventually(partial(self.has, call), within_s=20) for call in made)

    def has(self, call: str) -> bool:
        """Whether a call is in the ledger."""
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        place = f"{self.url}/v1/usage/calls/{call}"
        return httpx.get(place, headers=headers, timeout=20, trust_env=False).status_code == 200

    def records(self, panel: str, **query: str) -> list[dict[str, Any]]:
        """The rows of a panel, by the names of its columns."""
        told = self.ask(f"/v1/usage/panels/{panel}", **query)
        names = [column["name"] for column in told["columns"]]
        return [dict(zip(names, row, strict=True)) for row in told["rows"]]

    def within(self, since: int, until: int, **names: str) -> list[Entry]:
        """The entries of a span, with these names."""
        return [
            one
            for one in self.entries
            if since * 1000 <= one.time < until * 1000
            and all(getattr(one, name) == value for name, value in names.items())
        ]


def dollars(found: Sequence[Entry]) -> str:
    """What they cost, as the API writes it."""
    amount = f"{Decimal(sum(one.cost for one in found)).scaleb(-FEMTO):f}"
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def made(until: int, days: int, calls_a_day: int) -> list[Entry]:
    plan = Plan(days=days, calls_per_day=calls_a_day, seed=6, until_ms=until * 1000)
    return list(entries(plan, Prices(compile_prices(None).of, changes_ms(plan))))


@contextlib.contextmanager
def running_site(folder: Path, days: int = DAYS, calls_a_day: int = CALLS_A_DAY) -> Iterator[Site]:
    """Run a gateway with a ledger of its own, and fill that."""
    tenants = {
        TENANT: {"keys": [_key("ci", KEY)]},
        "office": {"keys": [_key("analyst", ADMIN_KEY) | {"admin": True}]},
    }
    budget = {"for": {"tenant": [TENANT]}, "usd": BUDGET_USD, "every": "month"}
    policies = {"tenants": {"tenants": tenants}, "budgets": {"budgets": {"labs": budget}}}
    with (
        Upstream() as upstream,
        refusing_port() as port,
        running_gateway(folder, routing(upstream.base_url, port), policies=policies) as gateway,
    ):
        whole = plain(ANSWER)
        upstream.answer_with(replace(whole, steps=[Pause(0.05), *whole.steps]))
        until = int(time.time()) // HOUR_S * HOUR_S
        found = made(until, days, calls_a_day)
        fill(lambda: place_of(folder / "state"), found)
        yield Site(gateway.url, found, until)


def routing(well: str, refusing: int) -> dict[str, Any]:
    """A gateway before an upstream that is well and a port where nobody is."""
    nobody = {"base_url": f"http://127.0.0.1:{refusing}/v1", "credentials": CREDENTIALS}
    patient = {"breaker": {"cool_down_s": 3600, "jitter": 0}}
    openai = {"preset": "openai", "base_url": well, "credentials": CREDENTIALS}
    return {
        "ledger": {"enabled": True},
        "backends": {
            WELL: openai | {"concurrency": {"max_calls": 16}},
            DOWN: nobody | patient,
            PROBED: nobody | patient | {"probe": {"every_s": 0.5, "down_after": 1}},
        },
        "routes": {
            "quick": {"targets": [{"backend": WELL, "model": "gpt-4o-mini"}]},
            "code": {
                "targets": [{"backend": DOWN, "model": "claude-sonnet-4-5"}],
                "fallbacks": [{"targets": [{"backend": WELL, "model": "gpt-5"}]}],
            },
            "private": {"targets": [{"backend": PROBED, "model": "llama-3.3-70b"}]},
        },
    }


def _key(name: str, key: str) -> dict[str, Any]:
    return {"id": name, "digest": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"}


def fill(where: Callable[[], Any], found: Sequence[Entry], within_s: float = 60.0) -> None:
    """Put entries into the ledger as soon as it answers."""
    store = ClickHouse(where)
    rows = [msgspec.structs.astuple(one) for one in found]
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            store.migrate()
            store.insert("ledger", Entry.__struct_fields__, rows, "seed")
        except StoreDown:
            assert time.monotonic() < deadline_s, "the ledger was not there in time"
            time.sleep(0.1)
        else:
            break
    store.close()

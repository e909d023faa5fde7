"""A gateway that is killed knows what was spent when it is back, also of calls that were not inserted yet."""

from __future__ import annotations

import contextlib
import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, eventually, prepared_folder, started
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream

USD = {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000.0007}
EACH = Decimal("0.010000004")
"""Dollars: 5 tokens of each, rounded up to the nano-dollar."""
AFTERWARDS_S = 120.0


def answer(_: Seen) -> Answer:
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    return plain(json.dumps(chat.completion() | {"usage": usage}).encode())


class Shop:
    """A gateway with a budget, which may be killed and started again on what it left."""

    def __init__(self, folder: Path, upstream: Upstream, fail: str = "closed", usd: str = "1") -> None:
        upstream.answer_with(answer)
        routing = {
            "ledger": {"enabled": True},
            "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
            "routes": {"gpt-4o-mini": {"targets": [{"backend": "fake"}], "retry": {"attempts": 0}}},
        }
        budget = {"per": ["tenant", "key"], "usd": usd, "every": "month", "fail": fail}
        policies: dict[str, Any] = {
            "prices": {"models": {"gpt-4o-mini": USD}},
            "budgets": {"budgets": {"mine": budget}},
        }
        self.folder, self.state = folder, folder / "state"
        prepared_folder(folder, routing, policies)
        self.gateway: Gateway
        self.start()

    def start(self) -> None:
        gateway = started(self.folder)
        gateway.wait_until_ready()
        self.gateway = gateway

    def close(self) -> None:
        if self.gateway.process.poll() is None:
            self.gateway.terminate()
            assert self.gateway.wait() == 0, self.gateway.tail()

    def call(self) -> httpx.Response:
        body = {
            "model": "gpt-4o-mini",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "hi"}],
        }
        with self.gateway.client() as client:
            return client.post("/v1/chat/completions", json=body)

    def readiness(self) -> dict[str, Any]:
        with self.gateway.client() as client:
            return dict(client.get("/readyz").json())

    def spent(self) -> Decimal | None:
        """What is taken of the budget; None: that is not known yet."""
        with self.gateway.client() as client:
            told = client.get("/v1/usage/limits").json()
        return Decimal(told["data"][0]["taken"]).scaleb(-9) if "data" in told else None

    def has_settled(self, calls: int) -> bool:
        """Whether so many calls are written down."""
        return eventually(lambda: sum('"status":200' in line for line in self.gateway.lines) >= calls)

    def settles_at(self, amount: Decimal) -> bool:
        """Whether that is what is taken, once no worker holds any of it ready."""
        return eventually(lambda: self.spent() == amount, AFTERWARDS_S)


@contextmanager
def no_engine(shop: Shop) -> Iterator[None]:
    """Have ClickHouse down: whoever starts it finds its folder taken."""
    with (shop.state / "clickhouse" / "lock").open("a") as lock:
        while True:
            for one in psutil.Process(shop.gateway.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "clickhouse_front" in " ".join(one.cmdline()):
                        one.kill()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            threading.Event().wait(0.02)
        yield


def test_a_killed_gateway_is_back_with_what_was_spent(tmp_path: Path) -> None:
    with Upstream() as upstream:
        shop = Shop(tmp_path / "gateway", upstream)
        try:
            spent = Decimal(0)
            for calls in (3, 1, 7):
                for _ in range(calls):
                    assert shop.call().status_code == 200
                    spent += EACH
                assert shop.has_settled(calls)
                shop.gateway.kill()  # most of it is in the spool alone
                shop.start()
                assert shop.settles_at(spent), (shop.spent(), spent, shop.gateway.tail()[-3000:])
            assert "rebuilt from the ledger, 1 counter" in json.dumps(shop.readiness())
            statuses = [shop.call().status_code for _ in range(100)]
            passed = statuses.count(200)
            assert {*statuses} == {200, 402}
            assert 60 < passed + 11 <= 99
            with shop.gateway.client() as client:
                [told] = client.get("/v1/usage/budgets").json()["data"]
            assert (told["name"], told["per"]) == ("mine", {"tenant": "tests", "key": "the-key"})
            assert shop.settles_at(spent + passed * EACH)
            assert told["limit_usd"] == "1"
        finally:
            shop.close()


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_while_the_ledger_is_away_a_budget_does_what_it_says(fail: str, tmp_path: Path) -> None:
    with Upstream() as upstream:
        shop = Shop(tmp_path / "gateway", upstream, fail)
        try:
            assert shop.call().status_code == 200
            assert shop.has_settled(1)
            with no_engine(shop):
                shop.gateway.kill()
                shop.start()
                answered = shop.call()
                assert answered.status_code == (200 if fail == "open" else 503), answered.text
                if fail == "closed":
                    assert answered.json()["error"]["code"] == "store_down"
                    assert "read from the ledger" in answered.json()["error"]["message"]
                told = shop.readiness()
                assert "being rebuilt from the ledger" in json.dumps(told)
            began_s = time.monotonic()
            assert eventually(
                lambda: "rebuilt from the ledger, 1 counter" in json.dumps(shop.readiness()), AFTERWARDS_S
            ), shop.gateway.tail()
            print(f"rebuilt {time.monotonic() - began_s:.1f} s after the engine could start")
            assert shop.call().status_code == 200
            calls = 3 if fail == "open" else 2
            assert shop.settles_at(calls * EACH), (shop.spent(), shop.gateway.tail())
        finally:
            shop.close()

"""Telling of unusual hours: once each, also over a restart and an outage of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreDown
from gateway.finops import alarms
from gateway.finops.alarms import event_of, follow_anomalies, usd_of
from gateway.finops.anomalies import FEMTO, Anomaly
from gateway.protocols import Found

HOUR = 2900 * 168
NOW_S = HOUR * 3600 + 1200.0


class Spent:
    """A UsageStore that knows hourly spend, and may be down."""

    def __init__(self, *answers: Sequence[Sequence[Any]] | StoreDown) -> None:
        self.answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []
        self.out = asyncio.Event()

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Found:
        assert "usage_hour" in sql
        self.asked.append(parameters)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, StoreDown):
            raise answer
        return Found(("hour", "tenant", "cost"), answer)

    def migrate(self) -> None: ...

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], token: str) -> None: ...

    def export(self, sql: str, parameters: Mapping[str, Any], format_: str) -> Iterator[bytes]:
        raise AssertionError("alarms export nothing")

    def close(self) -> None: ...


def rows(**late: int) -> list[tuple[int, str, int]]:
    usual = [(hour, "acme", 10 * FEMTO) for hour in range(HOUR - 6 * 168, HOUR)]
    return [*usual, *((HOUR, tenant, dollars * FEMTO) for tenant, dollars in late.items())]


async def follow(store: Spent, told: Path, looks: int) -> list[Mapping[str, Any]]:
    """Follow until it has looked so many times; gives what was told."""
    events: list[Mapping[str, Any]] = []
    following = asyncio.create_task(
        follow_anomalies(store, lambda kind, data: events.append({"kind": kind, **data}), told, pause_s=0)
    )
    while len(store.asked) < looks and not following.done():
        await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    return events


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "time", lambda: NOW_S)


def test_an_unusual_hour_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    told = tmp_path / "state" / "told.json"
    events = asyncio.run(follow(Spent(rows(acme=500)), told, looks=5))
    assert events == [
        {
            "kind": "spend_anomaly",
            "tenant": "acme",
            "scope": "tenant",
            "hour": "2025-07-31T00:00:00Z",
            "cost_usd": "500",
            "usual_usd": "10",
            "low_usd": "4",
            "high_usd": "16",
            "score": 490.0,
        }
    ]
    assert asyncio.run(follow(Spent(rows(acme=800)), told, looks=3)) == []


def test_an_outage_of_the_ledger_is_waited_out(tmp_path: Path) -> None:
    store = Spent(StoreDown("gone"), StoreDown("gone"), rows(acme=500))
    events = asyncio.run(follow(store, tmp_path / "told.json", looks=4))
    assert [event["tenant"] for event in events] == ["acme"]


@pytest.mark.parametrize(("outages", "warnings"), [(1, 0), (2, 1)])
def test_a_store_that_is_just_starting_is_nothing_to_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, outages: int, warnings: int
) -> None:
    store = Spent(*[StoreDown("starting")] * outages, rows())
    asyncio.run(follow(store, tmp_path / "told.json", looks=outages + 2))
    assert [record.getMessage() for record in caplog.records] == [
        "unusual spend is not looked for: starting"
    ] * warnings


def test_six_weeks_and_the_last_hours_are_asked_for(tmp_path: Path) -> None:
    store = Spent(rows())
    asyncio.run(follow(store, tmp_path / "told.json", looks=1))
    window = store.asked[0]
    assert window["until"] == (HOUR + 1) * 3600
    assert window["since"] == (HOUR - 6 - 6 * 168 - 1) * 3600
    assert (window["tenants"], window["demo"]) == ([], 0)


def test_a_damaged_memory_is_begun_anew(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    told.write_text("[[")
    assert len(asyncio.run(follow(Spent(rows(acme=500)), told, looks=2))) == 1


def test_an_event_has_exact_dollars() -> None:
    event = event_of(Anomaly(NOW_S.__int__(), "", 10**15 + 1, 0, 0, 10**14, 3.0))
    assert (event["cost_usd"], event["high_usd"]) == ("1.000000000000001", "0.1")
    assert (event["tenant"], event["scope"]) == (None, "all tenants")
    assert usd_of(-15 * 10**14) == "-1.5"

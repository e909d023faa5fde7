"""How backends and the ledger stand, and what of it is an alarm."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from gateway.compose.ledger import MeterWatch, spool_folder
from gateway.compose.parts import Parts, backend_state, backend_troubles, ledger_troubles
from gateway.finops.meter import STATE_FILE, MeterState
from gateway.ledger.ledger import Ledger
from gateway.ledger.spool import Spool, SpoolSettings
from gateway.routing.decisions import summary_of
from gateway.routing.health.health import BreakerSettings, Health
from gateway.routing.routes import About

ROOM_BYTES = 1 << 20


async def looked(meter: MeterWatch) -> None:
    """Have it look once."""
    task = asyncio.create_task(meter.follow())
    while meter.last is None:
        await asyncio.sleep(0.001)
    task.cancel()


class Backend:
    """Deployments whose breakers open at their first failure."""

    def __init__(self, *models: str) -> None:
        self.healths = {model: Health(BreakerSettings(consecutive=1)) for model in models}
        self.failure = ""
        self.about = About(healths=lambda: self.healths, probe=lambda: self.failure)

    def fails(self, model: str) -> None:
        visit = self.healths[model].enter(time.monotonic())
        assert visit is not None
        visit.ended(time.monotonic(), "error")

    def troubles(self) -> list[tuple[str, str]]:
        return [(one.kind, one.about) for one in backend_troubles("gpu", self.about)]


def test_a_backend_is_well_as_long_as_one_of_its_deployments_is() -> None:
    backend = Backend("small", "large")
    assert backend_state(backend.about)[0]
    assert backend.troubles() == []
    backend.fails("small")
    works, detail = backend_state(backend.about)
    assert works
    assert "1 of 2 deployments rest: small: its circuit breaker is open" in detail
    assert backend.troubles() == [("breaker_open", "gpu/small")]
    backend.fails("large")
    works, detail = backend_state(backend.about)
    assert not works
    assert "all its deployments rest" in detail
    assert backend.troubles()[-1] == ("backend_down", "gpu")


def test_a_backend_whose_probe_fails_is_down() -> None:
    backend = Backend()
    backend.failure = "connection refused"
    assert backend_state(backend.about) == (False, "its probe fails: connection refused")
    (trouble,) = backend_troubles("gpu", backend.about)
    assert trouble.summary == "backend gpu is down: its probe fails: connection refused"


def test_a_deployment_that_asked_for_peace_rests_but_is_no_alarm() -> None:
    backend = Backend("small")
    backend.healths["small"].rest(30, time.monotonic())
    assert not backend_state(backend.about)[0]
    assert backend.troubles() == []


def test_of_very_many_open_breakers_some_are_told_by_name() -> None:
    backend = Backend(*(f"m{number}" for number in range(100)))
    for model in backend.healths:
        backend.fails(model)
    kinds = [kind for kind, _ in backend.troubles()]
    assert (kinds.count("breaker_open"), kinds.count("backend_down")) == (16, 1)


def test_looking_at_a_thousand_deployments_takes_milliseconds() -> None:
    backend = Backend(*(f"m{number}" for number in range(1000)))
    begun_s = time.thread_time()
    for _ in range(20):
        backend_state(backend.about)
        backend.troubles()
    assert (time.thread_time() - begun_s) / 20 < 0.02


@pytest.mark.parametrize(
    ("state", "lags"),
    [
        (MeterState(), False),
        (MeterState(lag_s=299.0, spool_bytes=ROOM_BYTES // 2), False),
        (MeterState(lag_s=301.0), True),
        (MeterState(spool_bytes=ROOM_BYTES // 2 + 1), True),
        (MeterState(problem="ClickHouse does not answer"), True),
    ],
    ids=["well", "nearly", "late", "full", "nothing goes in"],
)
def test_the_ledger_lags_when_entries_are_late_or_pile_up(
    tmp_path: Path, state: MeterState, lags: bool
) -> None:
    ledger = Ledger(
        Spool(SpoolSettings(spool_folder(tmp_path), ROOM_BYTES, segment_bytes=1 << 16)), summary_of
    )
    try:
        state.at = time.time()
        (spool_folder(tmp_path) / STATE_FILE).write_bytes(msgspec.json.encode(state))
        meter = MeterWatch(tmp_path)
        asyncio.run(looked(meter))
        assert meter.last == state
        found = list(ledger_troubles(ledger, meter, ROOM_BYTES))
        parts = Parts()
        parts.add_ledger(ledger, meter, ROOM_BYTES)
    finally:
        ledger.spool.close()
    assert [one.kind for one in found] == ["ledger_lag"] * lags
    assert parts.states["ledger"]()[0] is not bool(state.problem)
    assert "ledger" in parts.optional

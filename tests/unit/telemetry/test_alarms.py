"""What is wrong is told once when it begins and once when it is over, by all workers together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.errors import StoreDown
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.telemetry.alarms import Alarms, Board, Claim, Trouble
from gateway.telemetry.events import KINDS

OPEN = Trouble("breaker_open", "gpu/m", "the circuit breaker of gpu/m is open", {"model": "m"})
LAG = Trouble("ledger_lag", "host-1", "the ledger lags behind")
REFUSED = Trouble("config_reload_failed", "configuration", "cannot be used", {"reason": "line 3"})
QUIET_S = KINDS["breaker_open"].quiet_s


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Worker:
    """One of a host's; `told` has what it told, of which type and about what."""

    def __init__(self, folder: Path, clock: Clock, claim: Claim | None = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.data: list[Mapping[str, Any]] = []
        self.alarms = Alarms(Board(folder, clock), self._hear, claim)

    def _hear(self, kind: str, data: Mapping[str, Any]) -> None:
        self.told.append((kind, data["about"]))
        self.data.append(data)

    def sees(self, *troubles: Trouble) -> None:
        asyncio.run(self.alarms.look(troubles))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "alarms"


def together(*workers: Worker) -> list[tuple[str, str]]:
    return [event for worker in workers for event in worker.told]


def test_a_trouble_is_told_once_however_long_it_stands(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    for _ in range(200):
        worker.sees(OPEN)
        clock.now_s += 1
    assert worker.told == [("breaker_open", "gpu/m")]
    assert worker.data[0] == {"about": "gpu/m", "model": "m", "summary": OPEN.summary}


def test_it_is_over_when_it_was_away_for_a_while_and_not_sooner(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    worker.sees(OPEN)
    clock.now_s += QUIET_S
    worker.sees()
    assert worker.told == [("breaker_open", "gpu/m")]
    clock.now_s += 1
    worker.sees()
    worker.sees()
    assert worker.told[1:] == [("breaker_open_over", "gpu/m")]


def test_one_that_flaps_is_told_once(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    for _ in range(20):
        worker.sees(OPEN)
        clock.now_s += QUIET_S / 2
        worker.sees()
        clock.now_s += QUIET_S / 3
    assert worker.told == [("breaker_open", "gpu/m")]


def test_what_comes_back_after_it_was_over_is_told_again(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    for _ in range(3):
        worker.sees(OPEN)
        clock.now_s += QUIET_S + 1
        worker.sees()
    assert worker.told == [("breaker_open", "gpu/m"), ("breaker_open_over", "gpu/m")] * 3


def test_four_workers_tell_it_once_between_them(folder: Path, clock: Clock) -> None:
    workers = [Worker(folder, clock) for _ in range(4)]
    for worker in workers:
        worker.sees(OPEN)
    assert together(*workers) == [("breaker_open", "gpu/m")]
    for _ in range(3):  # three do not see it any more, one does
        clock.now_s += QUIET_S - 1
        workers[3].sees(OPEN)
        for worker in workers[:3]:
            worker.sees()
    assert len(together(*workers)) == 1
    clock.now_s += QUIET_S + 1
    for worker in workers:
        worker.sees()
    assert together(*workers).count(("breaker_open_over", "gpu/m")) == 1


def test_a_restart_tells_nothing_again_and_still_tells_the_end(folder: Path, clock: Clock) -> None:
    Worker(folder, clock).sees(OPEN)
    clock.now_s += 10 * QUIET_S
    after = Worker(folder, clock)
    after.sees()  # it had no time yet to see anything
    after.sees(OPEN)
    clock.now_s += QUIET_S
    after.sees()
    assert after.told == []
    clock.now_s += 1
    after.sees()
    assert after.told == [("breaker_open_over", "gpu/m")]
    assert after.data[0]["lasted_s"] != 0


def test_what_is_to_stand_for_a_while_is_told_only_then(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    wait_s = KINDS["ledger_lag"].after_s
    for pause_s in (0, wait_s - 1):
        clock.now_s += pause_s
        worker.sees(LAG)
    worker.sees()  # it was away, so it begins anew
    for pause_s in (0, wait_s - 1):
        clock.now_s += pause_s
        worker.sees(LAG)
    assert worker.told == []
    clock.now_s += 1
    worker.sees(LAG)
    assert worker.told == [("ledger_lag", "host-1")]


def test_troubles_of_one_kind_are_kept_apart_by_what_they_are_about(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    other = msgspec.structs.replace(OPEN, about="gpu/../../../n" + 300 * "n")
    worker.sees(OPEN, other, REFUSED)
    assert {about for _, about in worker.told} == {"gpu/m", other.about, "configuration"}
    assert len(list(folder.iterdir())) == 3


def test_where_the_folder_takes_no_file_it_is_told_all_the_same(folder: Path, clock: Clock) -> None:
    folder.write_text("this is no folder")
    worker = Worker(folder, clock)
    for _ in range(3):
        worker.sees(OPEN)
        clock.now_s += 1
    assert worker.told == [("breaker_open", "gpu/m")]
    clock.now_s += QUIET_S
    worker.sees()
    worker.sees()
    assert worker.told[1:] == [("breaker_open_over", "gpu/m")]


def test_a_damaged_file_ends_nothing_but_itself(folder: Path, clock: Clock) -> None:
    worker = Worker(folder, clock)
    worker.sees(OPEN, REFUSED)
    (damaged,) = folder.glob("breaker_open-*")
    damaged.write_bytes(b"{")
    os.utime(damaged, (clock.now_s, clock.now_s))
    clock.now_s += QUIET_S + 1
    worker.sees()
    assert worker.told[2:] == [("config_reload_failed_over", "configuration")]
    assert list(folder.iterdir()) == []


def test_hosts_that_share_a_store_tell_it_once_between_them(tmp_path: Path, clock: Clock) -> None:
    shared = MemoryQuotas(lambda: int(clock.now_s * 1000))
    hosts = [Worker(tmp_path / name, clock, shared.claim) for name in "ab"]
    for _ in range(2):
        for host in hosts:
            host.sees(OPEN)
        clock.now_s += QUIET_S + 1
        for host in hosts:
            host.sees()
    assert together(*hosts) == [("breaker_open", "gpu/m"), ("breaker_open_over", "gpu/m")] * 2


def test_without_the_shared_store_each_host_tells(tmp_path: Path, clock: Clock) -> None:
    async def down(_name: str, _ttl_ms: int) -> bool:
        raise StoreDown("Redis does not answer")

    hosts = [Worker(tmp_path / name, clock, down) for name in "ab"]
    for host in hosts:
        host.sees(OPEN)
    assert together(*hosts) == [("breaker_open", "gpu/m")] * 2

"""What is wrong is told once when it begins and once when it is over, by all workers together."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
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

    def __init__(self, folder: Path, clock: Clock, claim: Claim | None = None, host: str = "h") -> None:
        self.told: list[tuple[str, str]] = []
        self.data: list[Mapping[str, Any]] = []
        self.takes: bool | None = True
        """Whether a receiver takes what is told; None: nobody knows yet."""
        self.alarms = Alarms(Board(folder, clock), self._hear, claim, host)

    def _hear(self, kind: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
        self.told.append((kind, data["about"]))
        self.data.append(data)
        receipt = asyncio.get_running_loop().create_future()
        if self.takes is not None:
            receipt.set_result(self.takes)
        return receipt

    def sees(self, *troubles: Trouble) -> None:
        async def look() -> None:
            await self.alarms.look(troubles)
            await asyncio.sleep(0)  # for what is done when it was taken

        asyncio.run(look())


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
    assert after.data[0]["lasted_s"] == 11 * QUIET_S + 1


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
    hosts = [Worker(tmp_path / name, clock, shared.claim, name) for name in "ab"]
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

    hosts = [Worker(tmp_path / name, clock, down, name) for name in "ab"]
    for host in hosts:
        host.sees(OPEN)
    assert together(*hosts) == [("breaker_open", "gpu/m")] * 2


class Hosts:
    """Hosts that share a store, of two workers each, all of which look every second."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.shared = MemoryQuotas(lambda: int(clock.now_s * 1000))
        self.workers = {name: self.started(name) for name in "ab"}

    def started(self, name: str) -> list[Worker]:
        return [Worker(self.folder / name, self.clock, self.shared.claim, name) for _ in range(2)]

    def see(self, seconds: int, **troubles: Sequence[Trouble]) -> list[tuple[str, str]]:
        """Return what was told meanwhile, and by which host. Hosts that are not named do not look."""
        before = {name: len(together(*workers)) for name, workers in self.workers.items()}
        said: list[tuple[str, str]] = []
        for _ in range(seconds):
            for name, seen in troubles.items():
                for worker in self.workers[name]:
                    known = len(worker.told)
                    worker.sees(*seen)
                    said += [(name, kind) for kind, _ in worker.told[known:]]
            self.clock.now_s += 1
        assert len(said) == sum(len(together(*of)) - before[name] for name, of in self.workers.items())
        return said


def test_of_hosts_the_one_that_still_sees_it_tells_it_when_the_first_has_told_its_end(
    tmp_path: Path, clock: Clock
) -> None:
    hosts, down = Hosts(tmp_path, clock), msgspec.structs.replace(OPEN, kind="backend_down")
    assert hosts.see(45, a=[down], b=[down]) == [("a", "backend_down")]
    assert hosts.see(120, a=[], b=[down]) == [("a", "backend_down_over"), ("b", "backend_down")]
    assert hosts.see(60, a=[down], b=[down]) == []
    assert hosts.see(120, a=[], b=[]) == [("b", "backend_down_over")]
    assert hosts.see(5, a=[], b=[down]) == [("b", "backend_down")]


def test_while_it_flaps_at_its_owner_no_other_host_tells_it(tmp_path: Path, clock: Clock) -> None:
    hosts, down = Hosts(tmp_path, clock), msgspec.structs.replace(OPEN, kind="backend_down")
    assert hosts.see(5, a=[down], b=[down]) == [("a", "backend_down")]
    for _ in range(4):
        assert hosts.see(25, a=[], b=[down]) == []
        assert hosts.see(5, a=[down], b=[down]) == []


def test_a_host_that_is_gone_is_taken_over_from_and_tells_no_end_when_it_is_back(
    tmp_path: Path, clock: Clock
) -> None:
    hosts = Hosts(tmp_path, clock)
    assert hosts.see(20, a=[OPEN], b=[OPEN]) == [("a", "breaker_open")]
    assert hosts.see(40, b=[OPEN]) == [("b", "breaker_open")]
    hosts.workers["a"] = hosts.started("a")
    assert hosts.see(10, a=[OPEN], b=[OPEN]) == []
    assert hosts.see(180, a=[], b=[OPEN]) == []
    assert hosts.see(180, a=[], b=[]) == [("b", "breaker_open_over")]


def test_a_host_that_starts_again_goes_on_with_what_it_has_told(tmp_path: Path, clock: Clock) -> None:
    hosts = Hosts(tmp_path, clock)
    assert hosts.see(20, a=[OPEN], b=[OPEN]) == [("a", "breaker_open")]
    assert hosts.see(5, b=[OPEN]) == []
    hosts.workers["a"] = hosts.started("a")
    assert hosts.see(40, a=[OPEN], b=[OPEN]) == []
    assert hosts.see(90, a=[], b=[]) == [("a", "breaker_open_over")]


def test_what_is_a_hosts_own_each_tells_of_itself(tmp_path: Path, clock: Clock) -> None:
    hosts = Hosts(tmp_path, clock)
    assert sorted(hosts.see(10, a=[REFUSED], b=[REFUSED])) == [
        ("a", "config_reload_failed"),
        ("b", "config_reload_failed"),
    ]
    assert hosts.see(60, a=[], b=[REFUSED]) == [("a", "config_reload_failed_over")]
    assert hosts.see(60, a=[], b=[]) == [("b", "config_reload_failed_over")]
    told = [data for worker in hosts.workers["b"] for data in worker.data]
    assert [data["host"] for data in told] == ["b", "b"]


def test_while_its_receiver_does_not_answer_no_other_worker_tells_it(folder: Path, clock: Clock) -> None:
    one, other = Worker(folder, clock), Worker(folder, clock)
    one.takes = None
    for _ in range(200):
        one.sees(OPEN)
        other.sees(OPEN)
        clock.now_s += 1
    assert together(one, other) == [("breaker_open", "gpu/m")]
    for _ in range(90):
        other.sees()
        one.sees()
        clock.now_s += 1
    assert one.told == [("breaker_open", "gpu/m"), ("breaker_open_over", "gpu/m")]
    assert other.told == []


def test_an_empty_file_is_as_none(folder: Path, clock: Clock) -> None:
    folder.mkdir()
    (folder / f"{OPEN.name}.json").touch()
    (folder / f"{REFUSED.name}.json").touch()
    worker = Worker(folder, clock)
    worker.sees(OPEN)
    assert worker.told == [("breaker_open", "gpu/m")]
    clock.now_s += QUIET_S + 1
    worker.sees()
    assert worker.told[1:] == [("breaker_open_over", "gpu/m")]


@pytest.mark.parametrize("outcome", ["", "receipt.set_result(False)"], ids=["under way", "given up"])
def test_a_process_that_is_killed_before_it_was_taken_leaves_it_to_the_next(
    folder: Path, outcome: str
) -> None:
    program = f"""
import asyncio, os, signal
from pathlib import Path
from gateway.telemetry.alarms import Alarms, Board, Trouble

def hear(kind, data):
    print(kind, flush=True)
    receipt = asyncio.get_running_loop().create_future()
    {outcome}
    return receipt

trouble = Trouble("breaker_open", "gpu/m", "it is open")
asyncio.run(Alarms(Board(Path({str(folder)!r})), hear).look([trouble]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (killed.returncode, killed.stdout) == (-9, "breaker_open\n"), killed.stderr
    after = Worker(folder, Clock())
    after.sees(OPEN)
    assert after.told == [("breaker_open", "gpu/m")]
    again = Worker(folder, Clock())
    again.sees(OPEN)
    assert again.told == []


def test_one_that_cannot_be_told_is_tried_again_and_leaves_the_others(folder: Path, clock: Clock) -> None:
    class Odd(Worker):
        is_odd = True

        def _hear(self, kind: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
            if self.is_odd and kind == "breaker_open":
                raise RuntimeError("odd")
            return super()._hear(kind, data)

    worker = Odd(folder, clock)
    worker.sees(OPEN, REFUSED)
    assert worker.told == [("config_reload_failed", "configuration")]
    worker.is_odd = False
    worker.sees(OPEN, REFUSED)
    assert worker.told[1:] == [("breaker_open", "gpu/m")]

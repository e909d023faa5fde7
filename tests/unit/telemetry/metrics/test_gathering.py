"""The numbers of several workers, some of them dead, put together. The workers are real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import (
    CONNECTIONS,
    GENERATION,
    IN_FLIGHT,
    QUEUE_SECONDS,
    RELOAD_OK,
    RELOADS,
)
from gateway.telemetry.metrics.gathering import bury, gathered, own

WORKER = """
import sys
from pathlib import Path
from gateway.telemetry.metrics import Metrics, families
metrics = Metrics(Path(sys.argv[1]))
number = int(sys.argv[2])
metrics.count(families.RELOADS, "applied", by=number)
metrics.set(families.IN_FLIGHT, number)
metrics.set(families.GENERATION, number)
metrics.set(families.RELOAD_OK, number % 2)
print("counted", flush=True)
sys.stdin.read()
"""

Worker = subprocess.Popen[str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Worker]]:
    """Start a worker that counts, and then waits."""
    workers: list[Worker] = []

    def begin(number: int) -> Worker:
        argv = [sys.executable, "-c", WORKER, str(tmp_path), str(number)]
        worker = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "counted\n"
        return worker

    yield begin
    for worker in workers:
        with suppress(BrokenPipeError):
            worker.kill()
        worker.communicate()


def test_counters_are_added_and_gauges_put_together_as_they_ask(
    tmp_path: Path, start: Callable[[int], Worker]
) -> None:
    for number in (1, 2, 5):
        start(number)
    numbers = gathered(tmp_path)
    assert numbers[RELOADS.name, ("applied",)] == [8]
    assert numbers[IN_FLIGHT.name, ()] == [8]
    assert numbers[GENERATION.name, ()] == [5]
    assert numbers[RELOAD_OK.name, ()] == [0]


def test_of_a_worker_that_is_killed_what_it_counted_stays_and_its_gauges_go(
    tmp_path: Path, start: Callable[[int], Worker]
) -> None:
    start(1)
    killed = start(2)
    killed.kill()
    killed.wait()
    numbers = gathered(tmp_path)
    assert numbers[RELOADS.name, ("applied",)] == [3]
    assert numbers[IN_FLIGHT.name, ()] == [1]
    assert numbers[RELOAD_OK.name, ()] == [1]


def test_the_dead_are_put_together_once_they_are_many(tmp_path: Path) -> None:
    alive = Cells(tmp_path)
    alive.numbers[alive.place(RELOADS, ("applied",))] = 1.0
    counted = 1.0
    for number in range(40):
        _leave(tmp_path, float(number))
        counted += number
        bury(tmp_path)
        numbers = gathered(tmp_path)
        assert numbers[RELOADS.name, ("applied",)] == [counted]
        assert numbers[QUEUE_SECONDS.name, ("b",)][0] == (number + 1) * 0.5
        assert IN_FLIGHT.name not in {name for name, _ in numbers}
    assert len(list(tmp_path.glob("*.names"))) < 20
    assert len(list(tmp_path.glob("*.cells"))) < 20


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.telemetry.metrics.gathering import bury
left = int(sys.argv[2])
unlink = Path.unlink
def killed(path, **how):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    unlink(path, **how)
Path.unlink = killed
bury(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("removed", [0, 1, 2, 33])
def test_nothing_counts_twice_after_one_was_killed_that_put_the_dead_together(
    tmp_path: Path, removed: int
) -> None:
    for _ in range(17):
        _leave(tmp_path, 1.0)
    argv = [sys.executable, "-c", KILLED, str(tmp_path), str(removed)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    assert gathered(tmp_path)[RELOADS.name, ("applied",)] == [17]
    for _ in range(17):
        _leave(tmp_path, 1.0)
        bury(tmp_path)
    assert gathered(tmp_path)[RELOADS.name, ("applied",)] == [34]
    assert len(list(tmp_path.glob("*.names"))) == len(list(tmp_path.glob("*.cells"))) < 18


def _leave(folder: Path, count: float) -> None:
    """Leave behind what a worker has counted that is dead: nobody holds the lock of its files."""
    cells = Cells(folder)
    cells.numbers[cells.place(RELOADS, ("applied",))] = count
    cells.numbers[cells.place(IN_FLIGHT)] = 3.0
    Histogram(cells, QUEUE_SECONDS, ("b",)).observe(0.5)


def test_a_gauge_that_is_taken_back_is_not_told(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for backend in ("a", "b"):
        cells.numbers[cells.place(CONNECTIONS, (backend, "idle"))] = 1.0
    cells.numbers[cells.place(CONNECTIONS, ("a", "idle"))] = float("nan")
    assert list(gathered(tmp_path)) == list(own(cells)) == [(CONNECTIONS.name, ("b", "idle"))]


def test_a_name_that_is_not_written_whole_yet_is_left_for_the_next_time(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.place(RELOADS, ("applied",))
    [names] = tmp_path.glob("*.names")
    with names.open("ab") as file:
        file.write(b'["forebay_reloads_total",["refu')
    assert list(gathered(tmp_path)) == [(RELOADS.name, ("applied",))]


def test_a_line_that_says_nothing_hides_no_other(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.place(RELOADS, ("applied",))
    [names] = tmp_path.glob("*.names")
    with names.open("ab") as file:
        file.write(b'["forebay_reloads_total",["refu["forebay_reloads_total",["refused"],7]\n')
        file.write(b'["forebay_of_another_version",[],1]\n["forebay_reloads_total",["far"],999999999]\n')
    cells.place(RELOADS, ("refused",))
    assert list(gathered(tmp_path)) == [(RELOADS.name, ("applied",)), (RELOADS.name, ("refused",))]


def test_where_the_dead_cannot_be_put_together_they_count_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        _leave(tmp_path, 1.0)
    before = sorted(tmp_path.glob("*.*"))

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", full)
        bury(tmp_path)
    assert sorted(tmp_path.glob("*.*")) == before
    assert gathered(tmp_path)[RELOADS.name, ("applied",)] == [20]

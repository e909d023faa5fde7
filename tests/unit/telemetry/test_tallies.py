"""The files by which workers of a host add up what they count: who leads, who is dead, what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.slo.burning import Counts
from gateway.slo.gathering import Gathered
from gateway.slo.objectives import Objective
from gateway.telemetry.tallies import Desk, gather, load

NOW_S = 1_763_726_400.0
PROMISE = Objective("answered", "availability", 0.99)
ROOT = Path(__file__).parents[3]

WORKER = """
import sys
from pathlib import Path
from gateway.slo.burning import Counts
from gateway.telemetry.tallies import Desk

desk = Desk(Path(sys.argv[1]))
desk.write({"answered": Counts(7, 3)})
print(desk.id, desk.try_to_lead(), flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, bool]]:
    """A process that has counted 7 good calls and 3 bad ones; its id, and whether it leads."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        name, leads = process.stdout.readline().split()
        try:
            yield process, name, leads == "True"
        finally:
            process.kill()


def counted(gathered: Gathered) -> tuple[int, int]:
    (standing,) = gathered.standings([PROMISE], NOW_S)
    return standing.counted


def test_one_leads_and_when_it_dies_another_does(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with worker(tmp_path) as (process, _, leads):
        assert leads
        assert not desk.try_to_lead()
        process.kill()
        process.wait()
        assert desk.try_to_lead()
        assert desk.leads
    desk.close()


def test_what_the_dead_counted_is_kept_and_their_files_go(tmp_path: Path) -> None:
    desk, gathered = Desk(tmp_path), Gathered()
    with worker(tmp_path) as (process, name, _):
        gather(tmp_path, gathered, NOW_S)
        desk.keep(gathered, NOW_S)
        assert (tmp_path / f"{name}.json").exists()
        process.kill()
        process.wait()
        desk.keep(gathered, NOW_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *sorted(("all.mpk", f"{desk.id}.lock", "lead.lock"))
    ]
    again, written_s = load(tmp_path)
    gather(tmp_path, again, NOW_S)
    assert (counted(again), written_s, again.workers) == ((7, 3), NOW_S, {name})
    desk.keep(gathered, NOW_S)
    assert load(tmp_path)[0].workers == set()
    desk.close()


def test_a_worker_that_is_stopped_is_not_taken_for_dead(tmp_path: Path) -> None:
    desk, gathered = Desk(tmp_path), Gathered()
    with worker(tmp_path) as (process, name, _):
        os.kill(process.pid, signal.SIGSTOP)
        desk.keep(gathered, NOW_S)
        assert (tmp_path / f"{name}.json").exists()
    desk.close()


def test_a_leader_that_dies_before_it_keeps_costs_no_call(tmp_path: Path) -> None:
    with worker(tmp_path):
        desk, lost = Desk(tmp_path), Gathered()
        desk.keep(lost, NOW_S)
        gather(tmp_path, lost, NOW_S)
        assert counted(lost) == (7, 3)
        desk.close()  # and what it had added up is gone
        again, _ = load(tmp_path)
        gather(tmp_path, again, NOW_S + 5)
        assert counted(again) == (7, 3)


def test_who_is_killed_between_keeping_and_removing_counts_nobody_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, gathered = Desk(tmp_path), Gathered()
    with worker(tmp_path) as (process, _, _):
        process.kill()
        process.wait()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.keep(gathered, NOW_S)
    desk.close()
    again, _ = load(tmp_path)
    gather(tmp_path, again, NOW_S)
    assert counted(again) == (7, 3)


def test_what_is_unchanged_is_not_written_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    file = tmp_path / f"{desk.id}.json"
    desk.write({"answered": Counts(1, 0)})
    first = file.stat().st_ino
    desk.write({"answered": Counts(1, 0)})
    assert file.stat().st_ino == first
    desk.write({"answered": Counts(2, 0)})
    assert file.read_bytes() == b'{"answered":[2,0]}'
    desk.close()


@pytest.mark.parametrize("content", [b"", b"\x93", b"\x84\xa4told\x01"])
def test_what_is_damaged_begins_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "all.mpk").write_bytes(content)
    gathered, written_s = load(tmp_path)
    assert (counted(gathered), written_s) == ((0, 0), 0.0)
    assert "cannot be read" in caplog.text


def test_a_damaged_file_of_one_worker_costs_only_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path)
    desk.write({"answered": Counts(1, 0)})
    (tmp_path / "aaaa.lock").touch()
    (tmp_path / "aaaa.json").write_bytes(b'{"answered":')
    gathered = Gathered()
    gather(tmp_path, gathered, NOW_S)
    assert counted(gathered) == (1, 0)
    assert "aaaa" in caplog.text
    desk.close()

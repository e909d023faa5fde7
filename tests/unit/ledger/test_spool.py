"""What is appended is on disk at once; there is room for what runs; nothing waits."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.ledger import spool as module
from gateway.ledger.reading import segments
from gateway.ledger.segments import MAGIC, read_part
from gateway.ledger.spool import SPARE_SUFFIX, Spool, SpoolSettings, is_written, size_bytes

SEGMENT = 64 << 10


def settings(folder: Path, *, limit_bytes: int = 1 << 30, sync_s: float = 0.01) -> SpoolSettings:
    return SpoolSettings(folder, limit_bytes, sync_s, SEGMENT)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(settings(tmp_path / "spool"))
    yield opened
    opened.close()


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def found(folder: Path) -> list[bytes]:
    """All payloads on disk."""
    payloads = list[bytes]()
    for segment in segments(folder):
        part = read_part(segment.read_bytes(), len(MAGIC), is_final=True, most_bytes=1 << 30)
        assert not part.damages
        payloads += [record.payload for record in part.records]
    return payloads


def test_what_is_appended_can_be_read_at_once(tmp_path: Path, spool: Spool) -> None:
    spool.append(b"one")
    assert found(tmp_path / "spool") == [b"one"]
    spool.append(b"two")
    assert found(tmp_path / "spool") == [b"one", b"two"]


def test_segments_follow_each_other_and_are_cut_to_what_they_hold(tmp_path: Path, spool: Spool) -> None:
    payloads = [b"%d" % number * 207 for number in range(1000)]
    for payload in payloads:
        until(lambda: spool.has_room)
        spool.append(payload)
    folder = tmp_path / "spool"
    until(lambda: found(folder) == payloads)
    full = segments(folder)[:-1]
    assert len(full) > 5
    until(lambda: not any(is_written(segment) for segment in full))
    assert all(segment.stat().st_size < SEGMENT for segment in full)
    assert is_written(segments(folder)[-1])
    spool.close()
    assert not any(is_written(segment) for segment in segments(folder))
    assert spool.lost == 0


def test_what_comes_faster_than_segments_are_made_waits_and_keeps_its_order(
    tmp_path: Path, spool: Spool
) -> None:
    payloads = [b"%d" % number * 400 for number in range(3000)]
    for payload in payloads:
        spool.append(payload)
    until(lambda: found(tmp_path / "spool") == payloads)
    assert spool.lost == 0


def test_at_its_bound_it_has_no_room_but_takes_what_is_running(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(settings(folder, limit_bytes=3 * SEGMENT))
    try:
        written = 0
        while spool.has_room:
            spool.append(b"x" * 500)
            written += 1
            until(lambda: spool.problem != "" or spool._spare is not None)
        assert "the ledger takes nothing" in spool.problem
        assert size_bytes(folder) <= 3 * SEGMENT
        running = int(SEGMENT * 0.4 / 600)
        for _ in range(running):
            spool.append(b"y" * 500)
        assert len(found(folder)) == written + running
        segments(folder)[0].unlink()  # as who reads it does
        until(lambda: spool.has_room)
        assert spool.problem == ""
    finally:
        spool.close()
    assert spool.lost == 0


def test_on_a_full_disk_it_opens_without_room_and_has_room_once_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    spool = Spool(settings(tmp_path))
    try:
        assert not spool.has_room
        assert spool.problem == "No space left on device"
        assert not list(tmp_path.iterdir())
        spool.append(b"kept")
        monkeypatch.undo()
        until(lambda: spool.has_room)
        until(lambda: found(tmp_path) == [b"kept"])
    finally:
        spool.close()
    assert (spool.lost, found(tmp_path)) == (0, [b"kept"])


def test_what_never_gets_room_is_counted_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 10)
    spool = Spool(settings(tmp_path, limit_bytes=0))
    for number in range(15):
        spool.append(b"%d" % number)
    assert spool.lost == 5
    spool.close()
    assert spool.lost == 15
    assert found(tmp_path) == []


def test_an_entry_that_no_segment_could_hold_is_lost_alone(tmp_path: Path, spool: Spool) -> None:
    spool.append(b"x" * SEGMENT)
    spool.append(b"small")
    assert spool.lost == 1
    assert found(tmp_path / "spool") == [b"small"]


def test_nothing_is_left_of_one_that_was_never_used(tmp_path: Path) -> None:
    spool = Spool(settings(tmp_path))
    until(lambda: spool.has_room)
    spool.close()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.ledger.spool import Spool, SpoolSettings

spool = Spool(SpoolSettings(Path(sys.argv[1]), 1 << 30, 60.0, 64 << 10))
for number in range(5000):
    while not spool.has_room:
        pass
    spool.append(b"%d" % number)
    if number == 4321:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_all_that_it_has_appended(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert found(tmp_path) == [b"%d" % number for number in range(4322)]
    assert not any(is_written(segment) for segment in segments(tmp_path))


def test_spares_of_processes_that_ended_are_removed(tmp_path: Path) -> None:
    orphan, young = tmp_path / f"1{SPARE_SUFFIX}", tmp_path / f"2{SPARE_SUFFIX}"
    for path in (orphan, young):
        path.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    Spool(settings(tmp_path)).close()
    assert list(tmp_path.iterdir()) == [young]

"""The log of decisions on disk: whole lines, files of bounded size and number, and no call that waits."""

from __future__ import annotations

import fcntl
import logging
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from rig.gateway import eventually

from gateway.exchange import Record
from gateway.telemetry.decisions import FILES, DecisionLog, files_of, find_line


def record(call_id: str = "call_1") -> Record:
    return Record(call_id, "chat", 0.0)


def by_id(ended: Record, _ended_s: float, _unix_s: float) -> bytes:
    return b'{"call":"%b"}\n' % ended.call_id.encode()


def lines(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    for path in files_of(folder):
        with suppress(FileNotFoundError):  # it was the oldest, and went meanwhile
            found += path.read_bytes().splitlines()
    return found


def test_each_call_is_one_line_with_when_it_ended(tmp_path: Path) -> None:
    ended: list[tuple[float, float]] = []

    def line(call: Record, ended_s: float, unix_s: float) -> bytes:
        ended.append((ended_s, unix_s))
        return by_id(call, ended_s, unix_s)

    log = DecisionLog(tmp_path / "decisions", line)
    log.write(record("call_1"), 5.0)
    log.write(record("call_2"), 6.0)
    log.close()
    assert lines(tmp_path / "decisions") == [b'{"call":"call_1"}', b'{"call":"call_2"}']
    assert [ended_s for ended_s, _ in ended] == [5.0, 6.0]
    assert all(unix_s > 1e9 for _, unix_s in ended)


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions", by_id)
    log.write(record(), 5.0)
    log.close()
    (file,) = files_of(tmp_path / "decisions")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_is_not_kept_makes_no_file(tmp_path: Path) -> None:
    for line in (None, lambda *_: b""):
        log = DecisionLog(tmp_path / "decisions", line)
        log.write(record(), 5.0)
        log.close()
    assert not (tmp_path / "decisions").exists()


def test_files_are_rotated_by_size_and_the_oldest_removed(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, by_id, file_bytes=40)  # two lines
    for i in range(20):
        log.write(record(f"call_{i}"), 5.0)
        assert eventually(lambda i=i: f"call_{i}".encode() in b"".join(lines(tmp_path)))
    log.close()
    kept = lines(tmp_path)
    assert kept[-1] == b'{"call":"call_19"}'
    assert len(kept) < 20
    assert len(files_of(tmp_path)) == FILES
    assert all(file.stat().st_size <= 40 for file in files_of(tmp_path))


def test_processes_write_files_of_their_own(tmp_path: Path) -> None:
    logs = [DecisionLog(tmp_path, by_id) for _ in range(2)]
    for i in range(50):
        for log in logs:
            log.write(record(f"call_{i}"), 5.0)
    for log in logs:
        log.close()
    assert len(files_of(tmp_path)) == 2
    assert sorted(lines(tmp_path)) == sorted(b'{"call":"call_%d"}' % i for i in range(50) for _ in range(2))


def test_what_ended_processes_left_behind_is_bounded_and_what_others_write_is_not_touched(
    tmp_path: Path,
) -> None:
    for i in range(7):
        (tmp_path / f"{i:020d}-{i}.jsonl").write_bytes(b"old\n")
    with (tmp_path / f"{0:020d}-0.jsonl").open("rb") as written:
        fcntl.flock(written, fcntl.LOCK_SH)
        log = DecisionLog(tmp_path, by_id)
        log.write(record(), 5.0)
        log.close()
    names = [file.name for file in files_of(tmp_path)][:-1]
    assert names == [f"{i:020d}-{i}.jsonl" for i in (0, 3, 4, 5, 6)]


def test_an_odd_call_costs_only_its_own_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def line(ended: Record, ended_s: float, unix_s: float) -> bytes:
        if ended.call_id == "odd":
            raise ValueError("this cannot be written")
        return by_id(ended, ended_s, unix_s)

    log = DecisionLog(tmp_path, line)
    for name in ("call_1", "odd", "call_2"):
        log.write(record(name), 5.0)
    log.close()
    assert lines(tmp_path) == [b'{"call":"call_1"}', b'{"call":"call_2"}']
    assert "a decision is lost" in caplog.text


def test_a_disk_that_fails_is_said_once_and_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "decisions"
    folder.write_text("in the way")
    log = DecisionLog(folder, by_id)
    with caplog.at_level(logging.WARNING):
        log.write(record("call_1"), 5.0)
        assert eventually(lambda: "decisions are not kept" in caplog.text)
        log.write(record("call_2"), 5.0)
        folder.unlink()
        log.write(record("call_3"), 5.0)
        log.close()
    assert caplog.text.count("decisions are not kept") == 1
    assert lines(folder)[-1] == b'{"call":"call_3"}'


def test_whoever_writes_never_waits(tmp_path: Path) -> None:
    entered, free = threading.Event(), threading.Event()

    def stuck(ended: Record, ended_s: float, unix_s: float) -> bytes:
        entered.set()
        assert free.wait(30)
        return by_id(ended, ended_s, unix_s)

    log = DecisionLog(tmp_path, stuck)
    log.write(record("call_0"), 5.0)
    assert entered.wait(30)
    for i in range(1, 5000):
        log.write(record(f"call_{i}"), 5.0)
    free.set()
    log.close()
    kept = lines(tmp_path)
    assert kept[0] == b'{"call":"call_0"}'
    assert kept[-1] == b'{"call":"call_4999"}'
    assert len(kept) < 5000  # what waits is bounded: the oldest were given up


def test_the_newest_line_with_a_mark_is_found(tmp_path: Path) -> None:
    assert find_line(tmp_path, b"call_1") is None
    (tmp_path / "1-1.jsonl").write_bytes(
        b'{"call":"call_1","n":1}\n{"call":"call_1","n":2}\n{"call":"call_2"}\n'
    )
    (tmp_path / "2-1.jsonl").write_bytes(b'{"call":"call_3"}\n')
    assert find_line(tmp_path, b'"call":"call_1"') == b'{"call":"call_1","n":2}'
    assert find_line(tmp_path, b'"call":"call_3"') == b'{"call":"call_3"}'
    assert find_line(tmp_path, b'"call":"call_4"') is None

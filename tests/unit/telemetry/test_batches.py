"""What is written in batches, by a thread of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

import pytest
from rig.gateway import eventually

from gateway.telemetry.batches import Batches


def test_entries_are_written_in_their_order_and_the_last_before_the_end() -> None:
    written: list[int] = []
    batches: Batches[int] = Batches("test", written.extend)
    for number in range(100):
        batches.put(number)
    batches.close()
    assert written == list(range(100))


def test_entries_are_written_without_being_asked_for() -> None:
    written: list[int] = []
    batches: Batches[int] = Batches("test", written.extend)
    batches.put(1)
    assert eventually(lambda: written == [1])
    batches.close()


def test_a_failure_costs_its_batch_and_not_the_next(caplog: pytest.LogCaptureFixture) -> None:
    written: list[int] = []
    failed = threading.Event()

    def write(entries: Sequence[int]) -> None:
        if 1 in entries:
            failed.set()
            raise OSError("no space")
        written.extend(entries)

    batches: Batches[int] = Batches("test", write)
    batches.put(1)
    assert failed.wait(30)
    batches.put(2)
    batches.close()
    assert written == [2]
    assert "entries are lost" in caplog.text


def test_the_oldest_of_too_many_are_lost_and_counted() -> None:
    written: list[int] = []
    stuck, free = threading.Event(), threading.Event()

    def write(entries: Sequence[int]) -> None:
        stuck.set()
        assert free.wait(30)
        written.extend(entries)

    batches: Batches[int] = Batches("test", write, most=3)
    batches.put(0)
    assert stuck.wait(30)
    for number in range(1, 11):
        batches.put(number)
    assert (list(batches.waiting), batches.lost) == ([8, 9, 10], 7)
    free.set()
    batches.close()
    assert written == [0, 8, 9, 10]


def test_without_a_clock_entries_are_written_when_somebody_hurries() -> None:
    written: list[int] = []
    batches: Batches[int] = Batches("test", written.extend, every_s=None)
    batches.put(1)
    assert not eventually(lambda: written, 0.3)
    batches.put(2)
    batches.hurry()
    assert eventually(lambda: written == [1, 2])
    batches.put(3)
    batches.close()
    assert written == [1, 2, 3]
    batches.put(4)
    batches.hurry()
    assert written == [1, 2, 3, 4]


def test_a_signal_that_hurries_amid_hurrying_waits_for_nobody() -> None:
    written: list[int] = []
    batches: Batches[int] = Batches("test", written.extend, every_s=None)
    before = signal.signal(signal.SIGALRM, lambda *_: batches.hurry())
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(50_000):
            batches.put(number)
            batches.hurry()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    batches.close()
    assert written == list(range(50_000))

"""What is written in batches, by a thread of its own."""

from __future__ import annotations

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
    assert failed.wait(5)
    batches.put(2)
    batches.close()
    assert written == [2]
    assert "entries are lost" in caplog.text

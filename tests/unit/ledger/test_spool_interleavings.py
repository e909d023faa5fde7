"""The loop and the spool's thread, one of them stopped at each of its instructions while the other one works.

The interpreter may change threads between any two. Both are played by the test's own thread: what the one
does is traced, and at one instruction after the other the other one has its turn.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.ledger import spool as module
from gateway.ledger.reading import segments
from gateway.ledger.segments import MAGIC, read_part
from gateway.ledger.spool import SPARE_SUFFIX, Spool, SpoolSettings, is_written

SEGMENT = 4 << 10
LARGE, MIDDLING, SMALL = b"x" * 1000, b"z" * 500, b"y" * 100
_SHARED = {"append", "_append_elsewhere", "_write_kept", "_tend", "_sync", "_prepare"}
"""What touches the spool; what is below it has a segment for itself."""


class Quiet(Spool):
    """A spool whose thread does nothing by itself."""

    def _work(self) -> None:
        pass


class Stopped:
    """Stops what is traced before one of its instructions, for `other` to work; `was`: there was that one."""

    def __init__(self, at: int, other: Callable[[], bool]) -> None:
        self.was = False
        self._at = at
        self._other = other

    def __call__(self, work: Callable[[], None]) -> None:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            work()
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code.co_filename != module.__file__ or frame.f_code.co_name not in _SHARED:
            return None
        frame.f_trace_opcodes = True
        return self._look

    def _look(self, _frame: FrameType, event: str, _arg: object) -> Any:
        if event == "opcode":
            self._at -= 1
            if self._at < 0 and not self.was:
                self.was = self._other()
        return self._look


def with_room(spool: Spool) -> list[bytes]:
    """The record fits."""
    return []


def full_with_spare(spool: Spool) -> list[bytes]:
    """The record does not fit, and there is a spare segment."""
    payloads = filled(spool, LARGE)
    spool._prepare()
    return payloads


def full_without_spare(spool: Spool) -> list[bytes]:
    """The record does not fit, and another segment is still to be made."""
    return filled(spool, LARGE)


def one_waits(spool: Spool) -> list[bytes]:
    """One waits that did not fit, a small one would; now there is a spare segment."""
    payloads = one_waits_without_spare(spool)
    spool._prepare()
    return payloads


def one_waits_without_spare(spool: Spool) -> list[bytes]:
    """As before, and there is none."""
    payloads = [*filled(spool, MIDDLING), LARGE]
    spool.append(LARGE)
    assert list(spool._kept) == [LARGE]
    assert spool._current is not None
    assert spool._current.takes(SMALL)
    return payloads


def filled(spool: Spool, last: bytes) -> list[bytes]:
    payloads = [LARGE, LARGE, LARGE, last]
    for payload in payloads:
        spool.append(payload)
    assert not spool._kept
    return payloads


Beginning = Callable[[Spool], list[bytes]]
BEGINNINGS = [with_room, full_with_spare, full_without_spare, one_waits, one_waits_without_spare]


def opened(folder: Path, beginning: Beginning) -> tuple[Quiet, list[bytes]]:
    spool = Quiet(SpoolSettings(folder, 1 << 30, 3600.0, SEGMENT))
    return spool, beginning(spool)


def check(spool: Spool, folder: Path, payloads: list[bytes]) -> None:
    """All is there in its order, and no file is left open."""
    spool._end()
    found = list[bytes]()
    for segment in segments(folder):
        assert not is_written(segment)
        part = read_part(segment.read_bytes(), len(MAGIC), is_final=False, most_bytes=1 << 30)
        assert part.closed
        assert not part.damages
        found += [record.payload for record in part.records]
    assert found == payloads
    assert spool.lost == 0
    assert not list(folder.glob(f"*{SPARE_SUFFIX}"))


def folders(under: Path) -> Iterator[tuple[int, Path]]:
    return ((number, under / str(number)) for number in itertools.count())


def tend(spool: Spool) -> None:
    """What the spool's thread does; where the loop has its turn, all but what has to wait for that."""
    if not spool._turn.locked():
        spool._tend()
    else:
        spool._prepare()
    assert spool._sync() is None


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_an_entry_is_appended_whatever_the_thread_does_meanwhile(
    tmp_path: Path, beginning: Beginning, payload: bytes
) -> None:
    for number, folder in folders(tmp_path):
        spool, payloads = opened(folder, beginning)

        def other(spool: Spool = spool) -> bool:
            tend(spool)
            return True

        stopped = Stopped(number, other)
        stopped(lambda spool=spool: spool.append(payload))
        check(spool, folder, [*payloads, payload])
        if not stopped.was:
            break
    assert number > 10


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_thread_does_its_work_whatever_is_appended_meanwhile(
    tmp_path: Path, beginning: Beginning, payload: bytes
) -> None:
    for number, folder in folders(tmp_path):
        spool, payloads = opened(folder, beginning)

        def other(spool: Spool = spool) -> bool:
            current = spool._current
            waits = bool(spool._kept) or current is None or not current.takes(payload)
            if waits and spool._turn.locked():
                return False  # it would wait; so at one of the next instructions
            spool.append(payload)
            return True

        stopped = Stopped(number, other)
        stopped(spool._tend)
        check(spool, folder, [*payloads, payload] if stopped.was else payloads)
        if not stopped.was:
            break
    assert number > 10

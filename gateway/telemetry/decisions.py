"""Keep the decisions on calls on disk: one JSON line for each, in files of bounded size and number.

Each process writes files of its own, so lines never mix. Whoever writes a file holds a lock on it: so what
ended processes left behind can be told apart, and is removed once it is too much. It must not know what a
decision is.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import sleep, time, time_ns
from typing import BinaryIO

from gateway.exchange import Record
from gateway.telemetry.batches import Batches

FILE_BYTES = 16 << 20
FILES = 4
"""So many files of its own a process keeps, and as many of those that have ended are kept by all."""

_WAITING = 2048
"""Entries are whole calls until they are written: where the disk hangs, the oldest are given up."""

_AT_A_STRETCH = 8

log = logging.getLogger("forebay")

Entry = tuple[Record, float, float]
Line = Callable[[Record, float, float], bytes]
"""Writes a call that has ended as a line: given when it did, by the monotonic clock and the time of day.
Empty: it is not kept."""


class DecisionLog:
    """The log of one process; its first file comes with the first line."""

    def __init__(self, folder: Path, line: Line | None = None, file_bytes: int = FILE_BYTES) -> None:
        self.line = line
        """May be replaced at any time; None: nothing is kept."""
        self._files = _Files(folder, file_bytes)
        self._failed = False
        self._batches: Batches[Entry] = Batches("decisions", self._write, _WAITING)

    def write(self, record: Record, ended_s: float) -> None:
        """Queue a call that has ended; never waits. It is written within a tenth of a second."""
        if self.line is not None:
            self._batches.put((record, ended_s, time()))

    def close(self) -> None:
        """Write what is queued and stop."""
        self._batches.close()
        self._files.close()

    def _write(self, entries: Sequence[Entry]) -> None:
        lines: list[bytes] = []
        for at, entry in enumerate(entries):
            if at % _AT_A_STRETCH == 0:  # a thread that works on keeps the loop from its calls for 5 ms
                sleep(0)
            if text := self._line(entry):
                lines.append(text)
        if not lines:
            return
        try:
            self._files.write(lines)
        except OSError as error:  # a full disk costs these lines, not those to come
            if not self._failed:
                log.warning("decisions are not kept: %s", error.strerror)
            self._failed = True
        else:
            self._failed = False

    def _line(self, entry: Entry) -> bytes:
        try:
            return self.line(*entry) if self.line is not None else b""
        except Exception:  # one odd call must not cost the others theirs
            log.exception("a decision is lost", extra={"request_id": entry[0].call_id})
            return b""


class _Files:
    """The files of one process."""

    def __init__(self, folder: Path, file_bytes: int) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._own: deque[Path] = deque()
        self._file: BinaryIO | None = None
        self._left_bytes = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines, into a new file where they do not fit. Raises OSError."""
        text = b"".join(lines)
        if self._file is None or len(text) > self._left_bytes:
            self._file = self._next()
        self._left_bytes -= len(text)
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> BinaryIO:
        if not self._own:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_orphans(self._folder)
        self.close()
        path = self._folder / f"{time_ns():020d}-{os.getpid()}.jsonl"
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
        fcntl.flock(file, fcntl.LOCK_SH)
        self._left_bytes = self._file_bytes
        self._own.append(path)
        while len(self._own) > FILES:
            self._own.popleft().unlink(missing_ok=True)
        return file


def find_line(folder: Path, mark: bytes) -> bytes | None:
    """Return the newest line that holds `mark`; None: there is none."""
    for path in files_of(folder)[::-1]:
        with contextlib.suppress(FileNotFoundError):  # it was the oldest
            text = path.read_bytes()
            at = text.rfind(mark)
            if at >= 0:
                start, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
                return text[start:] if end < 0 else text[start:end]
    return None


def files_of(folder: Path) -> list[Path]:
    """Name the files of all processes, by the time at which they were begun."""
    return sorted(folder.glob("*.jsonl"))


def _remove_orphans(folder: Path) -> None:
    """Of processes that have ended, keep only the newest files."""
    orphans = [path for paths in _by_process(folder) if not _is_written(paths[-1]) for path in paths]
    for path in sorted(orphans)[:-FILES]:
        path.unlink(missing_ok=True)


def _by_process(folder: Path) -> Iterator[list[Path]]:
    processes: dict[str, list[Path]] = {}
    for path in files_of(folder):
        processes.setdefault(path.stem.partition("-")[2], []).append(path)
    yield from processes.values()


def _is_written(path: Path) -> bool:
    """Tell whether somebody holds the lock on it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it has gone
        return False
    return False

"""Append to the spool: where what calls leave behind is safe before it is in the ledger.

Each process writes segments of its own, through a memory map (1.2 us a record; a system call takes 2, and
lets other threads have the interpreter): what is appended outlives the process at once, and the machine
after the next sync. Disk for it is taken ahead of time, so that there is room for what is running when the
disk is full. Whoever writes a segment holds a lock on it. It must not know what is appended.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from time import time, time_ns

import msgspec

from gateway.ledger.segments import END, HEAD_BYTES, MAGIC, write_record

SUFFIX, SPARE_SUFFIX = ".seg", ".spare"
SEGMENT_BYTES = 4 << 20
MOST_RECORD_BYTES = 256 << 10
_MARGIN = 0.5
"""The part of a segment that has to be left while there is no spare one: for the calls that are running."""
_MOST_KEPT = 10_000
"""Records that wait in memory while there is no room on disk at all."""
_JOIN_S = 5.0
_NEW_S = 10.0

log = logging.getLogger("forebay")


class SpoolSettings(msgspec.Struct, frozen=True):
    """Where the spool is, how much of the disk it may take, how often it is synced."""

    folder: Path
    limit_bytes: int
    sync_s: float = 5.0
    segment_bytes: int = SEGMENT_BYTES


class _Segment:
    """A file that is open for writing; `at` is where the next record goes."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Take the disk space for it. Raises OSError."""
        name = f"{time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}"
        self.path = folder / (name + SPARE_SUFFIX)
        self.size_bytes = size_bytes
        self.at = len(MAGIC)
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            os.posix_fallocate(self.file, 0, size_bytes)
            # Written once already, so that what is appended needs no blocks: else a page touched while
            # the file is synced waits for the journal (35 us a call, at 3,000 a second).
            os.pwrite(self.file, bytes(size_bytes), 0)
            os.fdatasync(self.file)
            self._map = mmap.mmap(self.file, size_bytes)
        except OSError:
            self.path.unlink()
            os.close(self.file)
            raise
        self.view = memoryview(self._map)
        self.view[: self.at] = MAGIC

    def takes(self, payload: bytes) -> bool:
        return self.at + HEAD_BYTES + len(payload) + len(END) <= self.size_bytes

    def put_in_use(self) -> None:
        """Give it the name by which it is read."""
        self.path = self.path.rename(self.path.with_suffix(SUFFIX))

    def close(self) -> None:
        """Say that nothing follows, and give back what was not used. May wait for the disk."""
        self.view[self.at : self.at + len(END)] = END
        self.view.release()
        self._map.close()
        os.truncate(self.file, self.at + len(END))
        os.fdatasync(self.file)
        os.close(self.file)

    def drop(self) -> None:
        """Close a spare one that was never used."""
        self.view.release()
        self._map.close()
        self.path.unlink(missing_ok=True)
        os.close(self.file)


class Spool:
    """The spool of one process. `append` and `has_room` never wait; the rest is done in a thread.

    Only one thread appends. What the two share needs no lock but for what waits, as long as each of them does
    its steps in the order that it has here.
    """

    def __init__(self, settings: SpoolSettings) -> None:
        """Open it; where the disk is full it opens all the same, without room."""
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lost = 0
        """Records that were given up."""
        self.problem = ""
        """Why there is no more room; empty: there is."""
        self._settings = settings
        self._current: _Segment | None = None
        self._spare: _Segment | None = None
        self._full: deque[_Segment] = deque()
        """To be closed."""
        self._kept: deque[bytes] = deque()
        self._turn = Lock()
        """Whoever writes what was kept; nobody else writes while there is any."""
        self._wake = Event()
        self._is_over = False
        _remove_spares(settings.folder)
        self._prepare()
        self._thread = Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether further calls may begin: what they leave behind will have its place."""
        if self._spare is not None:
            return True
        current = self._current
        return current is not None and current.at < current.size_bytes * (1 - _MARGIN)

    def append(self, payload: bytes) -> None:
        """Write a record; where there is no room it waits in memory, and at last the oldest are lost."""
        # First: while nothing waits, nobody else changes segments (the thread would close this one).
        if not self._kept:
            current = self._current
            if current is not None and current.takes(payload):
                current.at = write_record(current.view, current.at, payload)
                return
        self._append_elsewhere(payload)

    def close(self) -> None:
        """Write what waits, sync, and let go of the files."""
        self._is_over = True
        self._wake.set()
        self._thread.join(_JOIN_S)

    def _append_elsewhere(self, payload: bytes) -> None:
        if len(payload) > min(MOST_RECORD_BYTES, self._settings.segment_bytes // 4):
            self.lost += 1
            log.error("an entry of the ledger is too large", extra={"size_bytes": len(payload)})
            return
        with self._turn:
            self._kept.append(payload)
            self._write_kept()
            if len(self._kept) > _MOST_KEPT:
                self._kept.popleft()
                self.lost += 1
        self._wake.set()

    def _write_kept(self) -> None:
        """Write what waits, in the spare segment where the current one is full."""
        while self._kept:
            current = self._current
            if current is None or not current.takes(self._kept[0]):
                spare = self._spare
                if spare is None:
                    return
                self._spare = None  # not where it is None: the thread may just have made one
                spare.put_in_use()
                self._current = spare
                if current is not None:
                    self._full.append(current)  # only now: the thread closes it at once, and syncs the other
                current = spare
            current.at = write_record(current.view, current.at, self._kept[0])
            self._kept.popleft()  # only now: until then the loop does not write past it

    def _work(self) -> None:
        while not self._is_over:
            self._wake.wait(self._settings.sync_s)
            self._wake.clear()
            self._tend()
        self._end()

    def _tend(self) -> None:
        """Sync what was written, and see to the room for what comes."""
        self._prepare()
        with self._turn:
            self._write_kept()
        if failure := self._sync():
            log.error("the spool cannot be synced: %s", failure.strerror)

    def _sync(self) -> OSError | None:
        try:
            while self._full:
                self._full.popleft().close()
            current = self._current
            if current is not None:
                os.fdatasync(current.file)
        except OSError as error:
            return error
        return None

    def _prepare(self) -> None:
        """Have a spare segment, if the disk and the spool's bound allow it."""
        if self._spare is not None:
            return
        problem = self._over_limit()
        if not problem:
            try:
                self._spare = _Segment(self._settings.folder, self._settings.segment_bytes)
            except OSError as error:
                problem = error.strerror or str(error)
        if problem != self.problem:
            if problem:
                log.error("the spool of the ledger has no more room: %s", problem)
            else:
                log.warning("the spool of the ledger has room again")
            self.problem = problem

    def _over_limit(self) -> str:
        taken_bytes = size_bytes(self._settings.folder)
        if taken_bytes + self._settings.segment_bytes <= self._settings.limit_bytes:
            return ""
        return (
            f"it has {taken_bytes >> 20} of {self._settings.limit_bytes >> 20} MiB; the ledger takes nothing"
        )

    def _end(self) -> None:
        self._tend()
        if self._kept:
            self.lost += len(self._kept)
            log.error(
                "entries of the ledger are lost: there is no room for them", extra={"lost": len(self._kept)}
            )
        spare, current = self._spare, self._current
        if spare is not None:
            spare.drop()
        if current is not None:
            current.close()


def size_bytes(folder: Path) -> int:
    """Return how much of the disk a spool takes, with what was set aside."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def is_written(path: Path) -> bool:
    """Tell whether the process that began a segment still has it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _remove_spares(folder: Path) -> None:
    """Remove what processes that ended had not begun to use; one that begins has no lock for a moment."""
    for path in folder.glob(f"*{SPARE_SUFFIX}"):
        with suppress(FileNotFoundError):
            if time() - path.stat().st_mtime > _NEW_S and not is_written(path):
                path.unlink()

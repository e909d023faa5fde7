"""Numbers that one process writes and others read: rows of doubles in memory, alone or shared as files.

A write is one store into memory: no lock, no call into the kernel. So each process has its own cells, which
only one of its threads writes; whoever reads may be anybody. What is in them outlives a process that is
killed: the kernel has it.

Shared, a process has two files: `.names`, to which a line is added for each new series, and `.cells`, the
numbers; a lock on the latter lives as long as the process. Must not know what is counted.

Nothing is raised to who counts when the disk is full: the room for the numbers is taken at the start, and
names that cannot be written wait, while what they name is counted already.

Cost: 90 ns for a counter, 180 ns for a histogram (prometheus_client 0.26: 0.3 us and 0.8 us alone, 0.9 us and
2.0 us over its files for several processes).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
from bisect import bisect_left
from pathlib import Path
from time import monotonic

import msgspec

from gateway.telemetry.metrics.families import FAMILIES, OTHER, Family

NAMES, CELLS = ".names", ".cells"
_BYTES = 8
_ROOM = sum((family.most + 1) * family.cells for family in FAMILIES.values())
"""All cells that there can be: 1.2 MB."""
_PAUSE_S = 1.0
"""Between tries to write names that wait."""
_NOT_OFFERED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""What file systems answer that cannot take room beforehand."""

Series = tuple[str, tuple[str, ...]]
"""The name of a family, and the values of its labels."""

log = logging.getLogger("forebay")


class Cells:
    """The numbers of this process; `folder` is where others find them, None: nowhere.

    Where the folder has no room for them at the start, nobody finds them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._names: _Names | None = None
        shared = None
        if folder is not None:
            stem = folder / f"{os.getpid()}-{os.urandom(4).hex()}"
            shared = _mapped(stem.with_suffix(CELLS))
            self._names = None if shared is None else _Names(stem.with_suffix(NAMES))
        self.numbers = memoryview(mmap.mmap(-1, _ROOM * _BYTES) if shared is None else shared).cast("d")
        self.places: dict[Series, int] = {}
        """Where the cells of each series begin."""
        self._taken: dict[str, int] = {}
        self._next = 0

    def place(self, family: Family, labels: tuple[str, ...] = ()) -> int:
        """Return where the cells of a series begin; of one too many, where those of all such ones do."""
        series = family.name, labels
        at = self.places.get(series)
        if at is not None:
            if self._names is not None and self._names.waiting:
                self._names.try_again()
            return at
        taken = self._taken.get(family.name, 0)
        if taken >= family.most:
            others = (OTHER,) * len(labels)
            series, at = (family.name, others), self.places.get((family.name, others))
            if at is not None:
                return at
        at, self._next = self._next, self._next + family.cells
        if self._names is not None:
            self._names.add(series, at)
        self._taken[family.name] = taken + 1
        self.places[series] = at
        return at


class _Names:
    """The file of names. A line that is not written whole is continued by the next try: no line is lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.waiting = bytearray()
        """What is to be written yet: bounded, as series are."""
        self._tried_s = float("-inf")

    def add(self, series: Series, at: int) -> None:
        """Write one more, or have it wait."""
        is_first = not self.waiting
        self.waiting += msgspec.json.encode((*series, at)) + b"\n"
        if not is_first:
            self.try_again()
        elif problem := self._write():
            log.warning("new metrics are not shared with the other workers", extra={"problem": problem})

    def try_again(self) -> None:
        """Write what waits, now and then."""
        if monotonic() - self._tried_s >= _PAUSE_S and not self._write():
            log.warning("all metrics are shared with the other workers again")

    def _write(self) -> str:
        """Write what waits, as far as there is room; return what is wrong, for people, or ""."""
        self._tried_s = monotonic()
        try:
            with self._path.open("ab", buffering=0) as file:
                while self.waiting:
                    del self.waiting[: file.write(self.waiting)]
        except OSError as error:
            return error.strerror or type(error).__name__
        return ""


class Histogram:
    """One series of a histogram."""

    __slots__ = ("_at", "_bounds", "_numbers")

    def __init__(self, cells: Cells, family: Family, labels: tuple[str, ...] = ()) -> None:
        self._at, self._bounds, self._numbers = cells.place(family, labels), family.buckets, cells.numbers

    def observe(self, value: float) -> None:
        """Count one value."""
        numbers, at = self._numbers, self._at
        numbers[at] += value
        numbers[at + 1 + bisect_left(self._bounds, value)] += 1.0


def _mapped(path: Path) -> mmap.mmap | None:
    """Make the file of this process, with a lock on it: what is mapped holds that until it is unmapped.

    None: there is no room.
    """
    try:
        with path.open("xb+") as file:
            path.chmod(0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            _reserve(file.fileno())
            return mmap.mmap(file.fileno(), _ROOM * _BYTES)
    except OSError as error:
        path.unlink(missing_ok=True)
        log.warning("metrics are not shared with the other workers", extra={"problem": error.strerror})
        return None


def _reserve(file: int) -> None:
    """Take the room of all cells: a store into memory that turns out to have none would kill the process."""
    try:
        os.posix_fallocate(file, 0, _ROOM * _BYTES)
    except AttributeError:  # macOS has no such call
        os.ftruncate(file, _ROOM * _BYTES)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        os.ftruncate(file, _ROOM * _BYTES)

"""Numbers that one process writes and others read: rows of doubles in memory, alone or shared as files.

A write is one store into memory: no lock, no call into the kernel. So each process has its own cells, which
only one of its threads writes; whoever reads may be anybody. What is in them outlives a process that is
killed: the kernel has it.

Shared, a process has two files: `.names`, to which a line is added for each new series, and `.cells`, the
numbers; a lock on the latter lives as long as the process. Must not know what is counted.

Cost: 90 ns for a counter, 180 ns for a histogram (prometheus_client 0.26: 0.3 us and 0.8 us alone, 0.9 us and
2.0 us over its files for several processes).
"""

from __future__ import annotations

import fcntl
import mmap
import os
from bisect import bisect_left
from pathlib import Path

import msgspec

from gateway.telemetry.metrics.families import FAMILIES, OTHER, Family

NAMES, CELLS = ".names", ".cells"
_BYTES = 8
_ROOM = sum((family.most + 1) * family.cells for family in FAMILIES.values())
"""All cells that there can be: a file of that size takes only the memory that was written."""

Series = tuple[str, tuple[str, ...]]
"""The name of a family, and the values of its labels."""


class Cells:
    """The numbers of this process; `folder` is where others find them, None: nowhere."""

    def __init__(self, folder: Path | None = None) -> None:
        self._names: Path | None = None
        if folder is None:
            shared = mmap.mmap(-1, _ROOM * _BYTES)
        else:
            stem = folder / f"{os.getpid()}-{os.urandom(4).hex()}"
            shared = _mapped(stem.with_suffix(CELLS))
            self._names = stem.with_suffix(NAMES)
        self.numbers = memoryview(shared).cast("d")
        self.places: dict[Series, int] = {}
        """Where the cells of each series begin."""
        self._taken: dict[str, int] = {}
        self._next = 0

    def place(self, family: Family, labels: tuple[str, ...] = ()) -> int:
        """Return where the cells of a series begin; of one too many, where those of all such ones do."""
        series = family.name, labels
        at = self.places.get(series)
        if at is not None:
            return at
        taken = self._taken.get(family.name, 0)
        if taken >= family.most:
            others = (OTHER,) * len(labels)
            series, at = (family.name, others), self.places.get((family.name, others))
            if at is not None:
                return at
        at, self._next = self._next, self._next + family.cells
        if self._names is not None:  # before it is counted: what has no name is nobody's
            with self._names.open("ab", buffering=0) as file:
                file.write(msgspec.json.encode((*series, at)) + b"\n")
        self._taken[family.name] = taken + 1
        self.places[series] = at
        return at


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


def _mapped(path: Path) -> mmap.mmap:
    """Make the file of this process, with a lock on it: what is mapped holds that until it is unmapped."""
    with path.open("xb+") as file:
        path.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(_ROOM * _BYTES)
        return mmap.mmap(file.fileno(), _ROOM * _BYTES)

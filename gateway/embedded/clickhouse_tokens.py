"""Forget the tokens of inserts that a killed engine began and did not finish: else their rows would be lost.

ClickHouse writes the token of an insert into a table's log of them before the rows are there. Killed in
between, it takes the same insert, sent again, for one that it has. Each view has a log of its own. This looks
through the logs while no engine runs.
Source: ClickHouse 26.9, src/Storages/MergeTree/MergeTreeDeduplicationLog.cpp and MergeTreeSink.cpp.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(r"([^_]+)_(\d+)_(\d+)_\d+(?:_\d+)?")
_ADDED = "1"
_FIELDS = 3


class _Part(NamedTuple):
    """The blocks of a partition that a part has; a merged one has those of all that it was made of."""

    partition: str
    first: int
    last: int

    def has(self, other: _Part) -> bool:
        return self.partition == other.partition and self.first <= other.first and other.last <= self.last


def forget_unfinished(data: Path) -> int:
    """Take out the tokens whose rows are not there; returns how many those were. Raises OSError."""
    return sum(_mend(log) for log in sorted(data.glob("store/*/*/deduplication_logs/*.txt")))


def _mend(log: Path) -> int:
    parts = [part for path in log.parent.parent.iterdir() if (part := _part(path.name)) is not None]
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if _is_finished(line, parts)]
    if len(kept) < len(lines):
        new = log.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        new.replace(log)
    return len(lines) - len(kept)


def _is_finished(line: str, parts: Iterable[_Part]) -> bool:
    fields = line.rstrip("\n").split("\t")
    if not line.endswith("\n") or len(fields) != _FIELDS:  # it was being written
        return False
    if fields[0] != _ADDED or (added := _part(fields[1])) is None:
        return True
    return any(part.has(added) for part in parts)


def _part(name: str) -> _Part | None:
    found = _PART.fullmatch(name)
    return None if found is None else _Part(found[1], int(found[2]), int(found[3]))

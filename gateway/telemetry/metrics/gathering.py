"""Gather the numbers of all workers of a gateway from their files, those of the dead too.

What the dead have counted stays; their gauges say nothing any more. Source of the files: `cells.py`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isnan
from pathlib import Path

import msgspec

from gateway.telemetry.metrics.cells import CELLS, NAMES, Cells, Series
from gateway.telemetry.metrics.families import FAMILIES

Numbers = Mapping[Series, list[float]]
"""The cells of each series."""

_LINE = msgspec.json.Decoder(tuple[str, tuple[str, ...], int])
_GRAVE, _INSTEAD_OF = "dead-", ""
_MOST_DEAD = 16
"""Of more workers that have died the numbers are put together: else each restart makes reading slower."""


def own(cells: Cells) -> Numbers:
    """Return the numbers of this process."""
    numbers = cells.numbers
    return {
        series: list(numbers[at : at + FAMILIES[series[0]].cells])
        for series, at in list(cells.places.items())
        if not isnan(numbers[at])
    }


def gathered(folder: Path) -> Numbers:
    """Return the numbers of all workers whose files are in a folder, put together as each family says."""
    with _turn(folder, fcntl.LOCK_SH):
        return _together((stem, _is_alive(stem)) for stem in _standing(folder))


def bury(folder: Path) -> None:
    """Put together what workers have counted that are dead, when they are many."""
    with _turn(folder, fcntl.LOCK_EX):
        # First what one that was killed has left: a grave names only those in whose place it stands itself.
        _clear(_replaced(folder))
        dead = [stem for stem in _standing(folder) if not _is_alive(stem)]
        if len(dead) <= _MOST_DEAD:
            return
        # Its first line says in whose place it stands: nothing counts twice if this is killed before the end.
        lines, cells = [_line(_INSTEAD_OF, tuple(stem.name for stem in dead), 0)], array("d")
        for (name, labels), values in _together((stem, False) for stem in dead).items():
            lines.append(_line(name, labels, len(cells)))
            cells.extend(values)
        if _dig(folder / f"{_GRAVE}{os.urandom(4).hex()}", cells.tobytes(), b"".join(lines)):
            _clear(dead)


def _clear(stems: Iterable[Path]) -> None:
    for stem in stems:
        stem.with_suffix(NAMES).unlink(missing_ok=True)
        stem.with_suffix(CELLS).unlink(missing_ok=True)


def _dig(grave: Path, cells: bytes, names: bytes) -> bool:
    """Write the files of many dead; False: there is no room for that, and nothing is left of it."""
    unnamed = grave.with_suffix(".new")
    try:
        grave.with_suffix(CELLS).write_bytes(cells)
        unnamed.write_bytes(names)
        unnamed.rename(grave.with_suffix(NAMES))
    except OSError:
        for path in (unnamed, grave.with_suffix(CELLS)):
            path.unlink(missing_ok=True)
        return False
    return True


def _line(name: str, labels: tuple[str, ...], at: int) -> bytes:
    return msgspec.json.encode((name, labels, at)) + b"\n"


def _standing(folder: Path) -> list[Path]:
    """Name the files that count, without their suffix: not those in whose place others stand already."""
    replaced = _replaced(folder)
    stems = (path.with_suffix("") for path in folder.glob("*" + NAMES))
    return [stem for stem in stems if stem not in replaced]


def _replaced(folder: Path) -> set[Path]:
    """Name those in whose place others stand, without their suffix."""
    replaced = set[Path]()
    for path in folder.glob(f"{_GRAVE}*{NAMES}"):
        with path.open("rb") as file:
            replaced.update(folder / name for name in _LINE.decode(file.readline())[1])
    return replaced


def _together(workers: Iterable[tuple[Path, bool]]) -> dict[Series, list[float]]:
    """Put together what several have; those that are not alive have no gauges."""
    total: dict[Series, list[float]] = {}
    for stem, is_alive in workers:
        for series, values in _read(stem):
            family = FAMILIES[series[0]]
            if isnan(values[0]) or (family.kind == "gauge" and not is_alive):
                continue
            known = total.get(series)
            if known is None:
                total[series] = values
            elif family.over_workers == "sum":
                total[series] = [one + other for one, other in zip(known, values, strict=True)]
            else:
                choose = max if family.over_workers == "max" else min
                total[series] = [choose(known[0], values[0])]
    return total


def _read(stem: Path) -> Iterator[tuple[Series, list[float]]]:
    """Read what one worker has. Its last line may not be whole yet: then it is not counted yet either.

    A line that says nothing hides no other: one file that is broken must not silence all workers.
    """
    lines = stem.with_suffix(NAMES).read_bytes().rpartition(b"\n")[0]
    if not lines:
        return
    with stem.with_suffix(CELLS).open("rb") as file:
        # Mapped, not read: so that a number is loaded in one piece while its owner stores it.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast("d")
    for line in lines.split(b"\n"):
        try:
            name, labels, at = _LINE.decode(line)
        except msgspec.DecodeError:
            continue
        family = FAMILIES.get(name)  # _INSTEAD_OF is none
        if family is not None and 0 <= at <= len(view) - family.cells:
            yield (name, labels), list(view[at : at + family.cells])


def _is_alive(stem: Path) -> bool:
    """Tell whether the process lives that has these files: it holds a lock on one of them."""
    with stem.with_suffix(CELLS).open("rb") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    return True


@contextmanager
def _turn(folder: Path, how: int) -> Iterator[None]:
    """Wait until nobody puts files together (LOCK_SH), or reads them (LOCK_EX)."""
    with (folder / "turn").open("ab") as file:
        fcntl.flock(file, how)
        yield

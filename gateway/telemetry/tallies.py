"""What workers of one host have counted, in files that all of them read; one of them adds it up.

    <id>.json   what a worker has counted since it began, replaced whole
    <id>.lock   held by that worker while it lives: so nobody mistakes one that is stopped for a dead one
    all.mpk     what was added up, with what was seen of whom: written together, so that none counts twice
    lead.lock   held by the worker that adds up

Blocking: it belongs into a thread. Must not know what is counted. Source: flock(2), rename(2).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import msgspec

from gateway.slo.burning import Counts
from gateway.slo.gathering import Gathered, Kept, Tallies

_ALL, _LEAD = "all.mpk", "lead.lock"
_TALLIES = dict[str, Counts]

_log = logging.getLogger("forebay")


class Desk:
    """One worker's place in the folder. Raises OSError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.id = token_hex(8)
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks = [_born(folder, self.id)]
        self._written: Tallies | None = None
        self.leads = False

    def write(self, tallies: Tallies) -> None:
        """Say what this worker has counted. Raises OSError."""
        if tallies != self._written:
            _replace(self._folder / f"{self.id}.json", msgspec.json.encode(tallies))
            self._written = dict(tallies)

    def try_to_lead(self) -> bool:
        """Become the one that adds up, where nobody is; True: this worker is it, now or since before."""
        if not self.leads and (lock := _locked(self._folder / _LEAD)) is not None:
            self._locks.append(lock)
            self.leads = True
        return self.leads

    def keep(self, gathered: Gathered, unix_s: float) -> None:
        """Write what was added up, and remove what the dead have left, now that it is in there."""
        dead = [one for one in _workers(self._folder) if one != self.id and _is_dead(self._folder, one)]
        for worker, tallies in _tallies(self._folder, dead):  # the last that it wrote before it died
            gathered.take(worker, tallies, unix_s)
        _replace(self._folder / _ALL, msgspec.msgpack.encode(gathered.kept(unix_s)), sync=True)
        for worker in dead:
            for ending in ("json", "new", "lock"):
                (self._folder / f"{worker}.{ending}").unlink(missing_ok=True)
        for worker in gathered.workers - _workers(self._folder):
            gathered.forget(worker)

    def close(self) -> None:
        """Let go of what is held: the next one may lead."""
        while self._locks:
            os.close(self._locks.pop())
        self.leads = False


def gather(folder: Path, into: Gathered, unix_s: float) -> None:
    """Count what all workers have counted since they were last looked at. Raises OSError."""
    for worker, tallies in _tallies(folder, _workers(folder)):
        into.take(worker, tallies, unix_s)


def is_kept(folder: Path) -> bool:
    """Tell whether anything was added up before."""
    return (folder / _ALL).exists()


def load(folder: Path) -> tuple[Gathered, float]:
    """Return what was added up, and when that was written (Unix seconds; 0: never). Raises OSError.

    What is damaged counts as never written.
    """
    try:
        kept = msgspec.msgpack.decode((folder / _ALL).read_bytes(), type=Kept)
        return Gathered.of(kept), kept.at_unix_s
    except FileNotFoundError:
        return Gathered(), 0.0
    except ValueError as error:  # of msgspec, too
        _log.warning("what was counted of objectives cannot be read, and begins anew: %s", error)
        return Gathered(), 0.0


def _workers(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.lock") if path.name != _LEAD}


def _tallies(folder: Path, workers: Iterable[str]) -> Iterator[tuple[str, Tallies]]:
    for worker in workers:
        try:
            yield worker, msgspec.json.decode((folder / f"{worker}.json").read_bytes(), type=_TALLIES)
        except FileNotFoundError:
            continue
        except msgspec.DecodeError as error:
            _log.warning("what worker %s has counted cannot be read: %s", worker, error)


def _is_dead(folder: Path, worker: str) -> bool:
    lock = _locked(folder / f"{worker}.lock")
    if lock is not None:
        os.close(lock)
    return lock is not None


def _born(folder: Path, worker: str) -> int:
    """Hold the lock of a new worker. It gets its name when it is held: until then it would seem dead."""
    new = folder / f"{worker}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(folder / f"{worker}.lock")
    return lock


def _locked(path: Path) -> int | None:
    """Hold a file until the descriptor is closed; None: somebody else does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    os.close(lock)
    return None


def _replace(path: Path, content: bytes, *, sync: bool = False) -> None:
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    new.rename(path)

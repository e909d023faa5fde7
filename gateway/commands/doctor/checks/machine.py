"""Whether this machine has what a gateway needs: open files, disk, a state directory, memory to share.

What it may have is that of this very shell: a service may be started with other limits. Source: getrlimit(2).
"""

from __future__ import annotations

import os
import resource
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.commands.doctor.finding import Finding, Told, fail, ok, skipped, warn
from gateway.config.resolve import Resolved

_SHARED_MEMORY: Final = Path("/dev", "shm")
_OTHER_FILES: Final = 128
"""Stores, logs, the spool, a connection to be made."""
_SHARED_BYTES: Final = 64 << 20
_LEFT_BYTES: Final = 1 << 30
_TOO_LITTLE_BYTES: Final = 256 << 20


class Folder(msgspec.Struct, frozen=True):
    """The state directory, or where it will be made."""

    path: str
    is_there: bool
    is_folder: bool
    is_writable: bool
    mode: int
    free_bytes: int


async def look_at_machine(resolved: Resolved | None, state_dir: Path) -> list[Told]:
    """Look at limits and disks; without a configuration only at the state directory."""
    folder = look_at_folder(state_dir)
    found: list[Told] = [judge_folder(folder)]
    if resolved is None:
        return found
    spool_bytes = resolved.ledger.spool_limit_bytes if resolved.ledger.enabled else 0
    found.append(judge_disk(folder, spool_bytes))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found.append(judge_files(soft, hard, files_needed(resolved)))
    if resolved.server.workers > 1:
        is_writable = os.access(_SHARED_MEMORY, os.W_OK)
        free_bytes = shutil.disk_usage(_SHARED_MEMORY).free if is_writable else 0
        found.append(judge_shared_memory(free_bytes, is_writable=is_writable))
    return found


def look_at_folder(state_dir: Path) -> Folder:
    """See what is there, or what the folder is that it would be made in."""
    is_there = state_dir.exists()
    place = state_dir.absolute()
    while not place.exists():
        place = place.parent
    return Folder(
        path=str(state_dir),
        is_there=is_there,
        is_folder=place.is_dir(),
        is_writable=os.access(place, os.W_OK | os.X_OK),
        mode=stat.S_IMODE(place.stat().st_mode),
        free_bytes=shutil.disk_usage(place).free,
    )


def judge_folder(folder: Folder) -> Finding:
    """Say whether it can be written to, by its user alone."""
    name = "state directory"
    if not folder.is_folder:
        return fail(name, f"{folder.path} is no directory", "Name another one: --state DIR")
    if not folder.is_writable:
        seen = f"{folder.path} cannot be written to"
        return fail(name, seen, f"install -d -m 700 -o USER {folder.path}, USER being who runs forebay serve")
    if not folder.is_there:
        return ok(name, f"{folder.path} will be made")
    if folder.mode & 0o077:
        seen = f"{folder.path} is open to others ({folder.mode:03o})"
        return warn(name, seen, f"chmod 700 {folder.path}")
    return ok(name, f"{folder.path} is writable")


def judge_disk(folder: Folder, spool_bytes: int) -> Finding:
    """Say whether there is room for what may wait for the ledger."""
    seen = f"{folder.free_bytes >> 20} MiB are free at {folder.path}"
    if folder.free_bytes < _TOO_LITTLE_BYTES:
        return fail("disk", seen, "Make room there.")
    if folder.free_bytes < spool_bytes + _LEFT_BYTES:
        todo = "Make room there, or lower ledger.spool_limit_bytes."
        return warn("disk", f"{seen}, and {spool_bytes >> 20} MiB may wait in the spool", todo)
    return ok("disk", seen)


def files_needed(resolved: Resolved) -> int:
    """Count the files that one worker may have open: its clients' connections, and its own."""
    clients = resolved.server.max_connections
    bounds: Sequence[int] = [one.max_connections for one in resolved.backends.values()]
    upstream = clients if 0 in bounds else min(clients, sum(bounds))
    return clients + upstream + _OTHER_FILES


def judge_files(soft: int, hard: int, needed: int) -> Finding:
    """Say whether a worker may have as many files open as it may need."""
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= needed:
        return ok("open files", "without limit" if soft == unlimited else f"{soft} may be open")
    seen = f"{soft} may be open, and a worker at its server.max_connections needs {needed}"
    how = f"ulimit -n {needed}" if hard == unlimited or hard >= needed else "raise the hard limit"
    return warn("open files", seen, f"{how} (systemd: LimitNOFILE={needed}), or lower server.max_connections")


def judge_shared_memory(free_bytes: int, *, is_writable: bool) -> Finding:
    """Say whether workers can share their metrics in memory."""
    name = "shared memory"
    if not is_writable:
        seen = f"{_SHARED_MEMORY} is not there: workers share their metrics on the disk"
        return skipped(name, seen, "In a container: --tmpfs /dev/shm")
    seen = f"{free_bytes >> 20} MiB are free at {_SHARED_MEMORY}"
    return (
        ok(name, seen) if free_bytes > _SHARED_BYTES else warn(name, seen, "In a container: --shm-size 256m")
    )

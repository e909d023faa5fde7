"""Say once that something is wrong, and once that it is over, however many workers see it.

Every second a worker says what is wrong as far as it sees. What is told is a file in a folder that the
workers of a host share, touched for as long as one of them sees the trouble; whoever removes it, when nobody
has touched it for a while, tells that it is over. The file is locked and empty while the worker that tells
it waits for the receiver to have it, and is written then: so a restart tells nothing again, and one that
came between tells again what was lost with the dead worker. Where the folder takes no file (a full disk is a
trouble too), each worker tells what it sees: rather twice than not at all.

What is a host's own (`Kind.of_host`) each host tells of itself. The rest hosts see together, and one of
those that share a store tells it: its owner. Time is cut into slots. A host that tells a trouble claims it
in each slot, and one that sees it and does not tell asks for the slot before: it gets that when nobody had
it, and is the owner from then on. So only the owner tells that it is over; where another host still sees it,
that one tells it anew, under its own eyes, half a minute later at most. An owner that was away for so long
that another one took over goes on as one that does not tell. Where the store does not answer, or clocks are
further apart than a slot, each tells: rather twice than not at all.

Must not know what can be wrong, nor how it is told. Source: flock(2), unlink(2).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from platform import node
from threading import Lock
from time import time
from typing import Any, Final

import msgspec

from gateway.errors import StoreDown
from gateway.telemetry.events import KINDS, OVER, Announce

_SLOT_S: Final = 10
_CLAIM_MS: Final = 3 * _SLOT_S * 1000
"""A slot is claimed while it runs, and asked for in the next one."""

Claim = Callable[[str, int], Awaitable[bool]]
"""True to the first who asks for a name, for so many milliseconds; raises StoreDown."""

log = logging.getLogger("forebay")


class Trouble(msgspec.Struct, frozen=True):
    """Something that is wrong: of a kind of `KINDS`, about a part; `summary` says what, in a sentence."""

    kind: str
    about: str
    summary: str
    data: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """What it is known by: whoever sees it, and whatever they say of it."""
        return f"{self.kind}-{sha256(self.about.encode()).hexdigest()[:16]}"


class _Told(msgspec.Struct):
    """A trouble that was told, as its file has it. Times are Unix seconds."""

    kind: str
    about: str
    summary: str
    since: float
    data: dict[str, Any] = {}


class _Held(msgspec.Struct):
    """A trouble that this worker tells, and whose file it has not written yet."""

    told: _Told
    last_s: float
    """When this worker saw it last."""
    lock: int | None
    """Its file, open and locked; None: there cannot be one."""


class Look(msgspec.Struct):
    """What is to be told to begin, and to be over; and the names of what was told before and goes on."""

    begun: list[Trouble]
    over: list[_Told]
    standing: list[str]


class Board:
    """The troubles that were told, for all workers of a host. Blocks: it is files. For any thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time) -> None:
        self.clock = clock
        self._folder = folder
        self._begun_s = clock()
        """What was told before this process began has the time to be seen again."""
        self._first_seen_s: dict[str, float] = {}
        self._held: dict[str, _Held] = {}
        self._written = set[str]()
        """Of those that are seen: receivers have them, as their files say."""
        self._turn = Lock()

    def note(self, troubles: Iterable[Trouble]) -> Look:
        """Take in what is wrong now. Each that begins is to be `delivered`, or to be `let_go`."""
        with self._turn:
            now_s = self.clock()
            seen = {trouble.name: trouble for trouble in troubles}
            self._first_seen_s = {name: self._first_seen_s.get(name, now_s) for name in seen}
            self._written &= seen.keys()
            standing = {*self._held, *(path.stem for path in self._files() if _is_written(path))}
            begun = [trouble for name, trouble in seen.items() if self._begins(name, trouble, now_s)]
            over = [*self._over(now_s)]
            ended = {Trouble(one.kind, one.about, one.summary).name for one in over}
            return Look(begun, over, sorted(standing - ended))

    def delivered(self, name: str) -> None:
        """Write down that the receiver has it."""
        with self._turn:
            held = self._held.get(name)
            if held is None or held.lock is None:
                return
            try:
                os.pwrite(held.lock, msgspec.json.encode(held.told), 0)
                os.utime(held.lock, (held.last_s, held.last_s))
            except OSError:  # this worker knows it for as long as it lives
                return
            self._written.add(name)
            self._leave(name)

    def let_go(self, name: str) -> None:
        """Forget one that is not to be told, or no longer by this host."""
        with self._turn:
            with suppress(OSError):
                self._path(name).unlink()
            self._leave(name)

    def _begins(self, name: str, trouble: Trouble, now_s: float) -> bool:
        path, held = self._path(name), self._held.get(name)
        if held is not None:
            held.last_s = now_s
        try:
            os.utime(path, (now_s, now_s))
        except OSError:
            self._written.discard(name)
            if now_s - self._first_seen_s[name] < KINDS[trouble.kind].after_s:
                return False
        if held is not None or name in self._written:
            return False
        return self._hold(path, trouble, now_s)

    def _hold(self, path: Path, trouble: Trouble, now_s: float) -> bool:
        """Be the one who tells it; False: another worker is, or it was told."""
        told = _Told(trouble.kind, trouble.about, trouble.summary, now_s, dict(trouble.data))
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock = _locked(path, os.O_CREAT)
            if lock is None:
                return False
            if _read(lock) is not None:
                os.close(lock)
                self._written.add(path.stem)
                return False
            os.ftruncate(lock, 0)
            os.utime(lock, (now_s, now_s))
        except OSError:
            lock = None
        self._held[path.stem] = _Held(told, now_s, lock)
        return True

    def _over(self, now_s: float) -> Iterator[_Told]:
        for name, held in list(self._held.items()):
            is_gone = held.lock is None or not os.fstat(held.lock).st_nlink
            if is_gone and now_s - held.last_s > KINDS[held.told.kind].quiet_s:
                self._leave(name)
                yield held.told
        for path in self._files():
            with suppress(OSError):
                last_s = max(path.stat().st_mtime, self._begun_s)
                if now_s - last_s > KINDS[_kind_of(path.stem)].quiet_s and (told := self._ended(path)):
                    yield told

    def _ended(self, path: Path) -> _Told | None:
        """Remove its file; return what is to be told to be over, by this worker."""
        if (held := self._held.get(path.stem)) is not None:
            path.unlink()
            self._leave(path.stem)
            return held.told
        if (lock := _locked(path)) is None:
            return None
        try:
            path.unlink()
            return _read(lock)
        finally:
            os.close(lock)

    def _leave(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None and held.lock is not None:
            os.close(held.lock)

    def _files(self) -> Iterator[Path]:
        return (path for path in self._folder.glob("*.json") if _kind_of(path.stem) in KINDS)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _kind_of(name: str) -> str:
    return name.rpartition("-")[0]


def _is_written(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _locked(path: Path, flags: int = 0) -> int | None:
    """Hold a file until the descriptor is closed; None: somebody else does, or has just removed it."""
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    os.close(lock)
    return None


def _read(file: int) -> _Told | None:
    """Read what was told; None: nobody has written all of it, and no receiver is known to have it."""
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(os.pread(file, os.fstat(file).st_size, 0), type=_Told)
    return None


class Alarms:
    """Of one worker. `claim` None: no other host sees the same troubles. `host` names this one."""

    def __init__(
        self, board: Board, announce: Announce, claim: Claim | None = None, host: str | None = None
    ) -> None:
        self._board = board
        self._announce = announce
        self._claim = claim
        self._host = node() if host is None else host
        self._asked: dict[str, int] = {}
        """In which slot this worker asked last, by name."""

    async def look(self, troubles: Iterable[Trouble]) -> None:
        """Tell what began and what is over, given all that is wrong now. To be called every second."""
        seen = {trouble.name: trouble for trouble in troubles}
        found = await asyncio.to_thread(self._board.note, list(seen.values()))
        self._asked = {name: slot for name, slot in self._asked.items() if name in {*seen, *found.standing}}
        for trouble in found.begun:
            is_told = False
            try:
                if is_told := await self._begins(trouble):
                    await self._tell_begun(trouble)
            except Exception:
                log.exception("internal error")
                is_told = False  # and the next look tries again
            if not is_told:
                await asyncio.to_thread(self._board.let_go, trouble.name)
        for told in found.over:
            data = self._data(told.kind, told.about, told.data)
            lasted_s = round(self._board.clock() - told.since)
            self._tell(told.kind + OVER, data | {"lasted_s": lasted_s, "summary": told.summary})
        for name in found.standing:
            if not await self._is_ours(name):
                await asyncio.to_thread(self._board.let_go, name)

    async def _tell_begun(self, trouble: Trouble) -> None:
        data = self._data(trouble.kind, trouble.about, trouble.data)
        receipt = self._tell(trouble.kind, data | {"summary": trouble.summary})
        if receipt is None:
            await asyncio.to_thread(self._board.delivered, trouble.name)
        else:
            receipt.add_done_callback(partial(self._note, trouble.name))

    def _data(self, kind: str, about: str, data: Mapping[str, Any]) -> dict[str, Any]:
        host = {"host": self._host} if KINDS[kind].of_host else {}
        return {"about": about, **host, **data}

    def _tell(self, type_: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
        level = logging.INFO if type_.endswith(OVER) else logging.WARNING
        log.log(level, "alarm", extra={"type": type_, "summary": data["summary"]})
        return self._announce(type_, data)

    def _note(self, name: str, receipt: asyncio.Future[bool]) -> None:
        if not receipt.cancelled() and receipt.result():
            receipt.get_loop().run_in_executor(None, self._board.delivered, name)

    async def _begins(self, trouble: Trouble) -> bool:
        """Tell whether this host is to tell it: nobody did in the last slot, and it is the first to ask."""
        if self._claim is None or KINDS[trouble.kind].of_host:
            return True
        name, slot = trouble.name, self._slot()
        if self._asked.get(name) == slot:
            return False
        self._asked[name] = slot
        before = _claim_of(name, slot - 1)
        if not await self._is_first(before):
            return False
        await self._is_first(f"{before}:{self._host}")
        self._asked[name] = slot - 1
        await self._is_ours(name)
        return True

    async def _is_ours(self, name: str) -> bool:
        """Claim for this slot what this host tells; False: another host tells it by now."""
        slot, last = self._slot(), self._asked.get(name)
        if self._claim is None or KINDS[_kind_of(name)].of_host or last == slot:
            return True
        self._asked[name] = slot
        if last != slot - 1 and not await self._has(name, slot - 1):  # it was away
            return False
        return await self._has(name, slot)

    async def _has(self, name: str, slot: int) -> bool:
        """Tell whether this host has the claim. Of its workers one asks, and the others believe it."""
        claim = _claim_of(name, slot)
        return not await self._is_first(f"{claim}:{self._host}") or await self._is_first(claim)

    def _slot(self) -> int:
        return int(self._board.clock()) // _SLOT_S

    async def _is_first(self, name: str) -> bool:
        if self._claim is None:
            return True
        try:
            return await self._claim(name, _CLAIM_MS)
        except StoreDown:  # rather told twice than not at all
            return True


def _claim_of(name: str, slot: int) -> str:
    return f"alarm:{name}:{slot}"

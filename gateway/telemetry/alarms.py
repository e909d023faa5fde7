"""Say once that something is wrong, and once that it is over, however many workers see it.

Every second a worker says what is wrong as far as it sees. What is told is a file in a folder that the
workers of a host share, touched for as long as one of them sees the trouble: whoever makes the file tells
that it began, whoever removes it, when nobody has touched it for a while, that it is over. So a restart
tells nothing again. Where the folder takes no file (a full disk is a trouble too), each worker tells what it
sees: rather twice than not at all. Hosts that share a store claim in it what they tell.

Must not know what can be wrong, nor how it is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final

import msgspec

from gateway.errors import StoreDown
from gateway.telemetry.events import KINDS, OVER

_CLAIM_SHARE: Final = 0.9
"""Of the time that a trouble has to be away: when it comes back, its claim has ended."""
_SHORTEST_CLAIM_S: Final = 1.0

Announce = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of an event, and what it tells."""
Claim = Callable[[str, int], Awaitable[bool]]
"""True to the first who asks for a name, for so many milliseconds; raises StoreDown."""

_log = logging.getLogger("forebay")


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


class Board:
    """The troubles that were told, for all workers of a host. Blocks: it is files."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time) -> None:
        self._folder = folder
        self._clock = clock
        self._begun_s = clock()
        """What was told before this process began has the time to be seen again."""
        self._first_seen_s: dict[str, float] = {}
        self._unwritten: dict[str, tuple[_Told, float]] = {}
        """Told without a file, and when they were last seen."""

    def note(self, troubles: Iterable[Trouble]) -> tuple[list[Trouble], list[_Told]]:
        """Take in what is wrong now; return what is to be told to begin, and to be over."""
        now_s = self._clock()
        seen = {trouble.name: trouble for trouble in troubles}
        self._first_seen_s = {name: self._first_seen_s.get(name, now_s) for name in seen}
        begun = [trouble for name, trouble in seen.items() if self._begins(name, trouble, now_s)]
        return begun, [*self._over(now_s), *self._over_unwritten(now_s)]

    def _begins(self, name: str, trouble: Trouble, now_s: float) -> bool:
        if name in self._unwritten:
            self._unwritten[name] = (self._unwritten[name][0], now_s)
            return False
        path = self._folder / f"{name}.json"
        try:
            os.utime(path, (now_s, now_s))
        except OSError:
            is_ripe = now_s - self._first_seen_s[name] >= KINDS[trouble.kind].after_s
            return is_ripe and self._write(path, trouble, now_s)
        return False

    def _write(self, path: Path, trouble: Trouble, now_s: float) -> bool:
        """Write it down; False: another worker was faster."""
        told = _Told(trouble.kind, trouble.about, trouble.summary, now_s, dict(trouble.data))
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(msgspec.json.encode(told))
            os.utime(path, (now_s, now_s))
        except FileExistsError:
            return False
        except OSError:
            with suppress(OSError):
                path.unlink()
            self._unwritten[path.stem] = (told, now_s)
        return True

    def _over(self, now_s: float) -> Iterator[_Told]:
        for path in self._folder.glob("*.json"):
            kind = KINDS.get(path.stem.rpartition("-")[0])
            with suppress(OSError, msgspec.MsgspecError):
                last_s = max(path.stat().st_mtime, self._begun_s)
                if kind is None or now_s - last_s <= kind.quiet_s:
                    continue
                content = path.read_bytes()
                path.unlink()  # of several workers one can
                yield msgspec.json.decode(content, type=_Told)

    def _over_unwritten(self, now_s: float) -> Iterator[_Told]:
        for name, (told, last_s) in list(self._unwritten.items()):
            if now_s - last_s > KINDS[told.kind].quiet_s:
                del self._unwritten[name]
                yield told


class Alarms:
    """Of one worker. `claim` None: no other host sees the same troubles."""

    def __init__(self, board: Board, announce: Announce, claim: Claim | None = None) -> None:
        self._board = board
        self._announce = announce
        self._claim = claim

    async def look(self, troubles: Iterable[Trouble]) -> None:
        """Tell what began and what is over, given all that is wrong now. To be called every second."""
        begun, over = await asyncio.to_thread(self._board.note, list(troubles))
        for trouble in begun:
            data = {"about": trouble.about, **trouble.data}
            await self._tell(trouble.kind, trouble.name, data | {"summary": trouble.summary})
        for told in over:
            lasted = {"about": told.about, **told.data, "lasted_s": round(time() - told.since)}
            name = Trouble(told.kind, told.about, told.summary).name
            await self._tell(told.kind + OVER, name + OVER, lasted | {"summary": told.summary})

    async def _tell(self, type_: str, name: str, data: Mapping[str, Any]) -> None:
        kind = KINDS[type_.removesuffix(OVER)]
        claim_s = max(kind.quiet_s * _CLAIM_SHARE, _SHORTEST_CLAIM_S)
        if await self._is_first(f"alarm:{name}", int(claim_s * 1000)):
            level = logging.INFO if type_.endswith(OVER) else logging.WARNING
            _log.log(level, "alarm", extra={"type": type_, "summary": data["summary"]})
            self._announce(type_, data)

    async def _is_first(self, name: str, ttl_ms: int) -> bool:
        if self._claim is None:
            return True
        try:
            return await self._claim(name, ttl_ms)
        except StoreDown:  # rather told twice than not at all
            return True

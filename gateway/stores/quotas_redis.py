"""Counters of quotas in Redis, for many workers and hosts: one script and one round trip for all of a call.

`lua/quotas.lua` has the counters; here is how a worker reaches them. Exchanges of one turn of the event loop
share a write. While Redis does not answer, every call is told so at once, and one task tries to come back.

A server that lost its memory, or went back to an older one (restarted, or a replica took over), shows that by
its run id. Then nothing is granted for a second, in which all workers say what they have seen: the largest
is what was taken. A worker tries again every 0.4 s, so each that lives is heard in time.

A worker has a new name on every connection: it cannot know whether what it asked last on the old one is done.
So it says of seats how many it has, and those under its old name are gone.

Must not know calls, rules, or what is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import hiredis
import msgspec

from gateway.errors import StoreDown
from gateway.quotas.counting import Ask, Told, TooSlow, Verdict
from gateway.stores.redis_link import Link, LinkLost, Refused, Word, learn_run, open_link
from gateway.stores.redis_places import TAG, place_of

log = logging.getLogger(__name__)

_COUNTER: Final = TAG + "counter:"
_CLAIM: Final = TAG + "claim:"
_SETTINGS: Final = TAG + "settings"
_SCRIPT: Final = Path(__file__).with_name("lua") / "quotas.lua"
_CONNECT_S: Final = 0.5
"""For a connection with TLS and login, which takes several round trips."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 0.4
"""Together with a connection's time well below the second that a recovery takes."""
_YOUNG_S: Final = 3
"""A server that runs for longer has been asked by all workers that were there before."""
_TOGETHER: Final = 200
"""So many counters are told in one script: more would keep other workers waiting."""

_encode = msgspec.msgpack.Encoder().encode


def _nothing() -> Sequence[Ask]:
    return ()


class RedisQuotas:
    """A `QuotaStore`. `patience_s` is for one answer. `on_return` says all that is known of counters.

    An exchange that was begun is to be awaited: what it grants to a caller that is gone stays taken.
    """

    def __init__(self, url: str, *, patience_s: float = 0.25) -> None:
        self.on_return: Callable[[], Sequence[Ask]] = _nothing
        self._place = place_of(url)
        self._patience_s = patience_s
        self._source = _SCRIPT.read_text(encoding="utf-8")
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        self._worker, self._connections = uuid4().hex[:12], 0
        self._name = self._former = ""
        self._link: Link | None = None
        self._left: Link | None = None
        """The one before, which may still be listening."""
        self._coming: asyncio.Task[None] | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._is_closed = False
        self._failure = ""
        self._is_outage = False
        self._recovered_s = 0.0
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000

    async def ready(self) -> bool:
        """Connect, and wait for what a new server has to gather first; False: Redis does not answer."""
        if self._link is None:
            try:
                await self._first_link()
            except StoreDown:
                return False
        await asyncio.sleep(max(self._recovered_s - time.monotonic(), 0.0))
        return True

    def now_ms(self) -> int:
        """Return the server's Unix time, as far as it is known: rather ahead by a little than behind."""
        return int(time.monotonic() * 1000 + self._offset_ms)

    def state(self) -> tuple[bool, str]:
        """Say whether counters are shared, and the same in words for people."""
        if self._link is None:
            return False, self._failure or "not connected yet"
        if time.monotonic() < self._recovered_s:
            return False, "Redis has lost its memory: it is gathered from the workers"
        return True, "shared through Redis"

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        """Give back, then take all that is needed or nothing; at one moment for all counters.

        Raises TooSlow; StoreDown, `reached` where it may have been done.
        """
        link = self._link or await self._first_link()
        sent_ms = time.monotonic() * 1000
        words = self._words(link, asks)
        try:
            answer = await link.send(*words)
            if isinstance(answer, hiredis.ReplyError):
                answer = await self._again(link, answer, words)
        except LinkLost as lost:
            if lost.later is None:
                raise StoreDown(f"Redis: {lost}") from lost
            raise TooSlow(f"Redis: {lost}", _verdict_later(lost.later)) from lost
        self._learn_time(answer[1] / 1000, sent_ms)
        if answer[0] < 0:
            self._recovers(link, answer[2])
            raise _not_reached("Redis has lost its memory, and gathers it from the workers")
        return _verdict(answer)

    async def claim(self, name: str, ttl_ms: int) -> bool:
        """Return True to the first who asks in that time."""
        return await self._ask("SET", _CLAIM + name, self._worker, "NX", "PX", ttl_ms) is not None

    async def revise(self, key: str, limit: int | None, ttl_ms: int) -> None:
        """Set a counter's limit in place of its meter's, for so long; None: no longer."""
        await self._drop_old_limits()
        if limit is None:
            await self._ask("HDEL", _SETTINGS, f"limit:{key}")
        else:
            await self._ask("HSET", _SETTINGS, f"limit:{key}", f"{limit} {self.now_ms() + ttl_ms}")

    async def reset(self, key: str) -> None:
        """Forget what was taken."""
        await self._ask("DEL", _COUNTER + key)

    async def close(self) -> None:
        """Let go of the connection."""
        self._is_closed, self._failure = True, "closed"
        self._tried.set()
        tasks = [task for task in (self._coming, self._gathering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in (self._link, self._left):
            if link is not None:
                link.close()
        self._link = None

    def _words(self, link: Link, asks: Sequence[Ask]) -> tuple[Word, ...]:
        keys = [_COUNTER + ask.counter.key for ask in asks]
        names = (self._name, self._former, link.run)
        return ("EVALSHA", self._sha, len(keys) + 1, _SETTINGS, *keys, *names, _encode(asks))

    async def _again(self, link: Link, error: hiredis.ReplyError, words: tuple[Word, ...]) -> Any:
        """Ask once more with the script, which the server does not know."""
        try:
            if str(error).startswith("NOSCRIPT"):
                return await link.ask("EVAL", self._source, *words[2:])
            refused = Refused(str(error))
        except Refused as again:
            refused = again
        # Not the master any more, loading, without memory, ...: the way that leads there may be another.
        link.close()
        self._lost(link, str(refused))
        raise _not_reached(f"Redis: {refused}") from refused

    async def _ask(self, *words: Word) -> Any:
        link = self._link or await self._first_link()
        try:
            return await link.ask(*words)
        except LinkLost as lost:
            raise StoreDown(f"Redis: {lost}") from lost
        except Refused as refused:
            raise _not_reached(f"Redis: {refused}") from refused

    async def _drop_old_limits(self) -> None:
        fields = iter(await self._ask("HGETALL", _SETTINGS))
        now_ms = self.now_ms()
        for field, value in zip(fields, fields, strict=True):
            if field.startswith(b"limit:") and int(value.split()[1]) <= now_ms:
                await self._ask("HDEL", _SETTINGS, field)

    async def _first_link(self) -> Link:
        """Wait for the first try to connect since there is no connection; later ones are not waited for."""
        if self._coming is None and not self._is_closed:
            self._coming = asyncio.create_task(self._come_back())
        if not self._failure:
            try:
                async with asyncio.timeout(self._patience_s if self._connections else _CONNECT_S):
                    await self._tried.wait()
            except TimeoutError:
                self._failure = self._failure or "no connection in time"
        if self._link is None:
            raise _not_reached(f"Redis: {self._failure or 'the connection was lost'}")
        return self._link

    async def _come_back(self) -> None:
        """Connect, however long that takes."""
        from redis.exceptions import RedisError

        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await self._connect()
            except (OSError, RedisError, LinkLost, Refused) as error:
                self._note_outage(str(error) or type(error).__name__)
            except Exception as error:
                log.exception("a defect keeps quotas from being shared")
                self._note_outage(type(error).__name__)
            else:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        self._coming = None

    async def _connect(self) -> None:
        address = await self._place.find(self._patience_s)
        link: Link = await open_link(
            self._place, address, self._patience_s, lambda why: self._lost(link, why)
        )
        try:
            await link.ask("SCRIPT", "LOAD", self._source)
            self._connections += 1
            self._former, self._name = self._name, f"{self._worker}.{self._connections}"
            if self._connections == 1 and link.up_s >= _YOUNG_S:  # nobody knows of anything, if it does not
                await link.ask("HSETNX", _SETTINGS, "run", link.run)
            recovers = await self._tell(link, ())
            known = [ask for ask in self.on_return() if ask.seen or ask.seen_us]
            await self._tell_all(link, known if recovers else [ask for ask in known if _is_seats(ask)])
        except BaseException:
            link.close()
            raise
        if self._is_outage:
            log.info("quotas are shared through Redis again")
        self._link, self._failure, self._is_outage = link, "", False
        self._tried.set()

    async def _tell_all(self, link: Link, asks: Sequence[Ask]) -> None:
        for start in range(0, len(asks), _TOGETHER):
            await self._tell(link, asks[start : start + _TOGETHER])

    async def _tell(self, link: Link, asks: Sequence[Ask]) -> bool:
        """Say what is known, and take nothing; True: the server gathers what it has lost."""
        sent_ms = time.monotonic() * 1000
        answer = await link.ask(*self._words(link, asks))
        self._learn_time(answer[1] / 1000, sent_ms)
        if answer[0] >= 0:
            return False
        self._recovered_s = time.monotonic() + answer[2] / 1000
        return True

    def _recovers(self, link: Link, left_ms: int) -> None:
        """The server has lost its memory, though not the connection: it was emptied, or is behind a proxy."""
        now_s = time.monotonic()
        is_known, self._recovered_s = now_s < self._recovered_s, now_s + left_ms / 1000
        if not is_known:
            self._gathering = asyncio.create_task(self._gather(link))

    async def _gather(self, link: Link) -> None:
        try:
            await learn_run(link)
            await self._tell_all(link, [ask for ask in self.on_return() if ask.seen or ask.seen_us])
        except (LinkLost, Refused) as error:
            log.debug("what is known was not told: %s", error)

    def _lost(self, link: Link, why: str) -> None:
        if self._link is not link or self._is_closed:
            return
        if self._left is not None:
            self._left.close()
        self._link, self._left = None, link
        self._tried.clear()
        self._failure = why
        if self._coming is None:
            self._coming = asyncio.create_task(self._come_back())

    def _note_outage(self, why: str) -> None:
        if not self._is_outage:
            log.warning("quotas are not shared: Redis cannot be used (%s)", why)
        self._is_outage, self._failure = True, why
        self._tried.set()

    def _learn_time(self, server_ms: float, sent_ms: float) -> None:
        """Learn the server's time. It was read after the command was sent: the least is the nearest.

        Where it is more, the clocks run apart, or it was slow: it is followed slowly, a real step at once.
        """
        offset_ms = server_ms - sent_ms
        ahead_ms = offset_ms - self._offset_ms
        if 0 < ahead_ms < self._patience_s * 1000:
            offset_ms = self._offset_ms + ahead_ms / 128
        self._offset_ms = offset_ms


def _is_seats(ask: Ask) -> bool:
    return ask.counter.meter.kind == "seats"


def _verdict(answer: Sequence[Any]) -> Verdict:
    return Verdict(answer[0] == 1, tuple(starmap(Told, answer[2:])), answer[1])


def _verdict_later(answer: asyncio.Future[Any]) -> asyncio.Future[Verdict | None]:
    verdict: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()

    def hear(answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            verdict.cancel()
        elif isinstance(answer.result(), hiredis.ReplyError) or answer.result()[0] < 0:
            verdict.set_result(None)
        else:
            verdict.set_result(_verdict(answer.result()))

    answer.add_done_callback(hear)
    return verdict


def _not_reached(message: str) -> StoreDown:
    error = StoreDown(message)
    error.reached = False
    return error

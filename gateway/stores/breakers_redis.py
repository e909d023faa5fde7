"""Share the circuit breakers of deployments between workers and hosts, through Redis.

Calls never wait for Redis: what a breaker tells is queued, and what others tell reaches it through one task
beside the calls. A worker that comes to it later reads what is open. While Redis is down every worker goes
by its own breakers; that is logged once.

When a cool-down ends, one worker has the turn to try. It is taken in the background (SET NX PX) by whoever
comes first, so that it is there before the call that needs it. A turn that nobody uses within a second can be
taken by another worker as well: otherwise calls would have to find the one that has it. Only a call that does
try keeps all others away, until it ends.

Must not know what a deployment is: breakers have names.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final, Literal, Protocol
from uuid import uuid4

import msgspec

from gateway.stores.redis_places import TAG, place_of

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline, PubSub

_log = logging.getLogger(__name__)

_CHANNEL: Final = "forebay:breakers"
_OPEN_KEY: Final = TAG + "breaker:"
_TURN_KEY: Final = TAG + "turn:"
_TURN_MS: Final = 1000
_LINGER_MS: Final = 60_000
"""So long after its cool-down an opening that nobody closed is still read by workers that start."""
_MOST_NEWS: Final = 10_000
_AGAIN_S: Final = 1.0
_PATIENCE_S: Final = 2.0
_ALIVE_EVERY_S: Final = 5.0
_CANCEL_AGAIN_S: Final = 0.1


class News(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a worker tells the others of a breaker. `left_ms`: of its cool-down, or of its call's turn."""

    worker: str
    name: str
    kind: Literal["opened", "closed", "trying"]
    left_ms: int = 0
    why: str = ""


class Member(Protocol):
    """What is told to a breaker that follows the others."""

    def opened_elsewhere(self, now_s: float, left_s: float, why: str) -> None:
        """Another worker has opened it, for so long."""

    def closed_elsewhere(self) -> None:
        """A call of another worker went well."""


_decode = msgspec.json.Decoder(News).decode
_encode = msgspec.json.Encoder().encode


class RedisShare:
    """One breaker's end: what it says goes out through the hub, what others say comes in by `heard`."""

    __slots__ = ("_asks_s", "_ends_s", "_has_turn", "_held_s", "_hub", "_is_open", "_member", "_why", "name")

    def __init__(self, hub: SharedBreakers, name: str) -> None:
        self.name = name
        self._hub = hub
        self._member: Member | None = None
        self._is_open = False
        self._why = ""
        self._has_turn = False
        self._ends_s: float = -inf
        """The cool-down."""
        self._held_s: float = -inf
        """Until then a call of another worker tries."""
        self._asks_s: float = -inf
        """Not before that the turn is asked for again."""

    def join(self, member: Member, /) -> None:
        """Tell the breaker from now on what the others do."""
        self._member = member

    def opened(self, left_s: float, why: str, /) -> None:
        """Tell the others that it has opened here."""
        self._opened_up(left_s, why)
        self._hub.tell(self.name, "opened", left_s, why)

    def closed(self) -> None:
        """Tell the others that it has closed here."""
        self._closed_up()
        self._hub.tell(self.name, "closed")

    def trying(self, for_s: float, /) -> None:
        """Tell the others that a call from here tries, or that it was given up."""
        self._hub.tell(self.name, "trying", for_s)

    def may_try(self) -> bool:
        """Whether it is this worker's turn; where not, it will be as soon as nobody else has it."""
        if not self._hub.is_up or self._has_turn:
            return True
        self._ends_s = min(self._ends_s, self._hub.clock())
        self._hub.wake()
        return False

    def heard(self, news: News) -> None:
        """Take in what another worker tells."""
        left_s = news.left_ms / 1000
        if news.kind == "trying":
            self._has_turn = self._has_turn and not left_s
            self._held_s = self._hub.clock() + left_s
        elif news.kind == "opened":
            self._opened_up(left_s, news.why)
            if self._member is not None:
                self._member.opened_elsewhere(self._hub.clock(), left_s, news.why)
        else:
            self._closed_up()
            if self._member is not None:
                self._member.closed_elsewhere()

    def asks_at_s(self) -> float:
        """When to ask for the turn; never while it is closed, or the turn is here."""
        if not self._is_open or self._has_turn:
            return inf
        return max(self._ends_s, self._held_s, self._asks_s)

    def asked(self, *, got: bool) -> None:
        """Note whether the turn is here now."""
        self._has_turn = got
        self._asks_s = self._hub.clock() + _TURN_MS / 1000

    def opening(self) -> News | None:
        """What a worker that missed it has to be told; None: it is closed, or cool."""
        left_s = self._ends_s - self._hub.clock()
        if not self._is_open or left_s <= 0:
            return None
        return News(self._hub.worker, self.name, "opened", int(left_s * 1000), self._why)

    def _opened_up(self, left_s: float, why: str) -> None:
        self._closed_up()
        self._is_open, self._why = True, why
        self._ends_s = self._hub.clock() + left_s

    def _closed_up(self) -> None:
        self._is_open, self._has_turn, self._why = False, False, ""
        self._ends_s = self._held_s = self._asks_s = -inf


class SharedBreakers:
    """The hub of one worker. `clock` gives monotonic seconds; `follow` has to run beside the calls."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.worker = uuid4().hex
        self.is_up = False
        self._place = place_of(url)
        self._shares: dict[str, RedisShare] = {}
        self._unread: list[RedisShare] = []
        self._news: deque[News] = deque(maxlen=_MOST_NEWS)
        self._awake = asyncio.Event()
        self._failure = ""

    def share(self, name: str) -> RedisShare:
        """Return the end of the breaker `name`; always the same one."""
        if (share := self._shares.get(name)) is None:
            self._shares[name] = share = RedisShare(self, name)
            self._unread.append(share)
            self.wake()
        return share

    def tell(
        self, name: str, kind: Literal["opened", "closed", "trying"], left_s: float = 0.0, why: str = ""
    ) -> None:
        """Queue news for the others; dropped while Redis is down."""
        if self.is_up:
            self._news.append(News(self.worker, name, kind, int(left_s * 1000), why))
            self.wake()

    def wake(self) -> None:
        """Have the background task look again."""
        self._awake.set()

    def state(self) -> tuple[bool, str]:
        """Say whether openings are shared, and the same in words for people."""
        return self.is_up, "shared through Redis" if self.is_up else self._failure or "not connected yet"

    async def follow(self) -> None:
        """Pass news on in both directions until cancelled; an outage is outlived."""
        from redis.exceptions import RedisError

        while not _is_cancelled():
            try:
                address = await self._place.find(_PATIENCE_S)
                client = self._place.client(address, _PATIENCE_S, health_check_interval=int(_ALIVE_EVERY_S))
                async with client, client.pubsub(ignore_subscribe_messages=True) as ears:
                    await self._listen_and_speak(client, ears)
            except (RedisError, OSError) as error:
                self._note_outage(error)
            await asyncio.sleep(_AGAIN_S)

    async def _listen_and_speak(self, client: Redis, ears: PubSub) -> None:
        """Pass news on until the connection is lost; raises what it was lost by."""
        # Whoever speaks has to hear first: what is opened in between would be missed.
        heard = asyncio.Event()
        tasks = [
            asyncio.create_task(_outage_of(self._listen(ears, heard))),
            asyncio.create_task(_outage_of(self._speak(client, heard))),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(tasks)
        outages = [task.result() for task in tasks if not task.cancelled()]
        for outage in filter(None, outages):
            raise outage

    async def _listen(self, ears: PubSub, heard: asyncio.Event) -> None:
        await ears.subscribe(_CHANNEL)
        heard.set()
        while not _is_cancelled():
            message = await ears.get_message(timeout=_ALIVE_EVERY_S)
            if message is not None:
                self._hear(message["data"])

    def _hear(self, data: bytes) -> None:
        try:
            news = _decode(data)
        except msgspec.MsgspecError:  # of another version, or of somebody else
            return
        share = self._shares.get(news.name)
        if news.worker != self.worker and share is not None:
            share.heard(news)

    async def _speak(self, client: Redis, heard: asyncio.Event) -> None:
        await heard.wait()
        await client.ping()
        self._note_connection()
        self._unread = list(self._shares.values())
        while not _is_cancelled():
            self._awake.clear()
            await self._read_openings(client)
            await self._send_news(client)
            await self._ask_for_turns(client)
            asks_s = min((share.asks_at_s() for share in self._shares.values()), default=inf)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(asks_s - self.clock(), 0.0), _ALIVE_EVERY_S)):
                    await self._awake.wait()

    async def _read_openings(self, client: Redis) -> None:
        """Take in what was opened before this worker, or this share, was here."""
        unread, self._unread = self._unread, []
        if not unread:
            return
        async with client.pipeline(transaction=False) as pipe:
            for share in unread:
                pipe.get(_OPEN_KEY + share.name)
                pipe.pttl(_OPEN_KEY + share.name)
            found = await pipe.execute()
        for share, why, life_ms in zip(unread, found[::2], found[1::2], strict=True):
            if why is not None and share.opening() is None:
                left_ms = max(life_ms - _LINGER_MS, 0)
                share.heard(News("", share.name, "opened", left_ms, why.decode()))

    async def _send_news(self, client: Redis) -> None:
        if not self._news:
            return
        async with client.pipeline(transaction=False) as pipe:
            while self._news:
                _put(pipe, self._news.popleft())
            await pipe.execute()

    async def _ask_for_turns(self, client: Redis) -> None:
        now_s = self.clock()
        asking = [share for share in self._shares.values() if share.asks_at_s() <= now_s]
        for share in asking:
            got = await client.set(_TURN_KEY + share.name, self.worker, nx=True, px=_TURN_MS)
            if share.asks_at_s() <= now_s:  # what was heard meanwhile counts more
                share.asked(got=bool(got))

    def _note_connection(self) -> None:
        if self._failure:
            _log.info("circuit breakers are shared through Redis again")
        self.is_up, self._failure = True, ""
        self._news.extend(news for share in self._shares.values() if (news := share.opening()) is not None)

    def _note_outage(self, error: Exception) -> None:
        failure = f"Redis cannot be used ({type(error).__name__})"
        if not self._failure:
            _log.warning("circuit breakers are not shared: %s", failure)
        self.is_up, self._failure = False, failure
        self._news.clear()


async def _outage_of(work: Coroutine[None, None, None]) -> Exception | None:
    """Return what ended work that goes through a connection.

    One loss can end listening and speaking in the same moment: it is told once, and an exception that is left
    in a task is told again, by asyncio. What is raised all the same is a defect.
    """
    from redis.exceptions import RedisError

    try:
        await work
    except (RedisError, OSError) as error:
        return error
    return None


async def _end(tasks: Sequence[asyncio.Task[Exception | None]]) -> None:
    """Cancel tasks until they have ended; see `_is_cancelled`."""
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_S)


def _is_cancelled() -> bool:
    """Whether this task was cancelled: the `wait_for` of Python 3.11, in redis-py, can swallow that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _put(pipe: Pipeline, news: News) -> None:
    """Write down what later comers have to know, and tell those that are there."""
    open_key, turn_key = _OPEN_KEY + news.name, _TURN_KEY + news.name
    if news.kind == "opened":
        pipe.set(open_key, news.why, px=news.left_ms + _LINGER_MS)
        pipe.delete(turn_key)
    elif news.kind == "closed":
        pipe.delete(open_key, turn_key)
    elif news.left_ms:
        pipe.set(turn_key, news.worker, px=news.left_ms)
    else:
        pipe.delete(turn_key)
    pipe.publish(_CHANNEL, _encode(news))

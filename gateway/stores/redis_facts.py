"""What a Redis tells about itself, for whoever checks a deployment. It only reads.

Must not know what is good or bad about it. Sources: redis.io/docs, INFO, TIME, CONFIG GET.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
from redis.exceptions import RedisError

from gateway.errors import StoreDown
from gateway.stores.redis_link import Link, LinkLost, Refused, open_link
from gateway.stores.redis_places import place_of

_PATIENCE_S: Final = 3.0
_PINGS: Final = 5


class RedisFacts(msgspec.Struct, frozen=True):
    """As its INFO says, and as it was measured."""

    program: str
    version: str
    role: str
    round_trip_s: float
    """The fastest of a few."""
    ahead_s: float
    """Of our clock."""
    most_memory_bytes: int
    """0: it has no limit."""
    when_full: str
    """Its maxmemory-policy."""
    is_kept: bool | None
    """Whether it writes to a disk what it has; None: it does not tell."""


class NotLetIn(StoreDown):
    """It answers, and refuses the user or the password."""


async def look_at_redis(url: str) -> RedisFacts:
    """Ask the server that has our keys. Raises NotLetIn, StoreDown: their messages hold no secret."""
    place = place_of(url)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            address = await place.find(_PATIENCE_S)
            link = await open_link(place, address, _PATIENCE_S, lambda _: None)
    except Refused as error:
        raise NotLetIn(f"Redis does not let us in: {str(error).split(' ', 1)[0]}") from None
    except (RedisError, LinkLost, OSError, ValueError) as error:
        raise StoreDown(f"Redis cannot be reached: {_why(error)}") from None
    try:
        return await _facts(link)
    except (Refused, LinkLost) as error:
        raise StoreDown(f"Redis does not answer as it should: {error}") from None
    finally:
        link.close()


async def _facts(link: Link) -> RedisFacts:
    info = _said((await link.ask("INFO")).decode())
    trips = [await _ahead(link) for _ in range(_PINGS)]
    round_trip_s, ahead_s = min(trips)
    return RedisFacts(
        program="Valkey" if "valkey_version" in info else "Redis",
        version=info.get("valkey_version") or info.get("redis_version", ""),
        role=info.get("role", ""),
        round_trip_s=round_trip_s,
        ahead_s=ahead_s,
        most_memory_bytes=int(info.get("maxmemory", 0)),
        when_full=info.get("maxmemory_policy", ""),
        is_kept=await _is_kept(link, info),
    )


async def _ahead(link: Link) -> tuple[float, float]:
    """Give the time of a round trip, and how far the server's clock is ahead of ours."""
    began_s, began_unix_s = time.monotonic(), time.time()
    seconds, micros = await link.ask("TIME")
    trip_s = time.monotonic() - began_s
    return trip_s, int(seconds) + int(micros) / 1e6 - (began_unix_s + trip_s / 2)


async def _is_kept(link: Link, info: dict[str, str]) -> bool | None:
    if info.get("aof_enabled") == "1":
        return True
    try:
        answer = await link.ask("CONFIG", "GET", "save")
    except Refused:  # managed ones often do not have the command
        return None
    return len(answer) == 2 and bool(answer[1])


def _said(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _why(error: BaseException) -> str:
    """Say it in the system's words: a library's may hold the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) if isinstance(error, LinkLost) else type(error).__name__

"""Whether the Redis that workers share does what limits need of it.

Source: redis.io/docs, "Key eviction" and "Redis persistence".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.commands.doctor.finding import Clock, Finding, Told, fail, ok, skipped, warn
from gateway.compose.examining import NotLetIn, RedisFacts, look_at_redis
from gateway.compose.reading import Config
from gateway.errors import StoreDown

_NAME: Final = "redis"
_OLDEST: Final = (6, 2)
_SLOW_S, _TOO_SLOW_S = 0.01, 0.25
"""A call near a limit waits for one round trip, and for no longer than the second."""


async def look_at_counters(config: Config) -> list[Told]:
    """Ask Redis, where there is one."""
    server = config.resolved.server
    if not server.redis_url:
        return [judge_alone(server.workers, sum(bool(rule.lines) for rule in config.limits.every))]
    try:
        facts = await look_at_redis(server.redis_url)
    except NotLetIn as error:
        return [fail(_NAME, error.message, "Correct user and password of server.redis_url.")]
    except StoreDown as error:
        return [fail(_NAME, error.message, "Start it: server.redis_url.")]
    return [*judge_redis(facts), Clock(_NAME, facts.ahead_s, facts.round_trip_s / 2)]


def judge_alone(workers: int, limits: int) -> Finding:
    """Say what it means that there is no Redis."""
    if workers == 1:
        return skipped(_NAME, "none is configured: one worker counts by itself")
    if limits:
        seen = f"{workers} workers cannot share the counters of {limits} limits"
        return fail(_NAME, seen, "Write into routing.yaml: server: {redis_url: '${REDIS_URL}'}")
    seen = f"none is configured: {workers} workers have circuit breakers of their own"
    return skipped(_NAME, seen, "To share them: server: {redis_url: '${REDIS_URL}'}")


def judge_redis(facts: RedisFacts) -> list[Finding]:
    """Judge a server that answers."""
    found = list(_problems(facts))
    seen = f"{facts.program} {facts.version} answers in {facts.round_trip_s * 1000:.1f} ms"
    return found or [ok(_NAME, seen)]


def _problems(facts: RedisFacts) -> Iterator[Finding]:
    if _numbers(facts.version) < _OLDEST:
        yield fail(_NAME, f"{facts.program} {facts.version} is too old", "Run 6.2 or newer.")
    if facts.role == "slave":
        yield fail(_NAME, "it is a replica, which takes no writes", "Name its primary, or redis+sentinel://")
    if facts.round_trip_s > _SLOW_S:
        state = fail if facts.round_trip_s > _TOO_SLOW_S else warn
        yield state(_NAME, f"a round trip takes {facts.round_trip_s * 1000:.0f} ms", "Put it nearer.")
    if facts.most_memory_bytes and facts.when_full not in {"", "noeviction"}:
        seen = f"full, it forgets counters ({facts.when_full}): limits are exceeded then"
        yield fail(_NAME, seen, "redis-cli CONFIG SET maxmemory-policy noeviction, and in its file")
    if facts.is_kept is False:
        seen = "it writes nothing to a disk: after a restart only the workers know what was taken"
        yield warn(_NAME, seen, "redis-cli CONFIG SET appendonly yes, and in its file")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))

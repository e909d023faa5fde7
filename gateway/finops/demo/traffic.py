"""Make the demo's calls: which there are, and when. Pure; the same seed, the same calls.

The rhythm is one of offices: busy in the day, quiet on weekends, in the zone of each tenant, growing slowly;
nightly jobs; an evening on which a backend fails; a loop that somebody forgot, three days before the end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from math import exp
from random import Random

import msgspec

from gateway.finops.demo.world import PREFIX, SPIKE, TENANTS, Team, Tenant, Way

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_OFFICE = (2, 1, 1, 1, 1, 2, 6, 18, 45, 78, 96, 100, 82, 88, 98, 97, 90, 74, 48, 30, 22, 16, 9, 4)
"""How busy the hours of a working day are, as their users' clocks have it."""
_NIGHT = (60, 90, 100, 100, 90, 60, 20, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 6, 10, 20, 40)
_WEEK = (1.0, 1.06, 1.08, 1.04, 0.88, 0.22, 0.18)
_GROWTH_A_DAY = 1.006
_SPIKE_DAYS_AGO, _SPIKE_HOURS = 3, 5
_SPIKE_SHARE = 0.012
"""Of all calls: those of the forgotten loop."""
_TURNS = 7
_STAYS = 0.62
"""How often a turn is not the last."""


class Chance(Random):
    """Chance that can be had again; nothing of the demo is a secret."""


class Plan(msgspec.Struct, frozen=True):
    """How much of it there is."""

    days: int
    calls_per_day: int
    seed: int
    until_ms: int
    """Unix time at which it ends."""

    @property
    def since_ms(self) -> int:
        """Say when it begins."""
        return self.until_ms - self.days * DAY_MS


class Sketch(msgspec.Struct):
    """A call, before it is said what became of it."""

    time: int
    call: str
    tenant: Tenant
    team: Team
    way: Way
    key: str
    user: str
    conversation: str
    turn: int
    """0 for the first of a conversation."""
    known_tokens: int
    """What of the prompt the turns before had already."""
    stream: bool


class _Talk(msgspec.Struct):
    id: str
    user: str
    way: Way
    turn: int = 0
    tokens: int = 0


def sketches(plan: Plan) -> list[Sketch]:
    """Make all calls of the demo, in the order of time."""
    chance = Chance(plan.seed)
    calls = plan.days * plan.calls_per_day
    found: list[Sketch] = []
    for tenant in TENANTS:
        for team in tenant.teams:
            times = _times(plan, tenant, team, round(calls * team.share), chance)
            found += _calls(tenant, team, times, chance)
    found += _loop(plan, round(calls * _SPIKE_SHARE), chance)
    found.sort(key=lambda one: one.time)
    return found


def _times(plan: Plan, tenant: Tenant, team: Team, calls: int, chance: Chance) -> list[int]:
    """Spread calls over the hours, by how busy they are."""
    first_hour = plan.since_ms // HOUR_MS
    hours = range(first_hour, -(-plan.until_ms // HOUR_MS))
    if not hours or calls <= 0:
        return []
    busy = (_busy(hour + tenant.ahead_h, team) * _grown(hour - first_hour) for hour in hours)
    weights = list(accumulate(busy))
    times = []
    for _ in range(calls):
        hour = hours[bisect_right(weights, chance.random() * weights[-1], hi=len(weights) - 1)]
        times.append(hour * HOUR_MS + int(chance.random() * HOUR_MS))
    # The first and the last hour are parts of one: what falls out of them is drawn in.
    span = plan.until_ms - plan.since_ms
    return sorted(plan.since_ms + (time - plan.since_ms) % span for time in times)


def _busy(local_hour: int, team: Team) -> float:
    weekday = (local_hour // 24 + 3) % 7  # the first of January 1970 was a Thursday
    if team.nightly:
        return _NIGHT[local_hour % 24]
    return _OFFICE[local_hour % 24] * _WEEK[weekday]


def _grown(hours: int) -> float:
    return float(_GROWTH_A_DAY ** (hours / 24))


def _calls(tenant: Tenant, team: Team, times: list[int], chance: Chance) -> Iterator[Sketch]:
    ways = [way for way, _ in team.ways]
    shares = list(accumulate(share for _, share in team.ways))
    talks: list[_Talk] = []
    for time in times:
        talk = _turn(tenant, team, (ways, shares), talks, chance)
        way = talk.way
        yield Sketch(
            time=time,
            call=_call_id(chance),
            tenant=tenant,
            team=team,
            way=way,
            key=PREFIX + team.keys[int(chance.random() ** 2 * len(team.keys))],
            user=talk.user,
            conversation=talk.id,
            turn=talk.turn,
            known_tokens=talk.tokens,
            stream=chance.random() < way.stream,
        )
        talk.turn += 1
        talk.tokens += int((way.input_tokens * 0.3 + way.output_tokens) * exp(chance.gauss(0, 0.4)))


def _turn(
    tenant: Tenant, team: Team, ways: tuple[list[Way], list[float]], talks: list[_Talk], chance: Chance
) -> _Talk:
    """Go on with a conversation, or begin one."""
    if talks and chance.random() < _STAYS:
        at = int(chance.random() * len(talks))
        if talks[at].turn < _TURNS:
            return talks[at]
        del talks[at]
    way = chance.choices(ways[0], cum_weights=ways[1])[0]
    user = ""
    if team.users:  # some call much more often than others
        user = f"{tenant.name}-user-{int(chance.random() ** 2.2 * team.users) + 1:03d}"
    talk = _Talk(f"{PREFIX}{chance.getrandbits(64):016x}" if way.talks else "", user, way)
    if way.talks:
        talks.append(talk)
        if len(talks) > 6:
            del talks[0]
    return talk


def _loop(plan: Plan, calls: int, chance: Chance) -> Iterator[Sketch]:
    """Yield what the loop asks, over and over, for some hours."""
    name, team_name, way = SPIKE
    tenant = next(one for one in TENANTS if one.name == name)
    team = next(one for one in tenant.teams if one.name == team_name)
    begun = plan.until_ms - min(_SPIKE_DAYS_AGO, plan.days) * DAY_MS
    begun = max(begun - begun % DAY_MS + 19 * HOUR_MS, plan.since_ms)
    length = min(_SPIKE_HOURS * HOUR_MS, plan.until_ms - begun - 1)
    for _ in range(calls if length > 0 else 0):
        time = begun + int(chance.random() * length)
        yield Sketch(
            time=time,
            call=_call_id(chance),
            tenant=tenant,
            team=team,
            way=way,
            key=PREFIX + team.keys[0],
            user=f"{name}-user-004",
            conversation="",
            turn=0,
            known_tokens=0,
            stream=False,
        )


def _call_id(chance: Chance) -> str:
    return f"call_{PREFIX.strip('-')}{chance.getrandbits(80):020x}"

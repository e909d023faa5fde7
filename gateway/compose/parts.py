"""The parts of a gateway: how each stands, and what of it somebody has to hear of.

A part that is not needed never makes the gateway unready: calls are served without it. Looking at a backend
costs a microsecond for each of its deployments, once a second; what blocks is asked in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from platform import node
from time import monotonic
from typing import Final

from gateway.compose.ledger import MeterWatch, ledger_state
from gateway.ledger.ledger import Ledger
from gateway.routing.health.health import Health
from gateway.routing.routes import About
from gateway.runtime import PartState, Runtime
from gateway.telemetry.alarms import Alarms, Trouble

_LOOK_S: Final = 1.0
_ASK_S: Final = 2.0
_MOST_TOLD: Final = 16
"""Breakers of one backend that are told by name: where clients choose the model, there may be any number."""
_LATE_S: Final = 300.0
"""Older than this no entry of the ledger should be when it is inserted."""
_FULL_SHARE: Final = 0.5
"""More of its room the spool should not take."""

log = logging.getLogger("forebay")


class Parts:
    """The parts of one configuration, which always has those that are `needed`."""

    def __init__(self, **needed: Callable[[], PartState]) -> None:
        self.states: dict[str, Callable[[], PartState]] = dict(needed)
        self.optional: set[str] = set()
        self._troubles: list[Callable[[], Iterable[Trouble]]] = []

    def add(
        self,
        name: str,
        state: Callable[[], PartState],
        troubles: Callable[[], Iterable[Trouble]] = tuple,
        *,
        needed: bool = True,
    ) -> None:
        """Name a part. `troubles` tells what of it somebody has to hear of, now."""
        self.states[name] = state
        self._troubles.append(troubles)
        if not needed:
            self.optional.add(name)

    def add_backends(self, known: Mapping[str, About]) -> None:
        """Name the backends; others may take the calls of one, so it is not needed."""
        for name, about in known.items():
            troubles = partial(backend_troubles, name, about)
            self.add(f"backend {name}", partial(backend_state, about), troubles, needed=False)

    def add_ledger(self, ledger: Ledger, meter: MeterWatch, room_bytes: int) -> None:
        """Name the ledger, whose spool has so much room."""
        troubles = partial(ledger_troubles, ledger, meter, room_bytes)
        self.add("ledger", lambda: ledger_state(ledger, meter.last), troubles, needed=False)

    def troubles(self) -> Iterator[Trouble]:
        """Tell what is wrong now."""
        for source in self._troubles:
            yield from source()


class Asked:
    """What was answered last to a question that blocks."""

    def __init__(self, ask: Callable[[], PartState]) -> None:
        self._ask = ask
        self._last: PartState = (False, "not asked yet")

    def state(self) -> PartState:
        """Give the last answer."""
        return self._last

    async def look(self) -> None:
        """Ask once, in a thread."""
        self._last = await asyncio.to_thread(self._ask)

    async def follow(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await asyncio.sleep(_ASK_S)
            await self.look()


async def watch_parts(current: Callable[[], Runtime], alarms: Alarms) -> None:
    """See each second how the parts stand, and have told what begins and what is over; until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            runtime = current()
            if runtime.flights.draining:  # that it stops is no news
                return
            runtime.standings.look(runtime.parts)
            await alarms.look(runtime.troubles())
        except Exception:  # a defect in one part must not end the watch over all of them
            log.exception("internal error")


def backend_state(about: About) -> PartState:
    """Say whether calls can go to any deployment of a backend."""
    if failure := _probe_failure(about):
        return False, f"its probe fails: {failure}"
    healths = about.healths()
    now_s = monotonic()
    resting = {model: why for model, health in healths.items() if (why := _rest(health, now_s))}
    if not resting:
        return True, "its probe goes well" if about.probe else "no deployment rests"
    told = "; ".join(f"{model}: {why}" for model, why in islice(resting.items(), _MOST_TOLD))
    if len(resting) == len(healths):
        return False, f"all its deployments rest: {told}"
    return True, f"{len(resting)} of {len(healths)} deployments rest: {told}"


def backend_troubles(name: str, about: About) -> Iterator[Trouble]:
    """Tell of breakers that are not closed, and of a backend that no call can go to."""
    healths = about.healths()
    broken = {model: health for model, health in healths.items() if not health.breaker.is_closed}
    now_s = monotonic()
    for model, health in islice(broken.items(), _MOST_TOLD):
        why = health.breaker.standing(now_s).why
        data = {"backend": name, "model": model, "why": why}
        deployment = f"{name}/{model}"
        yield Trouble("breaker_open", deployment, f"the circuit breaker of {deployment} is open: {why}", data)
    why = _why_down(about, healths, broken)
    if why:
        yield Trouble("backend_down", name, f"backend {name} is down: {why}", {"backend": name, "why": why})


def ledger_troubles(ledger: Ledger, watch: MeterWatch, room_bytes: int) -> Iterator[Trouble]:
    """Tell that calls get into the ledger too late, or not at all."""
    meter = watch.last
    ok, detail = ledger_state(ledger, meter)
    share = 0.0 if meter is None else meter.spool_bytes / room_bytes
    late_s = 0.0 if meter is None else meter.lag_s
    if ok and late_s <= _LATE_S and share <= _FULL_SHARE:
        return
    data = {"host": node(), "lag_s": round(late_s), "spool_percent": round(100 * share), "detail": detail}
    what = detail if not ok else f"entries are {late_s:.0f} s late, the spool is {share:.0%} full"
    yield Trouble("ledger_lag", node(), f"the ledger of {node()} lags behind: {what}", data)


def _probe_failure(about: About) -> str:
    return "" if about.probe is None else about.probe()


def _rest(health: Health, now_s: float) -> str:
    """Say why calls keep away; empty: they do not. A breaker that lets one call try is no end of it."""
    if not health.breaker.is_closed:
        return f"its circuit breaker is open: {health.breaker.standing(now_s).why}"
    obstacle = health.obstacle(now_s)
    return "" if obstacle is None or obstacle.is_hint else obstacle.reason


def _why_down(about: About, healths: Mapping[str, Health], broken: Mapping[str, Health]) -> str:
    if failure := _probe_failure(about):
        return f"its probe fails: {failure}"
    is_down = broken and len(broken) == len(healths)
    return "the circuit breakers of all its deployments are open" if is_down else ""

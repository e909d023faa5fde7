"""Look now and then at what is measured by looking: queues, breakers, connections, parts, the spool.

Nothing here touches a disk. Must not know how numbers are kept or told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from time import monotonic, time

from gateway.admission.lease import Amounts
from gateway.compose.lines import keep
from gateway.compose.opening import Plant
from gateway.finops.meter import MeterState
from gateway.routing.health.breaker import State
from gateway.routing.routes import Site
from gateway.runtime import Runtime
from gateway.telemetry.metrics import Metrics, families
from gateway.upstream.aiohttp_transport import AiohttpTransport

log = logging.getLogger("forebay")

_EVERY_S = 1.0
_SLEEP_S = 0.05
_SILENT_S = 60.0
"""A meter that has said nothing for so long does not work."""
_STATES: tuple[State, ...] = ("closed", "half_open", "open")


def follow_gauges(
    plant: Plant, current: Callable[[], Runtime], running: Callable[[], int], stack: AsyncExitStack
) -> None:
    """Look, until `stack` closes, at what serves calls now; `running` counts the calls under way."""
    metrics = plant.metrics

    def compare(planned: Amounts, used: Amounts) -> None:
        metrics.compare("tokens", planned.tokens, used.tokens)
        metrics.compare("usd", planned.nanousd, used.nanousd)

    plant.desk.compared = compare
    keep(stack, _follow(plant, current, running))
    keep(stack, _follow_lag(metrics))


async def _follow(plant: Plant, current: Callable[[], Runtime], running: Callable[[], int]) -> None:
    lag = _Lag()
    while True:
        try:
            plant.metrics.set_in_flight(running())
            _look(plant, current(), lag)
        except Exception:  # one look that fails must not be the last
            log.exception("internal error")
        await asyncio.sleep(_EVERY_S)


def _look(plant: Plant, runtime: Runtime, lag: _Lag) -> None:
    metrics = plant.metrics
    _tell_sites(metrics, sites(runtime))
    parts: dict[tuple[str, ...], float] = {
        (name,): float(state()[0]) for name, state in runtime.parts.items()
    }
    metrics.set_all(families.PART_OK, parts)
    for result, spans in _spans(plant).items():
        metrics.set(families.SPANS, spans, result)
    if plant.ledger is not None:
        metrics.set(families.LEDGER_LOST, plant.ledger.spool.lost)
        _tell_meter(metrics, plant.meter.last, lag)


async def _follow_lag(metrics: Metrics) -> None:
    while True:
        due_s = monotonic() + _SLEEP_S
        await asyncio.sleep(_SLEEP_S)
        metrics.count_lag(max(monotonic() - due_s, 0.0))


def sites(runtime: Runtime) -> Iterator[Site]:
    """Give each backend that calls may go to, once."""
    found = {
        target.site.backend.name: target.site
        for route in runtime.routing.routes
        for target in route.everywhere
    }
    return iter(found.values())


def _tell_sites(metrics: Metrics, those: Iterator[Site]) -> None:
    waiting = dict[tuple[str, ...], float]()
    breakers = dict[tuple[str, ...], float]()
    connections = dict[tuple[str, ...], float]()
    are_up = dict[tuple[str, ...], float]()
    now_s = monotonic()
    for site in those:
        name = site.backend.name
        if site.gate is not None:
            waiting[name,] = site.gate.waiting
        standing = Counter(health.standing(now_s).breaker.state for health in site.about.healths().values())
        breakers.update({(name, state): standing[state] for state in _STATES})
        failure = None if site.about.probe is None else site.about.probe()
        are_up[name,] = not failure and not (standing.total() and not standing["closed"])
        if isinstance(site.transport, AiohttpTransport):
            connections[name, "in_use"], connections[name, "idle"] = site.transport.connections
    metrics.set_all(families.QUEUE_DEPTH, waiting)
    metrics.set_all(families.BREAKERS, breakers)
    metrics.set_all(families.BACKEND_UP, are_up)
    metrics.set_all(families.CONNECTIONS, connections)


def _spans(plant: Plant) -> Mapping[str, int]:
    traces = plant.told.traces
    return {"sent": traces.sent, "failed": traces.failed, "dropped": traces.dropped}


class _Lag:
    """How far the ledger is behind. A meter that inserts nothing does not say: then time itself does."""

    def __init__(self) -> None:
        self._well_s = time()

    def of(self, state: MeterState) -> float:
        """Return it in seconds; asked often enough."""
        if not state.problem:
            self._well_s = state.at
        return max(state.lag_s, time() - self._well_s) if state.problem or _is_silent(state) else state.lag_s


def _is_silent(state: MeterState) -> bool:
    return time() - state.at > _SILENT_S


def _tell_meter(metrics: Metrics, state: MeterState | None, lag: _Lag) -> None:
    if state is None:  # it has not begun yet
        metrics.set(families.METER_OK, 0)
        return
    metrics.set(families.METER_OK, not state.problem and not _is_silent(state))
    metrics.set(families.LEDGER_LAG_SECONDS, lag.of(state))
    metrics.set(families.SPOOL_BYTES, state.spool_bytes)
    metrics.set(families.METER_ROWS, state.inserted)
    metrics.set(families.METER_SET_ASIDE, state.set_aside)

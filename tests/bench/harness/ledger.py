"""What metering costs: entering a call; calls a second with the ledger on; and whether the meter keeps up."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from gateway.exchange import Attempt, Call, Caller, Envelope, Price, Rates, Record, Usage
from gateway.formats.envelope import decode_members
from gateway.ledger.ledger import Ledger
from gateway.ledger.reading import segments
from gateway.ledger.spool import Spool, SpoolSettings
from gateway.routing.signals.readers import Readers
from gateway.routing.signals.signals import Signals
from harness.children import LOAD_CPU, BenchError, Child
from harness.table import Row
from harness.targets import ROOT

CALLS, ROUNDS = 5_000, 7
GOAL_US = 15.0
PER_S, FOR_S = 3_000, 60
GOAL_LAG_S = 10.0
_PRICE = Price.flat("own:gpt@1", Rates.plain(2_500_000_000, 10_000_000_000, 1_250_000_000))
_BODY = {
    "model": "fast",
    "stream": True,
    "messages": [
        {"role": "system", "content": "You answer questions about geography, shortly."},
        {"role": "user", "content": "What is the capital of France, and since when? " * 5},
    ],
}


def a_record(number: int) -> Record:
    """A plain call that has ended, as the pipeline hands it over."""
    members = decode_members(json.dumps(_BODY).encode())
    record = Record(f"call_{number:024x}", "chat", 100.0, tenant="acme", key="key-1", model="fast")
    record.route, record.stream, record.status, record.ending = "fast", True, 200, "finished"
    record.call = Call(
        "chat", Caller("acme", "key-1", tags=("gold",), team="t"), Envelope("fast"), members, {}
    )
    attempt = Attempt("openai", "gpt-4o", 100.001, usage=Usage(1000, 200, cached_tokens=500), price=_PRICE)
    attempt.first_token_s, attempt.finish, attempt.answered_model = 0.3, "stop", "gpt-4o-2024-08-06"
    record.attempts = [attempt]
    return record


def booking_us(folder: Path, readers: Readers) -> float:
    """Microseconds that entering a call takes the loop."""
    spool = Spool(SpoolSettings(folder / "spool", 1 << 30))

    def look(record: Record) -> tuple[str, str, str]:
        assert record.call is not None
        signals = Signals(record.call, readers)
        return signals.user, signals.named_conversation, "openai/gpt-4o, azure/gpt-4o"

    ledger, rounds = Ledger(spool, look), list[float]()
    for number in range(ROUNDS):
        records = [a_record(number * CALLS + one) for one in range(CALLS)]
        started_ns = time.perf_counter_ns()
        for record in records:
            ledger.book(record, 102.0)
        rounds.append((time.perf_counter_ns() - started_ns) / CALLS / 1000)
    spool.close()
    return statistics.median(rounds)


def booking_rows(folder: Path, readers: Readers) -> list[Row]:
    """What entering a call costs."""
    spent_us = booking_us(folder / "booking", readers)
    name = "entering a call in the ledger, safe from the end of the process"
    return [Row(name, "", f"{spent_us:.1f} us", "", f"<= {GOAL_US:.0f} us", spent_us <= GOAL_US)]


@contextmanager
def aside(child: Child) -> Iterator[psutil.Process]:
    """Move what fills the ledger to the core of the load: it is no part of a call. Gives the engine."""
    deadline_s = time.monotonic() + 30
    engine: psutil.Process | None = None
    while engine is None:
        if time.monotonic() > deadline_s:
            raise BenchError(f"the embedded ClickHouse does not start: {child.log_tail()}")
        time.sleep(0.1)
        for one in child.process.children(recursive=True):
            os.sched_setaffinity(one.pid, {LOAD_CPU})
            for thread in one.threads():
                os.sched_setaffinity(thread.id, {LOAD_CPU})
            if "clickhouse_front" in " ".join(one.cmdline()) and "child.py" not in " ".join(one.cmdline()):
                engine = one
    time.sleep(2)  # until the tables are there
    yield engine


@contextmanager
def metering(state: Path) -> Iterator[None]:
    """A meter with its engine, on the core of the load."""
    argv = [sys.executable, "-m", "gateway", "meter", "--state", str(state)]
    argv += ["--config", str(state.parent / "config")]
    with Child(argv, LOAD_CPU, state.parent / "meter.log", {"BENCH_CREDENTIAL": "k"}, ROOT):
        deadline_s = time.monotonic() + 60
        while not (state / "spool" / "meter.json").exists() or _state(state)["problem"]:
            if time.monotonic() > deadline_s:
                raise BenchError("the meter does not begin")
            time.sleep(0.1)
        yield


def keeping_up(state: Path) -> tuple[float, float, int]:
    """Put so many entries a second into a spool while a meter empties it.

    Returns the longest lag, how long after the last entry all was in the ledger, and how many that were.
    """
    spool = Spool(SpoolSettings(state / "spool", 1 << 30))
    ledger = Ledger(spool, lambda _: ("ann", "talk-1", "openai/gpt-4o"))
    lags, entered = [0.0], 0
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < FOR_S:
        while entered < passed_s * PER_S:
            ledger.book(a_record(entered), 102.0)
            entered += 1
        lags.append(_state(state)["lag_s"])
        time.sleep(0.005)
    spool.close()
    ended_s = time.monotonic()
    while segments(state / "spool"):
        lags.append(_state(state)["lag_s"])
        if time.monotonic() > ended_s + 120:
            raise BenchError("the meter does not empty the spool")
        time.sleep(0.05)
    return max(lags), time.monotonic() - ended_s, entered


def _state(state: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((state / "spool" / "meter.json").read_bytes())
    except FileNotFoundError:
        return {"lag_s": 0.0}
    return told


def keeping_up_rows(state: Path) -> list[Row]:
    """Whether the meter keeps up, at a rate that one core of calls does not reach."""
    lag_s, after_s, entered = keeping_up(state)
    what = f"lag of the ledger, longest, at {PER_S:,} entries a second for {FOR_S} s ({entered:,} in all)"
    shown = f"{lag_s:.1f} s; empty {after_s:.1f} s after the last"
    return [Row(what, "", shown, "", f"<= {GOAL_LAG_S:.0f} s", max(lag_s, after_s) <= GOAL_LAG_S)]

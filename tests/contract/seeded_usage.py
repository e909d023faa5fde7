"""A ledger with some weeks of made-up calls, and what they add up to in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rig.entries import an_entry

from gateway.embedded.clickhouse import Engine
from gateway.ledger.entries import Entry, reversal_of
from gateway.protocols import UsageStore
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import place_of

NOW = int(datetime(2026, 11, 21, 19, 34, 56, tzinfo=UTC).timestamp())
DAY = 86_400
TENANTS = ("acme", "globex", 'initech\'s \\ "€"')
_ROUTES = {"fast": "gpt-5-mini", "smart": "gpt-5", "own": "llama-4"}
_BACKENDS = {"gpt-5-mini": ("openai", "azure"), "gpt-5": ("openai", "azure"), "llama-4": ("cluster",)}
_RATES = {"gpt-5-mini": 250_000_001, "gpt-5": 1_250_000_003, "llama-4": 70_000_007}


def calls_of(seed: int, count: int, days: int = 16) -> list[Entry]:
    """Some calls before `NOW`: failures, fallbacks, hedges, copies, corrections, refusals among them."""
    draw = random.Random(seed)
    entries = list[Entry]()
    for number in range(count):
        entries += _a_call(draw, f"call_{seed}_{number:06d}", days)
    return entries


def _a_call(draw: random.Random, call: str, days: int) -> Iterator[Entry]:
    route = draw.choice(list(_ROUTES))
    model = _ROUTES[route]
    tenant = draw.choice(TENANTS)
    told: dict[str, Any] = {
        "call": call,
        "time": (NOW - draw.randrange(days * DAY)) * 1000 + draw.randrange(1000),
        "tenant": tenant,
        "team": draw.choice(("", "red", "blue")),
        "key": f"key-{draw.randrange(5)}",
        "user": draw.choice(("", *(f"user-{number}" for number in range(20)))),
        "conversation": draw.choice(("", *(f"{tenant}-{number}" for number in range(60)))),
        "route": route,
        "asked_model": route,
        "stream": draw.random() < 0.5,
        "decision": f"{route}: all",
    }
    fate = draw.random()
    if fate < 0.05:
        yield an_entry(
            **told,
            attempt=0,
            attempts=0,
            status=429,
            ending="refused",
            error="budget_exceeded",
            confidence="",
        )
        return
    backend, *others = draw.sample(_BACKENDS[model], len(_BACKENDS[model]))
    if fate < 0.2:
        waste, cause = draw.choice(
            (("failed", "upstream_failed"), ("hedged", ""), ("failed", "upstream_timeout"))
        )
        lost = _used(draw, model) | {"backend": backend, "model": model}
        yield an_entry(**told, **lost, calls=0, waste=waste, cause=cause)
        backend = others[0] if others else backend
        last = {"attempt": 2, "why": draw.choice(("next", "fallback", "hedge"))}
    else:
        last = {}
    if fate > 0.97:
        last |= {"ending": "failed", "status": 502, "error": "upstream_failed", "cause": "upstream_failed"}
        last |= {"waste": "failed"}
    elif fate > 0.93:
        last |= {"ending": "client_gone", "status": 499, "error": "client_gone", "waste": "cancelled"}
    entry = an_entry(**told, **_used(draw, model), **_times(draw), backend=backend, model=model, **last)
    yield entry
    if fate > 0.9:
        yield reversal_of(entry)
        again = {"entry": "rebooking", "revision": 1, "price": "v2"}
        yield msgspec.structs.replace(entry, **again, cost=entry.cost + 7, cost_input=entry.cost_input + 7)
    if 0.3 < fate < 0.35:
        copy = told | {
            "call": f"{call}s",
            "made_for": call,
            "purpose": "shadow",
            "calls": 0,
            "waste": "shadow",
        }
        yield an_entry(**copy, **_used(draw, model), backend="cluster", model="llama-4")


def _used(draw: random.Random, model: str) -> dict[str, Any]:
    rate = _RATES[model]
    cached, written, fresh = draw.randrange(0, 3000), draw.randrange(0, 300), draw.randrange(1, 4000)
    thought, said = draw.randrange(0, 500), draw.randrange(1, 900)
    costs = {
        "cost_input": fresh * rate,
        "cost_cached": cached * rate // 10,
        "cost_cache_write": written * rate * 5 // 4,
        "cost_output": said * rate * 8,
        "cost_reasoning": thought * rate * 8,
        "cost_other": draw.choice((0, 0, 10**12 + 1)),
    }
    return costs | {
        "input_tokens": fresh + cached + written,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": written // 2,
        "output_tokens": said + thought,
        "reasoning_tokens": thought,
        "cost": sum(costs.values()),
        "saved": cached * (rate - rate // 10) - written * (rate // 4),
        "price": "v1" if model != "llama-4" or draw.random() < 0.9 else "",
        "confidence": draw.choice(("reported", "reported", "counted", "estimated")),
    }


def _times(draw: random.Random) -> dict[str, Any]:
    first = draw.lognormvariate(6, 0.6)
    return {
        "first_token_ms": draw.choice((None, first)),
        "attempt_ms": first * 1.1,
        "total_ms": first + draw.lognormvariate(8, 0.7),
        "output_per_s": draw.choice((None, draw.uniform(20, 150))),
    }


def fill(store: UsageStore, entries: Sequence[Entry]) -> None:
    for place in range(0, len(entries), 1000):
        rows = [msgspec.structs.astuple(entry) for entry in entries[place : place + 1000]]
        store.insert("ledger", Entry.__struct_fields__, rows, f"seed-{place}")


@contextmanager
def opened_ledger(state_dir: Path) -> Iterator[ClickHouse]:
    """The embedded engine with empty tables, and the client of it."""
    engine = Engine(state_dir)
    engine.start()
    store = ClickHouse(lambda: place_of(state_dir))
    try:
        engine.wait_ready(120)
        store.migrate()
        yield store
    finally:
        store.close()
        engine.stop()


# Plain sums


def usd(femto: int) -> Decimal:
    return Decimal(femto).scaleb(-15)


def total(entries: Iterable[Entry], name: str, where: Callable[[Entry], bool] = lambda _: True) -> int:
    return sum(getattr(entry, name) for entry in entries if where(entry))


def is_error(entry: Entry) -> bool:
    return entry.ending in {"failed", "broken", "bug"}


def measures(entries: Sequence[Entry]) -> dict[str, Any]:
    """All but the quantiles."""
    tokens = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
    good = {one.conversation for one in entries if one.ending == "finished" and one.calls == 1}
    return {
        "calls": total(entries, "calls"),
        "errors": total(entries, "calls", is_error),
        "refused": total(entries, "calls", lambda one: one.ending == "refused"),
        "attempts": total(entries, "attempts"),
        **{name: total(entries, name) for name in tokens},
        "cost_usd": usd(total(entries, "cost")),
        "saved_usd": usd(total(entries, "saved")),
        "wasted_usd": usd(total(entries, "cost", lambda one: bool(one.waste))),
        "users": about(len({one.user for one in entries} - {""})),
        "conversations": about(len({one.conversation for one in entries} - {""})),
        "good_conversations": about(len(good - {""})),
    }


def about(count: int) -> Any:
    """How many of something are there, as the rollups know it: 12 bits have an error of 1.6 %."""
    return pytest.approx(count, rel=0.06, abs=1)


def grouped(entries: Iterable[Entry], key: Callable[[Entry], Any]) -> dict[Any, list[Entry]]:
    groups = dict[Any, list[Entry]]()
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return groups


def is_quantile(value: float | None, samples: Sequence[float], level: float, slack: float = 0.06) -> bool:
    """Whether a value is where a quantile is, give or take some of the samples."""
    if not samples:
        return value is None
    assert value is not None
    below = sum(sample < value - 0.06 for sample in samples) / len(samples)
    upto = sum(sample <= value + 0.06 for sample in samples) / len(samples)
    slack = max(slack, 1.5 / len(samples))
    return below <= level + slack and upto >= level - slack

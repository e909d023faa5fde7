"""Say what became of the demo's calls, and book it: entries of the ledger as real calls have them. Pure.

Prices come from whoever knows them; that one of them changes in the middle is the demo's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from math import exp
from typing import Any

import msgspec

from gateway.exchange.price import Cost, Price, Rates, Schedule
from gateway.exchange.usage import Origin, Usage
from gateway.finops.demo.traffic import DAY_MS, HOUR_MS, Chance, Plan, Sketch, sketches
from gateway.finops.demo.world import DEARER, OUTAGE, OWN, SOURCE, TENANTS, Model
from gateway.ledger.entries import MEASURES, Entry, Waste

PriceOf = Callable[[str, str, str], Price | None]
"""The price of a model, by backend, provider and name; None: none is known."""

PRICED = f"{SOURCE}:"
"""How versions of prices of the demo begin, so that they can be told from those of real calls."""

_OWN_RATES = Rates.plain(90_000_000, 350_000_000)
_CAUSES = (
    ("upstream_overloaded", 529, 0.4),
    ("upstream_rate_limited", 429, 0.3),
    ("upstream_timeout", 504, 0.2),
    ("upstream_failed", 500, 0.1),
)
_OUTAGE_DAYS_AGO, _OUTAGE_AT_H, _OUTAGE_H, _OUTAGE_FAILS = 6, 15, 2.5, 0.7
_BREAKS, _LEAVES, _SHADOWED, _REFUSED = 0.006, 0.03, 0.04, 0.012
_DEARER = 1.25
_FEMTO = 10**15
_NOTHING = Usage()
_NONE = {name: 0 for name in MEASURES if name not in {"calls", "attempts"}}
_SHORTEST_S = 0.05
"""What takes less time to generate has no speed."""


class _Try(msgspec.Struct):
    """One attempt at a model, and what came of it."""

    model: Model
    why: str = "first"
    usage: Usage = _NOTHING
    waste: Waste = ""
    cause: str = ""
    first_token_ms: float | None = None
    attempt_ms: float = 0.0
    purpose: str = "call"


class _End(msgspec.Struct):
    """How a call ended."""

    status: int = 200
    ending: str = "finished"
    error: str = ""
    finish: str = "stop"


class Prices:
    """The demo's prices, and which of them it used."""

    def __init__(self, price_of: PriceOf, changes_ms: int) -> None:
        self._price_of, self._changes_ms = price_of, changes_ms
        self._known: dict[tuple[str, bool], Price | None] = {}
        self.used: dict[str, tuple[Model, Price]] = {}

    def at(self, model: Model, time_ms: int) -> Price | None:
        """Return the price of a model at a time, named as the demo's."""
        later = model is DEARER and time_ms >= self._changes_ms
        where = (f"{model.backend}/{model.name}", later)
        if where not in self._known:
            price = Price.flat("", _OWN_RATES) if model is OWN else None
            if model.provider:
                price = self._price_of(model.backend, model.provider, model.name)
            self._known[where] = price and self._named(model, _dearer(price) if later else price)
        return self._known[where]

    def _named(self, model: Model, price: Price) -> Price:
        digest = sha256(msgspec.json.encode((price.standard, price.tiers))).hexdigest()[:8]
        price = msgspec.structs.replace(price, version=f"{PRICED}{model.backend}/{model.name}@{digest}")
        self.used[price.version] = (model, price)
        return price


def entries(plan: Plan, prices: Prices) -> Iterator[Entry]:
    """Yield the demo's entries, in the order of time."""
    chance = Chance(plan.seed + 1)
    outage_ms = plan.until_ms - _OUTAGE_DAYS_AGO * DAY_MS
    outage_ms += _OUTAGE_AT_H * HOUR_MS - outage_ms % DAY_MS
    last_ms = plan.until_ms - 1
    for sketch in sketches(plan):
        failing = OUTAGE if outage_ms <= sketch.time < outage_ms + _OUTAGE_H * HOUR_MS else ""
        tries, end = _refused(chance) if chance.random() < _REFUSED else _tried(sketch, failing, chance)
        begun = sketch.time
        spent_ms = sum(one.attempt_ms for one in tries if one.waste != "hedged" and one.purpose == "call")
        sketch.time = min(begun + int(spent_ms), last_ms)
        queue_ms = round(chance.expovariate(1.2), 2)
        yield from _booked(sketch, tries, end, prices, queue_ms)


def changes_ms(plan: Plan) -> int:
    """Return when the price changes: at the beginning of the day in the middle."""
    middle = (plan.since_ms + plan.until_ms) // 2
    return middle - middle % DAY_MS


def budgets(spent: Mapping[str, int]) -> dict[str, int]:
    """Return budgets in whole dollars that are nearly used, by what tenants have spent in femto-USD."""
    used = {tenant.name: tenant.budget_used for tenant in TENANTS}
    return {name: max(1, round(cost / _FEMTO / used[name])) for name, cost in sorted(spent.items())}


def _dearer(price: Price) -> Price:
    return Price.flat("", _scaled(price.standard, _DEARER))


def _scaled(schedule: Schedule, by: float) -> Rates:
    # Of whole thousands, so that a price per million tokens stays a short number.
    rates = msgspec.structs.asdict(schedule.rates)
    return Rates(**{name: round(rate * by / 1000) * 1000 for name, rate in rates.items()})


def _refused(chance: Chance) -> tuple[list[_Try], _End]:
    if chance.random() < 0.7:
        return [], _End(429, "refused", "rate_limit_exceeded", "")
    return [], _End(402, "refused", "budget_exceeded", "")


def _tried(sketch: Sketch, failing: str, chance: Chance) -> tuple[list[_Try], _End]:
    """Try the targets in turn, as the gateway would; gives what happened, and how the call ended."""
    way, tries = sketch.way, []
    hedged = len(way.targets) > 1 and chance.random() < way.hedges
    for at, model in enumerate(way.targets):
        why = "first" if at == 0 else "hedge" if hedged else "next" if at == 1 else "fallback"
        fails = _OUTAGE_FAILS if model.backend == failing else model.fails
        if chance.random() < fails:
            tries.append(_failed(model, why, chance))
            continue
        done = _answered(sketch, model, why, chance)
        if hedged and at == 0:
            done.waste = "hedged"
            done.usage = _cut(done.usage, chance.random())
            tries.append(done)
            continue
        tries.append(done)
        end = _ended(sketch, done, chance)
        if way.shadow is not None and chance.random() < _SHADOWED:
            shadow = _answered(sketch, way.shadow, "first", chance)
            shadow.waste, shadow.purpose = "shadow", "shadow"
            tries.append(shadow)
        return tries, end
    if tries[-1].waste == "hedged":  # nothing was faster: it is the answer after all
        tries[-1].waste = ""
        return tries, _End()
    cause = tries[-1].cause
    status = next(status for name, status, _ in _CAUSES if name == cause)
    return tries, _End(status, "failed", cause, "")


def _failed(model: Model, why: str, chance: Chance) -> _Try:
    cause = chance.choices([name for name, _, _ in _CAUSES], [share for _, _, share in _CAUSES])[0]
    took = 30_000.0 if cause == "upstream_timeout" else 120 * exp(chance.gauss(0, 0.5))
    return _Try(model, why, waste="failed", cause=cause, attempt_ms=took)


def _answered(sketch: Sketch, model: Model, why: str, chance: Chance) -> _Try:
    way = sketch.way
    fresh = max(int(way.input_tokens * exp(chance.gauss(0, 0.55))), 8)
    known = sketch.known_tokens
    cached = written = 0
    if model.caches and sketch.turn and known > 1024 and chance.random() < 0.85:
        cached = known - known % 128
    if model.caches == "reads and writes" and way.talks:
        written = min(fresh, 2048) if fresh + known > 1024 else 0
    output = max(int(way.output_tokens * exp(chance.gauss(0, 0.6))), 1) if way.output_tokens else 0
    thought = int(output * model.reasons * exp(chance.gauss(0, 0.7))) if model.reasons else 0
    usage = Usage(fresh + known, output + thought, cached, written, reasoning_tokens=thought)
    first = model.first_token_ms * exp(chance.gauss(0, 0.35)) * (1 + (usage.input_tokens - cached) / 60_000)
    rest = (
        usage.output_tokens / (model.output_per_s * exp(chance.gauss(0, 0.15))) if model.output_per_s else 0.0
    )
    return _Try(model, why, usage, first_token_ms=first, attempt_ms=first + rest * 1000)


def _ended(sketch: Sketch, done: _Try, chance: Chance) -> _End:
    """Say how the call ends that was answered: sometimes its client leaves, sometimes the stream breaks."""
    if not sketch.stream:
        return _End()
    luck = chance.random()
    if luck < _LEAVES:
        done.waste, done.usage = "cancelled", _cut(done.usage, chance.random())
        done.attempt_ms *= 0.5
        return _End(499, "client_gone", "client_gone", "")
    if luck < _LEAVES + _BREAKS:
        done.waste, done.cause = "failed", "stream_broken"
        done.usage = _cut(done.usage, chance.random(), "estimated")
        return _End(200, "broken", "stream_broken", "")
    return _End(finish="length" if luck > 0.985 else "stop")


def _cut(usage: Usage, share: float, origin: Origin = "counted") -> Usage:
    """Return what was used until it was cut; nobody tells what was cached or thought of it."""
    return Usage(usage.input_tokens, int(usage.output_tokens * share), origin=origin)


def _booked(sketch: Sketch, tries: list[_Try], end: _End, prices: Prices, queue_ms: float) -> Iterator[Entry]:
    answers = [at for at, one in enumerate(tries) if one.purpose == "call"]
    speaks = next((at for at in answers if not tries[at].waste), answers[-1] if answers else 0)
    total_ms = sum(tries[at].attempt_ms for at in answers if tries[at].waste != "hedged")
    for at, one in enumerate(tries or [None]):
        yield _entry(sketch, (at, one), end, prices, (at == speaks, queue_ms, total_ms))


def _entry(
    sketch: Sketch,
    tried: tuple[int, _Try | None],
    end: _End,
    prices: Prices,
    timing: tuple[bool, float, float],
) -> Entry:
    at, one = tried
    speaks, queue_ms, total_ms = timing
    shadow = one is not None and one.purpose == "shadow"
    model = one.model if one else None
    first_ms = one.first_token_ms if one and sketch.stream else None
    generated_s = (one.attempt_ms - first_ms) / 1000 if one and first_ms is not None else 0.0
    return Entry(
        **_whose(sketch, model),
        **_costs(sketch, one, prices),
        call=f"{sketch.call}s" if shadow else sketch.call,
        entry="charge",
        revision=0,
        attempt=1 if shadow else at + 1 if one else 0,
        calls=int(speaks and not shadow),
        attempts=1 if one else 0,
        purpose=one.purpose if one else "call",
        made_for=sketch.call if shadow else "",
        why=one.why if one else "",
        status=200 if shadow else end.status,
        ending="finished" if shadow else end.ending,
        cause=one.cause if one else "",
        error="" if shadow else end.error,
        finish=end.finish if speaks and not shadow else "",
        waste=one.waste if one else "",
        queue_ms=queue_ms if at == 0 else None,
        connect_ms=None,
        first_token_ms=first_ms,
        attempt_ms=one.attempt_ms if one else None,
        total_ms=None if shadow else total_ms if one else 2.0,
        output_per_s=one.usage.output_tokens / generated_s if one and generated_s > _SHORTEST_S else None,
    )


def _whose(sketch: Sketch, model: Model | None) -> dict[str, Any]:
    """Return the columns that say whose call it is, and where it went."""
    way, tenant = sketch.way, sketch.tenant
    into = "messages" if model and model.backend == "anthropic" and way.format == "chat" else ""
    return {
        "time": sketch.time,
        "tenant": tenant.name,
        "team": sketch.team.name,
        "key": sketch.key,
        "user": sketch.user,
        "conversation": sketch.conversation,
        "tags": tenant.tags,
        "route": way.name,
        "rule": "",
        "asked_model": way.name,
        "backend": model.backend if model else "",
        "model": model.name if model else "",
        "answered_model": model.name if model else "",
        "format": way.format,
        "translated_to": into,
        "stream": sketch.stream,
        "cache": "",
        "tier": "",
        "decision": f"{way.name}: {', '.join(f'{m.backend}/{m.name}' for m in way.targets)}",
        "source": SOURCE,
    }


def _costs(sketch: Sketch, one: _Try | None, prices: Prices) -> dict[str, Any]:
    """Return the columns that say what an attempt used, and what that costs."""
    usage = one.usage if one else _NOTHING
    is_used = bool(usage.input_tokens or usage.output_tokens)
    price = prices.at(one.model, sketch.time) if one and is_used else None
    cost = price.cost(usage) if price else Cost()
    return {
        **_NONE,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        **{f"cost_{kind}": amount for kind, amount in zip(Cost._fields, cost, strict=True)},
        "cost": sum(cost),
        "saved": price.saved(usage) if price else 0,
        "price": price.version if price else "",
        "confidence": usage.origin if is_used else "",
    }

"""How the limits of a caller stand: what was taken of each, what is left, and when it is whole again.

Must not know where counters are kept. What workers hold ready for their next calls counts as taken: each at
most a small part of the rest, so that near a limit it is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Told
from gateway.quotas.forecast import ends_at_ms, expected
from gateway.quotas.rules import Dimension, Held, Metric, Rules, Scope

_KNOWN_BY_KEY: tuple[Dimension, ...] = ("team", "user")
"""What a call of a key may have none of."""
_AT_ONCE = 500
"""Counters that are read with one question: a store serves nobody else meanwhile."""


class Forecast(msgspec.Struct, frozen=True, gc=False):
    """Where the money of a period is going."""

    ends_at_ms: int | None
    """When it will be spent (Unix); None: not in this period, or it is too early to tell."""
    expected: int
    """What will have been spent at the end of the period."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """One limit as it stands. Amounts are in what `metric` says."""

    rule: str
    kind: Literal["quota", "budget"]
    metric: Metric
    text: str
    """For people, as the files have it: "60 requests per minute"."""
    limit: int
    revised: bool
    """The limit was set at run time: it is not that of the files."""
    taken: int
    remaining: int
    resets_ms: int | None
    """When all of it is free again, if nothing more is taken (Unix); None: when calls end, or never."""
    per: Mapping[Dimension, str]
    """Whose counter it is; empty: all calls share it that the rule is for."""
    shadow: bool
    """It only measures."""
    forecast: Forecast | None = None


class Bound(msgspec.Struct, frozen=True, gc=False):
    """A limit on the size of each call; None: none."""

    rule: str
    most_prompt_tokens: int | None
    most_output_tokens: int | None
    caps_output: bool
    """A call that asks for more output gets that much; else it is turned away."""


Asked = tuple[Held, Scope]
"""A limit, and whose counter of it is meant."""


async def standing(rules: Rules, scope: Scope, store: QuotaStore) -> list[Standing]:
    """Say how all limits stand that hold for a scope, and take nothing. Raises StoreDown."""
    return await read([(held, scope) for held in concerned(rules, scope)], store)


def bounds(rules: Rules, scope: Scope) -> list[Bound]:
    """Return how large a call of a scope may be."""
    return [
        Bound(rule.name, rule.most_prompt_tokens, rule.most_output_tokens, rule.caps_output)
        for rule in rules.terms(scope).bounds
    ]


def concerned(rules: Rules, scope: Scope) -> list[Held]:
    """Return the limits of which the scope says whose counter is meant.

    What a scope leaves empty is not known. So a rule that is for some routes, models or users only is left
    out unless the scope names one of them, and so is one that counts each of them apart. But one with a key
    and no team, or no user, means calls that have none: they share a counter.
    """
    return [held for held in rules.of(scope) if not unnamed(held, scope)]


def unnamed(held: Held, scope: Scope) -> list[Dimension]:
    """Return what the rule counts apart, and the scope does not name."""
    known = _KNOWN_BY_KEY if scope.key else ()
    return [name for name in held.rule.per if not getattr(scope, name) and name not in known]


async def read(asked: Sequence[Asked], store: QuotaStore) -> list[Standing]:
    """Ask the store how limits stand. Raises StoreDown."""
    now_ms = store.now_ms()
    found: list[Standing] = []
    for i in range(0, len(asked), _AT_ONCE):
        some = asked[i : i + _AT_ONCE]
        verdict = await store.exchange([Ask(held.counter(now_ms)) for held, _ in some])
        found += [_standing(one, told, now_ms) for one, told in zip(some, verdict.told, strict=True)]
    return found


def _standing(asked: Asked, told: Told, now_ms: int) -> Standing:
    held, scope = asked
    rule = held.rule
    return Standing(
        rule=rule.name,
        kind=rule.kind,
        metric=held.line.metric,
        text=held.line.text,
        limit=told.limit,
        revised=told.limit != held.line.meter.limit,
        taken=told.taken,
        remaining=max(told.limit - told.taken, 0),
        resets_ms=_resets_ms(held, told, now_ms),
        per={dimension: getattr(scope, dimension) for dimension in rule.per},
        shadow=rule.shadow,
        forecast=_forecast(held, told, now_ms),
    )


def _resets_ms(held: Held, told: Told, now_ms: int) -> int | None:
    if held.line.meter.kind == "seats" or told.whole_ms < 0:
        return None
    return held.counter(now_ms).ends_ms or now_ms + told.whole_ms


def _forecast(held: Held, told: Told, now_ms: int) -> Forecast | None:
    """Only calendar periods have a beginning from which a pace can be told."""
    period = held.line.period
    if held.rule.kind != "budget" or period is None:
        return None
    starts_ms, ends_ms = period.around(now_ms, held.timezone)
    return Forecast(
        ends_at_ms(told.taken, told.limit, starts_ms, ends_ms, now_ms),
        expected(told.taken, starts_ms, ends_ms, now_ms),
    )

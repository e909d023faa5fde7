"""What operators do with limits while the gateway runs: look, forget what was taken, set another limit.

The same for a command that reaches the store itself and for one that asks the running gateway. A limit that
is set here lasts until its period ends; for good it is changed in the files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.admission.standing import Asked, Standing, concerned, read, unnamed
from gateway.config.located import did_you_mean, quoted
from gateway.protocols import QuotaStore
from gateway.quotas.rules import Rule, Rules, Scope


class Show(msgspec.Struct, frozen=True, gc=False, tag_field="do", tag="show"):
    """Say how all limits stand that hold for these scopes, each counter once."""

    scopes: tuple[Scope, ...]


class Reset(msgspec.Struct, frozen=True, gc=False, tag_field="do", tag="reset"):
    """Forget what was taken of a rule's limits; answers how they stood before.

    Where the scopes have counters apart, it has to be said that `all` of them are meant.
    """

    rule: str
    scopes: tuple[Scope, ...]
    all: bool = False


class Revise(msgspec.Struct, frozen=True, gc=False, tag_field="do", tag="revise"):
    """Let a budget have another limit for a while; answers how it stands then."""

    rule: str
    scopes: tuple[Scope, ...]
    """All with the same counter."""
    limit_nanousd: int | None
    """None: the one of the files again."""
    until_ms: int | None = None
    """Unix time; None: until its period ends, of a rolling one for its length."""


Order = Show | Reset | Revise

_decode = msgspec.json.Decoder(Order).decode


async def perform(order: Order, rules: Rules, store: QuotaStore) -> list[Standing]:
    """Do what was ordered. Raises ValueError where it cannot be done as ordered, StoreDown."""
    await store.exchange(())  # one that was just opened learns what time it is there
    if isinstance(order, Show):
        return await _show(order, rules, store)
    if isinstance(order, Reset):
        return await _reset(order, rules, store)
    return await _revise(order, rules, store)


def operations(
    rules: Callable[[], Rules], store: QuotaStore
) -> dict[str, Callable[[msgspec.Raw], Awaitable[list[Standing]]]]:
    """Return what commands may ask of a running gateway, whose rules `rules` gives as they are then."""

    async def limits(order: msgspec.Raw) -> list[Standing]:
        return await perform(_decode(order), rules(), store)

    return {"limits": limits}


async def _show(order: Show, rules: Rules, store: QuotaStore) -> list[Standing]:
    asked = [(held, scope) for scope in order.scopes for held in concerned(rules, scope)]
    return await read(_once(asked, store.now_ms()), store)


async def _reset(order: Reset, rules: Rules, store: QuotaStore) -> list[Standing]:
    now_ms = store.now_ms()
    asked = _named(_find(order.rule, rules), order.scopes, rules, now_ms)
    if not order.all:
        _check_alone(asked)
    before = await read(asked, store)
    for held, _ in asked:
        await store.reset(held.counter(now_ms).key)
    return before


async def _revise(order: Revise, rules: Rules, store: QuotaStore) -> list[Standing]:
    rule = _find(order.rule, rules)
    if rule.kind != "budget":
        raise ValueError(f"{rule.name} is no budget: change policies/quotas.yaml")
    now_ms = store.now_ms()
    asked = _named(rule, order.scopes, rules, now_ms)
    _check_alone(asked)
    for held, _ in asked:
        counter = held.counter(now_ms)
        until_ms = order.until_ms or counter.ends_ms or now_ms + counter.meter.span_ms
        if until_ms <= now_ms:
            raise ValueError("that time is over")
        if 0 < counter.ends_ms < until_ms:
            raise ValueError("its period ends before that; change policies/budgets.yaml")
        await store.revise(counter.key, order.limit_nanousd, until_ms - now_ms)
    return await read(asked, store)


def _find(name: str, rules: Rules) -> Rule:
    rule = rules.by_name.get(name)
    if rule is None:
        hint = did_you_mean(name, tuple(rules.by_name)) or "policies/quotas.yaml and budgets.yaml have them"
        raise ValueError(f"no rule is called {quoted(name)}; {hint}")
    return rule


def _named(rule: Rule, scopes: Sequence[Scope], rules: Rules, now_ms: int) -> list[Asked]:
    """Return the rule's limits for some scopes. Raises ValueError where they do not say whose are meant."""
    asked = [(held, scope) for scope in scopes for held in rules.of(scope) if held.rule is rule]
    missing = unnamed(*asked[0]) if asked else []
    if missing:
        options = " and ".join(f"--{dimension}" for dimension in missing)
        raise ValueError(f"{rule.name} counts each {' and '.join(missing)} apart: say which with {options}")
    if asked:
        return _once(asked, now_ms)
    if not rule.lines:
        raise ValueError(f"{rule.name} counts nothing")
    whom = ", ".join(scope.tenant for scope in scopes[:5])
    hint = "if it is for some keys, routes, models or users only, name one"
    raise ValueError(f"{rule.name} does not hold for {whom}; {hint}")


def _check_alone(asked: Sequence[Asked]) -> None:
    """Raise ValueError where several counters of one rule are meant."""
    if len({held.prefix for held, _ in asked}) > len(asked[0][0].rule.lines):
        raise ValueError(f"{asked[0][0].rule.name} counts each tenant apart: say which with --tenant")


def _once(asked: Sequence[Asked], now_ms: int) -> list[Asked]:
    """Leave out what was there before: scopes may share counters."""
    return list({held.counter(now_ms).key: (held, scope) for held, scope in asked}.values())

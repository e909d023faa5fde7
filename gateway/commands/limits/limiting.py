"""What `forebay quota` and `forebay budget` have in common: whose limits, asked where, shown how.

Where workers share a Redis, the command asks it; else it asks the running gateway, over the socket in the
state folder.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from gateway.admission.refusals import usd
from gateway.admission.standing import Standing
from gateway.admission.steering import Order, perform
from gateway.commands.explain import printable
from gateway.compose.opening import key_store
from gateway.compose.quotas import open_quotas
from gateway.compose.reading import Config
from gateway.config.located import did_you_mean, quoted
from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.protocols import KeyRecord
from gateway.quotas.rules import Scope
from gateway.server import control

FAILED, REFUSED = 1, 2
_PATIENCE_S, _AGAIN_S = 2.0, 0.2
"""A Redis that is new or has lost its memory needs a second, until all workers have said what they know."""

Perform = Callable[[Order], list[Standing]]
"""Has an order done. Raises StoreDown, NotRunning, ValueError."""


class Reach(msgspec.Struct, frozen=True):
    """What the commands work with."""

    perform: Perform
    tenants: Mapping[str, Caller]
    known_keys: Callable[[], Iterable[KeyRecord]]
    """Those that are known, of the file and of the store."""


def open_reach(config: Config, state: Path) -> Reach:
    """Find out where to ask."""

    def at_the_store(order: Order) -> list[Standing]:
        return asyncio.run(_perform(order, config))

    def at_the_gateway(order: Order) -> list[Standing]:
        return msgspec.json.decode(control.ask(state, "limits", order), type=list[Standing])

    def known_keys() -> Iterable[KeyRecord]:
        yield from config.tenants.keys
        store = key_store(config, state)
        try:
            store.migrate()
            yield from store.list()
        finally:
            store.close()

    is_shared = bool(config.resolved.server.redis_url)
    return Reach(at_the_store if is_shared else at_the_gateway, config.tenants.tenants, known_keys)


async def _perform(order: Order, config: Config) -> list[Standing]:
    """Ask the store, for a while also one that is just coming up. Raises StoreDown."""
    store = open_quotas(config)
    give_up_s = time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                return await perform(order, config.limits, store)
            except StoreDown:
                if time.monotonic() > give_up_s:
                    raise
            await asyncio.sleep(_AGAIN_S)
    finally:
        await store.close()


def run(act: Callable[[], str], name: str, out: TextIO) -> int:
    """Write what a command says; gives the exit status: 0, 1 (nobody answers) or 2 (refused)."""
    try:
        out.write(act())
    except (StoreDown, control.NotRunning) as error:
        sys.stderr.write(f"forebay {name}: {error}\n")
        return FAILED
    except ValueError as refusal:
        sys.stderr.write(f"forebay {name}: {refusal}\n")
        return FAILED if isinstance(refusal, control.Refused) and refusal.is_down else REFUSED
    return 0


def scope_of(args: argparse.Namespace, reach: Reach) -> Scope:
    """Say whose limits are meant. Raises ValueError for what there is not."""
    tenant, team = args.tenant, args.team
    if args.key:
        known = next((key for key in reach.known_keys() if key.id == args.key), None)
        if known is not None:
            if tenant and tenant != known.tenant:
                raise ValueError(f"{args.key} is a key of tenant {known.tenant}, not of {tenant}")
            tenant, team = known.tenant, known.team
        elif not tenant:
            raise ValueError(
                f"no key has the id {quoted(args.key)}; of a token's subject, name the tenant too"
            )
    caller = reach.tenants.get(tenant)
    if caller is None:
        what = f"there is no tenant {quoted(tenant)}" if tenant else "say of which tenant, with --tenant"
        hint = did_you_mean(tenant, tuple(reach.tenants))
        raise ValueError(f"{what}; {hint}" if hint else what)
    return Scope(tenant, team, args.key, args.user, args.route, args.model, caller.tags, caller.timezone)


def scopes_of(args: argparse.Namespace, reach: Reach) -> tuple[Scope, ...]:
    """Return the scope that is named, else one for each tenant."""
    if args.tenant or args.key:
        return (scope_of(args, reach),)
    return tuple(
        Scope(name, args.team, "", args.user, args.route, args.model, caller.tags, caller.timezone)
        for name, caller in reach.tenants.items()
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows in columns below their titles."""
    lines = [tuple(titles), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def as_json(standings: Sequence[Standing]) -> str:
    """Write how limits stand for programs."""
    return msgspec.json.format(msgspec.json.encode(standings)).decode() + "\n"


def limit(standing: Standing) -> str:
    """Name a limit, also one that was set at run time."""
    if not standing.revised:
        return standing.text
    return f"{amount(standing, standing.limit)} instead of {standing.text}"


def amount(standing: Standing, number: int) -> str:
    """Write an amount of what a limit counts."""
    return usd(number) if standing.metric == "nanousd" else f"{number:,}"


def moment(unix_ms: int | None) -> str:
    """Write a time; a dash for one that nobody knows."""
    return "-" if unix_ms is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(-(-unix_ms // 1000)))


def whose(standing: Standing) -> str:
    """Name whom a counter is for."""
    return ", ".join(f"{name} {printable(value) or '-'}" for name, value in standing.per.items()) or "all"


def remark(standing: Standing) -> str:
    """Say what is special about a limit."""
    return "only measures" if standing.shadow else ""

"""Send copies of calls to a target on trial: nobody waits for its answers, and nobody sees them.

A copy is a call of its own in the books, marked as such. It never slows the call that it copies: it begins
after that one was accepted, and beyond a few at a time none begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from difflib import SequenceMatcher
from time import monotonic

import msgspec

from gateway.attempts.asking import ask
from gateway.errors import GatewayError
from gateway.exchange import Call, Moment, Record
from gateway.routing.budgets import Allowance
from gateway.routing.choice import choose
from gateway.routing.plans import Plan
from gateway.routing.routes import Retry, Shadow, Way

MOST_AT_ONCE = 32
_COMPARED_WORDS = 500

log = logging.getLogger("forebay")

_ONCE = Retry(0, 0.0, 0.0, 0.0, Allowance(0))


class Shadows:
    """The copies under way in one worker; `settle` enters each that has ended."""

    def __init__(self, settle: Callable[[Record], None]) -> None:
        self._settle = settle
        self._running: set[asyncio.Task[None]] = set()

    def cast(self, call: Call, plan: Plan, record: Record) -> None:
        """Send a copy of `call`, which `plan` has a shadow for, if it is drawn."""
        shadow = plan.way.shadow
        if shadow is None or Moment.now().draw() >= shadow.share or len(self._running) >= MOST_AT_ONCE:
            return
        if shadow.compare:  # the original may have ended before the copy begins
            record.when_settled = asyncio.Event()
        task = asyncio.create_task(self._copy(call, plan, shadow, record))
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Give up what still runs."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("internal error", exc_info=error)

    async def _copy(self, call: Call, plan: Plan, shadow: Shadow, original: Record) -> None:
        copy = Record(f"{original.call_id}-shadow", call.format, monotonic())
        copy.purpose, copy.made_for = "shadow", original.call_id
        copy.tenant, copy.key, copy.class_ = original.tenant, original.key, original.class_
        copy.trace = None if original.trace is None else original.trace.child()
        copy.model, copy.route = original.model, original.route
        copy.stream, copy.call = original.stream, call
        try:
            text = await ask(call, _only(plan, shadow), copy)
            if original.when_settled is not None:
                await original.when_settled.wait()
                copy.likeness = await asyncio.to_thread(_likeness, text, _said(original))
        except GatewayError as error:
            copy.error, copy.status = error, error.status
        except asyncio.CancelledError:  # nobody wants it any more
            copy.ending = "client_gone"
            raise
        finally:
            self._settle(copy)


def _only(plan: Plan, shadow: Shadow) -> Plan:
    """Plan for the shadow's target alone, once. What its data may not do, a copy may not either."""
    way = Way((shadow.target,), plan.way.strategy, plan.way.limits, _ONCE)
    choice = choose(way.targets, way.strategy, plan.demand, Moment.now())
    return msgspec.structs.replace(plan, way=way, choice=choice, memory=None)


def _said(record: Record) -> str:
    """Return what the client of a call was answered."""
    return next((one.transcript() for one in record.attempts if not one.cause and one.transcript), "")


def _likeness(one: str, other: str) -> float:
    """Say how alike two answers are, 0 to 1, by their words, as far as their beginnings tell."""
    return SequenceMatcher(None, one.split()[:_COMPARED_WORDS], other.split()[:_COMPARED_WORDS]).ratio()

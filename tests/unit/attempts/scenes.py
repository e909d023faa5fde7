"""Upstreams that play scripts, on a clock that skips: what one attempt after the other is tested with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec
from rig import chat
from rig.script import sse
from unit.stand_ins import JSON_TYPE, SECRET, SSE_TYPE, WHOLE, candidate, plan_of
from unit.stand_ins import call as call_of
from unit.upstream import skipping

from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from gateway.attempts.outcome import Outcome
from gateway.attempts.resuming import resume_of
from gateway.attempts.trip import Trip
from gateway.config.reliability import ConcurrencySpec
from gateway.errors import Broken, ConnectFailed
from gateway.exchange import Call, Credential, Facts, Flight, Record, Request, Timeouts
from gateway.protocols import Sending
from gateway.routing.budgets import Allowance
from gateway.routing.health.health import BreakerSettings, Health
from gateway.routing.plans import Plan
from gateway.routing.routes import Candidate, Deployment, Retry, Site, Step, Target
from gateway.stages.relay import relay
from gateway.upstream.access import unsigned
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.credentials import CredentialsInTurn
from gateway.upstream.pacing import QueueGate
from gateway.upstream.watchdog import Watchdog

T = TypeVar("T")

HANG = 1e9
"""A pause that nobody waits for."""
EMPTY = json.dumps(chat.completion(content="")).encode()
EMPTY_STREAM = sse(chat.chunk({"role": "assistant", "content": ""}), chat.chunk({}, "stop"))
CUT = Broken("the upstream's answer was cut")
TIMES = Timeouts(connect_s=5, first_byte_s=120, gap_s=60, total_s=900)
_CLOCKED = ("trip", "opening", "holding", "shadowing", "substitutes")

Step_ = bytes | float | BaseException


class Script:
    """An answer: after `before_s` its head, then its steps: bytes, pauses in seconds, errors."""

    def __init__(self, *steps: Step_, status: int = 200, headers: Any = None, before_s: float = 0.0) -> None:
        streamed = any(isinstance(step, bytes) and step.startswith(b"data:") for step in steps)
        self.steps, self.status, self.before_s = steps, status, before_s
        self.headers = headers or (SSE_TYPE if streamed else JSON_TYPE)


def refusal(status: int, message: str = "no", **headers: str) -> Script:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Script(json.dumps(chat.error(message)).encode(), status=status, headers=[*JSON_TYPE, *lines])


class Upstream:
    """A target of its own, which plays its scripts in turn, the last one again and again.

    It knows when each attempt came, and which of its answers are open.
    """

    def __init__(self, name: str, *scripts: Script | BaseException, **settings: Any) -> None:
        self.name = name
        self.scripts = list(scripts) or [Script(WHOLE)]
        self.sent_s: list[float] = []
        self.shown: list[str] = []
        self.sent: list[Request] = []
        self.open = 0
        self.health = Health(settings.get("breaker", BreakerSettings(consecutive=1000, min_calls=10_000)))
        spec: ConcurrencySpec | None = settings.get("places")
        clock_s = asyncio.get_running_loop().time
        self.gate = None if spec is None else QueueGate(name, spec, clock_s)
        names = [f"{name}#{n}" for n in range(settings.get("credentials", 1))]
        credentials = CredentialsInTurn([Credential(one, SECRET + one) for one in names], clock_s)
        facts = settings.get("facts", Facts(prefill=True))
        self.cost_nanousd: int | None = settings.get("cost_nanousd")
        deployment = cache(lambda model: Deployment(site, model, self.health, facts, settings.get("price")))
        host = Host(f"http://{name}/v1", formats=settings.get("formats", ("chat",)))
        backend = OpenAICompatible(name, host)
        times = settings.get("timeouts", TIMES)
        site = Site(backend, self, credentials, unsigned, times, 10_000, 10_000, deployment, self.gate)
        self.target = Target(site, settings.get("model", "m"))

    @property
    def candidate(self) -> Candidate:
        return msgspec.structs.replace(candidate(self.target), cost_nanousd=self.cost_nanousd)

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> WatchedAnswer:
        self.sent_s.append(asyncio.get_running_loop().time())
        self.shown.append(str(dict(request.headers)))
        self.sent.append(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        watchdog = Watchdog(timeouts)
        watchdog.expect("the first byte", timeouts.first_byte_s)
        if not isinstance(script, ConnectFailed):
            sending.sent()
        if isinstance(script, BaseException):
            watchdog.stop()
            raise script
        try:
            await asyncio.sleep(script.before_s)
        except asyncio.CancelledError:
            late = watchdog.verdict()
            watchdog.stop()
            raise late or asyncio.CancelledError from None
        return self._answer(script, watchdog, timeouts.gap_s)

    def _answer(self, script: Script, watchdog: Watchdog, gap_s: float) -> WatchedAnswer:
        steps = list(script.steps)
        opened = [True]
        self.open += 1

        async def pull() -> bytes:
            while steps:
                step = steps[0]
                if isinstance(step, bytes):
                    await asyncio.sleep(0)
                    steps.pop(0)
                    return step
                if isinstance(step, BaseException):
                    raise step
                await asyncio.sleep(float(step))
                steps.pop(0)
            return b""

        def drop() -> None:
            if opened:
                opened.clear()
                self.open -= 1

        return WatchedAnswer(script.status, script.headers, pull, drop, watchdog, gap_s)

    async def close(self) -> None:
        """Nothing is open."""

    def assert_idle(self) -> None:
        """Whatever was begun was ended, once."""
        assert self.open == 0, f"{self.name} has open answers"
        assert self.health.in_flight == 0, f"{self.name} has visits under way"
        assert self.gate is None or self.gate.inside == self.gate.waiting == 0


def retrying(attempts: int = 1, **settings: Any) -> Retry:
    given = {"backoff_s": 1.0, "max_backoff_s": 8.0, "max_retry_after_s": 10.0, **settings}
    return Retry(attempts, allowance=given.pop("allowance", Allowance(1.0)), **given)


def step_to(*upstreams: Upstream, on: Sequence[Any] = ()) -> Step:
    return Step(frozenset(on), tuple(one.target for one in upstreams))


def call(**members: Any) -> Call:
    return call_of(**members)


def plan(of: Call, *upstreams: Upstream, **settings: Any) -> Plan:
    return plan_of(of, *(one.candidate for one in upstreams), **settings)


def record() -> Record:
    return Record("call_1", "chat", asyncio.get_running_loop().time())


async def opened(of: Call, planned: Plan, into: Record) -> Outcome:
    """Do what the stage does."""
    trip = Trip(of, planned, into)
    outcome = await trip.run()
    if outcome.opened is not None:
        outcome.resume = resume_of(trip)
    return outcome


async def answered(of: Call, planned: Plan, into: Record) -> bytes:
    """Return all that the client gets."""
    task = asyncio.current_task()
    assert task is not None
    reply = relay(await opened(of, planned, into), into, Flight(task.cancel))
    if isinstance(reply.body, bytes):
        return reply.body
    return b"".join([piece async for piece in reply.body])


def causes(of: Record) -> list[tuple[str, str, str]]:
    return [(attempt.backend, attempt.why, attempt.cause) for attempt in of.attempts]


def on_skipping_clock(scene: Coroutine[Any, Any, T], *, drawn: float = 1.0) -> T:
    """Play a scene on a clock that skips, where this is drawn for every pause."""

    async def whole() -> T:
        clock = asyncio.get_running_loop().time
        with ExitStack() as stack:
            for name in _CLOCKED:
                stack.enter_context(patch(f"gateway.attempts.{name}.monotonic", clock))
            stack.enter_context(patch("gateway.attempts.trip.random", lambda: drawn))
            return await scene

    return skipping.run(whole())

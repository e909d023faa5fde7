"""What the pipeline's parts stand on in unit tests: upstreams without sockets, and calls made by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from time import monotonic
from typing import Any, TextIO

import msgspec
from rig import chat
from rig.script import sse

from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from gateway.admission.desk import Desk
from gateway.admission.entrance import Entrance
from gateway.admission.notes import notes
from gateway.api.calls import WANTED
from gateway.attempts.remembered import Remembered
from gateway.attempts.shadowing import Shadows
from gateway.config.signals import SensitivitySpec
from gateway.errors import ConnectFailed, StoreDown
from gateway.exchange import Call, Caller, Credential, Flight, Format, Record, Request, Timeouts
from gateway.finops.budgets.telling import Budgets
from gateway.finops.questions import Questions
from gateway.finops.statement.asking import Statements
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.protocols import Sending
from gateway.quotas.counting import Told
from gateway.quotas.estimates import Estimates
from gateway.quotas.rules import Held, Rule, Rules
from gateway.routing.budgets import Allowance
from gateway.routing.choice import Choice, Demand
from gateway.routing.health.health import Health
from gateway.routing.plans import Plan, Routing
from gateway.routing.routes import Candidate, Deployment, Limits, Retry, Route, Site, Target, Way
from gateway.routing.sensitivity import Sensitivity
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.signals import Signals
from gateway.routing.strategies import as_written
from gateway.routing.table import Routes
from gateway.runtime import Runtime
from gateway.server.flights import Flights
from gateway.stages.receive import Intake
from gateway.stores import StoredKey
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.books import Book, Books
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing.head import Head
from gateway.upstream.access import unsigned
from gateway.upstream.credentials import CredentialsInTurn

CALLER = Caller("acme", "key_1", (("*",), ("*",)))
JSON_TYPE = [(b"Content-Type", b"application/json")]
SSE_TYPE = [(b"Content-Type", b"text/event-stream; charset=utf-8")]
WHOLE = json.dumps(chat.completion()).encode()
STREAM = sse(*chat.chunks())
SECRET = "sk-upstream-secret-7Yx2"
READERS = compile_readers({}, SensitivitySpec())
ONCE = Retry(0, 0.0, 0.0, 0.0, Allowance(0))
"""No target is tried twice."""

Piece = bytes | BaseException | Callable[[], Awaitable[bytes]]


class FakeAnswer:
    """An upstream's answer in pieces; an exception among them is raised, a function awaited."""

    def __init__(
        self, pieces: Sequence[Piece] = (WHOLE,), status: int = 200, headers: Any = JSON_TYPE
    ) -> None:
        self.status = status
        self.headers = headers
        self.connect_s = 0.0
        self._pieces = list(pieces)
        self.closed = 0
        self.read_limits: list[int] = []
        self.enough_s: Callable[[], float] | None = None
        """What it may ask since its first token came."""

    async def next_piece(self) -> bytes:
        await asyncio.sleep(0)
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece if isinstance(piece, bytes) else await piece()

    async def read(self, limit_bytes: int, first: bytes = b"") -> bytes:
        self.read_limits.append(limit_bytes)
        pieces = [first]
        while piece := await self.next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    def begun(self, enough_s: Callable[[], float]) -> None:
        self.enough_s = enough_s

    def close(self) -> None:
        self.closed += 1


class FakeTransport:
    """Gives its answers in turn, or raises them; remembers what was sent."""

    def __init__(self, *answers: FakeAnswer | BaseException) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> FakeAnswer:
        await asyncio.sleep(0)
        self.requests.append(request)
        answer = self._answers.pop(0)
        if not isinstance(answer, ConnectFailed):
            sending.sent()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing is open."""


def streaming(*pieces: Piece) -> FakeAnswer:
    return FakeAnswer(pieces or STREAM, headers=SSE_TYPE)


def target(name: str, *answers: FakeAnswer | BaseException, model: str | None = None, **host: Any) -> Target:
    """A target with a backend of this name and these answers; of OpenAI's formats if not said otherwise."""
    settings = {"formats": ("chat", "completions", "embeddings"), **host}
    backend = OpenAICompatible(name, Host(f"http://{name}/v1", **settings))
    credentials = CredentialsInTurn([Credential(f"{name}#1", SECRET)], monotonic)
    deployment = cache(lambda model: Deployment(site, model, Health()))
    site = Site(
        backend, FakeTransport(*answers), credentials, unsigned, Timeouts(), 10_000, 10_000, deployment
    )
    return Target(site, model)


def sent_to(asked: Target) -> list[Request]:
    transport = asked.site.transport
    assert isinstance(transport, FakeTransport)
    return transport.requests


def way(*targets: Target, **settings: Any) -> Way:
    """A way that tries its targets in their order, each once if not said otherwise."""
    given = {"strategy": as_written, "limits": Limits(), "retry": ONCE, **settings}
    return Way(targets, **given)


def route(name: str, *targets: Target, **settings: Any) -> Route:
    """A route; the settings that are a way's are those of its own."""
    own = {key: settings.pop(key) for key in settings.keys() & {*Way.__struct_fields__}}
    return Route(name, way(*targets, **own), **settings)


def routing(*routes: Route) -> Routing:
    return Routing(Routes(routes), READERS, Sensitivity(), Remembered())


UNLIMITED = Limits()


def demand(of: Call, limits: Limits = UNLIMITED) -> Demand:
    return Demand(Signals(of, READERS), limits, Sensitivity())


def candidate(asked: Target, *wires: Format, model: str = "fast") -> Candidate:
    """A target that can take a call of `model`, in these wire formats."""
    return Candidate(asked, asked.site.deployment(asked.model or model), wires or ("chat",))


def plan_of(of: Call, *candidates: Target | Candidate, **settings: Any) -> Plan:
    """A plan for a call, that tries these in their order; of a target, in the chat format."""
    chosen = tuple(candidate(one) if isinstance(one, Target) else one for one in candidates)
    asked = route(of.envelope.model, *(one.target for one in chosen), **settings)
    assert asked.way is not None
    return Plan(asked, asked.way, demand(of, asked.way.limits), Choice(chosen))


class Unwatched:
    """Somebody who does not care how counters stand."""

    def stands(self, held: Held, told: Told) -> None:
        """Hear it."""

    def called(self, caller: Caller, now_s: float) -> None:
        """Hear it."""


def entrance(*rules: Rule) -> Entrance:
    """An entrance with these limits, over counters in memory."""
    desk = Desk(MemoryQuotas(), Unwatched(), workers=1, is_remote=False)
    return Entrance(Rules(rules), desk, Estimates(), notes, None)


class NoLedger:
    """A UsageStore that does not answer."""

    def migrate(self) -> None:
        raise StoreDown("there is no ledger")

    def insert(self, *_: Any) -> None:
        raise StoreDown("there is no ledger")

    def query(self, *_: Any) -> Any:
        raise StoreDown("there is no ledger")

    def export(self, *_: Any) -> Any:
        raise StoreDown("there is no ledger")

    def close(self) -> None:
        """Nothing is open."""


def runtime(keys: Sequence[StoredKey], decided: Routing, books: Books, **parts: Any) -> Runtime:
    """A runtime for calls of these keys, all of the tenant acme."""
    whole = Runtime(
        routing=decided,
        identity=Identity(KeyDirectory(keys, {"acme": Caller("acme", "", (("*",),))}, None)),
        intake=Intake(10_000, 1),
        entrance=entrance(),
        books=books,
        metrics=Metrics(),
        flights=Flights(),
        shadows=Shadows(books.enter),
        questions=Questions(NoLedger()),
        statements=Statements(NoLedger(), {}),
        budgets=Budgets(NoLedger(), MemoryQuotas(), Rules([]), {}),
        head=Head(),
        clean=str,
        classifier=None,
        headers=WANTED,
        parts={},
    )
    return msgspec.structs.replace(whole, **parts)


@asynccontextmanager
async def books_into(
    stream: TextIO,
    count: Callable[[str], int] = len,
    *,
    book: Book | None = None,
) -> AsyncIterator[Books]:
    """Books whose lines are all in the stream at the end."""
    log = AccessLog(stream)
    books = Books(count, (Metrics().observe, log.enter), book)
    try:
        yield books
    finally:
        await books.close()
        log.close()


def call(format_: Format = "chat", caller: Caller = CALLER, headers: Any = None, **members: Any) -> Call:
    """A call as the pipeline has it after the envelope."""
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}], **members}
    opened = decode_members(json.dumps(body).encode())
    return Call(format_, caller, decode_envelope(opened), opened, headers or {})


def record(**fields: Any) -> Record:
    return Record("call_1", "chat", 0.0, **fields)


def flight() -> Flight:
    """A flight that cancels the task that makes it."""
    task = asyncio.current_task()
    assert task is not None
    return Flight(task.cancel)

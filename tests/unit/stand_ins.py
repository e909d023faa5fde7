"""What the pipeline's parts stand on in unit tests: upstreams without sockets, and calls made by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rig import chat
from rig.script import sse

from backends.host import Host
from backends.openai_compatible import OpenAICompatible
from gateway.exchange import Call, Caller, Credential, Flight, Format, Record, Request, Timeouts
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.routing.routes import Course, Deployment, Plan, Route, Target
from gateway.upstream.access import unsigned

CALLER = Caller("acme", "key_1", (("*",), ("*",)))
JSON_TYPE = [(b"Content-Type", b"application/json")]
SSE_TYPE = [(b"Content-Type", b"text/event-stream; charset=utf-8")]
WHOLE = json.dumps(chat.completion()).encode()
STREAM = sse(*chat.chunks())
SECRET = "sk-upstream-secret-7Yx2"

Piece = bytes | BaseException | Callable[[], Awaitable[bytes]]


class FakeAnswer:
    """An upstream's answer in pieces; an exception among them is raised, a function awaited."""

    def __init__(
        self, pieces: Sequence[Piece] = (WHOLE,), status: int = 200, headers: Any = JSON_TYPE
    ) -> None:
        self.status = status
        self.headers = headers
        self._pieces = list(pieces)
        self.closed = 0
        self.read_limits: list[int] = []

    async def next_piece(self) -> bytes:
        await asyncio.sleep(0)
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece if isinstance(piece, bytes) else await piece()

    async def read(self, limit_bytes: int) -> bytes:
        self.read_limits.append(limit_bytes)
        pieces = []
        while piece := await self.next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self.closed += 1


class FakeTransport:
    """Gives its answers in turn, or raises them; remembers what was sent."""

    def __init__(self, *answers: FakeAnswer | BaseException) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []

    async def send(self, request: Request, timeouts: Timeouts) -> FakeAnswer:
        await asyncio.sleep(0)
        self.requests.append(request)
        answer = self._answers.pop(0)
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
    transport = FakeTransport(*answers)
    credential = Credential(f"{name}#1", SECRET)
    deployment = Deployment(backend, transport, lambda: credential, unsigned, Timeouts(), 10_000, 10_000)
    return Target(deployment, model)


def sent_to(asked: Target) -> list[Request]:
    transport = asked.deployment.transport
    assert isinstance(transport, FakeTransport)
    return transport.requests


def route(name: str, *targets: Target, **settings: Any) -> Route:
    return Route(name, targets, **settings)


def plan_of(*targets: Target, wire: Format = "chat", asked: str = "fast", **settings: Any) -> Plan:
    """A plan that tries these targets in their order, in one wire format."""
    courses = tuple(Course(target, target.model or asked, wire) for target in targets)
    return Plan(route(asked, *targets, **settings), courses)


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

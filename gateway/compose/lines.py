"""Open backends, and keep them open from one configuration to the next while their settings stay the same.

What is known of a deployment's health, the connections that are warm, the places that are taken: an edit
elsewhere in the files must not lose them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from pathlib import Path
from random import random

import msgspec

from backends.anthropic import Anthropic
from backends.azure import Azure
from backends.bedrock import Bedrock
from backends.cohere import Cohere
from backends.gemini import Gemini
from backends.host import Host
from backends.mistral import Mistral
from backends.ollama import Ollama
from backends.openai_compatible import OpenAICompatible
from backends.scripted import Scripted, ScriptSpec
from backends.vertex import Vertex
from backends.vertex_anthropic import VertexAnthropic
from gateway.config.files import environment
from gateway.config.located import load
from gateway.config.providers import Provider
from gateway.config.resolve import BackendSettings
from gateway.protocols import Backend, Gate, Transport
from gateway.routing.health.health import BreakerSettings, Health
from gateway.routing.health.sharing import Share
from gateway.routing.routes import About
from gateway.upstream.access import Access, open_access
from gateway.upstream.aiohttp_transport import AiohttpTransport
from gateway.upstream.pacing import QueueGate
from gateway.upstream.probes import follow_probe, probe_of
from gateway.upstream.scripted_transport import ScriptedTransport


def _over_httpx(max_connections: int, connect_s: float) -> Transport:
    from gateway.upstream.httpx_transport import (
        HttpxTransport,
    )  # it takes a tenth of a second, and few want it

    return HttpxTransport(max_connections, connect_s)


_TRANSPORTS: Mapping[str, Callable[[int, float], Transport]] = {
    "aiohttp": AiohttpTransport,
    "httpx": _over_httpx,
}
_PROVIDERS: Mapping[Provider, Callable[[BackendSettings, Host], Backend]] = {
    "openai_compatible": lambda spec, host: OpenAICompatible(spec.name, host),
    "azure": lambda spec, host: Azure(spec.name, host, spec.api_version),
    "anthropic": lambda spec, host: Anthropic(spec.name, host),
    "gemini": lambda spec, host: Gemini(spec.name, host),
    "vertex": lambda spec, host: Vertex(spec.name, host),
    "vertex_anthropic": lambda spec, host: VertexAnthropic(spec.name, host),
    "bedrock": lambda spec, host: Bedrock(spec.name, host),
    "cohere": lambda spec, host: Cohere(spec.name, host),
    "mistral": lambda spec, host: Mistral(spec.name, host),
    "ollama": lambda spec, host: Ollama(spec.name, host),
}
_MODELS_KEPT = 1024
"""Of one backend: where clients choose the model's name, they could choose any number."""

News = Callable[[str, str], None]
"""Told of a deployment's name and its breaker's new state."""
ShareOf = Callable[[str], Share]
"""What the breakers of one deployment share with their likes in other workers."""


class Line(msgspec.Struct, frozen=True):
    """A backend that is open."""

    spec: BackendSettings
    backend: Backend
    transport: Transport
    access: Access
    gate: Gate | None
    health: Callable[[str], Health]
    """Of its deployment of a model."""
    about: About = About()


class _Open(msgspec.Struct, eq=False):
    """A line, how it is closed, and how many configurations have it."""

    line: Line
    closing: AsyncExitStack
    users: int = 0


class Lines:
    """The backends that are open, each as long as a configuration has it."""

    def __init__(self, share_of: ShareOf, news: News) -> None:
        self._share_of = share_of
        self._news = news
        self._open: list[_Open] = []

    def take(self, spec: BackendSettings, folder: Path, stack: AsyncExitStack) -> Line:
        """Return the line to a backend; `stack` gives it back. Raises ConfigErrors."""
        # A script is read when its line is opened: it may have changed.
        known = None if spec.script else next((one for one in self._open if one.line.spec == spec), None)
        if known is None:
            known = _Open(*self._begin(spec, folder))
            self._open.append(known)
        known.users += 1
        stack.push_async_callback(self._give_back, known)
        return known.line

    async def _give_back(self, known: _Open) -> None:
        known.users -= 1
        if not known.users:
            self._open.remove(known)
            await known.closing.aclose()

    def _begin(self, spec: BackendSettings, folder: Path) -> tuple[Line, AsyncExitStack]:
        own = AsyncExitStack()
        backend, transport = _open_backend(spec, folder)
        own.push_async_callback(transport.close)
        access = open_access(spec, environment())
        if access.follow is not None:
            keep(own, access.follow())
        gate = None if spec.concurrency is None else QueueGate(spec.name, spec.concurrency)
        healths = _Healths(spec, self._share_of, self._news)
        if (probe := probe_of(spec)) is not None:
            keep(own, follow_probe(probe, healths.probed, random))
        failure = None if probe is None else lambda: healths.failure
        about = About(spec.provider, spec.preset, lambda: healths.known, failure)
        return Line(spec, backend, transport, access, gate, healths.of, about), own


class _Healths:
    """The healths of one backend's deployments, which come into being with the first call to each."""

    def __init__(self, spec: BackendSettings, share_of: ShareOf, news: News) -> None:
        self._name = spec.name
        self._share_of, self._news = share_of, news
        self._settings = BreakerSettings(**msgspec.structs.asdict(spec.breaker))
        self.failure = ""
        """Why the probe fails; empty: it goes well."""
        self.known: dict[str, Health] = {}
        """By the model's name."""
        self.of = lru_cache(_MODELS_KEPT)(self._begin)

    def _begin(self, model: str) -> Health:
        name = f"{self._name}/{model}"
        health = Health(self._settings, random, lambda state: self._news(name, state), self._share_of(name))
        health.probed(self.failure)
        if len(self.known) >= _MODELS_KEPT:
            self.known.pop(next(iter(self.known)))
        self.known[model] = health
        return health

    def probed(self, failure: str) -> None:
        """Tell all of them how a probe went."""
        self.failure = failure
        for health in self.known.values():
            health.probed(failure)


def _open_backend(spec: BackendSettings, folder: Path) -> tuple[Backend, Transport]:
    if spec.provider == "scripted":
        backend = _scripted(spec, folder)
        return backend, ScriptedTransport(backend.play)
    transport = _TRANSPORTS[spec.transport](spec.max_connections, spec.timeouts.connect_s)
    return speaker(spec, folder), transport


def _scripted(spec: BackendSettings, folder: Path) -> Scripted:
    return Scripted(spec.name, load(folder / spec.script, ScriptSpec, environment()).value)


def speaker(spec: BackendSettings, folder: Path) -> Backend:
    """Return who knows how a backend is spoken to; it sends nothing."""
    if spec.provider == "scripted":
        return _scripted(spec, folder)
    host = Host(
        spec.base_url,
        spec.formats,
        spec.headers,
        ask_usage=spec.stream_usage == "ask",
        output_limit=spec.output_limit,
    )
    return _PROVIDERS[spec.provider](spec, host)


def keep(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Run `work` beside the calls until `stack` closes."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)

"""Ask a backend now and then whether it is well, beside the calls.

Must not know what is done about the answer: whoever starts a probe is told after each try. A probe shows no
credential: what it asks is whether anybody is there, and a 401 says so as well as a 200.

Sources: `/health` of vLLM, SGLang and llama.cpp's server (503 while loading or broken); the lists of models
of the providers' API references (checked 2026-11).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from gateway.config.providers import Provider
from gateway.config.reliability import ProbeSpec
from gateway.config.resolve import BackendSettings

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

_JITTER: Final = 0.1
"""By so much of the interval a probe comes sooner or later: many workers must not ask at once."""
_ENGINES: Final = frozenset({"vllm", "sglang", "llamacpp"})
_HEALTH: Final = "/health"
_MODELS: Final[Mapping[Provider, str]] = {
    "openai_compatible": "/models",
    "mistral": "/models",
    "anthropic": "/v1/models",
    "gemini": "/v1beta/models",
    "cohere": "/v1/models",
    "ollama": "/api/tags",
}
"""Relative to the base URL. Of others its root is asked: an error status is an answer too."""


class Probe(msgspec.Struct, frozen=True):
    """What is asked, of which backend, and how often.

    `headers` are those that every request to it has. `by_proxy`: by the proxy of the environment, if any.
    """

    backend: str
    url: str
    terms: ProbeSpec
    headers: Mapping[str, str] = {}
    by_proxy: bool = False


class Verdict:
    """Whether a backend is well, given how one try after the other went. It begins well."""

    __slots__ = ("_down_after", "_row", "_up_after", "failure")

    def __init__(self, terms: ProbeSpec) -> None:
        self._down_after = terms.down_after
        self._up_after = terms.up_after
        self._row = 0
        """Tries in a row that speak against the verdict."""
        self.failure = ""
        """Why it is down; empty: it is well."""

    def heard(self, failure: str) -> bool:
        """Note how a try went (empty: well). True: the verdict is another one now."""
        if bool(failure) == bool(self.failure):
            self._row = 0
            self.failure = failure
            return False
        self._row += 1
        if self._row < (self._down_after if failure else self._up_after):
            return False
        self._row = 0
        self.failure = failure
        return True


def probe_of(backend: BackendSettings) -> Probe | None:
    """Return how a backend is to be probed; None: not at all."""
    if backend.probe is None or not backend.base_url:
        return None
    by_proxy = backend.transport == "httpx"  # the way that its calls take
    return Probe(backend.name, _url(backend, backend.probe.path), backend.probe, backend.headers, by_proxy)


def _url(backend: BackendSettings, path: str) -> str:
    if path:  # of the host
        parts = urlsplit(backend.base_url)
        return f"{parts.scheme}://{parts.netloc}{path}"
    if backend.preset in _ENGINES or backend.launch:
        return backend.base_url.removesuffix("/v1") + _HEALTH
    return backend.base_url + _MODELS.get(backend.provider, "/")


async def follow_probe(probe: Probe, tell: Callable[[str], None], draw: Callable[[], float]) -> None:
    """Ask until cancelled; `tell` hears after each try why the backend is down, empty: it is well.

    It is told again and again because deployments come into being while calls run. `draw` gives numbers in
    [0, 1).
    """
    import httpx

    verdict = Verdict(probe.terms)
    async with httpx.AsyncClient(
        timeout=probe.terms.timeout_s, trust_env=probe.by_proxy, headers=dict(probe.headers)
    ) as client:
        while True:
            if verdict.heard(await ask(client, probe)):
                _note(probe.backend, verdict.failure)
            tell(verdict.failure)
            await asyncio.sleep(probe.terms.every_s * (1 + _JITTER * (2 * draw() - 1)))


async def ask(client: httpx.AsyncClient, probe: Probe) -> str:
    """Ask once; returns why it failed, empty when somebody is there. The answer's body is not read."""
    import httpx

    try:
        async with asyncio.timeout(probe.terms.timeout_s), client.stream("GET", probe.url) as answer:
            return f"it answers {answer.status_code}" if answer.status_code >= 500 else ""
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer within {probe.terms.timeout_s:g} s"
    except httpx.ConnectError as error:
        return _reason(error)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return type(error).__name__


def _reason(error: BaseException) -> str:
    """Return the system's word for why there is no connection; the library's own says only that."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _note(backend: str, failure: str) -> None:
    if failure:
        _log.warning("the probe of backend %s fails: %s", backend, failure)
    else:
        _log.info("the probe of backend %s goes well again", backend)

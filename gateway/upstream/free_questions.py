"""Ask a place over HTTP something that costs nothing, and hear what it says: for whoever checks a deployment.

Must not know what an answer means. Nothing that is asked here generates anything.
Sources: the providers' API references, lists of models; OpenRouter, "Get current API key"; Vercel AI Gateway,
"Usage & Billing" (the lists of models of both are open to everybody); checked 2026-11. RFC 9110 section 6.6.1
(Date).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from gateway.config.providers import Provider
from gateway.config.resolve import BackendSettings
from gateway.exchange import Headers, Request

WITHIN_S: Final = 6.0
MOST_BYTES: Final = 64 << 10
"""Of an answer: an error is shorter, and a list of models is not read to its end."""
_DATE_STEP_S: Final = 1.0

_LISTS: Final[Mapping[Provider, str]] = {
    "openai_compatible": "/models",
    "mistral": "/models",
    "anthropic": "/v1/models",
    "gemini": "/v1beta/models",
    "cohere": "/v1/models",
    "ollama": "/api/tags",
}
"""The list of models, relative to the base URL. Of others nothing can be asked that costs nothing."""
_OF_PRESETS: Final[Mapping[str, str]] = {"openrouter": "/key", "vercel": "/credits"}
"""Where the list of models is open to everybody, what is not."""


class Heard(msgspec.Struct, frozen=True):
    """An answer: its body as far as `MOST_BYTES`, and the seconds until its head was there."""

    status: int
    headers: Headers
    body: bytes
    seconds: float
    ahead_s: float | None = None
    """Of our clock, by its Date; None: it tells none."""
    give_or_take_s: float = 0.0


class Unheard(Exception):
    """There is no answer; the message says why, without the URL."""


def free_question(spec: BackendSettings) -> str:
    """Return the URL of a question to a backend that needs its credential; empty: there is none."""
    if spec.preset in _OF_PRESETS:
        return spec.base_url + _OF_PRESETS[spec.preset]
    if spec.provider == "azure":
        place = spec.base_url.removesuffix("/v1").removesuffix("/openai")
        version = f"?api-version={spec.api_version}" if spec.api_version else ""
        return f"{place}/openai/models{version}" if version else f"{place}/openai/v1/models"
    if spec.provider == "gemini":
        return spec.base_url.removesuffix("/v1beta") + _LISTS["gemini"]
    path = _LISTS.get(spec.provider)
    return "" if path is None else spec.base_url + path


async def hear(request: Request, *, by_proxy: bool = False, within_s: float = WITHIN_S) -> Heard:
    """Send one request on a connection of its own, and follow no redirect. Raises Unheard."""
    import httpx

    # What the transport of the hot path trusts; by a proxy httpx has its own ways.
    trusted = True if by_proxy else ssl.create_default_context()
    try:
        async with (
            asyncio.timeout(within_s),
            httpx.AsyncClient(timeout=within_s, trust_env=by_proxy, verify=trusted) as client,
        ):
            began_s, began_unix_s = time.monotonic(), time.time()
            headers = {name.encode(): value.encode() for name, value in request.headers.items()}
            async with client.stream(
                request.method, request.url, content=request.body, headers=headers
            ) as answer:
                seconds = time.monotonic() - began_s
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) >= MOST_BYTES:
                        break
    except (TimeoutError, httpx.TimeoutException):
        raise Unheard(f"no answer within {within_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        raise Unheard(f"no answer ({type(error).__name__})") from None
    middle_s = began_unix_s + seconds / 2
    ahead_s = _ahead_s(answer.headers.get("date", ""), middle_s)
    give_or_take_s = (seconds + _DATE_STEP_S) / 2
    return Heard(answer.status_code, answer.headers.raw, body[:MOST_BYTES], seconds, ahead_s, give_or_take_s)


def _ahead_s(date: str, now_unix_s: float) -> float | None:
    """Read a Date, which tells whole seconds; None: it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() + _DATE_STEP_S / 2 - now_unix_s
    except (ValueError, OverflowError):
        return None

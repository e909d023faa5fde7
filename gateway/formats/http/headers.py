"""Which header lines of an upstream's answer the client gets, and under which name.

An allow-list: what is not named here (cookies, hop-by-hop lines, the provider's account, its servers)
stays here. The provider's rate limits are passed on under a prefix, because the plain names belong to
the gateway's own limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gateway.exchange import Headers

REQUEST_ID_NAMES = (b"x-request-id", b"request-id")
"""OpenAI's SDKs show the first to their users, Anthropic's the second."""

_KEPT = frozenset(
    {
        b"content-type",
        b"x-request-id",
        b"request-id",
        b"apim-request-id",
        b"openai-processing-ms",
        b"openai-version",
        b"openai-model",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    }
)
_RATE_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit-")
_PREFIX = b"x-upstream-"


@lru_cache(1024)
def _name_for_client(name: bytes) -> bytes | None:
    lower = name.lower()
    if lower in _KEPT:
        return lower
    if lower.startswith(_RATE_LIMITS):
        return _PREFIX + lower.removeprefix(b"x-")
    return None


def relayed_headers(headers: Headers, own: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Choose and rename the header lines for the client, then add the gateway's `own`."""
    kept = [(new, value) for name, value in headers if (new := _name_for_client(name)) is not None]
    kept.extend(own)
    return kept


def retry_after_s(headers: Headers) -> float | None:
    """Read `retry-after-ms` or `retry-after` in seconds; None when absent or a date.

    Dates are rare here and would need a clock, which this module must not have.
    """
    found = {name.lower(): value for name, value in headers if name.lower().startswith(b"retry-after")}
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        try:
            seconds = float(found[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 1e6:
            return seconds
    return None

"""Who asks an endpoint that answers without an upstream: by a credential, or by a session at the dashboard.

A session is a cookie, which a browser sends along whoever made it ask: so only reading takes one, and only
where the page that asks is ours. Sources: RFC 6265bis section 4.1.3 (`__Host-`), sections 5.6 and 8.8
(`SameSite`); W3C Fetch Metadata (`Sec-Fetch-Site`); read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import Request

from gateway.errors import Forbidden
from gateway.exchange import Caller
from gateway.formats.http.dialect import authorization_of
from gateway.identity.strangers import Origin
from gateway.runtime import Runtime
from gateway.stages.identify import identify

_OUR_PAGES = frozenset({"same-origin", "none"})
"""Who asks, in `Sec-Fetch-Site`: one of our pages; someone who typed the address."""


async def caller_of(request: Request[Any, Any, Any], runtime: Runtime) -> Caller:
    """Say who asks: by the key or token that is shown, else by the session of the cookie.

    Raises Unauthenticated, StoreDown, QuotaExceeded.
    """
    shown = authorization_of(request.headers)
    session = request.cookies.get(cookie_name(request, runtime))
    if shown is None and session and request.method == "GET" and _is_from_our_page(request.headers):
        return await runtime.identity.resume(session, time())
    headers = {"x-forwarded-for": _all_of(request, "x-forwarded-for")}
    if shown is not None:
        headers["authorization"] = shown
    return await identify(headers, runtime.identity, request.scope["client"])


def origin_of(request: Request[Any, Any, Any]) -> Origin:
    """Say where a request comes from, for counting its failures."""
    peer = request.scope["client"]
    return Origin(peer[0] if peer else "", _all_of(request, "x-forwarded-for"))


def came_by_https(request: Request[Any, Any, Any], runtime: Runtime) -> bool:
    """Tell whether the client speaks HTTPS, to us or (by their word) to one of our own proxies."""
    if request.scope["scheme"] == "https":
        return True
    scheme = _all_of(request, "x-forwarded-proto").rpartition(",")[2].strip().lower()
    peer = request.scope["client"]
    return scheme == "https" and peer is not None and runtime.identity.trusts(peer[0])


def _all_of(request: Request[Any, Any, Any], name: str) -> str:
    """Return a header's lines as one: the first may be the client's own, the last is our proxy's."""
    return ", ".join(request.headers.getall(name, []))


def cookie_name(request: Request[Any, Any, Any], runtime: Runtime) -> str:
    """Name the cookie: over HTTPS by a prefix that lets no other host of the domain set it."""
    return "__Host-forebay" if came_by_https(request, runtime) else "forebay"


def require_our_page(headers: Mapping[str, str]) -> None:
    """Raise Forbidden for what a page of someone else makes a browser send."""
    if not _is_from_our_page(headers):
        raise Forbidden("this is for the gateway's own pages", code="foreign_page")


def _is_from_our_page(headers: Mapping[str, str]) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in _OUR_PAGES
    origin = headers.get("origin")
    return origin is None or _host(origin) == headers.get("host", "").lower()


def _host(origin: str) -> str:
    """Return host and port of an origin; empty for `null`, which is nobody's."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""

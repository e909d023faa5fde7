"""GET /dashboard: the page, its files, and who is logged in there.

The page itself holds nothing but code, so anyone may load it. What it shows it asks of the API, which takes
the session's cookie in place of a key.
Sources: Content Security Policy Level 3; OWASP Secure Headers Project (2026-11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from time import time
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.connection import Request
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from gateway.api.assets import Asset, Assets, read_assets
from gateway.api.callers import caller_of, came_by_https, cookie_name, origin_of, require_our_page
from gateway.errors import GatewayFault, UnknownRoute
from gateway.exchange import Caller
from gateway.identity.sessions import LIFE_S
from gateway.runtime import Runtime

_GUARDED: Final = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On the page and its files: nothing from elsewhere runs in it, and it shows in no one else's frame."""

_NEVER_KEPT: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_LONGEST_LOGIN_BYTES: Final = 32_768
_PATIENCE_S: Final = 2.0
"""With the ledger, for a banner: who is logged in is known without it."""


class Login(msgspec.Struct):
    """What someone logs in with."""

    key: Annotated[str, msgspec.Meta(max_length=16_384, description="A key of the gateway.")]


class Reader(msgspec.Struct):
    """Who looks at the dashboard."""

    tenant: str
    key: str
    """Its id."""
    admin: bool
    """It sees all tenants."""
    demo: bool
    """The ledger holds invented calls of `forebay demo`."""


def dashboard_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handlers of the page and its files, and of logging in."""
    return [*_page_handlers(), *_session_handlers(current)]


def lead_to_page(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    """Lead a browser at the root to the page; None for all else, like clients with a wrong base URL."""
    is_browser = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if request.url.path != "/" or not is_browser:
        return None
    return Response(b"", status_code=307, headers={"location": "/dashboard", **_NEVER_KEPT})


def _page_handlers() -> list[HTTPRouteHandler]:
    assets = cache(read_assets)

    @get("/dashboard", include_in_schema=False, sync_to_thread=True)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request, assets().page, _ASK_AGAIN)

    @get("/dashboard/assets/{path:path}", include_in_schema=False, sync_to_thread=True)
    def asset(request: Request[Any, Any, Any], path: Annotated[str, PathParameter()]) -> Response[bytes]:
        found = _find(assets(), path)
        return _answer(
            request, None if found is None else found[0], _FOR_GOOD if found and found[1] else _ASK_AGAIN
        )

    return [page, asset]


def _session_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    @post(
        "/dashboard/login",
        include_in_schema=False,
        status_code=204,
        request_max_body_size=_LONGEST_LOGIN_BYTES,
    )
    async def log_in(request: Request[Any, Any, Any], data: JSONBody[Login]) -> Response[None]:
        runtime = current()
        require_our_page(request.headers)
        session = await runtime.identity.log_in(data.key, time(), origin_of(request))
        return _with_cookie(request, runtime, session)

    @post("/dashboard/logout", include_in_schema=False, status_code=204)
    async def log_out(request: Request[Any, Any, Any]) -> Response[None]:
        require_our_page(request.headers)
        return _with_cookie(request, current(), "")

    @get("/dashboard/me", include_in_schema=False)
    async def tell(request: Request[Any, Any, Any]) -> Response[Reader]:
        runtime = current()
        caller = await caller_of(request, runtime)
        reader = Reader(caller.tenant, caller.key, caller.admin, await _sees_demo(runtime, caller))
        return Response(reader, headers=_NEVER_KEPT)

    return [log_in, log_out, tell]


async def _sees_demo(runtime: Runtime, caller: Caller) -> bool:
    """Tell whether there is demo data among what the caller sees; where the ledger is silent, no."""
    tenants = () if caller.admin else (caller.tenant,)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await asyncio.to_thread(runtime.questions.is_demo, tenants)
    except (GatewayFault, TimeoutError):
        return False


def _with_cookie(request: Request[Any, Any, Any], runtime: Runtime, session: str) -> Response[None]:
    """Answer with the session's cookie; an empty one takes it away."""
    cookie = Cookie(
        key=cookie_name(request, runtime),
        value=session,
        path="/",
        max_age=LIFE_S if session else 0,
        secure=came_by_https(request, runtime),
        httponly=True,
        samesite="strict",
    )
    return Response(None, status_code=204, headers=_NEVER_KEPT, cookies=[cookie])


def _find(assets: Assets, path: str) -> tuple[Asset, bool] | None:
    return assets.find(path.removeprefix("/"))


def _answer(request: Request[Any, Any, Any], asset: Asset | None, kept: str) -> Response[bytes]:
    """Answer with a file: packed where the client takes that, without its content where it has it already."""
    if asset is None:
        raise _nothing_at(request)
    packed = bool(asset.packed) and "gzip" in request.headers.get("accept-encoding", "")
    etag = f'"{asset.etag}{"-gzip" if packed else ""}"'
    headers = {**_GUARDED, "cache-control": kept, "etag": etag, "vary": "accept-encoding"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    if packed:
        headers["content-encoding"] = "gzip"
    body = asset.packed if packed else asset.body
    return Response(body, headers=headers, media_type=asset.media_type)


def _nothing_at(request: Request[Any, Any, Any]) -> UnknownRoute:
    path = request.url.path
    return UnknownRoute(f"there is no endpoint {request.method} {path}; see /docs", code="unknown_url")

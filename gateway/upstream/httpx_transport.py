"""Send prepared requests with httpx: the second transport, slower and with other strengths.

It takes HTTPS_PROXY and the like from the environment, which the hot path's transport does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic
from typing import Any, cast

import httpx

from gateway.errors import Broken, ConnectFailed, GatewayError, TimedOut
from gateway.exchange import Request, Timeouts
from gateway.protocols import Sending
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog

_WAY_TO_H11 = ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state")
"""From a body as httpx gives it to the parser below, by names that are none of its interface."""


class HttpxTransport:
    """A pool of connections to one backend; `max_connections` 0 means no limit."""

    def __init__(self, max_connections: int, connect_s: float) -> None:
        self._limits = httpx.Limits(max_connections=max_connections or None)
        self._timeout = httpx.Timeout(None, connect=connect_s)
        self._client: httpx.AsyncClient | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> WatchedAnswer:
        """Send and return at the answer's headers; raises ConnectFailed or TimedOut."""
        if self._client is None:
            self._client = self._open()
        steps = _Steps(sending)
        prepared = self._client.build_request(
            request.method,
            request.url,
            content=request.body,
            headers={name.encode(): value.encode() for name, value in request.headers.items()},
            extensions={"trace": steps},
        )
        watchdog = Watchdog(timeouts)
        watchdog.expect("the first byte", timeouts.first_byte_s)
        try:
            response = await self._client.send(prepared, stream=True)
        except (asyncio.CancelledError, httpx.TransportError) as error:
            watchdog.stop()
            raise _translate(error, watchdog) or error from None
        response.stream = _OwnBody(response)
        pieces = response.aiter_bytes()

        async def pull() -> bytes:
            try:
                return await anext(pieces, b"")
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise Broken("the upstream's answer was cut", detail=_said(error)) from error

        def drop() -> None:
            if not response.is_closed:
                task = asyncio.ensure_future(response.aclose())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

        status, headers, connect_s = response.status_code, response.headers.raw, steps.connect_s
        return WatchedAnswer(status, headers, pull, drop, watchdog, timeouts.gap_s, connect_s)

    def _open(self) -> httpx.AsyncClient:
        # One client serves all tenants: a cookie set for one must not be shown for another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(limits=self._limits, timeout=self._timeout, cookies=no_cookies)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await asyncio.gather(*self._closing)
            await self._client.aclose()


class _Steps:
    """Hears of httpcore how far a request is: how long a new connection took, and that it was sent."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._began_s = self.connect_s = 0.0

    async def __call__(self, step: str, _info: object) -> None:
        """Take a step."""
        if step == "connection.connect_tcp.started":
            self._began_s = monotonic()
        elif step in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self.connect_s = monotonic() - self._began_s
        elif step.endswith(".send_request_body.complete"):
            self._sending.sent()


class _OwnBody(httpx.AsyncByteStream):
    """An answer's body, whose connection is used again only when nothing came beyond it.

    httpcore looks into the socket for that. What was read from it with the answer's end stays in h11, and
    would be the answer of the next call: of somebody else's.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._connection: Any = response.extensions["network_stream"]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece

    async def aclose(self) -> None:
        if self._beyond() != b"":
            await self._connection.aclose()
        await self._body.aclose()

    def _beyond(self) -> bytes | None:
        """What came beyond the body; None: a newer httpx keeps it somewhere else, so it is not known."""
        holder: Any = self._body
        for name in _WAY_TO_H11:
            holder = getattr(holder, name, None)
        return None if holder is None else holder.trailing_data[0]


def _translate(error: BaseException, watchdog: Watchdog) -> GatewayError | None:
    if isinstance(error, asyncio.CancelledError):
        return watchdog.verdict()
    if isinstance(error, httpx.ConnectTimeout):
        return TimedOut("the upstream took too long to connect")
    return ConnectFailed("the upstream cannot be reached", detail=_said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

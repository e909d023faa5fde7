"""Send prepared requests with aiohttp: the transport of the hot path.

The fastest and most widely trusted client of those measured (see docs/decisions). One instance, with a
connection pool of its own, per backend. Knows nothing of formats or providers.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from gateway.errors import Broken, ConnectFailed, GatewayError, TimedOut
from gateway.exchange import Request, Timeouts
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog

_DNS_CACHE_S = 60
_URLS_KEPT = 1000
_READ_BUFFER_BYTES = 64 * 1024
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_ENDS = (aiohttp.ClientError, OSError, EOFError)

_is_new: ContextVar[bool] = ContextVar("is_new", default=False)
"""Whether the request of this task has made a connection of its own."""


class _Connection(ResponseHandler):
    """aiohttp's connection, which resumes only what is paused.

    aiohttp asks it to after every HTTP chunk that is read, and each time it feeds its parser nothing and
    asks the transport to read on: a tenth of the cost of a stream of 64 chunks.
    """

    def resume_reading(self, *args: Any, **named: Any) -> None:
        """Read on, where reading was paused."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(*args, **named)


class _Pool(aiohttp.TCPConnector):
    """aiohttp's pool, of our connections; it tells a task whether it has got a new one."""

    def __init__(self, max_connections: int) -> None:
        super().__init__(limit=max_connections, ttl_dns_cache=_DNS_CACHE_S)
        connection = cast("type[ResponseHandler]", _Connection)
        self._factory = partial(connection, loop=asyncio.get_running_loop())

    async def _create_connection(self, *args: Any) -> Any:
        _is_new.set(True)
        return await super()._create_connection(*args)


class AiohttpTransport:
    """A pool of connections to one backend; `max_connections` 0 means no limit."""

    def __init__(self, max_connections: int, connect_s: float) -> None:
        self._max_connections = max_connections
        self._connect_s = connect_s
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Request, timeouts: Timeouts) -> WatchedAnswer:
        """Send and return at the answer's headers; raises ConnectFailed or TimedOut."""
        watchdog = Watchdog(timeouts, self._loop)
        watchdog.expect("the first byte", timeouts.first_byte_s)
        response = None
        try:
            response = await self._request(request)
        except (asyncio.CancelledError, *_ENDS) as error:
            raise _translate(error, watchdog) or error from None
        finally:
            if response is None:
                watchdog.stop()
        content = response.content

        async def pull() -> bytes:
            try:
                return await content.readany()
            except _ENDS as error:
                raise Broken("the upstream's answer was cut", detail=_said(error)) from error

        def drop() -> None:
            response.release() if content.at_eof() else response.close()

        return WatchedAnswer(response.status, response.raw_headers, pull, drop, watchdog, timeouts.gap_s)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _request(self, request: Request) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        url = self._urls.get(request.url) or self._url(request.url)
        while True:
            _is_new.set(False)
            try:
                return await session.request(
                    request.method, url, data=request.body, headers=request.headers, allow_redirects=False
                )
            except _CLOSED:
                # A host may close an idle connection at the moment that we use it again. Nothing was
                # lost: what had not answered a byte has not taken the request (RFC 9112, section 9.3.1).
                if _is_new.get():
                    raise

    def _open(self) -> aiohttp.ClientSession:
        # Opened at the first call: a session belongs to the loop that runs it.
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=_Pool(self._max_connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            read_bufsize=_READ_BUFFER_BYTES,
        )
        return self._session

    def _url(self, text: str) -> URL:
        # A backend has a handful of URLs; parsing one costs as much as the rest of this method.
        if len(self._urls) >= _URLS_KEPT:  # Azure's hold the model's name, which may be the client's choice
            self._urls.clear()
        self._urls[text] = url = URL(text, encoded=True)
        return url


def _translate(error: BaseException, watchdog: Watchdog) -> GatewayError | None:
    """Turn what happened before an answer into our error; None: somebody else cancelled."""
    if isinstance(error, asyncio.CancelledError):
        return watchdog.verdict()
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TimedOut("the upstream took too long to connect")
    return ConnectFailed("the upstream cannot be reached", detail=_said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

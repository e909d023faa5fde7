"""Send prepared requests with aiohttp: the transport of the hot path.

The fastest and most widely trusted client of those measured (see docs/decisions). One instance, with a
connection pool of its own, per backend. Knows nothing of formats or providers.
"""

from __future__ import annotations

import asyncio
import select
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from yarl import URL

from gateway.errors import Broken, ConnectFailed, GatewayError, TimedOut
from gateway.exchange import Request, Timeouts
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog

_DNS_CACHE_S = 60
_URLS_KEPT = 1000
_READ_BUFFER_BYTES = 64 * 1024
_FINAL_STATUS = 200
"""From here on; those before it only announce the answer."""
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_ENDS = (aiohttp.ClientError, OSError, EOFError)

_is_new: ContextVar[bool] = ContextVar("is_new", default=False)
"""Whether the request of this task has made a connection of its own."""


class _Connection(ResponseHandler):
    """aiohttp's connection, which gives a call its own answer and nothing else.

    aiohttp looks at a connection once, when an answer has ended, and pools it. What comes with the answer's
    end or later would wait there, and be the answer of the next call: of somebody else's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._is_due = False
        """An answer is asked for, and its head has not come."""
        self._is_idle = True
        """Nothing is asked for that has not come whole."""
        self._answers = self._rested = 0
        """How many answers have ended, and after which of them the loop has read once more since."""

    def set_response_params(self, **named: Any) -> None:
        """A request is about to be sent."""
        self._is_due, self._is_idle = True, False
        super().set_response_params(**named)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """Take the head of an answer, of the one that is due."""
        if not self._is_due:
            self._refuse()
            return
        self._is_due = data[0].code < _FINAL_STATUS
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Take what was asked for."""
        if self._is_idle:
            if data:
                self._refuse()
            return
        super().data_received(data)
        if self._is_due or (self._payload is not None and not self._payload.is_eof()):
            return
        self._is_idle = True
        self._answers += 1
        # One turn of the loop puts the callback behind what runs now, the next behind what was read between.
        self._loop.call_soon(self._loop.call_soon, self._rest, self._answers)
        # The parser tells what it holds of a next answer: its head has begun, and has not ended.
        if self._parser is not None and self._parser.feed_eof() is not None:
            self._refuse()

    def is_connected(self) -> bool:
        """Whether it can be used: not when there is something to read that nobody has asked for."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        return not self._is_idle or self._rested == self._answers or not self._has_unread(transport)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Tell who waits for an answer, and who waits for the rest of one: aiohttp forgets the latter."""
        super().set_exception(exc, exc_cause or exc)
        payload = self._payload
        if isinstance(exc, HttpProcessingError) and payload is not None and not payload.is_eof():
            payload.set_exception(aiohttp.ClientPayloadError(f"the body is malformed: {exc.message}"), exc)

    def resume_reading(self, *args: Any, **named: Any) -> None:
        """Read on, where reading was paused.

        aiohttp asks for it after every HTTP chunk that is read, and each time it feeds its parser nothing
        and asks the transport to read on: a tenth of the cost of a stream of 64 chunks.
        """
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(*args, **named)

    def _refuse(self) -> None:
        self._is_idle = True
        self.force_close()
        if self.transport is not None:
            self.transport.abort()

    def _rest(self, answer: int) -> None:
        self._rested = answer

    def _has_unread(self, transport: asyncio.Transport) -> bool:
        """Look into the socket, which the loop has not come to read yet: a call to the kernel."""
        unread = select.poll()
        unread.register(transport.get_extra_info("socket"), select.POLLIN)
        return bool(unread.poll(0))


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
        timed_out = TimedOut("the upstream took too long to connect")
        timed_out.reached = False
        return timed_out
    return ConnectFailed("the upstream cannot be reached", detail=_said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

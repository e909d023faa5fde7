"""Send prepared requests with aiohttp: the transport of the hot path.

The fastest and most widely trusted client of those measured (see docs/decisions). One instance, with a
connection pool of its own, per backend. Knows nothing of formats or providers.

Of aiohttp it takes the pool, the writer of heads and the parser, not `ClientSession`: cookies, redirects,
middlewares, and a task for each body are half of what a call costs there. What is used instead has had the
same names and parameters from aiohttp 3.10 to 3.14.
"""

from __future__ import annotations

import asyncio
from fcntl import ioctl
from functools import partial
from termios import FIONREAD
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from yarl import URL

from gateway.errors import Broken, ConnectFailed, GatewayError, TimedOut
from gateway.exchange import Request, Timeouts
from gateway.protocols import Sending
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog

_DNS_CACHE_S = 60
_PLACES_KEPT = 1000
_READ_BUFFER_BYTES = 64 * 1024
_STALE_S = 0.5
"""So soon we hear that a connection had been closed before it was used, from wherever on earth."""
_ANNOUNCING = frozenset({100, *range(102, 200)})
"""Statuses that are followed by the answer's own."""
_NO_BYTES = bytes(4)
_CLOSED = (aiohttp.ServerDisconnectedError, OSError)
_ENDS = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)


class _Connection(ResponseHandler):
    """aiohttp's connection, which gives a call its own answer and nothing else.

    aiohttp looks at a connection once, when an answer has ended, and pools it. What comes with the answer's
    end or later would wait there, and be the answer of the next call: of somebody else's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.has_begun = False
        """Something has come of what was asked for last."""
        self._is_due = False
        """An answer is asked for, and its head has not come."""
        self._is_idle = True
        """Nothing is asked for that has not come whole."""
        self.answers = self._rested = 0
        """How many answers have ended, and after which of them the loop has read once more since."""
        self.connect_s = 0.0
        """How long it took to be there, for the first request on it; 0 for the others."""

    def set_response_params(self, **named: Any) -> None:
        """A request is about to be sent."""
        self._is_due, self._is_idle, self.has_begun = True, False, False
        super().set_response_params(**named)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """Take the head of the answer that is due; what only announces it is left out."""
        if not self._is_due:
            self._refuse()
            return
        self._is_due = data[0].code in _ANNOUNCING
        if not self._is_due:
            super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Take what was asked for."""
        if self._is_idle:
            if data:
                self._refuse()
            return
        self.has_begun = self.has_begun or bool(data)
        super().data_received(data)
        if self._is_due or (self._payload is not None and not self._payload.is_eof()):
            return
        self._is_idle = True
        self.answers += 1
        # One turn of the loop puts the callback behind what runs now, the next behind what was read between.
        self._loop.call_soon(self._loop.call_soon, self._rest, self.answers)
        # The parser tells what it holds of a next answer: its head has begun, and has not ended.
        if self._parser is not None and self._parser.feed_eof() is not None:
            self._refuse()

    def is_connected(self) -> bool:
        """Whether it can be used: not when there is something to read that nobody has asked for."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        return not self._is_idle or self._rested == self.answers or not self._has_unread(transport)

    @property
    def should_close(self) -> bool:
        """Whether it is of no use to another call: nor is one that has answered what it has not read yet."""
        return self.writing_paused or super().should_close

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
        """Ask the kernel whether more has come, which the loop has not read yet: a microsecond."""
        fd = transport.get_extra_info("socket").fileno()
        return ioctl(fd, FIONREAD, _NO_BYTES) != _NO_BYTES


class _Pool(aiohttp.TCPConnector):
    """aiohttp's pool, of our connections."""

    def __init__(self, max_connections: int) -> None:
        super().__init__(limit=max_connections, ttl_dns_cache=_DNS_CACHE_S)
        connection = cast("type[ResponseHandler]", _Connection)
        self._factory = partial(connection, loop=asyncio.get_running_loop())

    def use(self) -> tuple[int, int]:
        """Count the connections that calls have, and those that wait for one."""
        return len(self._acquired), sum(len(idle) for idle in self._conns.values())


class AiohttpTransport:
    """A pool of connections to one backend; `max_connections` 0 means no limit."""

    def __init__(self, max_connections: int, connect_s: float) -> None:
        self._max_connections = max_connections
        self._limits = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self._pool: _Pool | None = None
        self._places: dict[str, aiohttp.ClientRequest] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> WatchedAnswer:
        """Send and return at the answer's headers; raises ConnectFailed or TimedOut."""
        watchdog = Watchdog(timeouts, self._loop)
        watchdog.expect("the first byte", timeouts.first_byte_s)
        connection = None
        try:
            connection, head, content = await self._exchange(request, sending)
        except (asyncio.CancelledError, *_ENDS) as error:
            raise _translate(error, watchdog) or error from None
        finally:
            if connection is None:
                watchdog.stop()

        async def pull() -> bytes:
            try:
                return await content.readany()
            except _ENDS as error:
                raise Broken("the upstream's answer was cut", detail=_said(error)) from error

        connect_s = cast("_Connection", connection.protocol).connect_s
        drop = connection.release  # to the pool, which closes one whose answer has not come whole
        content.on_eof(drop)
        return WatchedAnswer(head.code, head.raw_headers, pull, drop, watchdog, timeouts.gap_s, connect_s)

    @property
    def connections(self) -> tuple[int, int]:
        """How many are in use now, and how many are idle."""
        return (0, 0) if self._pool is None else self._pool.use()

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    async def _exchange(
        self, request: Request, sending: Sending
    ) -> tuple[Connection, RawResponseMessage, aiohttp.StreamReader]:
        """Send on a connection of the pool, and return when the answer's head has come."""
        pool = self._pool or self._open()
        place = self._places.get(request.url) or self._place(request.url)
        while True:
            began_s = monotonic()
            connection = await pool.connect(place, [], self._limits)
            protocol, ready_s = cast("_Connection", connection.protocol), monotonic()
            is_new = not protocol.answers
            protocol.connect_s = ready_s - began_s if is_new else 0.0
            try:
                protocol.set_response_params(read_until_eof=True, read_bufsize=_READ_BUFFER_BYTES)
                await self._write(protocol, place, request)
                sending.sent()
                return connection, *await protocol.read()
            except BaseException as error:
                connection.close()
                # A host may close an idle connection at the moment that we use it again: then the request
                # was not taken, and is sent anew (RFC 9112, section 9.3.1). We hear of that at once; one
                # that is closed later may have been worked on, and is another attempt's turn.
                is_late = monotonic() - ready_s > _STALE_S
                if is_new or is_late or protocol.has_begun or not isinstance(error, _CLOSED):
                    raise
                sending.unsent()

    async def _write(self, protocol: _Connection, place: aiohttp.ClientRequest, request: Request) -> None:
        """Hand the request to the socket, which keeps what it cannot send yet: an answer may come before."""
        headers = place.headers.copy()
        headers.update(request.headers)
        headers["Content-Length"] = str(len(request.body))
        writer = StreamWriter(protocol, place.loop)
        await writer.write_headers(f"{request.method} {place.url.raw_path_qs} HTTP/1.1", headers)
        await writer.write(request.body, drain=False)

    def _open(self) -> _Pool:
        # Opened at the first call: a pool belongs to the loop that runs it.
        self._loop = asyncio.get_running_loop()
        self._pool = _Pool(self._max_connections)
        return self._pool

    def _place(self, url: str) -> aiohttp.ClientRequest:
        """Say where requests to a URL go, as the pool wants it told, with the headers that all of them have.

        A backend has a handful of URLs; reading one costs as much as sending a request there.
        """
        if len(self._places) >= _PLACES_KEPT:  # Azure's URLs hold the model's name: the client's choice
            self._places.clear()
        place = aiohttp.ClientRequest("POST", URL(url, encoded=True), loop=asyncio.get_running_loop())
        self._places[url] = place
        return place


def _translate(error: BaseException, watchdog: Watchdog) -> GatewayError | None:
    """Turn what happened before an answer into our error; None: somebody else cancelled."""
    if isinstance(error, asyncio.CancelledError):
        return watchdog.verdict()
    if isinstance(error, TimeoutError):
        return TimedOut("the upstream took too long to connect")
    return ConnectFailed("the upstream cannot be reached", detail=_said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

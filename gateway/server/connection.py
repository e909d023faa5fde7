"""One client connection: heads in time and in bounds, refusals in OpenAI's shape, news of a lost peer.

It does not know the application, routes, or why the server stops; it runs no timer and no task of its
own. The server's sweep (`EdgeState.sweep`, about once a second) looks at every open connection instead,
so a request costs no timer: its start is stamped with the time of the server's last tick.

Half-close: the end of the client's sending side counts as the client's going. A proxy that gave up
and a client that merely shut down its writing side look the same on the wire, and the former is common.

Sources: uvicorn 0.54, `protocols/http/httptools_impl.py`; RFC 9112 sections 9.3.2 (pipelining), 9.6 (a
refusal is followed by a half-close, or its text may be lost to a reset); RFC 6585 section 5 (431).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.config import Config

DISCONNECT = "forebay.disconnect"
"""Key in `scope["extensions"]` under which a request finds its `Disconnect`."""

WRITE_BUFFER_BYTES = 64 * 1024
"""Beyond this much unsent data, `send()` waits until the client reads."""

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of what is neither head nor body, like trailers. llhttp itself has
no limit."""

MAX_PIPELINED = 8
"""Requests parsed ahead of the running one; beyond, the connection is not read from."""

_CONTINUE = b"HTTP/1.1 100 "

LINGER_S = 2.0
"""How long a refused client may take to read its refusal."""

MAX_LINGERING = 256
"""Refused connections kept open for that; beyond, they are cut, so that a flood holds no sockets."""

FRESH_GRACE_S = 1.0
"""How long a drain waits for the request of a connection that was just opened, or is in mid-head, and for
more of a body of which nothing comes."""


class _Dropped(list[tuple[bytes, bytes]]):
    """Where uvicorn puts trailers: nowhere. Who sends them must not add to the headers (RFC 9110, 6.5.1)."""

    def append(self, line: tuple[bytes, bytes], /) -> None:
        """Drop it."""


_DROPPED = _Dropped()


class Disconnect:
    """Tells one request that its client went away before the answer was complete.

    A hook and no task: an application that waits for `http.disconnect` needs a task per call.
    """

    __slots__ = ("_callback", "gone")

    def __init__(self) -> None:
        self._callback: Callable[[], object] | None = None
        self.gone = False

    def on_disconnect(self, callback: Callable[[], object] | None) -> None:
        """Have `callback()` called once, on the loop, when the client goes before the answer's end.

        One callback at a time: another one, or None, takes its place. It is called at once when
        the client is gone already. It must not block; what it raises goes to the loop's logger.
        """
        if self.gone and callback is not None:
            callback()
        else:
            self._callback = callback

    def fire(self) -> None:
        """Note that the client is gone, and call back. Idempotent."""
        callback, self._callback, self.gone = self._callback, None, True
        if callback is not None:
            callback()


class EdgeState(ServerState):
    """What the connections of a server share: its limits, its coarse clock, whether it drains."""

    def __init__(self, max_connections: int, header_timeout_s: float) -> None:
        super().__init__()
        self.max_connections = max_connections
        self.header_timeout_s = header_timeout_s
        self.now_s = 0.0
        self.draining = False
        self.lingering: set[Connection] = set()

    def sweep(self) -> None:
        """Time out the heads that are late, and cut the refused connections that linger."""
        for connection in list(self.connections):
            if isinstance(connection, Connection):
                connection.check_head(self.now_s)
        for connection in list(self.lingering):
            if connection.refused_s is not None and self.now_s - connection.refused_s > LINGER_S:
                connection.transport.abort()


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits on heads, JSON refusals and the disconnect hook."""

    def __init__(
        self,
        config: Config,
        server_state: EdgeState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.edge = server_state
        self.head_since_s: float | None = server_state.now_s
        """Since when a head is awaited; None while a request runs or the connection is kept alive."""
        self.loose_bytes = 0
        """Come since the last whole head or piece of a body: an unfinished head, trailers, chunk sizes."""
        self.heard_s = server_state.now_s
        """When something came last."""
        self.refused_s: float | None = None
        self.running: RequestResponseCycle | None = None
        self._chunk = b""
        """What is being parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, or refuse it when there are `max_connections` already."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if len(self.connections) > self.edge.max_connections:
            self.refuse(503, "too_many_connections", "The gateway has too many open connections; try again.")

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what is neither a whole head nor of a body."""
        if self.refused_s is not None:
            return
        self._chunk = data
        self.heard_s = self.edge.now_s
        self.loose_bytes += len(data)
        super().data_received(data)
        self._chunk = b""
        if self.loose_bytes > MAX_HEAD_BYTES and self.refused_s is None:
            part = "trailers exceed" if self.head_since_s is None else "head exceeds"
            self.refuse(431, "headers_too_large", f"The request's {part} {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """Start the head's clock and give the request its disconnect hook."""
        super().on_message_begin()
        self.head_since_s = self.edge.now_s
        self.loose_bytes = len(self._chunk)
        extensions: Any = {DISCONNECT: Disconnect()}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        """Start or queue the request; keep on reading, for only a reader learns that its peer left."""
        self.head_since_s = None
        self.loose_bytes = 0
        super().on_headers_complete()
        self.headers = _DROPPED
        if self.cycle is not None and self.cycle.scope["method"] != "HEAD":  # whose head nothing follows
            corked: Any = _Corked(self.transport)
            self.cycle.transport = corked
        if self.edge.draining and self.cycle is not None:
            self.cycle.keep_alive = False
        if self.pipeline and len(self.pipeline) <= MAX_PIPELINED:
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        """Begin to count anew, but not where the head of a next request is awaited already."""
        if self.head_since_s is None:
            self.loose_bytes = 0
        super().on_body(body)

    def _should_upgrade(self) -> bool:
        """Let uvicorn leave every request that offers an upgrade to `handle_websocket_upgrade`."""
        return True

    def handle_websocket_upgrade(self) -> None:
        """Answer a request that offers an upgrade as if it offered none (RFC 9110, section 7.8).

        httptools skips the body of such a request. Java's HttpClient offers h2c with every POST, so the
        head is parsed again without the offer, and what came after it as its body.
        """
        upgrade = sys.exc_info()[1]
        method = self.scope["method"].encode()
        replayable = method != b"CONNECT" and len(self.pipeline) <= MAX_PIPELINED
        if not replayable or not isinstance(upgrade, httptools.HttpParserUpgrade):
            self.refuse(400, "invalid_http", "The gateway is no proxy.")
            return
        version = self.parser.get_http_version().encode()
        head = [method, b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.scope["headers"]:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        rest = self._chunk[upgrade.args[0] :]
        self.data_received(b"".join([*head, b"\r\n", rest]))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the running request. uvicorn itself tells only the newest one, which may be queued."""
        self.edge.lingering.discard(self)
        super().connection_lost(exc)
        self._abandon()

    def _abandon(self) -> None:
        """Tell the running request that nobody will have its answer."""
        cycle = self.running
        if cycle is None or cycle.response_complete:
            return
        cycle.disconnected = True
        cycle.message_event.set()
        extensions: Any = cycle.scope["extensions"]
        extensions[DISCONNECT].fire()

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self.running is not None and not self.running.response_complete

    @property
    def _lacks_body(self) -> bool:
        """Whether the end of the running request's body has not come, and no answer has begun."""
        cycle = self.running
        return cycle is not None and cycle is self.cycle and cycle.more_body and not cycle.response_started

    def shutdown(self) -> None:
        """Close when idle, else after the running answer. Called again and again during a drain.

        A request that has taken all that came of its body, while no more comes, is not waited for.
        """
        if self.busy:
            for cycle in (self.running, self.cycle):
                if cycle is not None:
                    cycle.keep_alive = False
            taken = not self.cycle.body
            if self._lacks_body and taken and self.edge.now_s - self.heard_s > FRESH_GRACE_S:
                self.refuse(503, "shutting_down", "The gateway stops, and the request's body does not come.")
        elif self.head_since_s is None or self.edge.now_s - self.head_since_s > FRESH_GRACE_S:
            self.transport.close()

    def check_head(self, now_s: float) -> None:
        """Refuse with 408 when the head is late; a running request is left alone: it has its own clocks."""
        if self.busy or self.transport.is_closing():
            return
        if self.head_since_s is None:
            # A bare CRLF stops uvicorn's keep-alive timer and begins no message: without this, it holds
            # the connection for ever.
            if self.timeout_keep_alive_task is None:
                self.head_since_s = now_s
        elif now_s - self.head_since_s > self.edge.header_timeout_s:
            self.refuse(408, "request_timeout", "The request's head did not arrive in time.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP (uvicorn calls this)."""
        self.refuse(400, "invalid_http", msg)

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error without asking the application, and close.

        In the middle of an answer it only closes: an error's bytes would end up inside that answer. A request
        that waits for its body is answered so, too; the application hears that its client is gone.
        """
        self.connections.discard(self)
        if (self.busy and not self._lacks_body) or len(self.edge.lingering) >= MAX_LINGERING:
            self.transport.abort()
            return
        self.refused_s = self.edge.now_s
        self._abandon()
        self.edge.lingering.add(self)
        self.transport.write(_refusal(status, code, message))
        self.transport.write_eof()


class _Corked:
    """The transport as one answer sees it: its head goes out together with what follows it.

    uvicorn writes a head by itself, which costs a system call of its own: 8 us of the 190 of a call. A
    head is only sent when its body is at hand, so nothing waits.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Keep a head, and write all else, behind the head where it is the first."""
        if self._begun:
            if self._head:
                data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(_CONTINUE):
            self._transport.write(data)
        else:
            self._head, self._begun = data, True

    def close(self) -> None:
        """Close the connection; what was kept goes out before."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is being closed."""
        return self._transport.is_closing()


def _refusal(status: int, code: str, message: str) -> bytes:
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    kind = "server_error" if unavailable else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = msgspec.json.encode({"error": error})
    retry = b"retry-after: 1\r\n" if unavailable else b""
    head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
    return b"".join((STATUS_LINE[status], head, retry, b"\r\n", body))

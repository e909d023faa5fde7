"""The hot POSTs: hand the request to the pipeline, and bytes back to the client.

Plain ASGI applications that the app calls before any framework: a typed handler costs 22 us a call, a
bare one behind Litestar's router 14. Their OpenAPI description is in `gateway.api.description`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from random import getrandbits
from typing import Any

from gateway.errors import MethodNotAllowed
from gateway.exchange import Arrival, Format, Reply
from gateway.formats.chat.errors import error_reply
from gateway.pipeline import serve
from gateway.runtime import Runtime
from gateway.server.connection import DISCONNECT

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

PATHS: Mapping[str, Format] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
}
_WANTED = {
    name.encode(): name for name in ("authorization", "content-length", "content-encoding", "openai-beta")
}


def new_call_id() -> str:
    """Make an id for a call, 96 random bits. It has to be unique, not secret: no system call is made."""
    return f"call_{getrandbits(96):024x}"


def call_applications(current: Callable[[], Runtime]) -> dict[str, Application]:
    """Build one application per path; each call runs under the runtime of its arrival."""
    return {path: _application(path, format_, current) for path, format_ in PATHS.items()}


def _application(path: str, format_: Format, current: Callable[[], Runtime]) -> Application:
    async def take(scope: Any, receive: Receive, send: Send) -> None:
        runtime = current()
        client = Client(send)
        if scope["method"] != "POST":
            await client.deliver(error_reply(MethodNotAllowed(f"{path} takes POST"), new_call_id()))
            return
        flight = runtime.flights.begin()
        try:
            scope["extensions"][DISCONNECT].on_disconnect(partial(flight.interrupt, "client_gone"))
            headers = {
                _WANTED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _WANTED
            }
            arrival = Arrival(new_call_id(), format_, headers, flight, receive, client.deliver)
            await serve(arrival, runtime)
        finally:
            runtime.flights.end(flight)

    return take


class Client:
    """The way back to the client, for one reply."""

    __slots__ = ("_send", "_started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False

    async def deliver(self, reply: Reply) -> None:
        """Send a reply. Once one has begun nothing honest can follow it: the server cuts the line."""
        if self._started:
            return
        self._started = True
        send, body = self._send, reply.body
        if isinstance(body, bytes):
            reply.headers.append((b"content-length", b"%d" % len(body)))
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": body})
            return
        try:
            # The body begins before its head goes out: what has begun is also ended, come what may.
            piece = await anext(body, b"")
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            while piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(body, b"")
            await send({"type": "http.response.body", "body": b""})
        finally:
            await body.aclose()

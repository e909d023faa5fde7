"""The hot POSTs: hand the request to the pipeline, and bytes back to the client.

Plain ASGI applications that the app calls before any framework: a typed handler costs 22 us a call, a
bare one behind Litestar's router 14. Their OpenAPI description is in `gateway.api.description`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from random import getrandbits
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.errors import BadRequest, GatewayError, MethodNotAllowed
from gateway.exchange import Arrival, Format, Reply
from gateway.formats.errors.reply import clean_reply, error_reply
from gateway.formats.http.dialect import KEY_HEADERS, authorization_of
from gateway.pipeline import serve
from gateway.runtime import Runtime
from gateway.server.connection import DISCONNECT
from gateway.texts.trees import ERROR, Clean, clean_errors, tells_of_error

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

PATHS: Mapping[str, Format] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/moderations": "moderations",
    "/v1/rerank": "rerank",
    "/v2/rerank": "rerank",  # Cohere's own path: its SDK appends it to the base URL
    "/v1/images/generations": "images",
    "/v1/images/edits": "image_edits",
    "/v1/audio/speech": "speech",
    "/v1/audio/transcriptions": "transcriptions",
    "/v1/audio/translations": "translations",
}
GOOGLE_PATH = re.compile(r"/v1(?:beta)?/models/(.+):(generateContent|streamGenerateContent|countTokens)")
"""Gemini's API has the model and the kind of answer in the path."""

GOOGLE_METHOD = re.compile(r"/v1(?:beta)?/models/.+:[a-z]+[A-Z][A-Za-z]*")
"""What else Google's clients can ask of a model, none of which is here; no name of a model looks like it."""

WANTED = {
    name.encode(): name
    for name in (
        "authorization",
        "content-length",
        "content-encoding",
        "content-type",
        "openai-beta",
        "anthropic-beta",
        "anthropic-version",
        "traceparent",
        "tracestate",
        *KEY_HEADERS,
    )
}
"""The headers that always decide something; rules may name more."""

_ERRORS = 400
"""Statuses from here on."""

_LONG_BYTES = 16 << 10
"""What is longer is cleaned in a thread: a MB can take a second, for which all other calls would wait."""


def new_call_id() -> str:
    """Make an id for a call, 96 random bits. It has to be unique, not secret: no system call is made."""
    return f"call_{getrandbits(96):024x}"


def call_applications(current: Callable[[], Runtime]) -> Callable[[str], Application | None]:
    """Build the application of each path; each call runs under the runtime of its arrival."""
    fixed = {path: _application(path, format_, current) for path, format_ in PATHS.items()}

    def find(path: str) -> Application | None:
        return fixed.get(path) or _google_application(path, current)

    return find


def _google_application(path: str, current: Callable[[], Runtime]) -> Application | None:
    found = GOOGLE_PATH.fullmatch(path)
    if found is None:
        return None
    model, method = found.groups()
    stream = method == "streamGenerateContent"
    named = {"model": msgspec.Raw(msgspec.json.encode(model))}
    if method == "countTokens":
        return _application(path, "gemini_count", current, named)
    return _application(path, "gemini", current, named | {"stream": msgspec.Raw(msgspec.json.encode(stream))})


def _application(
    path: str,
    format_: Format,
    current: Callable[[], Runtime],
    named: Mapping[str, msgspec.Raw] = MappingProxyType({}),
) -> Application:
    async def take(scope: Any, receive: Receive, send: Send) -> None:
        runtime = current()
        client = Client(send, runtime.clean)
        if (refused := _misuse(scope, path, named)) is not None:
            await client.deliver(error_reply(refused, new_call_id(), format_))
            return
        flight = runtime.flights.begin()
        try:
            scope["extensions"][DISCONNECT].on_disconnect(partial(flight.interrupt, "client_gone"))
            headers = headers_of(scope["headers"], runtime.headers)
            peer = scope.get("client")
            arrival = Arrival(new_call_id(), format_, headers, flight, receive, client.deliver, named, peer)
            await serve(arrival, runtime)
        finally:
            runtime.flights.end(flight)

    return take


def _misuse(scope: Any, path: str, named: Mapping[str, msgspec.Raw]) -> GatewayError | None:
    if scope["method"] != "POST":
        return MethodNotAllowed(f"{path} takes POST")
    if bytes(named.get("stream", b"")) == b"true" and b"alt=sse" not in scope["query_string"].split(b"&"):
        return BadRequest("add ?alt=sse to the URL: streams come as server-sent events only", param="alt")
    return None


def headers_of(lines: Iterable[tuple[bytes, bytes]], wanted: Mapping[bytes, str]) -> dict[str, str]:
    """Take the headers of a request that decide something."""
    headers = dict[str, str]()
    for line, value in lines:
        if (name := wanted.get(line)) is not None:
            text = value.decode("latin-1")
            # Of two lines with labels of data, none may be lost (RFC 9110, 5.3).
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    if (shown := authorization_of(headers)) is not None:
        headers["authorization"] = shown
    return headers


def _end(reply: Reply) -> None:
    """Have it written down: whoever has had all of an answer may rely on that, even if this process ends."""
    if reply.ending is not None:
        reply.ending()


async def _clean_whole(reply: Reply, clean: Clean) -> None:
    if isinstance(reply.body, bytes) and len(reply.body) > _LONG_BYTES:
        await asyncio.to_thread(clean_reply, reply, clean)
    else:
        clean_reply(reply, clean)


async def _cleaned_errors(events: bytes, clean: Clean) -> bytes:
    if len(events) > _LONG_BYTES:
        return await asyncio.to_thread(clean_errors, events, clean)
    return clean_errors(events, clean)


class Client:
    """The way back to the client, for one reply.

    Whoever wrote an error, and whatever it quotes: here `clean` takes secrets and personal data out of it.
    """

    __slots__ = ("_clean", "_send", "_started")

    def __init__(self, send: Send, clean: Clean = str) -> None:
        self._send = send
        self._clean = clean
        self._started = False

    async def deliver(self, reply: Reply) -> None:
        """Send a reply. Once one has begun nothing honest can follow it: the server cuts the line."""
        if self._started:
            return
        self._started = True
        if reply.status >= _ERRORS:
            await _clean_whole(reply, self._clean)
        send, clean, body = self._send, self._clean, reply.body
        if isinstance(body, bytes):
            reply.headers.append((b"content-length", b"%d" % len(body)))
            _end(reply)
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": body})
            return
        try:
            # The body begins before its head goes out: what has begun is also ended, come what may.
            piece = await anext(body, b"")
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            while piece:
                if ERROR in piece and tells_of_error(piece):
                    piece = await _cleaned_errors(piece, clean)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(body, b"")
            _end(reply)
            await send({"type": "http.response.body", "body": b""})
        finally:
            await body.aclose()

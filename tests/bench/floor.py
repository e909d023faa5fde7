"""The floor: the least that forwarding a chat call costs here, with Litestar's `@asgi` and aiohttp.

It checks no key, reads no model, counts no token, retries nothing and notices no client that went away:
what the gateway costs beyond it is the price of its features.
"""

from __future__ import annotations

import os

import aiohttp
from litestar import Litestar, asgi, get
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

UPSTREAM = os.environ["BENCH_UPSTREAM"]
HEADERS = {"content-type": "application/json", "authorization": "Bearer k"}
sessions: list[aiohttp.ClientSession] = []


async def open_session() -> None:
    sessions.append(aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)))


async def close_session() -> None:
    await sessions.pop().close()


async def read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def forward(kind: str) -> ASGIRouteHandler:
    """Forward `/{kind}/v1/chat/completions` to the fake upstream's location of that kind."""
    url = f"{UPSTREAM}/{kind}/chat/completions"

    @asgi(f"/{kind}/v1/chat/completions", copy_scope=False)
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        async with sessions[0].post(url, data=body, headers=HEADERS) as answer:
            content_type = answer.headers["content-type"].encode()
            headers = [(b"content-type", content_type)]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if kind == "json":
                await send({"type": "http.response.body", "body": await answer.read(), "more_body": False})
                return
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return handle


@get("/readyz", sync_to_thread=False)
def ready() -> str:
    return "ok"


app = Litestar(
    [*map(forward, ("json", "sse", "paced")), ready],
    openapi_config=None,
    on_startup=[open_session],
    on_shutdown=[close_session],
)

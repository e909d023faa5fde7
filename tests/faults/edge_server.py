"""A trivial application behind the gateway's server, as a process, for test_server_edge.py.

`edge_server.py SETTINGS_JSON` serves on a free port and prints what happens, a word and details a line.
`edge_server.py SETTINGS_JSON WORKERS` does so with a supervisor and that many workers. Beside the server's
settings there may be a `fresh_grace_s`, in the place of the server's own constant.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

import msgspec
import uvloop

from gateway.server import connection
from gateway.server.connection import DISCONNECT
from gateway.server.http import ServerSettings, Turns, listen, serve
from gateway.server.supervisor import supervise

CHUNK = b"x" * 65536
FLOOD_CHUNKS = 2048
expired: list[asyncio.Event] = []
finished: list[asyncio.Event] = []
sent_bytes = [0]
heads: list[list[tuple[bytes, bytes]]] = []
"""Of the requests to /lines."""


def say(*words: object) -> None:
    print(*words, flush=True)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    scope["extensions"][DISCONNECT].on_disconnect(lambda: say("gone", scope["path"], time.monotonic()))
    if scope["path"] == "/lines":
        heads.append(scope["headers"])
    await PATHS[scope["path"]](receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    expired.append(asyncio.Event())
    finished.append(asyncio.Event())
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, finished[0].set)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("closed")
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def begin(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first\n", "more_body": True})


async def pid(_receive: Any, send: Any) -> None:
    await answer(send, str(os.getpid()).encode())


async def echo(receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await answer(send, body)


async def lines(receive: Any, send: Any) -> None:
    """The names of the headers, as they are when the body is whole."""
    while (await receive())["more_body"]:
        pass
    await answer(send, b" ".join(name for name, _ in heads[-1]))


async def stream(_receive: Any, send: Any) -> None:
    """A stream until SIGUSR1 says that it is whole, or the expiry ends it."""
    await begin(send)
    while not finished[0].is_set():
        try:
            await asyncio.wait_for(expired[0].wait(), 0.1)
        except TimeoutError:
            await send({"type": "http.response.body", "body": b"chunk\n", "more_body": True})
        else:
            await send({"type": "http.response.body", "body": b"error\n"})
            return
    await send({"type": "http.response.body", "body": b"last\n"})


async def stubborn(_receive: Any, send: Any) -> None:
    """A stream that ends for nobody."""
    await begin(send)
    await asyncio.Event().wait()


async def flood(_receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(FLOOD_CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        sent_bytes[0] += len(CHUNK)
    await send({"type": "http.response.body", "body": b""})


async def sent(_receive: Any, send: Any) -> None:
    await answer(send, str(sent_bytes[0]).encode())


async def block(_receive: Any, send: Any) -> None:
    """A loop that is stuck."""
    say("blocked")
    time.sleep(60)


PATHS = {
    "/pid": pid,
    "/echo": echo,
    "/lines": lines,
    "/stream": stream,
    "/stubborn": stubborn,
    "/flood": flood,
    "/sent": sent,
    "/block": block,
}


def expire() -> None:
    say("expire")
    expired[0].set()


def limits_of(settings: str) -> ServerSettings:
    given = msgspec.json.decode(settings, type=dict[str, Any])
    connection.FRESH_GRACE_S = given.pop("fresh_grace_s", connection.FRESH_GRACE_S)
    return msgspec.convert(given, ServerSettings)


def work(settings: str, sock: socket.socket) -> int:
    limits = limits_of(settings)
    return uvloop.run(serve(app, limits, sock, Turns(lambda: say("ready"), lambda: say("drain"), expire)))


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="log %(name)s %(message)s")
    settings, *rest = sys.argv[1:]
    if rest[:1] == ["worker"]:
        return work(settings, socket.socket(fileno=int(rest[1])))
    sock = listen("127.0.0.1", 0)
    say("port", sock.getsockname()[1])
    if not rest:
        return work(settings, sock)
    limits = limits_of(settings)
    worker = [sys.executable, __file__, settings, "worker", str(sock.fileno())]
    return supervise(lambda index: [*worker, str(index)], int(rest[0]), sock, limits.drain_s)


if __name__ == "__main__":
    sys.exit(main())

"""A fake upstream: an HTTP/1.1 server on real sockets that answers by script and can misbehave.

It parses requests itself and writes answers as raw bytes, because a well-behaved server library
cannot send a broken answer. It runs an event loop in a thread of its own; `Seen` says what it got.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rig.script import Answer, Cut, Gate, Pause, Step, plain

Script = Callable[["Seen"], Answer]

_LINGER_ZERO = struct.pack("ii", 1, 0)
_HIGH_WATER_BYTES = 64 * 1024


@dataclass
class Seen:
    """A request as it arrived, and what became of its connection. Times are monotonic seconds."""

    method: str
    path: str
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    at_s: float = field(default_factory=time.monotonic)
    sent_bytes: int = 0
    """Bytes of the answer handed to the kernel's or the loop's buffer so far."""
    answered: threading.Event = field(default_factory=threading.Event)
    """The script ran to its end, or to its cut."""
    lost: threading.Event = field(default_factory=threading.Event)
    """The client went away before the script's end."""
    lost_s: float | None = None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def model(self) -> str:
        return self.json()["model"]


class _ClientGone(Exception):
    """The peer closed or reset the connection while the script was running."""


class Droppable(Protocol):
    """A connection, as the upstream knows it."""

    def drop(self) -> None:
        """Break it off."""


class _Connection(asyncio.Protocol):
    """One TCP connection: parses requests one after the other and plays the script of each."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_HIGH_WATER_BYTES)
        self._upstream.live.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._upstream.live.discard(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        self._gone.set()
        self._arrived.set()
        self._writable.set()

    async def _serve(self) -> None:
        try:
            while (seen := await self._request()) is not None:
                self._upstream.seen.append(seen)
                if not await self._play(seen, self._upstream.script(seen)):
                    return
        finally:
            self._transport.close()

    async def _request(self) -> Seen | None:
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._body(headers)
        return None if body is None else Seen(method, path, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunked_body()
        return await self._take(int(headers.get("content-length", "0")))

    async def _chunked_body(self) -> bytes | None:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                if not await self._more():
                    return None
            size_line, _, rest = bytes(self._buffer).partition(b"\r\n")
            self._buffer[:] = rest
            size = int(size_line.split(b";")[0], 16)
            piece = await self._take(size + 2)
            if piece is None:
                return None
            if size == 0:
                return body
            body += piece[:-2]

    async def _take(self, size_bytes: int) -> bytes | None:
        while len(self._buffer) < size_bytes:
            if not await self._more():
                return None
        taken = bytes(self._buffer[:size_bytes])
        del self._buffer[:size_bytes]
        return taken

    async def _more(self) -> bool:
        if self._gone.is_set():
            return False
        self._arrived.clear()
        await self._arrived.wait()
        return not self._gone.is_set()

    async def _play(self, seen: Seen, answer: Answer) -> bool:
        """Play one answer; True when the connection can take another request."""
        try:
            for step in answer.before:
                if not await self._step(seen, step, b"%b"):
                    return False
            await self._send(seen, answer.head())
            frame = b"%x\r\n%b\r\n" if answer.framing == "chunked" else b"%b"
            for step in answer.steps:
                if not await self._step(seen, step, frame):
                    return False
            if answer.framing == "chunked":
                await self._send(seen, b"0\r\n\r\n")
        except _ClientGone:
            seen.lost_s = time.monotonic()
            seen.lost.set()
            return False
        seen.answered.set()
        return answer.framing != "close"

    async def _step(self, seen: Seen, step: Step, frame: bytes) -> bool:
        """Do one step; False when the script cuts the connection there."""
        if isinstance(step, bytes):
            await self._send(seen, frame % (len(step), step) if b"%x" in frame else step)
        elif isinstance(step, Pause):
            await self._wait(step.seconds)
        elif isinstance(step, Gate):
            while not step.opened.is_set():
                await self._wait(0.002)
        else:
            await self._cut(seen, step)
            return False
        return True

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
        if self._gone.is_set():
            raise _ClientGone

    async def _cut(self, seen: Seen, cut: Cut) -> None:
        if cut is Cut.HANG:
            await self._gone.wait()
            raise _ClientGone
        seen.answered.set()
        if cut is Cut.RESET:
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
            )
            self._transport.abort()

    async def _send(self, seen: Seen, data: bytes) -> None:
        await self._writable.wait()
        if self._gone.is_set():
            raise _ClientGone
        self._transport.write(data)
        seen.sent_bytes += len(data)
        # Lets the loop see a client that left, and hands the pieces to the kernel one by one.
        await asyncio.sleep(0)

    def drop(self) -> None:
        self._task.cancel()
        self._transport.abort()


class Upstream:
    """The server. Use as a context manager; `answer_with` sets what it says from now on."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        """So many were made to it."""
        self.live: set[Droppable] = set()
        """Those that are open: they go with the server."""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-upstream", daemon=True)
        self.reset()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc_info: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        """Forget what was seen, and answer everything with a plain 500."""
        self.seen.clear()
        self.connections = 0
        self.answer_with(plain({"error": {"message": "the test gave no script", "type": "rig"}}, 500))

    def answer_with(self, answer: Answer | Script) -> None:
        """Answer every request like this; a function is asked for each request."""
        self.script: Script = answer if callable(answer) else lambda _: answer

    def answer_in_turn(self, *answers: Answer) -> None:
        """Answer the first request with the first, the second with the second, then with the last."""
        left = list(answers)
        self.script = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def only_request(self) -> Seen:
        """The one request that came; fails when there was none, or more."""
        assert len(self.seen) == 1, [(seen.method, seen.path) for seen in self.seen]
        return self.seen[0]

    def accept(self) -> asyncio.Protocol:
        """Say who is to speak on a new connection; it is to be found in `live` as long as it is open."""
        return _Connection(self)

    def _accept(self) -> asyncio.Protocol:
        self.connections += 1
        return self.accept()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._accept, "127.0.0.1", 0, ssl=self._tls)

    async def _shut(self) -> None:
        self._server.close()
        for connection in list(self.live):
            connection.drop()
        # Cancelled tasks end before the loop stops: otherwise they are reported as destroyed.
        await asyncio.gather(
            *(task for task in asyncio.all_tasks() if task is not asyncio.current_task()),
            return_exceptions=True,
        )


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections; it is bound, so that nobody else can listen there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port on which connecting never ends: its queue of connections to accept is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]

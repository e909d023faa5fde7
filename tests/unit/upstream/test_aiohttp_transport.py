"""What aiohttp's pool and writer are made to do; what transports have in common is in the contract suite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import ConnectFailed
from gateway.exchange import Attempt, Request, Timeouts
from gateway.upstream.aiohttp_transport import AiohttpTransport

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
LARGE = bytes(32 * 1024 * 1024)
"""More than the sockets between two ends hold."""


class Host:
    """An upstream whose connections play its talks in turn; it counts them, and keeps the heads that came."""

    def __init__(self, *talks: Talk) -> None:
        self.talks = list(talks)
        self.heads: list[bytes] = []
        self.connections = 0
        self.is_over = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.talks.pop(0)(reader, writer)
        if not writer.is_closing():
            writer.transport.abort()

    async def head(self, reader: asyncio.StreamReader) -> int:
        """Read a request's head; returns how long its body is."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        return int(lines[b"content-length"])

    async def answering(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then wait for the end of the test."""
        await reader.readexactly(await self.head(reader))
        writer.write(OK)
        await self.is_over.wait()


def talk_to(host: Host, scene: Callable[[Callable[..., Awaitable[bytes]]], Awaitable[None]]) -> None:
    """Play a scene, which is given what sends a request and reads its answer."""

    async def whole() -> None:
        server = await asyncio.start_server(host.take, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = AiohttpTransport(0, 1.0)

        async def told(body: bytes = b"{}", **headers: str) -> bytes:
            asked = Request(f"http://127.0.0.1:{port}/v1/x?a=%2F#part", headers, body)
            answer = await transport.send(asked, Timeouts(first_byte_s=30), Attempt("here", "m", 0.0))
            try:
                return await answer.read(100)
            finally:
                answer.close()

        try:
            await asyncio.wait_for(scene(told), 60)
        finally:
            host.is_over.set()
            await transport.close()
            server.close()

    asyncio.run(whole())


def test_a_connection_that_answers_before_it_has_read_the_request_is_not_used_again() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.head(reader)
        writer.write(TOO_LARGE)
        await host.is_over.wait()

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        assert await told(LARGE) == b"no"
        assert await told() == b"ok"

    host = Host(hasty)
    host.talks.append(host.answering)
    talk_to(host, scene)
    assert host.connections == 2


def test_a_request_larger_than_the_sockets_hold_arrives_whole() -> None:
    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        assert await told(LARGE) == b"ok"

    host = Host()
    host.talks.append(host.answering)
    talk_to(host, scene)


def test_a_connection_that_ends_when_it_is_used_again_is_replaced() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await host.head(reader))
        writer.write(OK)
        await host.head(reader)

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        assert [await told(), await told()] == [b"ok", b"ok"]

    host = Host(once)
    host.talks.append(host.answering)
    talk_to(host, scene)
    assert (host.connections, len(host.heads)) == (2, 3)


def test_a_request_that_may_have_been_worked_on_is_not_sent_again() -> None:
    async def once_and_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await host.head(reader))
        writer.write(OK)
        await reader.readexactly(await host.head(reader))
        await asyncio.sleep(1)
        writer.close()

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        assert await told() == b"ok"
        with pytest.raises(ConnectFailed):
            await told()
        assert (host.connections, len(host.heads)) == (1, 2)

    host = Host(once_and_long)
    host.talks.append(host.answering)
    talk_to(host, scene)


def test_a_request_that_has_begun_to_be_answered_is_never_sent_again() -> None:
    async def once_and_a_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await host.head(reader))
        writer.write(OK)
        await reader.readexactly(await host.head(reader))
        writer.write(OK[:12])
        await writer.drain()
        writer.close()  # in good order: what was written arrives

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        assert await told() == b"ok"
        await asyncio.sleep(0)
        with pytest.raises(ConnectFailed):
            await told()
        assert (host.connections, len(host.heads)) == (1, 2)

    host = Host(once_and_a_half)
    talk_to(host, scene)


def test_a_new_connection_that_ends_without_an_answer_is_a_failure() -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await host.head(reader)

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        with pytest.raises(ConnectFailed):
            await told()

    host = Host(mute)
    talk_to(host, scene)
    assert host.connections == 1


def test_a_head_has_each_name_once_and_what_the_request_says_goes_first() -> None:
    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        await told(b"{}", **{"USER-AGENT": "forebay", "accept-encoding": "identity"})

    host = Host()
    host.talks.append(host.answering)
    talk_to(host, scene)
    line, *rest = host.heads[0].decode().strip().split("\r\n")
    lines = dict(one.lower().split(": ", 1) for one in rest)
    assert line == "POST /v1/x?a=%2F HTTP/1.1"
    assert len(lines) == len(rest)
    assert (lines["user-agent"], lines["accept-encoding"], lines["content-length"]) == (
        "forebay",
        "identity",
        "2",
    )
    assert lines["host"].startswith("127.0.0.1:")


def test_a_line_break_in_a_header_never_reaches_the_upstream() -> None:
    async def hears_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        assert not await reader.read()

    async def scene(told: Callable[..., Awaitable[bytes]]) -> None:
        with pytest.raises(ValueError, match="header injection"):
            await told(b"{}", authorization="Bearer x\r\nx-more: y")
        assert await told() == b"ok"

    host = Host(hears_nothing)
    host.talks.append(host.answering)
    talk_to(host, scene)
    assert (host.connections, len(host.heads)) == (2, 1)

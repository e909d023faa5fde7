"""One connection with many commands under way, against a transport that only remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis
import pytest
from unit.upstream import skipping

from gateway.stores.redis_link import Link, LinkLost, Refused


class Remembering(asyncio.Transport):
    """Keeps what is written; nothing arrives unless the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.is_aborted = True


class Line:
    """A link on such a transport."""

    def __init__(self, patience_s: float = 5.0) -> None:
        self.reasons: list[str] = []
        self.link = Link(patience_s, self.reasons.append)
        self.transport = Remembering()
        self.link.connection_made(self.transport)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def played() -> None:
        await scene()

    skipping.run(played())


def test_commands_of_one_turn_share_a_write_and_answers_come_in_their_order() -> None:
    async def scene() -> None:
        line = Line()
        first, second = line.link.send("GET", "a"), line.link.send("INCR", b"b")
        await asyncio.sleep(0)
        assert line.transport.written == [b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$4\r\nINCR\r\n$1\r\nb\r\n"]
        line.link.data_received(b"$1\r\nx\r\n:")
        assert first.done()
        assert not second.done()
        line.link.data_received(b"7\r\n")
        assert (await first, await second) == (b"x", 7)

    run(scene)


def test_an_error_is_an_answer() -> None:
    async def scene() -> None:
        line = Line()
        sent = line.link.send("GET", "a")
        line.link.data_received(b"-WRONGTYPE no\r\n")
        assert isinstance(await sent, hiredis.ReplyError)
        asking = asyncio.ensure_future(line.link.ask("GET", "a"))
        await asyncio.sleep(0)
        line.link.data_received(b"-LOADING wait\r\n")
        with pytest.raises(Refused, match="LOADING wait"):
            await asking

    run(scene)


def test_an_answer_nobody_waits_for_any_more_is_passed_over() -> None:
    async def scene() -> None:
        line = Line()
        first, second = line.link.send("GET", "a"), line.link.send("GET", "b")
        first.cancel()
        line.link.data_received(b":1\r\n:2\r\n")
        assert await second == 2

    run(scene)


def test_when_it_ends_all_hear_and_its_owner_once() -> None:
    async def scene() -> None:
        line = Line()
        sent = line.link.send("GET", "a")
        line.link.connection_lost(ConnectionResetError("reset"))
        line.link.connection_lost(None)
        with pytest.raises(LinkLost, match="reset"):
            await sent
        with pytest.raises(LinkLost):
            await line.link.send("GET", "a")
        assert line.reasons == ["reset"]

    run(scene)


def test_when_it_ends_idle_there_is_no_failure_to_tell() -> None:
    async def scene() -> None:
        line = Line()
        line.link.connection_lost(None)
        assert line.reasons == [""]

    run(scene)


def test_who_closes_it_is_not_told() -> None:
    async def scene() -> None:
        line = Line()
        line.link.close()
        assert line.transport.is_aborted
        assert not line.reasons

    run(scene)


def test_what_is_no_answer_ends_it() -> None:
    async def scene() -> None:
        for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b":1\r\n:2\r\n"):
            line = Line()
            sent = line.link.send("GET", "a")
            line.link.data_received(data)
            assert line.transport.is_aborted
            await asyncio.wait([sent])
            sent.exception()

    run(scene)


def test_it_ends_when_the_oldest_command_waits_for_too_long() -> None:
    async def scene() -> None:
        line = Line(patience_s=0.05)
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        early = line.link.send("GET", "a")
        line.link.data_received(b":1\r\n")
        sent = line.link.send("GET", "a")
        with pytest.raises(LinkLost, match=r"no answer within 0\.05 s"):
            await sent
        assert await early == 1
        assert 0.05 <= loop.time() - before_s < 1
        assert line.reasons == ["no answer within 0.05 s"]

    run(scene)


def test_what_is_answered_too_late_is_told_to_whoever_asked() -> None:
    async def scene() -> None:
        line = Line(patience_s=0.05)
        first, second = line.link.send("GET", "a"), line.link.send("GET", "b")
        laters = []
        for sent in (first, second):
            with pytest.raises(LinkLost, match="no answer within") as lost:
                await sent
            laters.append(lost.value.later)
        with pytest.raises(LinkLost, match="has ended"):
            await line.link.send("GET", "c")
        line.link.data_received(b":7\r\n")
        line.link.connection_lost(None)
        assert laters[0] is not None
        assert await laters[0] == 7
        assert laters[1] is not None
        assert laters[1].cancelled()
        assert line.reasons == ["no answer within 0.05 s"]

    run(scene)

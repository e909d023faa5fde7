"""Scenes played without a socket; what all transports have in common is in the contract suite."""

from __future__ import annotations

import asyncio

from unit.upstream import skipping

from gateway.exchange import Attempt, Request, Timeouts
from gateway.upstream.scripted_transport import Scene, ScriptedTransport

REQUEST = Request("scripted:x/chat/completions", {}, b"{}")


def test_each_request_is_asked_about() -> None:
    asked: list[Request] = []

    def play(request: Request) -> Scene:
        asked.append(request)
        return Scene(200, [], ((0, b"%d" % len(asked)),))

    async def scene() -> list[bytes]:
        transport = ScriptedTransport(play)
        return [
            await (await transport.send(REQUEST, Timeouts(), Attempt("here", "m", 0.0))).read(10)
            for _ in range(3)
        ]

    assert asyncio.run(scene()) == [b"1", b"2", b"3"]
    assert asked == [REQUEST] * 3


def test_pauses_come_before_their_pieces() -> None:
    async def scene() -> list[float]:
        pieces = ((0.1, b"a"), (0.0, b"b"), (0.1, b"c"))
        answer = await ScriptedTransport(lambda _: Scene(200, [], pieces)).send(
            REQUEST, Timeouts(), Attempt("here", "m", 0.0)
        )
        loop = asyncio.get_running_loop()
        started_s, times_s = loop.time(), []
        while await answer.next_piece():
            times_s.append(loop.time() - started_s)
        return times_s

    first_s, second_s, third_s = skipping.run(scene())
    assert 0.09 < first_s <= second_s < 0.19 < third_s

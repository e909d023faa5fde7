"""An open answer: its pieces under a watchdog, a bounded whole, one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from unit.upstream import skipping

from gateway.errors import Broken, Failed, TimedOut
from gateway.exchange import Timeouts
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog


class Body:
    """Gives its pieces one by one: bytes, a pause in seconds before the next, or an error."""

    def __init__(self, *steps: bytes | float | Exception) -> None:
        self._steps = list(steps)
        self.dropped = 0

    async def pull(self) -> bytes:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, bytes):
                return step
            if isinstance(step, Exception):
                raise step
            await asyncio.sleep(step)
        return b""

    def drop(self) -> None:
        self.dropped += 1

    def answer(self, first_byte_s: float = 5, gap_s: float = 5, total_s: float = 30) -> WatchedAnswer:
        watchdog = Watchdog(Timeouts(first_byte_s=first_byte_s, gap_s=gap_s, total_s=total_s))
        watchdog.expect("the first byte", first_byte_s)
        return WatchedAnswer(200, [], self.pull, self.drop, watchdog, gap_s)


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    skipping.run(asyncio.wait_for(scene(), 10))


def test_pieces_come_as_they_are_and_then_the_end() -> None:
    async def scene() -> None:
        answer = Body(b"a", b"b").answer()
        assert [await answer.next_piece() for _ in range(4)] == [b"a", b"b", b"", b""]
        answer.close()

    run(scene)


@pytest.mark.parametrize(("pieces", "whole"), [((), b""), ((b"abc",), b"abc"), ((b"a", b"b", b"c"), b"abc")])
def test_a_whole_body_is_read_within_its_limit(pieces: tuple[bytes, ...], whole: bytes) -> None:
    async def scene() -> None:
        answer = Body(*pieces).answer()
        assert await answer.read(3) == whole
        answer.close()

    run(scene)


@pytest.mark.parametrize("pieces", [(b"abcd",), (b"ab", b"cd"), (b"abc", b"d", b"e" * 1000)])
def test_a_body_beyond_the_limit_is_a_failed_upstream(pieces: tuple[bytes, ...]) -> None:
    async def scene() -> None:
        answer = Body(*pieces).answer()
        with pytest.raises(Failed, match="limit of 3 bytes") as failure:
            await answer.read(3)
        assert failure.value.code == "upstream_answer_too_large"
        answer.close()

    run(scene)


@pytest.mark.parametrize(
    ("pieces", "fits"), [((b"ab", b"c"), True), ((b"ab", b"cd"), False), ((b"abcd",), False)]
)
def test_what_was_read_already_is_part_of_the_whole(pieces: tuple[bytes, ...], *, fits: bool) -> None:
    async def scene() -> None:
        answer = Body(*pieces).answer()
        first = await answer.next_piece()
        if fits:
            assert await answer.read(3, first) == b"".join(pieces)
        else:
            with pytest.raises(Failed, match="limit of 3 bytes"):
                await answer.read(3, first)
        answer.close()

    run(scene)


def test_a_cut_body_is_broken() -> None:
    async def scene() -> None:
        answer = Body(b"a", Broken("cut")).answer()
        with pytest.raises(Broken):
            await answer.read(100)
        answer.close()

    run(scene)


def test_the_first_byte_has_its_own_time() -> None:
    async def scene() -> None:
        answer = Body(1.0, b"a").answer(first_byte_s=0.05)
        with pytest.raises(TimedOut, match="the first byte"):
            await answer.next_piece()
        answer.close()

    run(scene)


def test_a_gap_between_pieces_has_its_own_time() -> None:
    async def scene() -> None:
        answer = Body(0.1, b"a", 1.0, b"b").answer(gap_s=0.05)
        assert await answer.next_piece() == b"a"
        with pytest.raises(TimedOut, match="the next piece of the answer"):
            await answer.next_piece()
        answer.close()

    run(scene)


def test_a_slow_reader_is_not_the_upstreams_fault() -> None:
    async def scene() -> None:
        answer = Body(b"a", b"b").answer(first_byte_s=0.05, gap_s=0.05)
        assert await answer.next_piece() == b"a"
        await asyncio.sleep(0.15)
        assert await answer.next_piece() == b"b"
        answer.close()

    run(scene)


def test_a_steady_stream_meets_the_total() -> None:
    async def scene() -> None:
        answer = Body(*[0.02, b"a"] * 100).answer(gap_s=0.5, total_s=0.15)
        with pytest.raises(TimedOut, match="the whole answer"):
            await answer.read(1000)
        answer.close()

    run(scene)


def test_a_cancellation_by_somebody_else_stays_one() -> None:
    async def scene() -> None:
        body = Body(5.0, b"a")

        async def reader() -> None:
            answer = body.answer()
            try:
                await answer.next_piece()
            finally:
                answer.close()

        task = asyncio.create_task(reader())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert body.dropped == 1

    run(scene)


def test_closing_ends_the_watch() -> None:
    async def scene() -> None:
        body = Body(b"a")
        answer = body.answer(first_byte_s=0.02)
        answer.close()
        answer.close()
        await asyncio.sleep(0.06)
        assert body.dropped >= 1

    run(scene)

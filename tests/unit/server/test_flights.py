"""The calls that run, and how they are ended."""

from __future__ import annotations

import asyncio

import pytest

from gateway.server.flights import Flights


def test_calls_are_counted_while_they_run() -> None:
    async def scene() -> None:
        flights = Flights()
        one, two = flights.begin(), flights.begin()
        assert len(flights) == 2
        assert flights.state() == (True, "serving, 2 calls run")
        flights.end(one)
        flights.end(one)
        assert len(flights) == 1
        flights.drain()
        assert flights.state() == (False, "shutting down, 1 calls still run")
        flights.end(two)

    asyncio.run(scene())


def test_the_end_of_the_last_call_is_awaited() -> None:
    async def scene() -> None:
        flights = Flights()
        await flights.ended()
        one, two = flights.begin(), flights.begin()
        waiting = asyncio.create_task(flights.ended())
        await asyncio.sleep(0)
        flights.end(one)
        await asyncio.sleep(0)
        assert not waiting.done()
        flights.end(two)
        await asyncio.wait_for(waiting, 30)

    asyncio.run(scene())


def test_an_interrupted_call_is_cancelled_for_the_first_reason() -> None:
    async def scene() -> None:
        flights = Flights()
        seen: list[str] = []

        async def call() -> None:
            flight = flights.begin()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(flight.reason)
                flight.interrupt("client_gone")
                await asyncio.sleep(0)  # would raise if it were cancelled again
            finally:
                flights.end(flight)

        calls = [asyncio.create_task(call()) for _ in range(3)]
        await asyncio.sleep(0)
        flights.interrupt_all()
        flights.interrupt_all()
        await asyncio.gather(*calls)
        assert seen == ["shutdown"] * 3
        assert len(flights) == 0

    asyncio.run(scene())


def test_a_call_runs_in_a_task() -> None:
    async def scene() -> None:
        flights = Flights()
        outcome = asyncio.get_running_loop().create_future()

        def outside() -> None:
            with pytest.raises(RuntimeError, match="in a task"):
                flights.begin()
            outcome.set_result(len(flights))

        asyncio.get_running_loop().call_soon(outside)
        assert await outcome == 0

    asyncio.run(scene())

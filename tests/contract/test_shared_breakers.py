"""What workers know of each other's breakers: nothing where each is alone, all of it with a real Redis.

Two workers are two hubs in one process, each with its own connections, as two processes would have them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from rig.programs.redis import RedisServer, running_redis

from gateway.routing.health.breaker import BreakerSettings, State
from gateway.routing.health.health import Health, Visit
from gateway.routing.health.sharing import Alone, Share
from gateway.stores.breakers_redis import SharedBreakers

NAME = "openai/gpt-4o"
SETTINGS = BreakerSettings(consecutive=2, cool_down_s=0.2, jitter=0.0)
COOL_DOWN_S = 60.0
LONG = BreakerSettings(consecutive=2, cool_down_s=COOL_DOWN_S, jitter=0.0)
"""Lasts until a test sets the clocks forward."""
PATIENCE_S = 30.0
"""A Redis that is slow for a while is not lost: a test says itself when it is."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture
def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    monkeypatch.setattr("gateway.stores.breakers_redis._PATIENCE_S", PATIENCE_S)
    server.clear()
    return server


class Worker:
    """A worker: its hub, where it has one, and its Health of the deployment.

    `ahead_s`: how far its clock was set forward.
    """

    def __init__(self, url: str = "", settings: BreakerSettings = SETTINGS) -> None:
        self.ahead_s = 0.0
        self.hub = SharedBreakers(url, self.now_s) if url else None
        share: Share = self.hub.share(NAME) if self.hub else Alone()
        self.states: list[State] = []
        self.health = Health(settings, on_change=self.states.append, share=share)

    def now_s(self) -> float:
        return time.monotonic() + self.ahead_s

    @property
    def state(self) -> State:
        return self.health.breaker.state

    def may_try(self) -> bool:
        return self.health.obstacle(self.now_s()) is None

    def enter(self) -> Visit:
        visit = self.health.enter(self.now_s())
        assert visit is not None
        return visit

    def ends(self, cause: Literal["error"] | None) -> None:
        visit = self.enter()
        visit.ended(self.now_s(), cause)

    def fails(self) -> None:
        for _ in range(2):
            self.ends("error")


async def soon(holds: Callable[[], bool]) -> None:
    """Give way until it holds."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def following(*workers: Worker) -> AsyncIterator[None]:
    hubs = [worker.hub for worker in workers if worker.hub is not None]
    tasks = [asyncio.create_task(hub.follow()) for hub in hubs]
    try:
        await soon(lambda: all(hub.is_up for hub in hubs))
        yield
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["alone", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "alone":
        return ""
    return str(request.getfixturevalue("redis").url)


def test_a_worker_opens_lets_one_call_try_and_closes(url: str) -> None:
    async def scene() -> None:
        one = Worker(url, LONG)
        async with following(one):
            one.fails()
            assert not one.may_try()
            one.ahead_s += COOL_DOWN_S
            await soon(one.may_try)
            visit = one.enter()
            assert not one.may_try()
            visit.ended(one.now_s())
            assert one.may_try()
            assert one.states == ["open", "half_open", "closed"]

    asyncio.run(scene())


def test_a_call_that_was_given_up_leaves_its_place_to_the_next(url: str) -> None:
    async def scene() -> None:
        one = Worker(url)
        async with following(one):
            one.fails()
            await soon(one.may_try)
            one.enter().abandoned()
            await soon(one.may_try)
            one.ends(None)
            assert one.state == "closed"

    asyncio.run(scene())


def test_workers_that_are_alone_know_nothing_of_each_other() -> None:
    one, two = Worker(), Worker()
    one.fails()
    assert (one.state, two.state) == ("open", "closed")


def test_an_opening_and_a_closing_are_seen_by_the_other_worker(redis: RedisServer) -> None:
    async def scene() -> None:
        one, two = Worker(redis.url, LONG), Worker(redis.url, LONG)
        async with following(one, two):
            one.fails()
            await soon(lambda: two.state == "open")
            obstacle = two.health.obstacle(two.now_s())
            assert obstacle is not None
            assert obstacle.reason == "its circuit breaker is open: 2 failures in a row (error)"
            assert 0 < (obstacle.retry_after_s or 0) <= COOL_DOWN_S
            one.ahead_s = two.ahead_s = COOL_DOWN_S
            trying = await first_that_may(one, two)
            trying.ends(None)
            await soon(lambda: (one.state, two.state) == ("closed", "closed"))

    asyncio.run(scene())


async def first_that_may(*workers: Worker) -> Worker:
    await soon(lambda: any(worker.may_try() for worker in workers))
    return next(worker for worker in workers if worker.may_try())


def test_one_worker_tries_at_a_time_however_many_calls_come_everywhere(redis: RedisServer) -> None:
    async def scene() -> None:
        workers = [Worker(redis.url, LONG) for _ in range(4)]
        async with following(*workers):
            workers[0].fails()
            await soon(lambda: all(worker.state == "open" for worker in workers))
            visits: list[Visit] = []
            for worker in workers:
                worker.ahead_s = COOL_DOWN_S
            until_s = time.monotonic() + 1.7  # longer than a turn that nobody uses

            def all_call() -> bool:
                for worker in workers:
                    visit = worker.health.enter(worker.now_s())
                    if visit is not None:
                        visits.append(visit)
                return bool(visits) and time.monotonic() > until_s

            await soon(all_call)
            assert len(visits) == 1
            visits[0].ended(workers[0].now_s(), "error")
            assert sum(worker.states.count("half_open") for worker in workers) == 1
            await soon(lambda: all(worker.state == "open" and not worker.may_try() for worker in workers))

    asyncio.run(scene())


def test_the_turn_of_a_worker_without_calls_goes_to_one_that_has_some(redis: RedisServer) -> None:
    async def scene() -> None:
        idle, busy = Worker(redis.url), Worker(redis.url)
        async with following(idle, busy):
            idle.fails()
            await soon(lambda: busy.state == "open")
            await soon(busy.may_try)
            busy.ends(None)
            await soon(lambda: idle.state == "closed")

    asyncio.run(scene())


def test_a_worker_that_starts_later_reads_what_is_open(redis: RedisServer) -> None:
    async def scene() -> None:
        one = Worker(redis.url, LONG)
        async with following(one):
            one.fails()
            with redis.client() as client:
                await soon(lambda: bool(client.exists(f"{{forebay}}:breaker:{NAME}")))
            late = Worker(redis.url, LONG)
            async with following(late):
                await soon(lambda: late.state == "open")
                obstacle = late.health.obstacle(late.now_s())
                assert obstacle is not None
                assert COOL_DOWN_S / 2 < (obstacle.retry_after_s or 0) <= COOL_DOWN_S

    asyncio.run(scene())


def test_without_redis_each_worker_goes_by_itself_and_says_so_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.breakers_redis._AGAIN_S", 0.01)

    async def scene() -> None:
        one, two = Worker(redis.url), Worker(redis.url)
        async with following(one, two):
            redis.stop()
            assert one.hub is not None
            assert two.hub is not None
            hubs = (one.hub, two.hub)
            await soon(lambda: not any(hub.is_up for hub in hubs))
            one.fails()
            assert (one.state, two.state) == ("open", "closed")
            await soon(one.may_try)
            one.ends("error")
            assert len(caplog.messages) == 2, "one warning of each worker"
            redis.start()
            await soon(lambda: all(hub.is_up for hub in hubs))
            await soon(one.may_try)
            one.ends(None)
            assert one.state == "closed"

    with caplog.at_level(logging.WARNING, "gateway.stores.breakers_redis"):
        asyncio.run(scene())
    assert {message.partition(" (")[0] for message in caplog.messages} == {
        "circuit breakers are not shared: Redis cannot be used"
    }


def test_a_loss_that_ends_listening_and_speaking_together_is_said_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.breakers_redis._AGAIN_S", 0.01)

    async def scene() -> None:
        one = Worker(redis.url)
        assert one.hub is not None
        hub = one.hub
        async with following(one):
            redis.freeze()
            one.fails()
            for _ in range(50):  # turns of the loop: it is told, and both wait for Redis to answer
                await asyncio.sleep(0)
            redis.kill()
            await soon(lambda: not hub.is_up)
            redis.start()
            await soon(lambda: hub.is_up)

    asyncio.run(scene())
    gc.collect()  # what is left in a task is told when the task is gone
    [message] = caplog.messages
    assert message.startswith("circuit breakers are not shared: Redis cannot be used")


def test_what_opened_while_redis_was_down_is_told_when_it_is_back(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.breakers_redis._AGAIN_S", 0.01)

    async def scene() -> None:
        one, two = Worker(redis.url, LONG), Worker(redis.url, LONG)
        async with following(two):
            one.fails()
            async with following(one):
                await soon(lambda: two.state == "open")

    asyncio.run(scene())


def test_what_others_write_into_the_channel_does_no_harm(redis: RedisServer) -> None:
    async def scene() -> None:
        one, two = Worker(redis.url), Worker(redis.url)
        async with following(one, two):
            with redis.client() as client:
                for data in (b"", b"\xff", b"[]", b'{"worker": "x", "name": "unknown", "kind": "opened"}'):
                    client.publish("forebay:breakers", data)
            one.fails()
            await soon(lambda: two.state == "open")

    asyncio.run(scene())

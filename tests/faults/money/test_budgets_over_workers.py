"""A budget for 5,000 calls, asked 20,000 times of eight worker processes: never more, hardly less.

Whatever happens meanwhile: clients that leave, workers that are killed, a Redis that comes back empty.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import uvloop
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway
from rig.load import put_calls, request
from rig.programs.redis import VALKEY, RedisServer, redis_program, running_redis
from rig.script import events, plain, sse
from rig.upstream import Upstream

WORKERS, CALLS, CONNECTIONS = 8, 20_000, 32
WHOLE_NANOUSD = 12_000
"""What a whole answer of the rig's costs: 9 tokens in and 3 out, at a dollar for a million."""
AFFORDABLE = 5_000
LEAST = 0.98
PRICES = {"models": {"gpt-4o-mini": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}}
BUDGET_NANOUSD = WHOLE_NANOUSD * AFFORDABLE
BUDGETS = {
    "budgets": {"all": {"usd": BUDGET_NANOUSD / 1e9, "every": "month", "per": ["tenant"], "fail": "closed"}}
}


@dataclass(frozen=True)
class Site:
    """A gateway of many workers, its upstream and its Redis."""

    gateway: Gateway
    upstream: Upstream
    redis: RedisServer

    def asked(self, *, stream: bool) -> bytes:
        """One call, as bytes."""
        body: dict[str, Any] = {"model": "gpt-4o-mini", "max_tokens": 3, "stream": stream}
        body["messages"] = [{"role": "user", "content": "hi"}]
        return request(self.gateway.url, self.gateway.headers, body)

    def spent_nanousd(self) -> int:
        """What the store has of the budget."""
        with self.redis.client() as client:
            counters = [key for key in client.scan_iter("*") if b":counter:" in key]
            assert len(counters) < 2, counters
            return sum(int(client.hget(key, "taken") or 0) for key in counters)

    def workers(self) -> list[psutil.Process]:
        """The processes that take calls."""
        return [
            one
            for one in psutil.Process(self.gateway.process.pid).children()
            if "worker" in " ".join(one.cmdline())
        ]


@pytest.fixture(params=["valkey", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    program = VALKEY if request.param == "valkey" else redis_program()
    with running_redis(program) as redis, Upstream() as upstream:
        routing = {
            "server": {
                "workers": WORKERS,
                "redis_url": redis.url,
                "slow_refusals": False,
                "decisions": "none",
            },
            "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
            "routes": {"gpt-4o-mini": {"targets": [{"backend": "fake"}]}},
        }
        policies = {"prices": PRICES, "budgets": BUDGETS}
        with running_gateway(tmp_path / "gateway", routing, policies=policies) as gateway:
            yield Site(gateway, upstream, redis)


@contextmanager
def meanwhile(act: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something beside the load; it is asked to end by the event."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def served(site: Site, calls: int = CALLS) -> Counter[int]:
    site.upstream.answer_with(plain(json.dumps(chat.completion()).encode()))
    answers = put_calls(site.gateway.url, islice(repeat(site.asked(stream=False)), calls), CONNECTIONS)
    return Counter(answer.status for answer in answers)


def test_a_budget_is_spent_and_never_exceeded(site: Site) -> None:
    statuses = served(site)
    assert set(statuses) == {200, 402}
    assert LEAST * AFFORDABLE <= statuses[200] <= AFFORDABLE
    assert eventually(lambda: site.spent_nanousd() == statuses[200] * WHOLE_NANOUSD)


def test_it_holds_for_streams_of_which_a_third_are_left(site: Site) -> None:
    site.upstream.answer_with(events(sse(*chat.chunks())))
    asked = site.asked(stream=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        statuses = runner.run(_put_streams(site.gateway.url, asked, CALLS))
    assert set(statuses) == {200, 402}
    # What was left is paid for as far as it went: more of those fit into the budget.
    assert statuses[200] >= LEAST * AFFORDABLE
    assert eventually(lambda: LEAST * BUDGET_NANOUSD <= site.spent_nanousd() <= BUDGET_NANOUSD)


def test_it_holds_while_a_worker_is_killed_each_second(site: Site) -> None:
    killed = 0

    def kill(over: threading.Event) -> None:
        nonlocal killed
        while not over.wait(1.0):
            if workers := site.workers():
                workers[killed % len(workers)].send_signal(signal.SIGKILL)
                killed += 1

    with meanwhile(kill):
        statuses = served_by_whoever_lives(site)
    assert killed
    assert statuses[200] <= AFFORDABLE
    assert eventually(lambda: LEAST * BUDGET_NANOUSD <= site.spent_nanousd() <= BUDGET_NANOUSD)


def test_it_holds_where_redis_comes_back_empty(site: Site) -> None:
    statuses = Counter[int]()

    def go_on_asking(over: threading.Event) -> None:
        while not over.is_set() or statuses.total() < CALLS:
            statuses.update(served(site, 1000))

    with meanwhile(go_on_asking):
        assert eventually(lambda: len(site.upstream.seen) > AFFORDABLE // 3, 60)
        site.redis.stop()
        assert eventually(lambda: statuses[503] > 0)
        site.redis.start()  # from this thread: it ends with the one that has begun it
    assert eventually(lambda: is_spent(site), 30)
    assert set(statuses) <= {200, 402, 503}
    assert LEAST * AFFORDABLE <= len(site.upstream.seen) <= AFFORDABLE


def is_spent(site: Site) -> bool:
    """No call is let in any more, also when every worker has given back what it had in advance."""
    threading.Event().wait(0.5)
    return served(site, 200).keys() == {402}


def served_by_whoever_lives(site: Site) -> Counter[int]:
    """Send all calls; a connection that is cut is made again."""
    site.upstream.answer_with(plain(json.dumps(chat.completion()).encode()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_put_again(site.gateway.url, islice(repeat(site.asked(stream=False)), CALLS)))


async def _put_again(url: str, requests: Iterator[bytes]) -> Counter[int]:
    statuses = Counter[int]()

    async def caller() -> None:
        place = urlsplit(url)
        for asked in requests:
            try:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            except OSError:
                continue
            try:
                writer.write(asked)
                statuses[await _whole(reader)] += 1
            except (OSError, asyncio.IncompleteReadError):
                statuses[0] += 1
            finally:
                writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(caller())
    return statuses


async def _whole(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
    await reader.readexactly(int(length))
    return int(head.split(b" ", 2)[1])


async def _put_streams(url: str, asked: bytes, calls: int) -> Counter[int]:
    """Send streams, and leave each third after its head and first words."""
    statuses, numbers, place = Counter[int](), iter(range(calls)), urlsplit(url)

    async def caller() -> None:
        for number in numbers:
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(asked)
                head = await reader.readuntil(b"\r\n\r\n")
                statuses[int(head.split(b" ", 2)[1])] += 1
                if number % 3:
                    await (
                        reader.readuntil(b"0\r\n\r\n") if b"chunked" in head.lower() else _rest(reader, head)
                    )
            finally:
                writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(caller())
    return statuses


async def _rest(reader: asyncio.StreamReader, head: bytes) -> bytes:
    return await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))

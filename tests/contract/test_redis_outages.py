"""Quotas in Redis when it is slow, gone, emptied, or another one takes over; and all the ways to reach it.

Whatever happens, no more is taken than the limit, a call hears at once that the store is down, and it comes
back by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from queue import Queue

import pytest
from rig.faults.doors import Authority
from rig.programs.redis import VALKEY, RedisServer, free_port, redis_program, running_redis

from gateway.errors import StoreDown
from gateway.quotas.counting import Ask, Counter, Meter, TooSlow
from gateway.stores.quotas_redis import RedisQuotas

HOUR_MS = 3_600_000
PATIENCE_S = 30.0
"""With a Redis that is to answer: one that a busy machine makes slow is not lost."""
LITTLE_PATIENCE_S = 0.3
"""With one that is frozen."""
AT_WORK_S = 90.0
"""A sentinel that was stalled for two seconds trusts nothing for another thirty."""
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def patient_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.quotas_redis._CONNECT_S", PATIENCE_S)


@pytest.fixture(params=["valkey", "redis"])
def program(request: pytest.FixtureRequest) -> str:
    return VALKEY if request.param == "valkey" else redis_program()


@pytest.fixture
def server(program: str) -> Iterator[RedisServer]:
    with running_redis(program) as running:
        yield running


@asynccontextmanager
async def opened(url: str, patience_s: float = PATIENCE_S) -> AsyncIterator[RedisQuotas]:
    store = RedisQuotas(url, patience_s=patience_s)
    try:
        yield store
    finally:
        await store.close()


def has_little_patience(store: RedisQuotas) -> None:
    """From now on, and over the connection that it has."""
    link = store._link
    assert link is not None
    link._patience_s = LITTLE_PATIENCE_S
    if link._timer is not None:
        link._timer.cancel()
        link._timer = None


async def soon(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.005)


def counter(limit: int, kind: str = "period") -> Counter:
    ends_ms = int(time.time() * 1000) + HOUR_MS
    return Counter(f"outage:{next(_numbers)}", Meter(kind, limit, HOUR_MS), ends_ms)


def is_told_at_once(store: RedisQuotas) -> None:
    """A call hears that there is no store before it gives way even once."""
    with pytest.raises(StoreDown):
        takes(store, counter(10)).send(None)


async def takes(store: RedisQuotas, limited: Counter, need: int = 1) -> int:
    return (await store.exchange([Ask(limited, need)])).told[0].granted


class Worker:
    """Takes from one counter as fast as it can, in advance too, and remembers what it was told."""

    def __init__(self, url: str, limited: Counter) -> None:
        self.store = RedisQuotas(url, patience_s=PATIENCE_S)
        self.store.on_return = self._known
        self.limited = limited
        self.got = 0
        self.unsure = 0
        self.refused = 0
        self._seen = 0

    def _known(self) -> list[Ask]:
        return [Ask(self.limited, seen=self._seen)]

    async def take_until_refused(self, times: int) -> None:
        need = 1 + next(_numbers) % 5
        while self.refused < times:
            ask = Ask(self.limited, need if not self.refused else 1, wish=10, seen=self._seen)
            try:
                told = (await self.store.exchange([ask])).told[0]
            except StoreDown as down:
                self.unsure += ask.need + ask.wish if down.reached else 0
            else:
                self._seen = told.taken
                self.got += told.granted
                self.refused += not told.granted
            await asyncio.sleep(0.002)


@asynccontextmanager
async def at_work(url: str, limited: Counter) -> AsyncIterator[list[Worker]]:
    """Four workers that take all there is."""
    workers = [Worker(url, limited) for _ in range(4)]
    try:
        assert all([await worker.store.ready() for worker in workers])
        async with asyncio.timeout(AT_WORK_S), asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.take_until_refused(3))
            yield workers
    finally:
        for worker in workers:
            await worker.store.close()


def got(workers: list[Worker]) -> int:
    return sum(worker.got for worker in workers)


def none_was_lost_and_none_taken_twice(workers: list[Worker], limit: int) -> None:
    assert limit - sum(worker.unsure for worker in workers) <= got(workers) <= limit


def test_a_limit_holds_though_redis_dies_and_comes_back_empty(server: RedisServer) -> None:
    async def scene() -> None:
        async with at_work(server.url, counter(1000)) as workers:
            await soon(lambda: got(workers) > 500)
            server.kill()  # no worker goes on meanwhile, and all was taken before it is there again
            assert not any(worker.refused for worker in workers)
            await asyncio.to_thread(server.start)
        none_was_lost_and_none_taken_twice(workers, 1000)

    asyncio.run(scene())


def test_a_limit_holds_though_redis_is_emptied(server: RedisServer) -> None:
    async def scene() -> None:
        async with at_work(server.url, counter(1000)) as workers:
            await soon(lambda: got(workers) > 500)
            server.clear()
        none_was_lost_and_none_taken_twice(workers, 1000)

    asyncio.run(scene())


def test_a_limit_holds_though_redis_goes_back_to_what_it_wrote_down(program: str) -> None:
    async def scene(server: RedisServer) -> None:
        async with at_work(server.url, counter(1000)) as workers:
            await soon(lambda: got(workers) > 200)
            with server.client() as client:
                client.save()
            await soon(lambda: got(workers) > 600)
            server.kill()
            await asyncio.to_thread(server.start)
        none_was_lost_and_none_taken_twice(workers, 1000)

    with running_redis(program, "--save", "3600 1") as server:
        asyncio.run(scene(server))


def test_every_kind_of_counter_is_learnt_again(server: RedisServer) -> None:
    async def scene() -> None:
        asks = [Ask(counter(100, kind), 40) for kind in ("window", "bucket", "period", "seats")]
        async with opened(server.url) as store:
            assert await store.ready()
            assert (await store.exchange(asks)).granted
            store.on_return = lambda: [Ask(ask.counter, seen=40) for ask in asks]
            server.kill()
            await asyncio.to_thread(server.start)
            await soon(lambda: store.state()[0])
            verdict = await store.exchange([Ask(ask.counter, seen=40) for ask in asks])
            assert [told.taken for told in verdict.told] == [40, 40, 40, 40]

    asyncio.run(scene())


def test_while_it_recovers_nothing_is_granted_and_nothing_was_done(server: RedisServer) -> None:
    async def scene() -> None:
        limited = counter(10)
        async with opened(server.url) as store:
            with pytest.raises(StoreDown, match="lost its memory") as raised:
                await takes(store, limited)
            assert not raised.value.reached
            assert store.state() == (False, "Redis has lost its memory: it is gathered from the workers")
            assert await store.ready()
            assert store.state() == (True, "shared through Redis")
            assert await takes(store, limited, 10) == 10

    asyncio.run(scene())


def test_without_redis_calls_are_told_at_once_and_it_is_logged_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        server.stop()
        async with opened(server.url) as store:
            with pytest.raises(StoreDown) as raised:
                await takes(store, counter(10))
            assert not raised.value.reached
            for _ in range(100):
                is_told_at_once(store)
            is_up, why = store.state()
            assert not is_up
            assert "Connect" in why or "refused" in why
            assert not await store.ready()
            server.start()
            await soon(lambda: store.state()[0])
            assert await takes(store, counter(10)) == 1

    with caplog.at_level(logging.INFO, "gateway.stores.quotas_redis"):
        asyncio.run(scene())
    first, last = [message.partition(":")[0] for message in caplog.messages]
    assert (first, last) == ("quotas are not shared", "quotas are shared through Redis again")


def test_a_redis_that_says_nothing_is_left_after_the_time_it_has(server: RedisServer) -> None:
    async def scene() -> None:
        limited = counter(10)
        async with opened(server.url) as store:
            assert await store.ready()
            has_little_patience(store)
            server.freeze()
            before_s = time.monotonic()
            with pytest.raises(TooSlow, match=f"no answer within {LITTLE_PATIENCE_S:g} s") as raised:
                await takes(store, limited)
            assert raised.value.reached
            # It is frozen until then: whoever waited for it would wait for ever.
            assert LITTLE_PATIENCE_S - 0.05 <= time.monotonic() - before_s < 20
            is_told_at_once(store)
            server.thaw()
            await soon(lambda: store.state()[0])
            # It was done after all, and whoever asked hears of it, so that it can be given back.
            verdict = await asyncio.wait_for(raised.value.later, 30)
            assert verdict is not None
            assert (verdict.granted, verdict.told[0].granted) == (True, 1)
            assert (await store.exchange([Ask(limited)])).told[0].taken == 1

    asyncio.run(scene())


def test_a_connection_that_is_closed_while_idle_is_made_anew_unnoticed(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with opened(server.url) as store:
            assert await store.ready()
            before = store._link
            with server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await soon(lambda: store._link is not before)
            assert await takes(store, counter(10)) == 1

    with caplog.at_level(logging.INFO, "gateway.stores.quotas_redis"):
        asyncio.run(scene())
    assert not caplog.messages


def test_seats_that_may_have_been_taken_unheard_do_not_leak(server: RedisServer) -> None:
    async def scene() -> None:
        limited = counter(10, "seats")
        async with opened(server.url) as store:
            assert await store.ready()
            await store.exchange([Ask(limited, 2)])
            store.on_return = lambda: [Ask(limited, seen=2)]
            has_little_patience(store)
            server.freeze()
            with pytest.raises(StoreDown):
                await store.exchange([Ask(limited, 5, seen=2)])
            server.thaw()
            await soon(lambda: store.state()[0])
            assert (await store.exchange([Ask(limited, seen=2)])).told[0].taken == 2

    asyncio.run(scene())


def test_a_server_that_has_forgotten_the_script_is_given_it_again(server: RedisServer) -> None:
    async def scene() -> None:
        limited = counter(10)
        async with opened(server.url) as store:
            assert await store.ready()
            with server.client() as client:
                client.script_flush()
            assert await asyncio.gather(*(takes(store, limited) for _ in range(3))) == [1, 1, 1]
            assert await takes(store, limited) == 1

    asyncio.run(scene())


def test_a_server_that_refuses_to_write_did_nothing_and_is_left(server: RedisServer) -> None:
    async def scene() -> None:
        limited = counter(10)
        async with opened(server.url) as store:
            assert await store.ready()
            with server.client() as client:
                client.config_set("min-replicas-to-write", 1)
                with pytest.raises(StoreDown, match="NOREPLICAS") as raised:
                    await takes(store, limited)
                assert not raised.value.reached
                client.config_set("min-replicas-to-write", 0)
            await soon(lambda: store.state()[0])
            assert await takes(store, limited) == 1

    asyncio.run(scene())


def test_a_user_with_few_rights_is_enough(server: RedisServer) -> None:
    rights = ["~{forebay}:*", "+@read", "+@write", "+@scripting", "+info", "+time", "+select"]
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "forebay", "on", ">hush:@/", *rights)
        client.execute_command("ACL", "SETUSER", "default", "off")

    async def scene() -> None:
        async with opened(f"redis://forebay:hush%3A%40%2F@127.0.0.1:{server.port}/3") as store:
            assert await store.ready()
            limited = counter(10)
            assert await takes(store, limited) == 1
            assert await store.claim("once", 1000)
            await store.revise(limited.key, 20, 1000)
            await store.reset(limited.key)
        async with opened(f"redis://forebay:wrong@127.0.0.1:{server.port}") as store:
            with pytest.raises(StoreDown, match="WRONGPASS"):
                await takes(store, counter(10))

    asyncio.run(scene())


def test_it_is_reached_through_tls_and_a_wrong_certificate_is_not(program: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = str(authority.good())

    async def scene(url: str) -> None:
        async with opened(
            f"{url}?ssl_ca_certs={authority.path}&ssl_certfile={pem}&ssl_keyfile={pem}"
        ) as store:
            assert await store.ready()
            assert await takes(store, counter(10)) == 1
        async with opened(f"{url}?ssl_certfile={pem}&ssl_keyfile={pem}") as store:
            with pytest.raises(StoreDown, match="CERTIFICATE_VERIFY_FAILED"):
                await takes(store, counter(10))

    with encrypted_redis(program, pem, str(authority.path)) as url:
        asyncio.run(scene(url))


@contextmanager
def encrypted_redis(program: str, pem: str, authority: str) -> Iterator[str]:
    """A server behind TLS, whose clients have to show a certificate: few programs are built with it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.load_cert_chain(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with running_redis(program) as server, decrypting(context, server.port) as port:
        yield f"rediss://127.0.0.1:{port}/0"


@contextmanager
def decrypting(context: ssl.SSLContext, to_port: int) -> Iterator[int]:
    """A port that takes TLS off what comes, and passes it on."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", to_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pour(reader, away))
                both.create_task(pour(there, writer))
        finally:
            away.close()
            writer.close()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    async def serve(ready: Queue[int], over: threading.Event) -> None:
        async with await asyncio.start_server(take, "127.0.0.1", 0, ssl=context) as serving:
            ready.put(serving.sockets[0].getsockname()[1])
            await asyncio.to_thread(over.wait)

    ready, over = Queue[int](), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready, over)))
    thread.start()
    try:
        yield ready.get(timeout=30)
    finally:
        over.set()
        thread.join()


def test_it_is_reached_through_a_socket_of_this_machine(program: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(f"unix://{tmp_path}/s?db=2") as store:
            assert await store.ready()
            assert await takes(store, counter(10)) == 1

    with running_redis(program, "--unixsocket", f"{tmp_path}/s"):
        asyncio.run(scene())


def test_when_a_replica_takes_over_the_limit_holds(program: str) -> None:
    async def scene(master: RedisServer, sentinel: RedisServer) -> None:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/0"
        async with at_work(url, counter(2000)) as workers:
            await soon(lambda: got(workers) > 500)
            await asyncio.to_thread(master.kill)
        none_was_lost_and_none_taken_twice(workers, 2000)

    with ExitStack() as stack:
        master = stack.enter_context(running_redis(program))
        replica = stack.enter_context(running_redis(program, "--replicaof", f"127.0.0.1 {master.port}"))
        sentinel = stack.enter_context(running_redis(program, "--sentinel"))
        with sentinel.client() as client, replica.client() as second:
            client.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", master.port, 1)
            client.execute_command("SENTINEL", "SET", "main", "down-after-milliseconds", 500)
            wait_for(lambda: second.info("replication")["master_link_status"] == "up")
            wait_for(lambda: len(client.execute_command("SENTINEL", "REPLICAS", "main")) == 1)
        asyncio.run(scene(master, sentinel))


def test_in_a_cluster_our_keys_are_found_also_when_they_move(program: str) -> None:
    async def scene(nodes: list[RedisServer], ids: list[str], slot: int) -> None:
        limited = counter(100)
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with opened(f"redis+cluster://{hosts}") as store:
            assert await store.ready()
            assert await takes(store, limited, 60) == 60
            store.on_return = lambda: [Ask(limited, seen=60)]
            owner = next(node for node in nodes if owns(node, slot))
            other = next(node for node in nodes if node is not owner)
            move(owner, other, slot, ids[nodes.index(other)])
            with pytest.raises(StoreDown, match="MOVED") as raised:
                await takes(store, limited, 1)
            assert not raised.value.reached
            await soon(lambda: store.state()[0])
            assert await takes(store, limited, 41) == 0
            assert await takes(store, limited, 40) == 40

    with ExitStack() as stack:
        options = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-port"]
        buses = [free_port(), free_port()]
        nodes = [stack.enter_context(running_redis(program, *options, str(bus))) for bus in buses]
        clients = [stack.enter_context(node.client()) for node in nodes]
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
        slot = clients[0].execute_command("CLUSTER", "KEYSLOT", "{forebay}:x")
        clients[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        clients[1].execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, buses[1])
        for client in clients:
            wait_for(lambda client=client: len(client.execute_command("CLUSTER", "SLOTS")) == 2)
            wait_for(lambda client=client: b"state:ok" in client.execute_command("CLUSTER", "INFO"))
        asyncio.run(scene(nodes, ids, slot))


def owns(node: RedisServer, slot: int) -> bool:
    with node.client() as client:
        for first, last, owner, *_ in client.execute_command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return int(owner[1]) == node.port
    return False


def move(owner: RedisServer, other: RedisServer, slot: int, other_id: str) -> None:
    """Give a slot to another node, without what is in it."""
    with owner.client() as client:
        for key in client.keys("*"):
            client.delete(key)
    with other.client() as client, owner.client() as former:
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", other_id)
        former.execute_command("CLUSTER", "SETSLOT", slot, "NODE", other_id)


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)

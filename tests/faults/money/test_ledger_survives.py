"""Every call whose answer ended is in the ledger once, to the last nano-dollar, whatever dies meanwhile.

The upstream tells another number of tokens for each call, so that an entry says which call it is of.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import uvloop
from rig import chat
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, prepared_folder, started
from rig.load import answer_of, request
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream

from gateway.ledger.entries import Entry
from gateway.ledger.segments import MAGIC, read_part
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import place_of

CALLS, CONNECTIONS, WORKERS = 50_000, 32, 2
USD = {"input_usd_per_mtok": 1.234567, "output_usd_per_mtok": 9.87, "cached_usd_per_mtok": 0.123}
PRICES = {"models": {"gpt-4o-mini": USD}}
AFTERWARDS_S = 120.0
"""So long what waits in the spool may take after the last call; the machines that run this are slow."""


def tokens_of(number: int) -> tuple[int, int, int]:
    """The input, output and cached tokens of a call: no other call has so many of input."""
    return number + 1_000, number % 97 + 1, number % 13


def cost_of(number: int) -> Decimal:
    """What it costs in dollars, from the prices as they are written above."""
    asked, said, cached = tokens_of(number)
    rates = {name: Decimal(str(usd)) for name, usd in USD.items()}
    return (
        (asked - cached) * rates["input_usd_per_mtok"]
        + cached * rates["cached_usd_per_mtok"]
        + said * rates["output_usd_per_mtok"]
    ) / 1_000_000


class Counting:
    """The upstream's script: it counts what it was asked, by the number of the call."""

    def __init__(self, upstream: Upstream) -> None:
        self.asked: Counter[int] = Counter()
        self._upstream = upstream
        upstream.answer_with(self.answer)

    def answer(self, seen: Seen) -> Answer:
        body = seen.json()
        number = int(body["messages"][0]["content"])
        self.asked[number] += 1
        if len(self._upstream.seen) > 1000:
            self._upstream.seen.clear()
        asked, said, cached = tokens_of(number)
        usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
        if not body.get("stream"):
            return plain(json.dumps(chat.completion() | {"usage": usage}).encode())
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        last = json.dumps(told | {"choices": [], "usage": usage})
        end = [f"data: {last}\n\n".encode(), b"data: [DONE]\n\n"]
        return events([*sse(*chat.chunks(usage=False))[:-1], *end])


class Place:
    """A gateway that may be ended and started again, its state, and which calls were answered whole."""

    def __init__(
        self, folder: Path, upstream: Upstream, ledger: dict[str, Any], state: Path | None = None
    ) -> None:
        routing = {
            "server": {"workers": WORKERS, "drain_s": 2, "decisions": "none"},
            "ledger": {"enabled": True} | ledger,
            "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
            "routes": {"gpt-4o-mini": {"targets": [{"backend": "fake"}], "retry": {"attempts": 0}}},
        }
        self.folder = folder
        prepared_folder(folder, routing, {"prices": PRICES})
        self.state = state or folder / "state"
        self.upstream = Counting(upstream)
        self.answered: set[int] = set()
        self.statuses: Counter[int] = Counter()
        self.gateway: Gateway
        self.start()

    def start(self) -> None:
        gateway = started(self.folder, "--state", str(self.state))
        gateway.wait_until_ready()
        self.gateway = gateway

    def close(self) -> None:
        if self.gateway.process.poll() is None:
            self.gateway.terminate()
            assert self.gateway.wait() == 0, self.gateway.tail()

    def put_calls(self, numbers: Iterator[int], connections: int = CONNECTIONS) -> None:
        """Send a call for each number, every third as a stream; none is repeated."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._put(numbers, connections))

    async def _put(self, numbers: Iterator[int], connections: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._one_after_the_other(numbers))

    async def _one_after_the_other(self, numbers: Iterator[int]) -> None:
        line = None
        for number in numbers:
            line = line or await self._connected()
            try:
                line[1].write(self._request(number))
                status, body = await answer_of(line[0])
            except (OSError, EOFError):
                line[1].close()
                line = None
                continue
            self.statuses[status] += 1
            if status == 200 and (b"[DONE]" in body) == (number % 3 == 0):
                self.answered.add(number)
        if line is not None:
            line[1].close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            place = urlsplit(self.gateway.url)
            try:
                return await asyncio.open_connection(place.hostname, place.port)
            except OSError:
                await asyncio.sleep(0.02)

    def _request(self, number: int) -> bytes:
        body: dict[str, Any] = {"model": "gpt-4o-mini", "stream": number % 3 == 0}
        body["messages"] = [{"role": "user", "content": str(number)}]
        return request(self.gateway.url, {"authorization": f"Bearer {KEY}"}, body)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """What runs of it: the workers, the meter, the engine."""
        found: dict[str, list[psutil.Process]] = {"worker": [], "meter": [], "engine": []}
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in psutil.Process(self.gateway.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    line = " ".join(one.cmdline())
                    marks = {"worker": "--worker-fd", "meter": "gateway meter", "engine": "clickhouse_front"}
                    for name, mark in marks.items():
                        if mark in line and "child.py" not in line:
                            found[name].append(one)
        return found

    def store(self) -> ClickHouse:
        return ClickHouse(lambda: place_of(self.state))

    def meter_state(self) -> dict[str, Any]:
        return json.loads((self.state / "spool" / "meter.json").read_bytes())

    def takes_calls(self) -> bool:
        """Whether calls that no upstream can be meant for get as far as to be told so, at every worker."""
        told = set[int]()
        for _ in range(10 * WORKERS):
            with self.gateway.client() as client:
                told.add(client.post("/v1/chat/completions", json={}).status_code)
        return told == {400}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the ledger. `told` are the entries of whole answers: the others' usage was only counted."""
        sql = sql.replace("FROM told", "FROM ledger WHERE input_tokens >= 1000")
        store = self.store()
        try:
            return [tuple(row) for row in store.query(sql, {}).rows]
        finally:
            store.close()

    def usage(self) -> dict[str, Any]:
        """What `forebay usage` says of the last day, all together."""
        command = [sys.executable, "-m", "gateway", "usage", "--by=tenant", "--since=24h", "--format=json"]
        command += ["--config", str(self.folder), "--state", str(self.state)]
        env = os.environ | SECRETS
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["total"]

    def wait_until_taken(self) -> None:
        """Wait until the meter has been through the spool twice since now, and was not hindered."""
        began = time.time()

        def is_taken() -> bool:
            with contextlib.suppress(FileNotFoundError, ValueError):
                state = self.meter_state()
                return state["problem"] == "" and state["at"] > began + 3
            return False

        if not eventually(is_taken, AFTERWARDS_S):
            logged = [line for line in self.gateway.lines if '"call"' not in line]
            raise AssertionError(self.meter_state(), logged[-20:])


def check_the_ledger(place: Place, *, least: int) -> None:
    """Compare the ledger with what the clients got and with what the upstream was asked."""
    assert len(place.answered) >= least, (len(place.answered), place.statuses)
    place.wait_until_taken()
    assert place.rows("SELECT input_tokens FROM told GROUP BY input_tokens HAVING count() > 1") == []
    rows = place.rows("SELECT input_tokens, calls, output_tokens, cached_tokens, cost, entry FROM told")
    booked = {row[0] - 1_000: row for row in rows}
    missing = sorted(place.answered - booked.keys())
    assert not missing, (
        f"{len(missing)} of {len(place.answered)} are not in the ledger as they were told",
        missing[:50],
        place.rows("SELECT ending, stream, confidence, count() FROM ledger GROUP BY ALL"),
    )
    assert not booked.keys() - place.upstream.asked.keys()
    for number, (_, calls, said, cached, cost, entry) in booked.items():
        assert (calls, said, cached, cost, entry) == (1, *tokens_of(number)[1:], cost_of(number), "charge")
    total = sum((cost_of(number) for number in booked), Decimal(0))
    assert place.rows("SELECT sum(cost) FROM told") == [(total,)]
    sums = "SELECT sum(calls), sum(input_tokens), sum(cost) FROM "
    for rollup in ("usage_minute", "usage_hour", "usage_day"):
        assert place.rows(sums + rollup) == place.rows(sums + "ledger"), rollup
    told = place.usage()
    assert Decimal(told["cost_usd"]) == place.rows("SELECT sum(cost) FROM ledger")[0][0]
    print(f"{len(place.answered)} answered, {len(booked)} booked, {sum(place.upstream.asked.values())} asked")


@contextmanager
def loaded(place: Place, numbers: Iterator[int]) -> Iterator[Future[None]]:
    """Put calls from another thread: what this one starts must not end with a thread."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(place.put_calls, numbers)
        try:
            yield load
        finally:
            for _ in numbers:  # where the test has failed, there is no more to ask
                pass
        load.result()


def test_calls_are_booked_once_while_everything_is_killed(tmp_path: Path) -> None:
    chance = random.Random(6)
    killed: Counter[str] = Counter()
    with Upstream() as upstream:
        place = Place(tmp_path / "gateway", upstream, {})
        try:
            with loaded(place, iter(range(CALLS))) as load:
                while not load.done():
                    wait([load], chance.uniform(0.3, 1.5))
                    victims = place.processes()
                    alive = [*[name for name, found in victims.items() if found], "serve"]
                    name = min(chance.sample(alive, len(alive)), key=lambda one: killed[one])
                    killed[name] += 1
                    if name == "serve":
                        place.gateway.kill()
                        place.start()
                        continue
                    with contextlib.suppress(psutil.NoSuchProcess):
                        chance.choice(victims[name]).kill()
            print(dict(killed))
            assert min(killed[name] for name in ("serve", "worker", "meter", "engine")) > 0
            check_the_ledger(place, least=int(CALLS * 0.8))
        finally:
            place.close()


@contextmanager
def no_engine(place: Place) -> Iterator[None]:
    """Have ClickHouse down: whoever starts it finds its folder taken."""
    folder = place.state / "clickhouse"
    with (folder / "lock").open("a") as lock:
        while True:
            for engine in place.processes()["engine"]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    engine.kill()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        yield


def test_nothing_is_lost_while_clickhouse_is_down_for_a_minute(tmp_path: Path) -> None:
    calls = 6_000
    with Upstream() as upstream:
        place = Place(tmp_path / "gateway", upstream, {})
        try:
            place.put_calls(iter(range(calls // 3)))
            place.wait_until_taken()
            with no_engine(place):
                down_s = time.monotonic()
                place.put_calls(iter(range(calls // 3, calls // 3 * 2)))
                assert eventually(lambda: place.meter_state()["problem"] != "", 30)
                time.sleep(max(0.0, down_s + 60 - time.monotonic()))  # the minute is what is tested
            place.put_calls(iter(range(calls // 3 * 2, calls)))
            assert place.statuses == {200: calls}
            check_the_ledger(place, least=calls)
        finally:
            place.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_calls_are_turned_away_rather_than_lost(small_disk: Path, tmp_path: Path) -> None:
    with Upstream() as upstream:
        place = Place(tmp_path / "gateway", upstream, {}, small_disk / "state")
        try:
            place.put_calls(iter(range(1_000)))
            place.wait_until_taken()
            with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))
            place.put_calls(iter(range(1_000, 30_000)))
            assert place.statuses[503] > 0
            assert set(place.statuses) == {200, 503}
            full = place.statuses.copy()
            (small_disk / "ballast").unlink()
            assert eventually(place.takes_calls, 30)
            place.put_calls(iter(range(30_000, 31_000)))
            assert place.statuses[200] == full[200] + 1_000
            check_the_ledger(place, least=2_500)
        finally:
            place.close()


def test_a_damaged_segment_costs_what_was_damaged_and_says_so(tmp_path: Path) -> None:
    with Upstream() as upstream:
        place = Place(tmp_path / "gateway", upstream, {})
        try:
            place.put_calls(iter(range(1_000)))
            place.wait_until_taken()
            with no_engine(place):
                place.put_calls(iter(range(1_000, 4_000)))
                place.close()
            hit, damaged = damage(place.state / "spool")
            lost = {tokens - 1_000 for payload in hit for tokens in tokens_in(payload)}
            assert len(lost) == 3
            place.start()
            place.answered -= lost
            check_the_ledger(place, least=3_997)
            assert not lost & {row[0] - 1_000 for row in place.rows("SELECT input_tokens FROM told")}
            # What was hit is kept for somebody to look at, byte for byte, and is told.
            kept = sorted((place.state / "spool" / "quarantine").iterdir())
            assert b"".join(path.read_bytes() for path in kept) == damaged
            assert place.meter_state()["set_aside"] == len(kept) > 0
        finally:
            place.close()


def damage(spool: Path) -> tuple[list[bytes], bytes]:
    """Damage three records in the middle of the largest segment; returns them, and what they are now."""
    segment = max(spool.glob("*.seg"), key=lambda path: path.stat().st_size)
    text = bytearray(segment.read_bytes())
    records = read_part(bytes(text), len(MAGIC), is_final=True, most_bytes=1 << 30).records
    hit = [one for one in records if one.payload[:1] == b"L"][-103:-100]
    for one in hit:
        text[(one.start + one.end) // 2] ^= 0x55
    segment.write_bytes(text)
    return [one.payload for one in hit], bytes(text[hit[0].start : hit[-1].end])


def tokens_in(payload: bytes) -> list[int]:
    """The input tokens of the entries of a record."""
    at = Entry.__struct_fields__.index("input_tokens")
    return [row[at] for row in json.loads(payload[1:])]

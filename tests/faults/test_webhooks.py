"""Receivers that fail, over real sockets: each event arrives in the end, or the log says that it did not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
from rig.script import Answer, Cut, Pause, forever, plain
from rig.upstream import Upstream, refusing_port

from gateway.telemetry.webhooks import Waits, Webhooks, new_event, signature

SECRET = "whsec-7Yx2"
QUICK = Waits(first_s=0.01, longest_s=0.02, give_up_s=60.0, answer_s=30.0, last_s=15.0)
"""It tries again at once, and gives nothing up that a busy machine holds up."""
HASTY = msgspec.structs.replace(QUICK, answer_s=0.3, last_s=0.5)
WELL = plain({"ok": True})


@pytest.fixture
def receiver() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@contextlib.asynccontextmanager
async def following(url: str, waits: Waits = QUICK) -> AsyncIterator[Webhooks]:
    webhooks = Webhooks(url, SECRET, waits)
    task = asyncio.create_task(webhooks.follow())
    await asyncio.sleep(0)  # what has not begun cannot end in good order
    try:
        yield webhooks
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


FAULTS = {
    "closed": (Answer(before=[Cut.FIN]), QUICK),
    "reset": (Answer(before=[Cut.RESET]), QUICK),
    "silent": (Answer(before=[Cut.HANG]), HASTY),
    "late": (Answer(before=[Pause(5)], steps=[b"late"]), HASTY),
    "failing": (plain({}, 500), QUICK),
    "busy": (plain({}, 429, headers=[("retry-after", "0")]), QUICK),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_fails_twice_arrives_at_last_signed_and_under_one_id(receiver: Upstream, name: str) -> None:
    fault, waits = FAULTS[name]
    receiver.answer_in_turn(fault, fault, WELL)
    event = new_event("budget", {"rule": "acme-money", "level": 80})

    async def scene() -> int:
        async with following(receiver.base_url, waits) as webhooks:
            webhooks.send(event)
            await until(lambda: webhooks.sent == 1)
            return webhooks.failed

    assert asyncio.run(scene()) == 0
    # On a busy machine the good answer may be too late, too, for who waits so little.
    assert len(receiver.seen) == 3 or (waits is HASTY and len(receiver.seen) > 3)
    for seen in receiver.seen:
        assert seen.json() == event
        assert seen.headers["x-forebay-event-id"] == event["id"]
        timestamp = int(seen.headers["x-forebay-timestamp"])
        assert seen.headers["x-forebay-signature"] == signature(SECRET.encode(), timestamp, seen.body)


def test_an_answer_without_an_end_is_not_read(receiver: Upstream) -> None:
    receiver.answer_with(Answer(200, steps=forever(b"x" * 65536), framing="chunked"))

    async def scene() -> None:
        async with following(receiver.base_url) as webhooks:
            webhooks.send(new_event("budget", {}))
            await until(lambda: webhooks.sent == 1)

    asyncio.run(scene())
    assert len(receiver.seen) == 1


def test_nobody_waits_for_a_receiver_that_hangs_and_the_end_comes_in_time(receiver: Upstream) -> None:
    receiver.answer_with(Answer(before=[Cut.HANG]))

    async def scene() -> tuple[Webhooks, float]:
        loop = asyncio.get_running_loop()
        async with following(receiver.base_url, HASTY) as webhooks:
            for _ in range(1200):
                webhooks.send(new_event("surge", {"tenant": "acme"}))
            assert receiver.connections == 0, "it was waited for the receiver"
            await until(lambda: bool(receiver.seen))
            began_s = loop.time()
        return webhooks, loop.time() - began_s

    webhooks, end_s = asyncio.run(scene())
    assert (webhooks.sent, webhooks.failed, webhooks.dropped) == (0, 1000, 200)
    # To wait for an answer to each takes more than a minute.
    assert end_s < 15


def test_what_waits_for_its_next_try_is_tried_once_more_at_the_end(receiver: Upstream) -> None:
    receiver.answer_with(plain({}, 503, headers=[("retry-after", "3")]))

    async def scene() -> Webhooks:
        async with following(receiver.base_url) as webhooks:
            webhooks.send(new_event("budget", {"level": 100}))
            await until(lambda: len(receiver.seen) == 1 and receiver.seen[0].answered.is_set())
            receiver.answer_with(WELL)
        return webhooks

    webhooks = asyncio.run(scene())
    assert (webhooks.sent, webhooks.failed) == (1, 0)
    assert [json.loads(seen.body)["data"] for seen in receiver.seen] == [{"level": 100}] * 2


def test_where_nobody_listens_the_end_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(port: int) -> Webhooks:
        async with following(f"http://127.0.0.1:{port}/hook") as webhooks:
            webhooks.send(new_event("budget", {"level": 100}))
        return webhooks

    with refusing_port() as port:
        webhooks = asyncio.run(scene(port))
    assert (webhooks.sent, webhooks.failed) == (0, 1)
    (line,) = (record for record in caplog.records if record.name == "forebay")
    assert vars(line)["failure"] == "ConnectError"

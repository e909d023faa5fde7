"""Events are signed, sent without anybody's waiting, and sent again for as long as that makes sense."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Any

import httpx
import msgspec
import pytest
from unit.upstream.skipping import run

from gateway.telemetry.webhooks import Webhooks, new_event, retry_after_s, signature

URL = "https://hooks.example.com/T0-secret-path"
SECRET = "whsec-7Yx2"
HOUR_S = 3600.0


class Receiver:
    """Answers by script, and keeps what it got and when. The last step holds for all that come later."""

    def __init__(self, *steps: int | Exception | httpx.Response | Callable[[], Awaitable[None]]) -> None:
        self.steps = list(steps) or [200]
        self.seen: list[httpx.Request] = []
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        self.times.append(asyncio.get_running_loop().time())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return step
        if callable(step):
            await step()
            return httpx.Response(200)
        return httpx.Response(step)

    def ids(self) -> list[str]:
        return [request.headers["x-forebay-event-id"] for request in self.seen]

    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


def event(number: int = 0) -> dict[str, Any]:
    return {"id": f"evt_{number}", "type": "budget", "time": "2026-11-21T00:00:00Z", "data": {"level": 80}}


def deliver(
    receiver: Receiver, events: Sequence[dict[str, Any]] = (event(),), for_s: float = 2 * HOUR_S
) -> Webhooks:
    """Send events, and end after a while of a clock that skips."""
    return run(_deliver(receiver, events, for_s))


async def _deliver(receiver: Receiver, events: Sequence[dict[str, Any]], for_s: float) -> Webhooks:
    webhooks = Webhooks(URL, SECRET, http_client_factory=lambda: client_of(receiver))
    for one in events:
        webhooks.send(one)
    task = asyncio.create_task(webhooks.follow())
    await asyncio.sleep(for_s)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    return webhooks


def client_of(receiver: Receiver) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(receiver))


def counts(webhooks: Webhooks) -> tuple[int, int, int]:
    return webhooks.sent, webhooks.failed, webhooks.dropped


def test_an_event_is_posted_as_json_with_a_signature_that_can_be_checked() -> None:
    receiver = Receiver()
    assert counts(deliver(receiver)) == (1, 0, 0)
    (request,) = receiver.seen
    assert (request.method, str(request.url)) == ("POST", URL)
    assert json.loads(request.content) == event()
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-forebay-event-id"] == "evt_0"
    signed = headers["x-forebay-timestamp"].encode() + b"." + request.content
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["x-forebay-signature"] == f"v1={expected}"


def test_a_signature_is_of_the_time_and_of_the_body() -> None:
    one = signature(b"secret", 1, b"body")
    assert re.fullmatch("v1=[0-9a-f]{64}", one)
    assert len({one, signature(b"secret", 2, b"body"), signature(b"secret", 1, b"more")}) == 3
    assert one == signature(b"secret", 1, b"body")


@pytest.mark.parametrize(
    "failure",
    [408, 429, 500, 503, 599, httpx.ConnectError("refused"), httpx.ReadError("reset"), OSError("no route")],
    ids=str,
)
def test_what_may_go_better_later_is_tried_again_under_the_same_id(failure: int | Exception) -> None:
    receiver = Receiver(failure, failure, 204)
    assert counts(deliver(receiver)) == (1, 0, 0)
    assert receiver.ids() == ["evt_0"] * 3
    first, second = receiver.pauses()
    assert 0.5 <= first <= 1.001
    assert 1.0 <= second <= 2.001


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 413])
def test_what_is_refused_for_good_is_given_up(status: int, caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(status)
    with caplog.at_level(logging.WARNING, "forebay"):
        assert counts(deliver(receiver)) == (0, 1, 0)
    assert len(receiver.seen) == 1
    (line,) = caplog.records
    assert line.message == "event not delivered"
    assert (vars(line)["failure"], vars(line)["id"]) == (f"status {status}", "evt_0")


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/hook"])
def test_what_is_no_url_for_http_is_given_up_at_once(url: str) -> None:
    async def scene() -> Webhooks:
        webhooks = Webhooks(url, SECRET)
        webhooks.send(event())
        task = asyncio.create_task(webhooks.follow())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return webhooks

    assert counts(run(scene())) == (0, 1, 0)


def test_pauses_grow_to_five_minutes_and_end_after_an_hour() -> None:
    receiver = Receiver(500)
    assert counts(deliver(receiver)) == (0, 1, 0)
    assert receiver.times[-1] <= HOUR_S
    assert receiver.times[-1] >= HOUR_S - 300
    assert max(receiver.pauses()) <= 300.001
    for number, pause_s in enumerate(receiver.pauses()):
        longest_s = min(2.0**number, 300)
        assert longest_s / 2 <= pause_s <= longest_s + 0.001


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_says_how_long_to_stay_away_is_obeyed(status: int) -> None:
    receiver = Receiver(httpx.Response(status, headers={"retry-after": "120"}), 200)
    assert counts(deliver(receiver)) == (1, 0, 0)
    assert receiver.pauses() == [pytest.approx(120, abs=0.001)]


def test_one_that_wants_no_more_for_hours_is_given_up() -> None:
    receiver = Receiver(httpx.Response(429, headers={"retry-after": "86400"}))
    assert counts(deliver(receiver, for_s=1.0)) == (0, 1, 0)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        *[("7", 7), (" 7 ", 7), ("", 0), ("soon", 0), ("-1", 0), ("Fri, 99 Foo 2026 00:00:00 GMT", 0)],
        *[(formatdate(1060, usegmt=True), 60), (formatdate(940, usegmt=True), 0)],
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(asked: str, seconds: float) -> None:
    assert retry_after_s(asked, 1000.0) == seconds


def test_an_answer_that_does_not_come_is_waited_for_ten_seconds() -> None:
    receiver = Receiver(hang, 200)
    assert counts(deliver(receiver)) == (1, 0, 0)
    assert 10.5 <= receiver.pauses()[0] <= 11.001


def test_an_event_that_is_not_taken_delays_no_other() -> None:
    class Picky(Receiver):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            await super().__call__(request)
            return httpx.Response(500 if self.ids()[-1] == "evt_0" else 200)

    receiver = Picky()
    webhooks = deliver(receiver, [event(n) for n in range(20)], for_s=0.4)
    assert receiver.ids()[:20] == [f"evt_{n}" for n in range(20)]
    assert webhooks.sent == 19


def test_at_most_four_are_sent_at_once() -> None:
    now, most = 0, 0

    class Slow(Receiver):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            nonlocal now, most
            now += 1
            most = max(now, most)
            await asyncio.sleep(1)
            now -= 1
            return httpx.Response(200)

    assert deliver(Slow(), [event(n) for n in range(40)]).sent == 40
    assert most == 4


def test_beyond_a_thousand_events_are_dropped_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver()
    with caplog.at_level(logging.WARNING, "forebay"):
        assert counts(deliver(receiver, [event(n) for n in range(1010)])) == (1000, 0, 10)
    (line,) = caplog.records
    assert "dropped" in line.message


def test_those_that_are_tried_again_count_as_waiting() -> None:
    class Busy(Receiver):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            await super().__call__(request)
            return httpx.Response(429, headers={"retry-after": "1700"})

    async def scene() -> tuple[int, int]:
        receiver = Busy()
        webhooks = Webhooks(URL, SECRET, http_client_factory=lambda: client_of(receiver))
        task = asyncio.create_task(webhooks.follow())
        for n in range(1000):
            webhooks.send(event(n))
        await asyncio.sleep(60)
        webhooks.send(event(1000))
        dropped = webhooks.dropped
        await asyncio.sleep(HOUR_S)
        webhooks.send(event(1001))
        task.cancel()
        await asyncio.wait([task])
        return dropped, webhooks.dropped

    assert run(scene()) == (1, 1)


def test_whoever_sends_hears_whether_it_was_taken() -> None:
    async def scene() -> list[bool | None]:
        class Choosy(Receiver):
            async def __call__(self, request: httpx.Request) -> httpx.Response:
                await super().__call__(request)
                if self.ids()[-1] == "evt_2":
                    await hang()
                return httpx.Response(404 if self.ids()[-1] == "evt_1" else 200)

        receiver = Choosy()
        webhooks = Webhooks(URL, SECRET, http_client_factory=lambda: client_of(receiver))
        receipts = [webhooks.send(event(n)) for n in range(1001)]
        known = [one is None or one.done() for one in receipts]
        task = asyncio.create_task(webhooks.follow())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert known == [False] * 1000 + [True]
        return [None if one is None else one.result() for one in receipts]

    assert run(scene()) == [True, False, False, *[True] * 997, False]


def test_at_the_end_everything_left_is_tried_once_more() -> None:
    receiver = Receiver(500, 200)
    assert counts(deliver(receiver, for_s=0.1)) == (1, 0, 0)
    assert len(receiver.seen) == 2
    assert receiver.times[1] <= 0.101


def test_the_end_is_not_put_off_by_a_receiver_that_fails() -> None:
    receiver = Receiver(500)
    assert counts(deliver(receiver, for_s=0.1)) == (0, 1, 0)
    assert len(receiver.seen) == 2


def test_the_end_waits_two_seconds_for_a_receiver_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> tuple[Webhooks, float]:
        webhooks = await _deliver(Receiver(hang), [event(n) for n in range(10)], 1.0)
        return webhooks, asyncio.get_running_loop().time()

    with caplog.at_level(logging.WARNING, "forebay"):
        webhooks, ended_s = run(scene())
    assert counts(webhooks) == (0, 10, 0)
    assert ended_s == pytest.approx(3.0, abs=0.01)
    assert {vars(line)["failure"] for line in caplog.records} == {"interrupted"}


def test_without_a_receiver_events_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    webhooks = Webhooks("", "")
    with caplog.at_level(logging.WARNING, "forebay"):
        assert webhooks.send(event()) is None
        asyncio.run(webhooks.follow())
    (line,) = caplog.records
    assert (line.message, line.levelname) == ("event", "WARNING")
    assert (vars(line)["id"], vars(line)["type"], vars(line)["data"]) == ("evt_0", "budget", '{"level":80}')


def test_the_log_knows_neither_the_path_nor_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        deliver(Receiver(404), [event(n) for n in range(1001)])
    said = " ".join(str(vars(line)) for line in caplog.records)
    assert "hooks.example.com" in said
    assert "secret-path" not in said
    assert SECRET not in said


def test_an_event_has_an_id_of_its_own_a_type_a_time_and_data() -> None:
    one, other = new_event("budget", {"level": 80}), new_event("budget", {"level": 80})
    assert one["id"] != other["id"]
    assert re.fullmatch("evt_[0-9a-f]{24}", one["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
    assert (one["type"], one["data"]) == ("budget", {"level": 80})
    sent = msgspec.json.decode(msgspec.json.encode(one))
    assert list(sent) == ["id", "type", "time", "severity", "summary", "runbook", "data"]
    assert (sent["severity"], sent["runbook"]) == ("ticket", "docs/runbooks/budget.md")

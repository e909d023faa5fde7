"""Tell a receiver elsewhere of events, by HTTP: signed, and again until it has taken them.

Whoever has something to tell never waits: it is queued, and a task beside the calls sends it, for an hour if
need be. Each event goes its own way, so that one that is not taken delays no other. Must not know what an
event is about.

A receiver recomputes `v1`, the HMAC-SHA256 of "{timestamp}.{body}" under the shared secret, and turns away
what is older than it likes; it knows by the event's id what it has had already.
Sources: RFC 2104 (HMAC), RFC 9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import getrandbits, random
from time import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.telemetry.events import RUNBOOKS, words_of

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger("forebay")

_MOST_WAITING: Final = 1000
_AT_ONCE: Final = 4
_TOLD_AGAIN_S: Final = 60.0
"""Between two lines about events that found no place."""
_TRY_AGAIN: Final = frozenset({408, 429, *range(500, 600)})
_SUCCESS: Final = range(200, 300)


class Waits(msgspec.Struct, frozen=True):
    """How long is waited for what, in seconds."""

    first_s: float = 1.0
    """Before the second try; doubled with each further one, and up to half of it left out by chance."""
    longest_s: float = 300.0
    give_up_s: float = 3600.0
    answer_s: float = 10.0
    last_s: float = 2.0
    """For a last try of everything when the process ends."""
    draw: Callable[[], float] = random
    """Chance, in [0, 1)."""


class _Delivery(msgspec.Struct):
    """An event on its way."""

    id: str
    type: str
    body: bytes
    until_s: float
    receipt: asyncio.Future[bool]
    tries: int = 0


class Webhooks:
    """The way to one receiver, an http(s) URL. An empty one: there is none, and events are only logged.

    `send` is for the event loop's thread; `follow` has to run beside the calls. `sent`, `failed` and
    `dropped` count events.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        waits: Waits | None = None,
        http_client_factory: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self.sent = self.failed = self.dropped = 0
        self._url = url
        self._host = urlsplit(url).hostname or ""
        """All of the URL that may be logged: receivers have secrets in their paths."""
        self._secret = secret.encode()
        self._waits = waits or Waits()
        self._client = http_client_factory or _client
        self._fresh: asyncio.Queue[_Delivery] = asyncio.Queue()
        self._under_way: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._closing = asyncio.Event()
        self._open = 0
        self._told_s = float("-inf")

    def send(self, event: Mapping[str, Any]) -> asyncio.Future[bool] | None:
        """Queue an event of `new_event`; never waits. With a thousand waiting it is dropped.

        What it returns is True when the receiver has it, False when it is given up. None: it is logged.
        """
        kind, data = str(event["type"]), event["data"]
        if not self._url:
            text = msgspec.json.encode(data).decode()
            _log.warning("event", extra={"id": event["id"], "type": kind, "data": text})
            return None
        receipt = asyncio.get_running_loop().create_future()
        if self._open >= _MOST_WAITING:
            self._drop()
            receipt.set_result(False)
        else:
            until_s = _now_s() + self._waits.give_up_s
            self._open += 1
            body = msgspec.json.encode(event)
            self._fresh.put_nowait(_Delivery(event["id"], kind, body, until_s, receipt))
        return receipt

    async def follow(self) -> None:
        """Send what is queued until cancelled; then try all that is left once more, and end."""
        if not self._url:
            return
        async with self._client() as client:
            try:
                while True:
                    self._start(client, await self._fresh.get())
            finally:
                await self._finish(client)

    def _start(self, client: httpx.AsyncClient, delivery: _Delivery) -> None:
        task = asyncio.create_task(self._deliver(client, delivery))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _finish(self, client: httpx.AsyncClient) -> None:
        self._closing.set()
        while not self._fresh.empty():
            self._start(client, self._fresh.get_nowait())
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=self._waits.last_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _deliver(self, client: httpx.AsyncClient, delivery: _Delivery) -> None:
        failure = "interrupted"
        try:
            failure = await self._try(client, delivery)
        finally:
            self._open -= 1
            if failure:
                self._give_up(delivery, failure)
            else:
                self.sent += 1
            if not delivery.receipt.done():
                delivery.receipt.set_result(not failure)

    async def _try(self, client: httpx.AsyncClient, delivery: _Delivery) -> str:
        """Try until it is taken, refused for good, or too old; return why it was not taken in the end."""
        while True:
            async with self._turns:
                last = self._closing.is_set()
                delivery.tries += 1
                failure, asked_s = await self._post(client, delivery)
            if asked_s is None or last:
                return failure
            pause_s = max(self._pause_s(delivery.tries), asked_s)
            if _now_s() + pause_s > delivery.until_s:
                return failure
            await self._pause(pause_s)

    async def _post(self, client: httpx.AsyncClient, delivery: _Delivery) -> tuple[str, float | None]:
        """Post it once; return why it failed (empty: it was taken), and how long the receiver wants peace.

        None: for ever.
        """
        import httpx

        headers = self._headers(delivery, int(time()))
        try:
            # Of an answer only its head is of interest, and one that trickles in is none.
            async with (
                asyncio.timeout(self._waits.answer_s),
                client.stream("POST", self._url, content=delivery.body, headers=headers) as answer,
            ):
                status, asked = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return type(error).__name__, None
        except (httpx.HTTPError, OSError) as error:
            return type(error).__name__, 0.0
        if status in _SUCCESS:
            return "", None
        return f"status {status}", retry_after_s(asked, time()) if status in _TRY_AGAIN else None

    def _headers(self, delivery: _Delivery, timestamp: int) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "user-agent": "forebay",
            "x-forebay-event-id": delivery.id,
            "x-forebay-timestamp": str(timestamp),
            "x-forebay-signature": signature(self._secret, timestamp, delivery.body),
        }

    def _pause_s(self, tries: int) -> float:
        waits = self._waits
        pause_s = min(waits.first_s * 2.0 ** min(tries - 1, 32), waits.longest_s)
        return pause_s * (1 - waits.draw() / 2)

    async def _pause(self, seconds: float) -> None:
        """Wait; the end of the process ends it too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _drop(self) -> None:
        self.dropped += 1
        if _now_s() - self._told_s >= _TOLD_AGAIN_S:
            self._told_s = _now_s()
            waiting = {"receiver": self._host, "dropped": self.dropped, "waiting": self._open}
            _log.warning("events are dropped: too many wait for their receiver", extra=waiting)

    def _give_up(self, delivery: _Delivery, failure: str) -> None:
        self.failed += 1
        what = {"id": delivery.id, "type": delivery.type, "tries": delivery.tries}
        _log.warning("event not delivered", extra=what | {"receiver": self._host, "failure": failure})


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _client() -> httpx.AsyncClient:
    import httpx

    # More than any try takes: of each there is one limit, from its beginning to its end.
    return httpx.AsyncClient(timeout=60.0)


def new_event(kind: str, data: Mapping[str, Any], runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """Make an event of now. `data` must hold neither secrets nor prompts: it leaves the house.

    `runbooks` is where their pages are: a URL, or a folder.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    words = words_of(kind, data, runbooks)
    return {
        "id": f"evt_{getrandbits(96):024x}",
        "type": kind,
        "time": now,
        "severity": words.severity,
        "summary": words.summary,
        "runbook": words.runbook,
        "data": dict(data),
    }


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """Sign a body as it is sent at a time (Unix seconds)."""
    return "v1=" + hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def retry_after_s(asked: str, now_unix_s: float) -> float:
    """Read Retry-After, which is a number of seconds or a date; 0 where it is neither."""
    if asked.strip().isdecimal():
        return float(asked)
    try:
        return max(parsedate_to_datetime(asked).timestamp() - now_unix_s, 0.0)
    except (ValueError, OverflowError):
        return 0.0

"""A call's whole way without sockets: answered once, settled once, whatever happens."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import (
    STREAM,
    WHOLE,
    FakeAnswer,
    Piece,
    flight,
    route,
    routing,
    runtime,
    sent_to,
    streaming,
    target,
)

from gateway.errors import Broken, ConnectFailed
from gateway.exchange import Arrival, Reply
from gateway.identity.keys import digest_of, mint_key
from gateway.pipeline import serve
from gateway.routing.routes import Target
from gateway.stores import StoredKey
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.books import Books

SECRET = mint_key()
KEY = StoredKey("key_1", "acme", digest_of(SECRET), ("*",), name="", created_unix_s=0)
HEADERS = {"authorization": f"Bearer {SECRET}"}
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}


class Client:
    """Sends one request, takes its reply, and may do something at a piece of it."""

    def __init__(self, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body or CHAT).encode()
        self.headers = HEADERS if headers is None else headers
        self.replies: list[Reply] = []
        self.got = b""
        self.at_piece: Callable[[bytes], Awaitable[None]] | None = None

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def deliver(self, reply: Reply) -> None:
        self.replies.append(reply)
        if len(self.replies) > 1:
            return
        if isinstance(reply.body, bytes):
            self.got = reply.body
            return
        assert isinstance(reply.body, AsyncGenerator)
        try:
            async for piece in reply.body:
                self.got += piece
                if self.at_piece is not None:
                    await self.at_piece(piece)
        finally:
            await reply.body.aclose()

    @property
    def status(self) -> int:
        return self.replies[0].status

    @property
    def error(self) -> Any:
        return json.loads(self.got)["error"]


class Site:
    """A runtime with one route, its calls and the lines they leave."""

    def __init__(self, *targets: Target, **settings: Any) -> None:
        self.routing = routing(route("fast", *targets, **settings))
        self.stream = io.StringIO()
        self.reason: Any = ""

    def call(self, client: Client, interrupt: Any = None) -> dict[str, Any]:
        """Serve a call; its one access line. `interrupt` is a reason to end it when it stands still."""

        async def scene() -> None:
            log = AccessLog(self.stream)
            books = Books(lambda text: len(text.split()), (log.enter,))
            whole = runtime([KEY], self.routing, books)

            async def serving() -> None:
                flying = flight()
                arrival = Arrival("call_1", "chat", client.headers, flying, client.receive, client.deliver)
                flights.append(flying)
                await serve(arrival, whole)

            flights: list[Any] = []
            task = asyncio.create_task(serving())
            if interrupt is not None:
                for _ in range(40):
                    await asyncio.sleep(0)
                flights[0].interrupt(interrupt)
            await asyncio.wait_for(task, 30)
            await books.close()
            log.close()

        asyncio.run(scene())
        (line,) = self.stream.getvalue().splitlines()
        told: dict[str, Any] = json.loads(line)
        return told


async def for_ever() -> bytes:
    await asyncio.Event().wait()
    return b""


def test_a_call_is_answered_and_entered() -> None:
    client, asked = Client(), target("b", FakeAnswer())
    line = Site(asked).call(client)
    assert (client.status, client.got) == (200, WHOLE)
    expected = {
        "tenant": "acme",
        "key": "key_1",
        "model": "fast",
        "route": "fast",
        "backend": "b",
        "ending": "finished",
        "status": 200,
        "input_tokens": 9,
        "output_tokens": 3,
        "tokens": "reported",
    }
    assert {name: line.get(name) for name in expected} == expected


def test_a_stream_is_answered_and_entered() -> None:
    client, asked = Client(CHAT | {"stream": True}), target("b", streaming())
    line = Site(asked).call(client)
    assert client.got == b"".join(sse(*chat.chunks(usage=False)))
    assert json.loads(sent_to(asked)[0].body)["stream_options"] == {"include_usage": True}
    assert (line["ending"], line["input_tokens"], line["stream"]) == ("finished", 9, True)


def test_who_asks_for_usage_gets_it() -> None:
    client = Client(CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    Site(target("b", streaming())).call(client)
    assert client.got == b"".join(STREAM)


@pytest.mark.parametrize(("names_itself", "model"), [(True, "fast"), (False, chat.UPSTREAM_MODEL)])
def test_the_model_shown_is_the_routes_choice(*, names_itself: bool, model: str) -> None:
    client = Client()
    Site(target("b", FakeAnswer()), names_itself=names_itself).call(client)
    assert json.loads(client.got)["model"] == model


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (CHAT, {}, 401, "invalid_api_key"),
        (b"{", None, 400, "invalid_json"),
        ({"messages": []}, None, 400, "missing_required_parameter"),
        (CHAT | {"model": "nope"}, None, 404, "model_not_found"),
        (b'{"model": "fast", "x": "' + b"x" * 10_000 + b'"}', None, 413, "request_too_large"),
    ],
)
def test_a_call_that_is_turned_away_costs_nothing(body: Any, headers: Any, status: int, code: str) -> None:
    client, asked = Client(body, headers), target("b")
    line = Site(asked).call(client)
    assert (client.status, client.error["code"]) == (status, code)
    assert (line["ending"], line["status"], "tokens" in line) == ("refused", status, False)
    assert sent_to(asked) == []


def test_a_call_that_no_upstream_takes_has_failed() -> None:
    client = Client()
    line = Site(target("a", ConnectFailed("no")), target("b", ConnectFailed("no"))).call(client)
    assert client.status == 502
    assert (line["ending"], line["causes"]) == (
        "failed",
        ["a: upstream_unreachable", "b: upstream_unreachable"],
    )
    assert "tokens" not in line


def test_a_defect_of_ours_ends_one_call_and_tells_no_details(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    line = Site(target("b", KeyError("a secret detail"))).call(client)
    assert (client.status, client.error["code"]) == (500, "internal_error")
    assert "call_1" in client.error["message"]
    assert b"secret detail" not in client.got
    assert line["ending"] == "bug"
    assert [entry.getMessage() for entry in caplog.records] == ["internal error"]


def test_a_broken_stream_is_metered_by_what_passed() -> None:
    client = Client(CHAT | {"stream": True})
    line = Site(target("b", streaming(*STREAM[:3], Broken("cut")))).call(client)
    assert client.got.startswith(b"".join(STREAM[:3]))
    assert b"stream_broken" in client.got
    assert (line["ending"], line["status"], line["tokens"]) == ("broken", 200, "counted")
    assert line["output_tokens"] > 0


STILL: dict[str, tuple[dict[str, Any], tuple[Piece, ...]]] = {
    "before the head of a whole answer": (CHAT, (for_ever,)),
    "in a whole answer": (CHAT, (WHOLE[:9], for_ever)),
    "in a stream": (CHAT | {"stream": True}, (*STREAM[:2], for_ever)),
}


@pytest.mark.parametrize("where", STILL)
def test_a_client_that_leaves_ends_the_call_and_pays(where: str) -> None:
    body, pieces = STILL[where]
    answer = streaming(*pieces) if body.get("stream") else FakeAnswer(pieces)
    line = Site(target("b", answer)).call(Client(body), interrupt="client_gone")
    assert (line["ending"], line["tokens"], answer.closed) == ("client_gone", "counted", 1)
    assert line["input_tokens"] > 0


@pytest.mark.parametrize("where", STILL)
def test_a_shutdown_tells_the_client(where: str) -> None:
    body, pieces = STILL[where]
    client, answer = Client(body), streaming(*pieces) if body.get("stream") else FakeAnswer(pieces)
    line = Site(target("b", answer)).call(client, interrupt="shutdown")
    assert b"shutting_down" in client.got
    assert client.status == (200 if body.get("stream") else 503)
    assert line["ending"] == ("broken" if body.get("stream") else "failed")
    assert answer.closed == 1


def test_a_client_that_hangs_up_at_done_was_served() -> None:
    answer = streaming(*STREAM, for_ever)
    line = Site(target("b", answer)).call(Client(CHAT | {"stream": True}), interrupt="client_gone")
    assert (line["ending"], line["status"], line["tokens"]) == ("finished", 200, "reported")


def test_a_client_that_leaves_before_its_body_was_there() -> None:
    class Leaving(Client):
        async def receive(self) -> dict[str, Any]:
            return {"type": "http.disconnect"}

    client, asked = Leaving(), target("b")
    line = Site(asked).call(client)
    assert (line["status"], line["error"].split(":")[0]) == (499, "client_gone")
    assert sent_to(asked) == []


def test_a_cancellation_that_nobody_announced_is_not_swallowed() -> None:
    answer = FakeAnswer([for_ever])
    site, client = Site(target("b", answer)), Client()

    async def at(_piece: bytes) -> None:
        raise AssertionError("nothing is delivered")

    client.at_piece = at

    class Unannounced(Exception):
        pass

    async def cancelled() -> None:
        log = AccessLog(site.stream)
        books = Books(len, (log.enter,))
        whole = runtime([KEY], site.routing, books)

        async def serving() -> None:
            await serve(Arrival("call_1", "chat", HEADERS, flight(), client.receive, client.deliver), whole)

        task = asyncio.create_task(serving())
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await books.close()
        log.close()
        if task.cancelled():
            raise Unannounced

    with pytest.raises(Unannounced):
        asyncio.run(cancelled())
    assert json.loads(site.stream.getvalue())["ending"] == "client_gone"

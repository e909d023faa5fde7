"""From ASGI to an arrival, and back to the client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.api.calls import Client, headers_of, new_call_id
from gateway.exchange import Reply


class Sent:
    """Takes ASGI messages; may fail at one of them."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.messages: list[dict[str, Any]] = []
        self._fail_at = fail_at

    async def __call__(self, message: dict[str, Any]) -> None:
        if len(self.messages) == self._fail_at:
            raise ConnectionResetError("the client is gone")
        self.messages.append(message)


class Pieces:
    """A body in pieces that knows whether it was ended."""

    ended = False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in (b"a", b"b"):
                yield piece
        finally:
            self.ended = True


def delivered(sent: Sent, *replies: Reply) -> None:
    async def scene() -> None:
        client = Client(sent)
        for reply in replies:
            await client.deliver(reply)

    asyncio.run(scene())


def test_ids_of_calls_are_never_the_same() -> None:
    ids = {new_call_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(call_id.startswith("call_") and len(call_id) == 29 for call_id in ids)


def test_a_whole_body_is_sent_with_its_length() -> None:
    sent = Sent()
    delivered(sent, Reply(200, [(b"a", b"b")], b"abc"))
    assert sent.messages == [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b"), (b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"abc"},
    ]


def test_a_stream_is_sent_piece_by_piece() -> None:
    sent, pieces = Sent(), Pieces()
    delivered(sent, Reply(200, [], pieces()))
    assert [(message.get("body"), message.get("more_body", False)) for message in sent.messages[1:]] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    assert pieces.ended


def test_nothing_follows_a_reply_that_has_begun() -> None:
    sent = Sent()
    delivered(sent, Reply(200, [], b"a"), Reply(500, [], b"late"))
    assert [message.get("status") for message in sent.messages] == [200, None]


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_client_that_cannot_be_reached_ends_the_body(fail_at: int) -> None:
    sent, pieces = Sent(fail_at), Pieces()
    with pytest.raises(ConnectionResetError):
        delivered(sent, Reply(200, [], pieces()))
    assert pieces.ended


def test_of_a_header_that_comes_in_several_lines_none_is_lost() -> None:
    wanted = {b"x-forebay-sensitivity": "x-forebay-sensitivity"}
    lines = [(b"x-forebay-sensitivity", b"restricted"), (b"a", b"b"), (b"x-forebay-sensitivity", b"")]
    assert headers_of(lines, wanted) == {"x-forebay-sensitivity": "restricted, "}
    assert headers_of(lines[:2], wanted) == {"x-forebay-sensitivity": "restricted"}


def test_what_is_known_of_an_answer_is_written_down_before_its_end_goes_out() -> None:
    whole, streamed, pieces = Sent(), Sent(), Pieces()
    ends: list[int] = []
    delivered(whole, Reply(200, [], b"abc", lambda: ends.append(len(whole.messages))))
    assert ends == [0]
    delivered(streamed, Reply(200, [], pieces(), lambda: ends.append(len(streamed.messages))))
    assert ends == [0, 3]  # after the head and both pieces, before the end
    assert len(streamed.messages) == 4


def cleaned(text: str) -> str:
    return text.replace("hunter2", "[secret]")


def test_an_error_goes_out_without_what_nobody_may_read() -> None:
    sent = Sent()
    reply = Reply(404, [(b"x-said", b"hunter2")], b'{"error":{"message":"no hunter2"}}')
    asyncio.run(Client(sent, cleaned).deliver(reply))
    start, body = sent.messages
    assert (b"x-said", b"[secret]") in start["headers"]
    assert body["body"] == b'{"error":{"message":"no [secret]"}}'
    assert (b"content-length", b"%d" % len(body["body"])) in start["headers"]


def test_of_an_answer_only_the_errors_inside_its_stream_are_changed() -> None:
    async def said() -> AsyncGenerator[bytes, None]:
        yield b'data: {"content":"hunter2"}\n\n'
        yield b'data: {"error":{"message":"hunter2"}}\n\n'

    whole, streamed = Sent(), Sent()
    asyncio.run(Client(whole, cleaned).deliver(Reply(200, [(b"x-said", b"hunter2")], b'{"error":"hunter2"}')))
    asyncio.run(Client(streamed, cleaned).deliver(Reply(200, [], said())))
    assert whole.messages[1]["body"] == b'{"error":"hunter2"}'
    assert (b"x-said", b"hunter2") in whole.messages[0]["headers"]
    assert [message["body"] for message in streamed.messages[1:3]] == [
        b'data: {"content":"hunter2"}\n\n',
        b'data: {"error":{"message":"[secret]"}}\n\n',
    ]


class Slow:
    """Cleans a text only once the loop has gone on, which it cannot while it waits for this."""

    def __init__(self) -> None:
        self.gone_on = threading.Event()

    def __call__(self, text: str) -> str:
        assert self.gone_on.wait(30), "the loop waits for it"
        return cleaned(text)


def delivered_slowly(sent: Sent, reply: Reply) -> None:
    async def scene() -> None:
        slow = Slow()
        asyncio.get_running_loop().call_later(0.01, slow.gone_on.set)
        await Client(sent, slow).deliver(reply)

    asyncio.run(scene())


LONG = b'{"error":{"message":"%b hunter2"}}' % (b"no such thing " * 1500)


def test_a_long_error_is_cleaned_while_other_calls_go_on() -> None:
    sent, ends = Sent(), list[int]()
    delivered_slowly(sent, Reply(500, [], LONG, lambda: ends.append(len(sent.messages))))
    assert sent.messages[1]["body"] == LONG.replace(b"hunter2", b"[secret]")
    assert ends == [0]  # as ever before anything goes out


def test_a_long_error_inside_a_stream_is_cleaned_while_other_calls_go_on() -> None:
    async def said() -> AsyncGenerator[bytes, None]:
        yield b"data: " + LONG + b"\n\n"
        yield b"data: [DONE]\n\n"

    sent = Sent()
    delivered_slowly(sent, Reply(200, [], said()))
    assert [message["body"] for message in sent.messages[1:]] == [
        b"data: " + LONG.replace(b"hunter2", b"[secret]") + b"\n\n",
        b"data: [DONE]\n\n",
        b"",
    ]


def test_a_client_that_leaves_while_a_long_error_is_cleaned_ends_the_call() -> None:
    sent, slow = Sent(), Slow()

    async def scene() -> None:
        delivering = asyncio.create_task(Client(sent, slow).deliver(Reply(500, [], LONG)))
        asyncio.get_running_loop().call_later(0.01, delivering.cancel)
        with pytest.raises(asyncio.CancelledError):
            await delivering
        slow.gone_on.set()

    asyncio.run(scene())
    assert sent.messages == []

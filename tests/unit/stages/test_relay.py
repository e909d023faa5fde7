"""The reply that an answer becomes, and how a stream's call ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import SSE_TYPE, STREAM, WHOLE, FakeAnswer, Piece, call, record, streaming

from gateway.api.calls import Client
from gateway.attempts.outcome import Opened, Outcome
from gateway.errors import Broken, TimedOut, UpstreamError
from gateway.exchange import Attempt, Flight, Record, Reply, Usage
from gateway.formats.passage.relayed import RelayedPassage
from gateway.formats.passage.seam import Terms
from gateway.stages.relay import relay

UNMETERED = sse(*chat.chunks(usage=False))
BEGUN = STREAM[:2]


def relayed(outcome: Outcome, seen: Record, **settings: Any) -> Reply:
    return relay(outcome, seen, settings.pop("flight", Flight(lambda: None)))


def passage(**settings: Any) -> RelayedPassage:
    asked = call(stream=True, stream_options={"include_usage": not settings.get("withhold", False)})
    return RelayedPassage(asked, Terms("call_1", 0, settings.get("rename")))


def whole(body: bytes = WHOLE, headers: Any = ()) -> Outcome:
    return Outcome(200, headers, backend="first", body=body)


class Leaving:
    """Ends an attempt; `ends` has how it did."""

    def __init__(self) -> None:
        self.ends: list[UpstreamError | str | None] = []

    def begun(self) -> None:
        """That was before."""

    def __call__(self, error: UpstreamError | None) -> None:
        self.ends.append(error)

    def abandon(self) -> None:
        self.ends.append("abandoned")


def opened(answer: FakeAnswer, into: Record, **settings: Any) -> Outcome:
    """An answer that was accepted at its first piece, the only attempt of its call."""
    stream = passage(**settings).stream(10_000)
    attempt = Attempt("first", "m", 0.0)
    into.attempts = [attempt]
    begun = Opened(answer, stream, attempt, Leaving(), stream.feed(STREAM[0]))
    return Outcome(200, SSE_TYPE, backend="first", opened=begun)


def left(*pieces: Piece, read: int = 99) -> list[Any]:
    """How the attempt ended of which a client read so many pieces."""
    outcome = opened(streaming(*pieces, b""), record())

    async def scene() -> None:
        body = relayed(outcome, record()).body
        assert isinstance(body, AsyncGenerator)
        for _ in range(read):
            await anext(body, b"")
        await body.aclose()

    asyncio.run(scene())
    assert outcome.opened is not None
    assert isinstance(outcome.opened.leave, Leaving)
    return outcome.opened.leave.ends


def streamed(*rest: Piece, **settings: Any) -> tuple[bytes, Record, FakeAnswer]:
    """Relay a stream to its end: what the client got, the record, the answer."""
    answer, seen = streaming(*rest, b""), record()

    async def scene() -> bytes:
        body = relayed(opened(answer, seen, **settings), seen).body
        assert isinstance(body, AsyncGenerator)
        return b"".join([piece async for piece in body])

    return asyncio.run(scene()), seen, answer


def generated(seen: Record) -> str:
    transcript = seen.attempts[0].transcript
    assert transcript is not None
    return transcript()


def error_of(sent: bytes) -> Any:
    return json.loads(sent.strip().rsplit(b"\n\n", 1)[-1].removeprefix(b"data: "))["error"]


def test_a_whole_answer_passes_byte_for_byte() -> None:
    seen = record(route="fast")
    reply = relayed(whole(headers=[(b"Content-Type", b"application/json"), (b"Server", b"x")]), seen)
    assert (reply.status, reply.body) == (200, WHOLE)
    assert dict(reply.headers) == {
        b"content-type": b"application/json",
        b"x-forebay-call-id": b"call_1",
        b"x-forebay-route": b"fast",
        b"x-forebay-backend": b"first",
        b"x-request-id": b"call_1",
    }
    assert (seen.status, seen.ending) == (200, "finished")


def test_the_upstreams_request_id_is_kept() -> None:
    reply = relayed(whole(headers=[(b"X-Request-Id", b"req_up")]), record())
    assert [value for name, value in reply.headers if name == b"x-request-id"] == [b"req_up"]


def test_a_whole_answer_shows_the_routes_name_where_asked() -> None:
    read = RelayedPassage(call(), Terms("call_1", 0, "fast")).read(WHOLE)
    assert json.loads(read.body) == chat.completion() | {"model": "fast"}
    assert read.usage == Usage(9, 3)


def test_what_was_dropped_is_said_and_a_translated_answer_has_its_own_type() -> None:
    told = [(b"content-type", b"application/x-ndjson")]
    outcome = Outcome(200, told, b"application/json", "first", ("seed", "user"), b"{}")
    reply = relayed(outcome, record())
    assert dict(reply.headers)[b"x-forebay-dropped"] == b"seed, user"
    assert [value for name, value in reply.headers if name == b"content-type"] == [b"application/json"]


def test_a_stream_that_ends_well_is_finished() -> None:
    sent, seen, answer = streamed(*STREAM[1:])
    assert sent == b"".join(STREAM)
    assert (seen.ending, seen.attempts[0].usage, seen.error) == ("finished", Usage(9, 3), None)
    assert answer.closed == 1


def test_a_stream_is_withheld_and_renamed_as_asked() -> None:
    sent, seen, _ = streamed(*STREAM[1:], withhold=True, rename="fast")
    renamed = [chunk | {"model": "fast"} for chunk in chat.chunks(usage=False)]
    assert sent == b"".join(sse(*renamed))
    assert seen.attempts[0].usage == Usage(9, 3)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ((), "stream_broken"),
        ((Broken("cut"),), "stream_broken"),
        ((TimedOut("silent"),), "upstream_timeout"),
        ((b"data: " + b"x" * 20_000,), "stream_broken"),
        ((STREAM[-3], Broken("cut")), "stream_broken"),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_and_without_done(end: tuple[Piece, ...], code: str) -> None:
    sent, seen, answer = streamed(STREAM[1], *end)
    assert sent.startswith(b"".join(BEGUN))
    assert error_of(sent)["code"] == code
    assert b"data: [DONE]" not in sent
    assert (seen.ending, answer.closed) == ("broken", 1)
    assert seen.error is not None
    assert generated(seen) == "Hello"


@pytest.mark.parametrize("last", [UNMETERED[-2:], UNMETERED[-1:]])
def test_done_is_an_end(last: list[bytes]) -> None:
    sent, seen, _ = streamed(STREAM[1], *last)
    assert sent == b"".join([*BEGUN, *last])
    assert seen.ending == "finished"


def test_after_a_finish_reason_the_end_that_is_missing_is_written() -> None:
    sent, seen, answer = streamed(STREAM[1], UNMETERED[-2])
    assert sent == b"".join([*BEGUN, *UNMETERED[-2:]])
    assert (seen.ending, seen.error, answer.closed) == ("finished", None, 1)


@pytest.mark.parametrize("cut", [Broken("reset"), TimedOut("silent")])
def test_what_breaks_after_done_breaks_nothing(cut: Exception) -> None:
    sent, seen, _ = streamed(*STREAM[1:], cut)
    assert sent == b"".join(STREAM)
    assert (seen.ending, seen.error) == ("finished", None)


def test_an_error_event_of_the_upstream_is_the_last_word() -> None:
    failed = sse(chat.error("out of memory"), done=False)
    sent, seen, _ = streamed(STREAM[1], *failed)
    assert sent == b"".join([*BEGUN, *failed])
    assert seen.ending == "broken"


def test_how_an_attempt_ended_is_told_once() -> None:
    cut = Broken("cut")
    assert left(*STREAM[1:]) == [None]
    assert left(STREAM[1], cut) == [cut]
    assert left(*STREAM[1:], read=2) == ["abandoned"], "the client left: that says nothing of the upstream"
    (fault,) = left(STREAM[1], *sse(chat.error("out of memory"), done=False))
    assert fault.message == "out of memory"


async def for_ever() -> bytes:
    await asyncio.Event().wait()
    return b""


def interrupted(pieces: tuple[Piece, ...], reason: Any) -> tuple[bytes, Record, FakeAnswer, bool]:
    """Relay until the stream stands still, then interrupt; also whether the cancellation went through."""
    answer, seen = streaming(*pieces, for_ever), record()
    got: list[bytes] = []

    async def client(flights: list[Flight]) -> None:
        task = asyncio.current_task()
        assert task is not None
        flights.append(Flight(task.cancel))
        body = relayed(opened(answer, seen), seen, flight=flights[0]).body
        assert isinstance(body, AsyncGenerator)
        async for piece in body:
            got.append(piece)

    async def scene() -> bool:
        flights: list[Flight] = []
        task = asyncio.create_task(client(flights))
        for _ in range(20):
            await asyncio.sleep(0)
        flights[0].interrupt(reason)
        await asyncio.wait([task])
        return task.cancelled()

    cancelled = asyncio.run(scene())
    return b"".join(got), seen, answer, cancelled


def test_a_shutdown_ends_a_stream_with_an_error_event() -> None:
    sent, seen, answer, cancelled = interrupted((STREAM[1],), "shutdown")
    assert error_of(sent)["code"] == "shutting_down"
    assert (seen.ending, answer.closed, cancelled) == ("broken", 1, False)


def test_a_client_that_leaves_ends_the_upstreams_answer() -> None:
    _, seen, answer, cancelled = interrupted((STREAM[1],), "client_gone")
    assert (seen.ending, answer.closed, cancelled) == ("broken", 1, True)
    assert generated(seen) == "Hello"


def test_a_client_that_hangs_up_at_done_has_got_it_all() -> None:
    _, seen, answer, _ = interrupted(tuple(STREAM[1:]), "client_gone")
    assert (seen.ending, seen.attempts[0].usage, answer.closed) == ("finished", Usage(9, 3), 1)


def test_a_client_that_stops_reading_closes_the_answer() -> None:
    answer, seen = streaming(*STREAM[1:]), record()

    async def scene() -> None:
        body = relayed(opened(answer, seen), seen).body
        assert isinstance(body, AsyncGenerator)
        assert await anext(body) == STREAM[0]
        await body.aclose()

    asyncio.run(scene())
    assert (seen.ending, answer.closed) == ("broken", 1)


def test_a_reply_whose_head_cannot_be_sent_closes_the_answer_too() -> None:
    answer, seen = streaming(*STREAM[1:]), record()

    async def gone(_message: object) -> None:
        raise ConnectionError("the client is gone")

    async def scene() -> None:
        with pytest.raises(ConnectionError):
            await Client(gone).deliver(relayed(opened(answer, seen), seen))

    asyncio.run(scene())
    assert answer.closed == 1

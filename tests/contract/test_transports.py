"""What every transport does with an upstream, good or bad: aiohttp, httpx and the scripted one."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic
from typing import Any, TypeVar

import pytest
from rig.script import Answer, Cut, Gate, Pause, encode, events, forever, plain
from rig.upstream import Upstream, refusing_port, silent_port

from gateway.errors import Broken, ConnectFailed, Failed, GatewayError, TimedOut
from gateway.exchange import Attempt, Request, Timeouts
from gateway.protocols import Transport
from gateway.upstream.aiohttp_transport import AiohttpTransport
from gateway.upstream.httpx_transport import HttpxTransport
from gateway.upstream.scripted_transport import Scene, ScriptedTransport

Result = TypeVar("Result")

OVER_SOCKETS: dict[str, Callable[[int, float], Transport]] = {
    "aiohttp": AiohttpTransport,
    "httpx": HttpxTransport,
}
PIECES = (b"data: 1\n\n", b"data: 2\n\n")
BODY = b'{"text": "' + b"x" * 200_000 + b'"}'
CONNECT_S = 0.3
"""Where nobody answers; elsewhere there is time enough for a busy machine."""
PLENTY_S = 30.0
LATE_S = 5.0
"""So much a busy machine may take for itself; the next limit, or the upstream, comes long after it."""
HEADERS = {"content-type": "application/json", "user-agent": "forebay", "accept-encoding": "identity"}


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(params=OVER_SOCKETS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def limits(**seconds: float) -> Timeouts:
    return Timeouts(**dict.fromkeys(("connect_s", "first_byte_s", "gap_s", "total_s"), PLENTY_S) | seconds)


def request_to(place: Upstream | int, **fields: Any) -> Request:
    port = place if isinstance(place, int) else place.port
    given: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/v1/x", "headers": HEADERS, "body": b"{}"}
    return Request(**{**given, **fields})


def use(
    kind: str,
    scene: Callable[[Transport], Awaitable[Result]],
    max_connections: int = 0,
    connect_s: float = PLENTY_S,
) -> Result:
    """Run a scene with a fresh transport, closed afterwards."""

    async def whole() -> Result:
        transport = OVER_SOCKETS[kind](max_connections, connect_s)
        try:
            return await asyncio.wait_for(scene(transport), 2 * PLENTY_S)
        finally:
            await transport.close()

    return asyncio.run(whole())


async def eventually(holds: Callable[[], object]) -> None:
    """Poll until it holds, without stopping the loop; fails after some seconds."""
    deadline_s = monotonic() + PLENTY_S
    while not holds():
        assert monotonic() < deadline_s, "it did not come to pass"
        await asyncio.sleep(0.005)


async def told(transport: Transport, request: Request, timeouts: Timeouts | None = None) -> bytes:
    answer = await transport.send(request, timeouts or limits(), Attempt("here", "m", 0.0))
    try:
        return await answer.read(10_000_000)
    finally:
        answer.close()


async def fails(transport: Transport, request: Request, timeouts: Timeouts | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        await told(transport, request, timeouts)
    return error.value


# All three: what a scene says is what arrives, and what goes wrong has one name


class Stage:
    """One upstream's behaviour, played over a socket or by the scripted transport."""

    def __init__(self, answer: Answer, scene: Scene) -> None:
        self.answer, self.scene = answer, scene


JSON_LINES = [("content-type", "application/json"), ("x-request-id", "req_1")]
SCENE_LINES = [(name.encode(), value.encode()) for name, value in JSON_LINES]
STAGES = {
    "whole": Stage(Answer(200, JSON_LINES, [BODY]), Scene(200, SCENE_LINES, ((0, BODY[:9]), (0, BODY[9:])))),
    "error": Stage(Answer(418, JSON_LINES, [b"tea"]), Scene(418, SCENE_LINES, ((0, b"tea"),))),
    "stream": Stage(
        events([PIECES[0], Pause(0.05), PIECES[1]]), Scene(200, [], ((0, PIECES[0]), (0.05, PIECES[1])))
    ),
    "cut": Stage(
        Answer(200, JSON_LINES, [BODY[:9], Cut.FIN]),
        Scene(200, SCENE_LINES, ((0, BODY[:9]), (0, BODY[9:])), "cut"),
    ),
    "hang": Stage(Answer(before=[Cut.HANG]), Scene(200, [], (), "hang")),
    "slow to begin": Stage(
        Answer(200, JSON_LINES, [Pause(PLENTY_S), BODY]), Scene(200, SCENE_LINES, ((PLENTY_S, BODY),))
    ),
    "gap": Stage(
        events([PIECES[0], Pause(PLENTY_S), PIECES[1]]),
        Scene(200, [], ((0, PIECES[0]), (PLENTY_S, PIECES[1]))),
    ),
    "dribble": Stage(
        events(step for _ in range(1000) for step in (PIECES[0], Pause(0.03))),
        Scene(200, [], ((0.03, PIECES[0]),) * 1000),
    ),
}


@pytest.fixture(params=[*OVER_SOCKETS, "scripted"])
def perform(request: pytest.FixtureRequest, upstream: Upstream) -> Callable[..., Any]:
    """Run a scene against a stage: `perform("cut", scene)`, whatever the transport."""

    def run(stage: str, scene: Callable[[Transport, Request], Awaitable[Any]]) -> Any:
        upstream.answer_with(STAGES[stage].answer)
        asked = request_to(upstream)
        if request.param != "scripted":
            return use(request.param, lambda transport: scene(transport, asked))
        transport = ScriptedTransport(lambda _: STAGES[stage].scene)
        return asyncio.run(asyncio.wait_for(scene(transport, asked), 2 * PLENTY_S))

    return run


def test_status_and_headers_are_there_before_the_body(perform: Callable[..., Any]) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        answer = await transport.send(request, limits(), Attempt("here", "m", 0.0))
        lines = {(name.lower(), value) for name, value in answer.headers}
        assert answer.status == 418
        assert {(b"content-type", b"application/json"), (b"x-request-id", b"req_1")} <= lines
        assert await answer.read(100) == b"tea"
        answer.close()
        answer.close()

    perform("error", scene)


def test_the_time_of_a_new_connection_is_told_once(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(Answer(200, JSON_LINES, [BODY]))

    async def scene(transport: Transport) -> list[float]:
        seconds = []
        for _ in range(2):
            answer = await transport.send(request_to(upstream), limits(), Attempt("here", "m", 0.0))
            seconds.append(answer.connect_s)
            await answer.read(len(BODY))
            answer.close()
            await asyncio.sleep(0)
        return seconds

    started_s = monotonic()
    new, kept = use(kind, scene)
    assert 0 < new < monotonic() - started_s
    assert kept == 0


def test_a_whole_body_is_read_up_to_its_limit(perform: Callable[..., Any]) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        answer = await transport.send(request, limits(), Attempt("here", "m", 0.0))
        assert await answer.read(len(BODY)) == BODY
        assert await answer.next_piece() == b""
        answer.close()

    perform("whole", scene)


def test_a_body_beyond_the_limit_fails(perform: Callable[..., Any]) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        answer = await transport.send(request, limits(), Attempt("here", "m", 0.0))
        with pytest.raises(Failed, match="larger than the limit"):
            await answer.read(len(BODY) - 1)
        answer.close()

    perform("whole", scene)


def test_pieces_arrive_when_they_are_sent(perform: Callable[..., Any]) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        answer = await transport.send(request, limits(), Attempt("here", "m", 0.0))
        assert [await answer.next_piece() for _ in range(3)] == [*PIECES, b""]
        answer.close()

    perform("stream", scene)


def test_a_cut_body_is_broken(perform: Callable[..., Any]) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        answer = await transport.send(request, limits(), Attempt("here", "m", 0.0))
        assert await answer.next_piece() == BODY[:9]
        with pytest.raises(Broken):
            await answer.next_piece()
        answer.close()

    perform("cut", scene)


@pytest.mark.parametrize(
    ("stage", "seconds", "words"),
    [
        ("hang", {"first_byte_s": 0.2}, "0.2 s for the first byte"),
        ("slow to begin", {"first_byte_s": 0.2}, "0.2 s for the first byte"),
        ("gap", {"gap_s": 0.2}, "0.2 s for the next piece"),
        ("dribble", {"total_s": 0.4}, "0.4 s for the whole answer"),
        ("hang", {"total_s": 0.2}, "0.2 s for the whole answer"),
    ],
)
def test_a_timeout_comes_in_time_and_says_which(
    perform: Callable[..., Any], stage: str, seconds: dict[str, float], words: str
) -> None:
    async def scene(transport: Transport, request: Request) -> float:
        started_s = monotonic()
        error = await fails(transport, request, limits(**seconds))
        assert type(error) is TimedOut
        assert words in error.message
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return monotonic() - started_s

    (limit_s,) = seconds.values()
    assert limit_s * 0.8 < perform(stage, scene) < limit_s + LATE_S


@pytest.mark.parametrize("stage", ["hang", "gap"])
def test_a_cancellation_by_somebody_else_is_no_timeout(perform: Callable[..., Any], stage: str) -> None:
    async def scene(transport: Transport, request: Request) -> None:
        task = asyncio.create_task(told(transport, request))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    perform(stage, scene)


def test_the_script_can_refuse_the_connection() -> None:
    async def scene() -> None:
        transport = ScriptedTransport(lambda _: Scene(200, [], (), "refuse"))
        with pytest.raises(ConnectFailed):
            await transport.send(request_to(1), limits(), Attempt("here", "m", 0.0))
        await transport.close()

    asyncio.run(scene())


# Over sockets: how far a request has come


class Heard:
    """Hears how far a request comes."""

    def __init__(self) -> None:
        self.news: list[str] = []

    def sent(self) -> None:
        self.news.append("sent")

    def unsent(self) -> None:
        self.news.append("unsent")


async def heard(transport: Transport, request: Request, timeouts: Timeouts | None = None) -> list[str]:
    """Send, and take the answer; returns what was heard of the request, and of its end."""
    sending = Heard()
    try:
        answer = await transport.send(request, timeouts or limits(), sending)
    except GatewayError as error:
        return [*sending.news, error.code]
    try:
        await answer.read(10_000_000)
    finally:
        answer.close()
    return [*sending.news, "answered"]


def test_what_is_answered_was_sent(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(plain(b"ok"))
    asked = request_to(upstream, body=BODY)
    assert use(kind, lambda transport: heard(transport, asked)) == ["sent", "answered"]


@pytest.mark.parametrize("cut", [Cut.FIN, Cut.RESET])
def test_what_was_read_and_not_answered_was_sent(kind: str, upstream: Upstream, cut: Cut) -> None:
    upstream.answer_with(Answer(before=[Pause(0.2), cut]))
    news = use(kind, lambda transport: heard(transport, request_to(upstream)))
    assert news == ["sent", "upstream_unreachable"]
    assert upstream.only_request().body == b"{}"


def test_what_is_waited_for_in_vain_was_sent(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(Answer(before=[Cut.HANG]))
    soon = limits(first_byte_s=0.3)
    assert use(kind, lambda transport: heard(transport, request_to(upstream), soon)) == [
        "sent",
        "upstream_timeout",
    ]


def test_without_a_connection_nothing_was_sent(kind: str) -> None:
    with refusing_port() as refusing, silent_port() as silent:

        async def scene(transport: Transport) -> list[list[str]]:
            soon = limits(connect_s=CONNECT_S)
            return [await heard(transport, request_to(port), soon) for port in (refusing, silent)]

        assert use(kind, scene, connect_s=CONNECT_S) == [["upstream_unreachable"], ["upstream_timeout"]]


def test_who_waits_for_a_place_in_the_pool_has_sent_nothing(kind: str, upstream: Upstream) -> None:
    gate = Gate()
    upstream.answer_with(events([PIECES[0], gate]))

    async def scene(transport: Transport) -> list[str]:
        first = await transport.send(request_to(upstream), limits(), Heard())
        second = await heard(transport, request_to(upstream), limits(first_byte_s=0.3))
        gate.open()
        first.close()
        return second

    assert use(kind, scene, max_connections=1) == ["upstream_timeout"]
    assert len(upstream.seen) == 1


def test_who_is_cancelled_while_it_connects_has_sent_nothing(kind: str) -> None:
    async def scene(transport: Transport, port: int) -> list[str]:
        sending = Heard()
        task = asyncio.ensure_future(transport.send(request_to(port), limits(), sending))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return sending.news

    with silent_port() as port:
        assert use(kind, lambda transport: scene(transport, port)) == []


# Over sockets: the request


def test_the_request_arrives_as_it_was_prepared(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(plain(b"ok"))
    headers = HEADERS | {"authorization": "Bearer s3cret", "openai-beta": "caf\u00e9"}
    body = b'{"a": "\xc3\xa9"}' * 1000
    asked = request_to(upstream, headers=headers, body=body)
    asked = Request(asked.url + "/a%2Fb?api-version=1", headers, body)
    assert use(kind, lambda transport: told(transport, asked)) == b"ok"
    seen = upstream.only_request()
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/x/a%2Fb?api-version=1", body)
    assert seen.headers["authorization"] == "Bearer s3cret"
    assert seen.headers["openai-beta"].encode("latin-1").decode() == "caf\u00e9"
    assert seen.headers["content-length"] == str(len(body))
    assert seen.headers["user-agent"] == "forebay"
    assert seen.headers["accept-encoding"] == "identity"


def test_a_redirect_is_an_answer(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(Answer(307, [("location", f"{upstream.base_url}/elsewhere")]))

    async def scene(transport: Transport) -> int:
        answer = await transport.send(request_to(upstream), limits(), Attempt("here", "m", 0.0))
        answer.close()
        return answer.status

    assert use(kind, scene) == 307
    assert upstream.only_request().path == "/v1/x"


def test_a_cookie_of_one_call_is_not_shown_with_the_next(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(plain(b"ok", headers=[("set-cookie", "session=of-a-tenant; Path=/")]))

    async def scene(transport: Transport) -> None:
        await told(transport, request_to(upstream))
        await told(transport, request_to(upstream))

    use(kind, scene)
    assert len(upstream.seen) == 2
    assert "cookie" not in upstream.seen[1].headers


# Over sockets: connections


def test_a_connection_whose_answer_was_read_is_used_again(kind: str, upstream: Upstream) -> None:
    upstream.answer_in_turn(plain(BODY), events(PIECES), plain(b"x", 500), plain(b""))

    async def scene(transport: Transport) -> None:
        for _ in range(4):
            await told(transport, request_to(upstream))

    use(kind, scene)
    assert (len(upstream.seen), upstream.connections) == (4, 1)


def test_an_answer_closed_in_the_middle_takes_its_connection_along(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(events(forever(PIECES[0])))

    async def scene(transport: Transport) -> None:
        answer = await transport.send(request_to(upstream), limits(), Attempt("here", "m", 0.0))
        assert await answer.next_piece()
        answer.close()
        await eventually(upstream.seen[0].lost.is_set)
        upstream.answer_with(plain(b"ok"))
        assert await told(transport, request_to(upstream)) == b"ok"

    use(kind, scene)
    assert upstream.connections == 2


STRAY = Answer(200, JSON_LINES, [b"to somebody else"])
STRAY_BYTES = STRAY.head() + b"to somebody else"
UNASKED = {
    "with the end of the answer": [b"ok" + STRAY_BYTES],
    "with the end, and not whole": [b"ok" + STRAY_BYTES[:-9]],
    "with the end, and its head not whole": [b"ok" + STRAY_BYTES[:9]],
    "after the answer": [b"ok", Pause(0.02), STRAY_BYTES],
    "after the answer, in pieces": [b"ok", Pause(0.02), STRAY_BYTES[:9], Pause(0.02), STRAY_BYTES[9:]],
    "as bytes that are no answer": [b"ok", Pause(0.02), b"\0"],
}


@pytest.mark.parametrize("steps", UNASKED.values(), ids=UNASKED.keys())
@pytest.mark.parametrize("has_loop_read_it", [True, False], ids=["read", "unread"])
def test_an_answer_that_nobody_asked_for_is_nobodys(
    kind: str, upstream: Upstream, steps: list[Any], *, has_loop_read_it: bool
) -> None:
    async def scene(transport: Transport) -> None:
        upstream.answer_with(Answer(200, JSON_LINES, steps, length_bytes=2))
        assert await told(transport, request_to(upstream)) == b"ok"
        if has_loop_read_it:
            seen = upstream.seen[0]
            await eventually(lambda: seen.answered.is_set() or seen.lost.is_set())
        else:
            upstream.seen[0].answered.wait(PLENTY_S)
        upstream.answer_with(plain(b"mine"))
        assert await told(transport, request_to(upstream)) == b"mine"

    use(kind, scene)
    assert upstream.connections == 2


def test_an_announcement_is_not_the_answer(kind: str, upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    upstream.answer_with(Answer(200, JSON_LINES, [b"ok"], before=[early, early, Pause(0.02)]))

    async def scene(transport: Transport) -> None:
        assert [await told(transport, request_to(upstream)) for _ in range(2)] == [b"ok", b"ok"]

    use(kind, scene)
    assert upstream.connections == 1


@pytest.mark.parametrize("stage", ["hang", "gap"])
def test_a_cancelled_attempt_ends_the_upstreams_work(kind: str, upstream: Upstream, stage: str) -> None:
    upstream.answer_with(STAGES[stage].answer)

    async def scene(transport: Transport) -> None:
        task = asyncio.create_task(told(transport, request_to(upstream)))
        await eventually(lambda: upstream.seen)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        await eventually(upstream.seen[0].lost.is_set)

    use(kind, scene)


def test_no_more_connections_than_allowed(kind: str, upstream: Upstream) -> None:
    gate = Gate()
    upstream.answer_with(Answer(200, JSON_LINES, [gate, b"ok"]))

    async def scene(transport: Transport) -> list[bytes]:
        calls = [asyncio.create_task(told(transport, request_to(upstream))) for _ in range(6)]
        await eventually(lambda: len(upstream.seen) == 2)
        await asyncio.sleep(0.1)
        assert len(upstream.seen) == 2
        gate.open()
        return list(await asyncio.gather(*calls))

    assert use(kind, scene, max_connections=2) == [b"ok"] * 6
    assert upstream.connections == 2


def test_waiting_for_a_connection_counts_as_waiting_for_the_first_byte(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(Answer(before=[Cut.HANG]))

    async def scene(transport: Transport) -> None:
        first = asyncio.create_task(told(transport, request_to(upstream)))
        await eventually(lambda: upstream.seen)
        error = await fails(transport, request_to(upstream), limits(first_byte_s=0.2))
        assert type(error) is TimedOut
        first.cancel()
        await asyncio.wait([first])

    use(kind, scene, max_connections=1)


def test_a_slow_reader_holds_the_upstream_back(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(events(forever(b"x" * 65536)))

    async def scene(transport: Transport) -> int:
        answer = await transport.send(request_to(upstream), limits(), Attempt("here", "m", 0.0))
        assert await answer.next_piece()
        seen, before = upstream.seen[0], -1
        while before != seen.sent_bytes:
            assert seen.sent_bytes < 64 * 1024 * 1024, "nothing holds it back"
            before = seen.sent_bytes
            await asyncio.sleep(0.15)
        answer.close()
        return before

    assert use(kind, scene) < 16 * 1024 * 1024


# Over sockets: what goes wrong


def test_a_refused_connection_is_said_without_naming_hosts(kind: str) -> None:
    with refusing_port() as port:
        error = use(kind, lambda transport: fails(transport, request_to(port)))
    assert type(error) is ConnectFailed
    assert str(port) not in error.message
    assert error.detail


def test_a_connection_that_never_comes_about_times_out(kind: str) -> None:
    started_s = monotonic()
    with silent_port() as port:
        soon = limits(connect_s=CONNECT_S)
        error = use(kind, lambda transport: fails(transport, request_to(port), soon), connect_s=CONNECT_S)
    assert type(error) is TimedOut
    assert "too long to connect" in error.message
    assert CONNECT_S * 0.8 < monotonic() - started_s < CONNECT_S + LATE_S


@pytest.mark.parametrize(
    "answer",
    [
        Answer(before=[Cut.RESET]),
        Answer(before=[Cut.FIN]),
        Answer(before=[b"HTTP/1.1 200 OK\r\ncontent-", Cut.RESET]),
        Answer(before=[b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cut.FIN]),
    ],
    ids=["reset", "closed", "reset in the head", "not HTTP"],
)
def test_what_fails_before_the_head_is_no_connection(kind: str, upstream: Upstream, answer: Answer) -> None:
    upstream.answer_with(answer)
    error = use(kind, lambda transport: fails(transport, request_to(upstream)))
    assert type(error) is ConnectFailed
    assert error.retry == "other_target"


@pytest.mark.parametrize("cut", [Cut.FIN, Cut.RESET])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_cut_is_broken_however_it_is_framed(
    kind: str, upstream: Upstream, cut: Cut, framing: Any
) -> None:
    upstream.answer_with(Answer(200, JSON_LINES, [b"half", Pause(0.05), cut], framing))
    assert type(use(kind, lambda transport: fails(transport, request_to(upstream)))) is Broken


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"2\r\nokay\r\n"], ids=["size", "sign", "end"])
@pytest.mark.parametrize("begun", [b"", b"3\r\nyes\r\n"], ids=["first", "later"])
def test_chunks_that_are_malformed_break_the_answer_at_once(
    kind: str, upstream: Upstream, begun: bytes, broken: bytes
) -> None:
    upstream.answer_with(Answer(before=[CHUNKED + begun, Pause(0.02), broken, Cut.HANG]))
    error = use(kind, lambda transport: fails(transport, request_to(upstream)))
    assert type(error) is Broken
    assert "127.0.0.1" not in str(error.detail)


def test_a_name_that_does_not_resolve_is_no_connection(kind: str) -> None:
    asked = Request("http://no-such-host.invalid/v1", HEADERS, b"{}")
    assert type(use(kind, lambda transport: fails(transport, asked))) is ConnectFailed


# Over sockets: compression

CODED = {
    "gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "br": encode("br", BODY),
    "zstd": encode("zstd", BODY),
}


def coded(coding: str, body: bytes, **fields: Any) -> Answer:
    return Answer(200, [*JSON_LINES, ("content-encoding", coding)], [body], **fields)


@pytest.mark.parametrize("coding", CODED)
def test_a_compressed_answer_is_read_unfolded(kind: str, upstream: Upstream, coding: str) -> None:
    upstream.answer_with(coded(coding, CODED[coding]))
    assert use(kind, lambda transport: told(transport, request_to(upstream))) == BODY


@pytest.mark.parametrize("coding", CODED)
def test_an_answer_that_is_not_in_its_coding_is_broken(kind: str, upstream: Upstream, coding: str) -> None:
    upstream.answer_with(coded(coding, b"{" + BODY))
    assert type(use(kind, lambda transport: fails(transport, request_to(upstream)))) is Broken


MOST_BYTES_OF_A_BOMB = {"aiohttp": 8 * 1024 * 1024, "httpx": 256 * 1024 * 1024}
"""httpx unfolds all that one read brought, 64 KiB up to a thousandfold, before anybody can count it."""


def test_a_bomb_meets_the_limit(kind: str, upstream: Upstream) -> None:
    upstream.answer_with(coded("gzip", gzip.compress(bytes(64 * 1024 * 1024))))

    async def scene(transport: Transport) -> None:
        answer = await transport.send(request_to(upstream), limits(), Attempt("here", "m", 0.0))
        with pytest.raises((Failed, Broken)):
            await answer.read(1024 * 1024)
        answer.close()

    tracemalloc.start()
    try:
        use(kind, scene)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MOST_BYTES_OF_A_BOMB[kind]

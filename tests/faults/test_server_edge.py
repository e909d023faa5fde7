"""Clients that stall, flood and leave, and a server that is told to end: over real sockets and processes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

PROGRAM = Path(__file__).with_name("edge_server.py")
MAX_CONNECTIONS = 8
FOREVER_S = 60
"""A drain that no test waits for: it ends by what the test does, or is killed after `PATIENCE_S`."""
PATIENCE_S = 30.0
PROMPT_S = 15.0
"""Where something else would take `FOREVER_S`: as much as a busy machine may need for it."""


def until(holds: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Poll for a true value; fails the test when none comes in time."""
    deadline_s = time.monotonic() + within_s
    while not (value := holds()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)
    return value


def is_ever_within(limit_s: float, measure_s: Callable[[], float]) -> bool:
    """Whether it takes no longer where the machine does not stand still just then.

    What waits for the server's sweep, once a second, is in step with it after the first round, and takes a
    second each time.
    """
    measure_s()
    return any(measure_s() < limit_s for _ in range(8))


class Edge:
    """The server process, the lines it printed, and ways to talk to it."""

    def __init__(self, workers: int | None = None, **settings: float) -> None:
        argv = [sys.executable, str(PROGRAM), json.dumps(settings)]
        argv += [str(workers)] if workers else []
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self.lines.extend(line.rstrip() for line in iter(stdout.readline, ""))

    def _read_lines(self) -> list[str]:
        return self.lines

    def said(self, start: str) -> list[str]:
        return [line for line in list(self.lines) if line.startswith(start)]

    @property
    def port(self) -> int:
        return int(until(lambda: self.said("port "))[0].split()[1])

    def connect(self, data: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        sock.sendall(data)
        return sock

    def get(self, path: str) -> str:
        return body_of(self.request(path))

    def request(self, path: str) -> bytes:
        head = b"GET %s HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n" % path.encode()
        with self.connect(head) as sock:
            return read_all(sock)

    def end(self) -> int:
        """The exit code; whatever runs on is killed in the end, and fails the test."""
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.kill()

    def kill(self) -> None:
        for child in [*psutil.Process(self.process.pid).children(), self.process] if self.runs() else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        self._reader.join()

    def runs(self) -> bool:
        return self.process.poll() is None


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def read_one(sock: socket.socket) -> bytes:
    """One answer that has a content length, on a connection that stays open."""
    got = b""
    while b"\r\n\r\n" not in got or len(body_of(got)) < int(
        got.lower().partition(b"content-length: ")[2].split()[0]
    ):
        piece = sock.recv(4096)
        assert piece, got
        got += piece
    return got


def body_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode()


def refusal_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), error


def request_line(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: edge", *headers, "", ""]).encode()


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[Edge]:
    edge = Edge(**settings)
    try:
        # The port is known before the application has started; its first answer says that it has.
        edge.get("/pid")
        yield edge
    finally:
        edge.kill()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with running(header_timeout_s=PATIENCE_S, max_connections=MAX_CONNECTIONS, keep_alive_s=60) as shared:
        yield shared


@pytest.fixture(scope="module")
def hasty() -> Iterator[Edge]:
    """It waits half a second for a head."""
    with running(header_timeout_s=0.5, keep_alive_s=60) as shared:
        yield shared


@pytest.mark.parametrize("sent", [b"", b"GET /pid HTTP/1.1\r\nho"], ids=["nothing", "half_a_head"])
def test_a_late_head_is_refused_with_408(hasty: Edge, sent: bytes) -> None:
    began_s = time.monotonic()
    with hasty.connect(sent) as sock:
        status, error = refusal_of(read_all(sock))
    assert (status, error["code"], error["type"]) == (408, "request_timeout", "invalid_request_error")
    # After 0.5 s and a sweep; a server that does not know of the setting waits for 10 s.
    assert time.monotonic() - began_s < 8


def test_a_head_sent_byte_by_byte_is_refused_with_408(hasty: Edge) -> None:
    stop = threading.Event()

    def drip(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                sock.sendall(b"x")

    with hasty.connect(b"GET /pid HTTP/1.1\r\nname: ") as sock:
        dripping = threading.Thread(target=drip, args=(sock,))
        dripping.start()
        status, _ = refusal_of(read_all(sock))
        stop.set()
        dripping.join()
    assert status == 408


@pytest.mark.parametrize("sent", [b"\r\n", b"GET /p"], ids=["empty_line", "half_a_head"])
def test_a_late_further_head_is_refused_with_408(hasty: Edge, sent: bytes) -> None:
    with hasty.connect(request_line("/pid")) as sock:
        assert read_one(sock).startswith(b"HTTP/1.1 200")
        sock.sendall(sent)
        status, _ = refusal_of(read_all(sock))
    assert status == 408


def test_a_kept_alive_connection_outlives_the_header_timeout(hasty: Edge) -> None:
    with hasty.connect(request_line("/pid")) as sock, hasty.connect() as late:
        assert read_one(sock).startswith(b"HTTP/1.1 200")
        read_all(late)
        sock.sendall(request_line("/pid"))
        assert read_one(sock).startswith(b"HTTP/1.1 200")


def test_one_connection_too_many_is_refused_with_503_at_once(edge: Edge) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(edge.connect(request_line("/stubborn"))).recv(4096)
        answer = b""

        def refused_after_s() -> float:
            nonlocal answer
            began_s = time.monotonic()
            answer = edge.request("/pid")
            return time.monotonic() - began_s

        assert is_ever_within(0.5, refused_after_s)
        status, error = refusal_of(answer)
        assert (status, error["code"]) == (503, "too_many_connections")
        assert b"\r\nretry-after: 1\r\n" in answer
    until(lambda: edge.request("/pid").startswith(b"HTTP/1.1 200"))


def test_what_is_not_http_is_refused_with_json(edge: Edge) -> None:
    with edge.connect(b"garbage\r\n\r\n") as sock:
        status, error = refusal_of(read_all(sock))
    assert (status, error["code"]) == (400, "invalid_http")


def test_a_head_without_end_is_refused_with_431(edge: Edge) -> None:
    with edge.connect(b"GET /pid HTTP/1.1\r\n" + b"a: b\r\n" * 12_000) as sock:
        status, error = refusal_of(read_all(sock))
    assert (status, error["code"]) == (431, "headers_too_large")


def test_garbage_after_a_request_does_not_end_up_inside_its_answer(edge: Edge) -> None:
    with edge.connect(request_line("/stubborn")) as sock:
        got = sock.recv(4096)
        sock.sendall(b"garbage\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            got += read_all(sock)
    assert got.count(b"HTTP/1.1") == 1


def test_an_offered_upgrade_is_ignored_and_the_body_is_kept(edge: Edge) -> None:
    """As Java's HttpClient does with every POST."""
    head = b"POST /echo HTTP/1.1\r\nhost: edge\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    post = head + b"content-length: 5\r\n\r\nhello"
    with edge.connect(post + post + request_line("/pid", "connection: close")) as sock:
        answers = read_all(sock)
    assert answers.count(b"HTTP/1.1 200") == 3
    assert answers.count(b"\r\n\r\nhello") == 2


CHUNKED = b"POST /lines HTTP/1.1\r\nhost: edge\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"


def test_a_trailer_is_no_header(edge: Edge) -> None:
    with edge.connect(CHUNKED + b"x-forwarded-for: fake\r\n") as sock:
        edge.get("/pid")  # what was sent before has been read by now
        sock.sendall(b"expect: 100-continue\r\n\r\n" + request_line("/pid", "connection: close"))
        answers = read_all(sock)
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.count(b"host transfer-encoding") == 1
    assert b"x-forwarded-for" not in answers


@pytest.mark.parametrize("endless", [b"a:\r\n" * 4096, b"a" * 16384], ids=["lines", "one_line"])
def test_trailers_without_end_are_refused_with_431(edge: Edge, endless: bytes) -> None:
    sent = 0
    with edge.connect(CHUNKED + endless[:1024]) as sock:
        edge.get("/pid")  # what was sent before has been read by now
        with contextlib.suppress(OSError):
            for _ in range(64):
                sock.sendall(endless)
                sent += len(endless)
                if sent > 64 * 1024 and edge.get("/pid") and select.select([sock], [], [], 0)[0]:
                    break
        status, error = refusal_of(read_all(sock))
    assert (status, error["code"]) == (431, "headers_too_large")
    assert "trailers" in error["message"]
    assert sent < 512 * 1024
    until(lambda: edge.said("gone /lines"))


def test_trailers_without_end_cut_an_answer_that_has_begun(edge: Edge) -> None:
    with edge.connect(CHUNKED.replace(b"/lines", b"/stubborn")) as sock:
        got = sock.recv(4096)
        with contextlib.suppress(OSError):
            for _ in range(256):
                sock.sendall(b"a:\r\n" * 4096)
        with contextlib.suppress(ConnectionResetError):
            got += read_all(sock)
    assert got.count(b"HTTP/1.1") == 1
    assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("size_bytes", [1, 100_000])
def test_a_body_in_chunks_may_be_longer_than_a_head(edge: Edge, size_bytes: int) -> None:
    """Nothing of it counts as a head or trailers, however much stands around its pieces."""
    piece = b"%x\r\n%s\r\n" % (size_bytes, b"x" * size_bytes)
    head = CHUNKED.partition(b"\r\n\r\n")[0].replace(b"/lines", b"/echo")
    count = 1_000_000 // size_bytes // 20
    offer = b"\r\nconnection: close, Upgrade\r\nupgrade: h2c\r\n\r\n"
    with edge.connect(head + offer + piece * count + b"0\r\n\r\n") as sock:
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(body_of(answer)) == count * size_bytes


def test_the_server_does_not_name_its_software(edge: Edge) -> None:
    head = edge.request("/pid").partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nserver:" not in head
    assert b"\r\ndate:" in head


def test_a_client_that_does_not_read_suspends_the_sending(edge: Edge) -> None:
    total_bytes = 2048 * 65536
    with edge.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(request_line("/flood", "connection: close"))
        seen = [-1]

        def stalled() -> bool:
            # Twice the same count, a while apart: nothing is being sent any more.
            seen.append(int(edge.get("/sent")))
            threading.Event().wait(0.1)
            return seen[-1] == seen[-2] > 0

        until(stalled)
        assert seen[-1] < total_bytes / 8
        assert psutil.Process(edge.process.pid).memory_info().rss < 128 * 2**20
        assert len(read_all(sock)) > total_bytes
    assert int(edge.get("/sent")) == total_bytes


def gone(edge: Edge, path: str, count: int) -> float:
    """When the hook of the newest lost request on this path was called, on the machine's monotonic clock."""
    return float(until(lambda: edge.said(f"gone {path} ")[count:])[-1].split()[2])


@pytest.mark.parametrize("requests_before", [0, 2], ids=["fresh", "kept_alive"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_the_hook_tells_of_a_lost_client_within_100_ms(
    edge: Edge, *, requests_before: int, reset: bool
) -> None:
    def told_after_s() -> float:
        known = len(edge.said("gone /stubborn"))
        with edge.connect() as sock:
            for _ in range(requests_before):
                sock.sendall(request_line("/pid"))
                read_one(sock)
            sock.sendall(request_line("/stubborn"))
            assert b"200 OK" in sock.recv(4096)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left_s = time.monotonic()
        return gone(edge, "/stubborn", known) - left_s

    assert is_ever_within(0.1, told_after_s)
    assert not edge.said("gone /pid")


def test_the_hook_tells_the_running_request_and_not_the_queued_one(edge: Edge) -> None:
    known = len(edge.said("gone"))
    with edge.connect(request_line("/stubborn") + request_line("/echo")) as sock:
        assert b"200 OK" in sock.recv(4096)
    until(lambda: len(edge.said("gone")) > known)
    edge.get("/pid")
    assert len(edge.said("gone")) == known + 1
    assert edge.said("gone")[-1].startswith("gone /stubborn ")
    assert not edge.said("gone /echo")


def test_a_client_that_stops_sending_counts_as_gone(edge: Edge) -> None:
    known = len(edge.said("gone /stubborn"))
    with edge.connect(request_line("/stubborn")) as sock:
        sock.recv(4096)
        sock.shutdown(socket.SHUT_WR)
        gone(edge, "/stubborn", known)
        assert not read_all(sock).endswith(b"0\r\n\r\n")


def test_a_drain_lets_a_running_stream_finish() -> None:
    with (
        running(drain_s=FOREVER_S) as edge,
        edge.connect(request_line("/stream")) as sock,
        edge.connect() as idle,
    ):
        idle.sendall(request_line("/pid"))
        read_one(idle)
        got = sock.recv(4096)
        edge.process.terminate()
        # All of this while the stream runs: it ends when it is told to.
        until(lambda: edge.said("drain"))
        assert read_all(idle) == b""
        with pytest.raises(OSError):
            edge.connect()
        edge.process.send_signal(signal.SIGUSR1)
        got += read_all(sock)
        assert got.endswith(b"last\n\r\n0\r\n\r\n")
        assert edge.end() == 0
        assert edge.said("closed")
        assert not edge.said("expire")


def test_a_head_under_way_when_the_drain_begins_is_answered_and_closed() -> None:
    with running(drain_s=FOREVER_S, fresh_grace_s=10) as edge, edge.connect(request_line("/pid")) as sock:
        read_one(sock)
        sock.sendall(b"GET /pid HTTP/1.1\r\n")
        edge.get("/pid")  # what was sent before has been read by now
        edge.process.terminate()
        until(lambda: edge.said("drain"))
        sock.sendall(b"host: edge\r\n\r\n")
        answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"\r\nconnection: close\r\n" in answer
        assert edge.end() == 0


def test_a_body_that_does_not_come_does_not_hold_up_a_drain() -> None:
    # On a machine that stands still, a slow client may pause for as long as it takes to be given up.
    assert any(is_a_slow_body_answered() for _ in range(4))


def is_a_slow_body_answered() -> bool:
    """Whether it is, beside two bodies that do not come."""
    head = b"POST /echo HTTP/1.1\r\nhost: edge\r\ncontent-length: 6\r\n\r\n"
    with (
        running(drain_s=FOREVER_S) as edge,
        edge.connect(head) as empty,
        edge.connect(head + b"hal") as half,
        edge.connect(head) as slow,
    ):
        edge.get("/pid")  # what was sent before has been read by now
        edge.process.terminate()
        until(lambda: edge.said("drain"))
        began_s = time.monotonic()
        for byte in b"slowly":
            threading.Event().wait(0.4)
            with contextlib.suppress(OSError):
                slow.sendall(bytes([byte]))
        try:
            answer = read_all(slow)
        except ConnectionResetError:
            return False
        if answer.startswith(b"HTTP/1.1 503"):
            return False
        assert answer.endswith(b"\r\n\r\nslowly")
        for sock in (empty, half):
            status, error = refusal_of(read_all(sock))
            assert (status, error["code"]) == (503, "shutting_down")
        assert edge.end() == 0
        assert time.monotonic() - began_s < FOREVER_S / 2
        assert len(edge.said("gone /echo")) == 2
        assert not edge.said("expire")
    return True


def test_an_expired_drain_ends_streams_and_then_cuts_them() -> None:
    with running(drain_s=0.2) as edge, contextlib.ExitStack() as stack:
        stream = stack.enter_context(edge.connect(request_line("/stream")))
        stubborn = stack.enter_context(edge.connect(request_line("/stubborn")))
        got = stream.recv(4096)
        stubborn.recv(4096)
        edge.process.send_signal(signal.SIGINT)
        assert (got + read_all(stream)).endswith(b"error\n\r\n0\r\n\r\n")
        until(lambda: edge.said("expire"))
        with contextlib.suppress(ConnectionResetError):
            assert not read_all(stubborn).endswith(b"0\r\n\r\n")
        assert edge.end() == 0
        assert edge.said("gone /stubborn")


@pytest.mark.parametrize("path", ["/stubborn", "/block"], ids=["streaming", "loop_stuck"])
def test_a_second_signal_ends_the_server_at_once(path: str) -> None:
    with running(drain_s=FOREVER_S) as edge, edge.connect(request_line(path)) as sock:
        until(lambda: edge.said("blocked")) if path == "/block" else sock.recv(4096)
        edge.process.terminate()
        if path != "/block":
            until(lambda: edge.said("drain"))
        else:
            # Two equal signals in a row may become one: here nothing shows that the first was taken.
            edge.process.send_signal(signal.SIGINT)
        second_s = time.monotonic()
        edge.process.terminate()
        assert edge.end() == 1
        assert time.monotonic() - second_s < PROMPT_S


@pytest.fixture
def pair() -> Iterator[Edge]:
    with running(workers=2, drain_s=1) as edge:
        until(lambda: len(workers_of(edge)) == 2)
        yield edge


def workers_of(edge: Edge) -> set[int]:
    """The workers that serve: those that have become the program, not the tie that runs before it."""
    ready = [int(line.split("[")[1].rstrip("]")) for line in edge.said("log uvicorn.error Started server")]
    return {child.pid for child in psutil.Process(edge.process.pid).children()} & set(ready)


def test_a_killed_worker_is_replaced_while_the_other_keeps_answering(pair: Edge) -> None:
    before = workers_of(pair)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in workers_of(pair))
    answered = {int(pair.get("/pid")) for _ in range(20)}
    assert answered
    assert victim not in answered
    until(lambda: len(workers_of(pair)) == 2)
    assert workers_of(pair) != before
    until(lambda: any(f"process {victim}, died: signal SIGKILL" in line for line in pair.lines))


def test_workers_die_with_a_killed_supervisor(pair: Edge) -> None:
    workers = workers_of(pair)
    pair.process.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def test_the_supervisor_ends_with_its_workers(pair: Edge) -> None:
    with pair.connect(request_line("/stream")) as sock:
        got = sock.recv(4096)
        pair.process.terminate()
        got += read_all(sock)
    assert b"error\n" in got or got.endswith(b"last\n\r\n0\r\n\r\n")
    assert pair.end() == 0


def test_a_second_signal_reaches_the_workers() -> None:
    with running(workers=2, drain_s=FOREVER_S) as pair, pair.connect(request_line("/stubborn")) as sock:
        until(lambda: len(workers_of(pair)) == 2)
        sock.recv(4096)
        pair.process.terminate()
        until(lambda: pair.said("drain"))
        second_s = time.monotonic()
        pair.process.terminate()
        assert pair.end() == 1
        assert time.monotonic() - second_s < PROMPT_S

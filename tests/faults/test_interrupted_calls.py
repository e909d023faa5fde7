"""Calls ended early by a client or an operator, slow clients, and what must never leak meanwhile."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rig import chat
from rig.gateway import KEY, SECRETS, Gateway, eventually
from rig.script import Answer, Cut, Gate, Step, events, forever, plain, sse
from rig.site import (
    BEGUN,
    CHAT,
    JSON_TYPE,
    PATH,
    SERVER,
    SSE_TYPE,
    STREAM,
    TIMEOUTS,
    WHOLE,
    Site,
    running_site,
)
from rig.upstream import Seen

LATE_S = 60
"""The limits of upstreams where something else is to end a call."""
SOON_S = 15.0
"""A hard bound for a loaded machine, far from `LATE_S`; what was measured is printed."""

stream_and_whole = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


# The client goes


def raw_request(gateway: Gateway, body: dict[str, Any]) -> socket.socket:
    """A connection of its own, with the request sent and nothing read."""
    content = json.dumps(CHAT | body).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    headers = f"host: {host}\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(content)}"
    connection.sendall(f"POST {PATH} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + content)
    return connection


POINTS: dict[str, list[Step]] = {"before the head": [], "in the answer": [*BEGUN]}


@pytest.fixture(scope="module")
def shared_patient_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    timeouts = {"first_byte_s": LATE_S, "gap_s": LATE_S}
    with running_site(tmp_path_factory.mktemp("patient") / "config", timeouts=timeouts) as site:
        yield site


@pytest.fixture
def patient_site(shared_patient_site: Site) -> Site:
    """A site whose upstreams may take their time."""
    shared_patient_site.reset()
    return shared_patient_site


@stream_and_whole
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("point", POINTS)
def test_a_client_that_leaves_ends_the_upstreams_work(
    patient_site: Site, *, point: str, how: str, stream: bool
) -> None:
    site, pieces = patient_site, POINTS[point]
    if pieces:
        site.first.answer_with(
            Answer(
                200, SSE_TYPE if stream else JSON_TYPE, [*pieces, Cut.HANG], "chunked" if stream else "length"
            )
        )
    else:
        site.first.answer_with(Answer(before=[Cut.HANG]))
    with raw_request(site.gateway, {"model": "two", "stream": stream}) as connection:
        if pieces and stream:
            assert connection.recv(64)
        assert eventually(lambda: site.first.seen)
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_s = time.monotonic()
    seen = site.first.only_request()
    assert seen.lost.wait(SOON_S)
    assert seen.lost_s is not None
    print(f"{point}, {how}: the upstream was left after {(seen.lost_s - left_s) * 1000:.1f} ms")
    assert seen.lost_s - left_s < SOON_S
    assert site.second.seen == []


def test_a_slow_client_slows_the_upstream_down(tmp_path: Path) -> None:
    """What is read ahead of a client is bounded, and its slowness is not held against the upstream.

    A site of its own: what another test's client left behind may be counted just now, which takes memory.
    """
    with running_site(tmp_path / "slow", timeouts=TIMEOUTS | {"total_s": 2 * LATE_S}) as site:
        check_that_a_slow_client_slows_the_upstream_down(site)


def check_that_a_slow_client_slows_the_upstream_down(site: Site) -> None:
    word = sse(chat.chunk({"content": "la" * 8000}), done=False)[0]
    process = psutil.Process(site.gateway.process.pid)
    site.first.answer_with(events(forever(word)))
    before_bytes = process.memory_info().rss
    with raw_request(site.gateway, {"model": "one", "stream": True}) as connection:
        assert eventually(lambda: site.first.seen)
        seen = site.first.only_request()
        stalled_bytes = settled(lambda: seen.sent_bytes, for_s=TIMEOUTS["gap_s"] + 0.5)
        print(f"the upstream stalled after {stalled_bytes / 1e6:.1f} MB")
        assert stalled_bytes < 30e6
        assert process.memory_info().rss - before_bytes < 50e6
        read_bytes = 0
        while read_bytes < stalled_bytes + 10_000_000:
            piece = connection.recv(1 << 20)
            assert piece, "the stream ended"
            read_bytes += len(piece)
    assert seen.lost.wait(SOON_S)


def settled(measure: Callable[[], int], for_s: float) -> int:
    """Wait until a number has not grown for a while; fails when it still grows after 40 s."""
    deadline_s = time.monotonic() + 40
    value, since_s = measure(), time.monotonic()
    while time.monotonic() - since_s < for_s:
        assert time.monotonic() < deadline_s, f"still growing: {value}"
        threading.Event().wait(0.02)
        if (now := measure()) != value:
            value, since_s = now, time.monotonic()
    return value


# The operator stops the gateway


@pytest.fixture
def stopping_site(tmp_path: Path) -> Iterator[Site]:
    """A site of its own, whose upstreams may take their time, for tests that end it."""
    with running_site(tmp_path / "stopping", timeouts={"first_byte_s": LATE_S, "gap_s": LATE_S}) as site:
        yield site


@stream_and_whole
def test_a_call_may_finish_while_the_gateway_stops(tmp_path: Path, *, stream: bool) -> None:
    timeouts = {"first_byte_s": LATE_S, "gap_s": LATE_S}
    with running_site(tmp_path / "stopping", timeouts=timeouts, server={"drain_s": LATE_S}) as site:
        check_that_a_call_may_finish(site, stream=stream)


def check_that_a_call_may_finish(site: Site, *, stream: bool) -> None:
    gate = Gate()
    if stream:
        site.first.answer_with(events([*BEGUN, gate, *STREAM[3:]]))
    else:
        site.first.answer_with(Answer(200, JSON_TYPE, [WHOLE], before=[gate]))
    with raw_request(site.gateway, {"model": "one", "stream": stream}) as connection:
        assert eventually(lambda: site.first.seen)
        site.gateway.terminate()
        assert eventually(lambda: refuses(site.gateway)), "it still takes connections"
        gate.open()
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert (b"data: [DONE]" if stream else WHOLE) in answer
    assert site.gateway.wait() == 0


@stream_and_whole
def test_a_call_that_outlasts_the_drain_ends_with_an_error(stopping_site: Site, *, stream: bool) -> None:
    site = stopping_site
    site.first.answer_with(events([*BEGUN, Cut.HANG]) if stream else Answer(before=[Cut.HANG]))
    with raw_request(site.gateway, {"model": "one", "stream": stream}) as connection:
        assert eventually(lambda: site.first.seen)
        started_s = time.monotonic()
        site.gateway.terminate()
        answer = read_to_end(connection)
    assert time.monotonic() - started_s < SERVER["drain_s"] + SOON_S
    assert b'"code":"shutting_down"' in answer
    assert b"[DONE]" not in answer
    assert answer.startswith(b"HTTP/1.1 200" if stream else b"HTTP/1.1 503")
    assert site.gateway.wait() == 0
    assert site.first.only_request().lost.wait(SOON_S)


def refuses(gateway: Gateway) -> bool:
    """Say whether the gateway takes no new connection, or at least no new call."""
    try:
        return httpx.get(f"{gateway.url}/readyz", trust_env=False, timeout=30).status_code == 503
    except httpx.TransportError:
        return True


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


# Our own credentials


def test_the_credentials_are_used_in_turn(site: Site) -> None:
    site.first.answer_with(plain(WHOLE))
    for _ in range(6):
        site.ask("one", stream=False)
    shown = [seen.headers["authorization"].removeprefix("Bearer ") for seen in site.first.seen]
    assert {*shown} == {*SECRETS.values()}
    assert all(before != after for before, after in itertools.pairwise(shown))


def repeating(seen: Seen, status: int, *, page: bool) -> Answer:
    """An error that repeats the credential it was shown, as some do."""
    shown = seen.headers["authorization"]
    text = f"Incorrect API key provided: {shown}, also {shown.removeprefix('Bearer ')!r}"
    body = f"<html>{text}</html>".encode() if page else chat.error(text)
    return plain(body, status, content_type="text/html" if page else "application/json")


@stream_and_whole
@pytest.mark.parametrize("status", [400, 401, 500])
@pytest.mark.parametrize("page", [False, True], ids=["json", "html"])
def test_an_upstream_that_repeats_our_credential_tells_it_nobody(
    own_site: Site, *, status: int, page: bool, stream: bool
) -> None:
    own_site.first.answer_with(lambda seen: repeating(seen, status, page=page))
    for _ in range(2):
        response = own_site.ask("one", stream=stream)
        assert response.status_code == status
        assert response.json()["error"]["message"]
        for secret in SECRETS.values():
            assert secret not in response.text
            assert secret not in str(response.headers)


def test_the_log_is_json_and_holds_no_secret(site: Site) -> None:
    """After all that went wrong above, or at least after this."""
    site.first.answer_with(lambda seen: repeating(seen, 500, page=False))
    answers = [site.ask("one", stream=False), site.ask("dead", stream=True)]
    ids = {response.headers["x-request-id"] for response in answers}
    assert eventually(lambda: all(any(one in line for line in site.gateway.lines) for one in ids))
    assert any(entry.get("event") == "ready" for entry in site.gateway.log())
    written = "\n".join(site.gateway.lines)
    assert not [secret for secret in (*SECRETS.values(), KEY) if secret in written]

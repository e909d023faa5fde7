"""The upstreams that fail do what their faults say: seen from raw sockets, with no gateway between."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from rig.faults import answers, native, refusals, streams
from rig.faults.connecting import running_doors
from rig.faults.doors import Authority
from rig.faults.fault import Answered, Breaks, Fault
from rig.faults.hearing import Heard, Listener
from rig.faults.verdicts import check
from rig.faults.wire import BEGUN_TEXT, HEARD, TEXT
from rig.gateway import SECRETS
from rig.script import Answer
from rig.sse import split_events
from rig.upstream import Upstream

_TABLES = (refusals.FAULTS, answers.FAULTS, streams.FAULTS, native.FAULTS)
FAULTS = {fault.name: fault for table in _TABLES for fault in table}
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
    b"content-length: %d\r\n\r\n%b"
)
SILENCE_S = 0.3
"""So long nothing has to come where nothing is to come; what is to come may take longer."""
PATIENCE_S = 30


@pytest.fixture(scope="module")
def faulty() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def playing(upstream: Upstream, fault: Fault, *, stream: bool) -> Upstream:
    case = fault.case(stream=stream)
    assert case is not None
    play = case.play
    upstream.answer_with(play if isinstance(play, Answer) else lambda seen: play(seen, 0))
    return upstream


Begins = Callable[[bytes], bool]


def never(_: bytes) -> bool:
    return False


def received(port: int, request: bytes, is_silent_after: Begins = never) -> tuple[bytes, str]:
    """All that comes for a request, and how it ends: closed, reset, or silent for a while after this."""
    data = b""
    HEARD.clear()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(request)
            connection.settimeout(SILENCE_S if is_silent_after(data) else PATIENCE_S)
            while piece := connection.recv(1 << 16):
                data += piece
                HEARD.extend(piece)
                connection.settimeout(SILENCE_S if is_silent_after(data) else PATIENCE_S)
    except TimeoutError:
        return data, "silent"
    except OSError:
        return data, "reset"
    return data, "closed"


def posted(
    upstream: Upstream, fault: str, is_silent_after: Begins = never, *, stream: bool
) -> tuple[bytes, str]:
    body = json.dumps({"model": "m", "stream": stream}).encode()
    secret = SECRETS["RIG_KEY_1"].encode()
    request = REQUEST % (secret, len(body), body)
    return received(playing(upstream, FAULTS[fault], stream=stream).port, request, is_silent_after)


ENDS = {
    "reset_before_the_head": (b"", "reset"),
    "closed_before_the_head": (b"", "closed"),
    "reset_in_the_head": (b"HTTP/1.1 200 OK\r\ncontent-", "reset"),
    "a_head_that_is_not_http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "closed"),
    "never_answers": (b"", "silent"),
}
"""All that comes, and how it ends."""


@pytest.mark.parametrize("fault", ENDS)
def test_a_fault_before_the_head(faulty: Upstream, fault: str) -> None:
    said, end = ENDS[fault]
    silent = end == "silent"
    assert posted(faulty, fault, lambda data: silent and data == said, stream=False) == ENDS[fault]


TAILS = {
    "reset_after_the_head": (b"\r\n\r\n", "reset"),
    "closed_after_the_head": (b"\r\n\r\n", "closed"),
    "silence_after_the_head": (b"\r\n\r\n", "silent"),
    "reset_after_3_tokens": (b"\n\n\r\n", "reset"),
    "closed_after_3_tokens": (b"\n\n\r\n", "closed"),
    "ends_in_order_after_3_tokens": (b"0\r\n\r\n", "silent"),
    "cut_inside_a_character": (b"Z\xc3\r\n", "closed"),
    "cut_inside_a_surrogate_pair": (b"\\ud83c\r\n", "closed"),
    "a_gap_too_long": (b"\n\n\r\n", "silent"),
    "a_finish_and_no_done_staying_open": (b"\n\n\r\n", "silent"),
}
"""The last bytes of streams that break, and how they end."""


@pytest.mark.parametrize("fault", TAILS)
def test_a_fault_after_the_head(faulty: Upstream, fault: str) -> None:
    tail, expected_end = TAILS[fault]
    silent = expected_end == "silent"
    data, end = posted(faulty, fault, lambda data: silent and data.endswith(tail), stream=True)
    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.endswith(tail), data[-80:]
    assert end == expected_end


@pytest.mark.parametrize("fault", ["dribbles_its_head", "dribbles_its_body"])
def test_a_dribble_is_never_silent_for_long_and_never_done(faulty: Upstream, fault: str) -> None:
    data, end = posted(faulty, fault, lambda data: b"HTTP/1.1 200" in data, stream=False)
    assert b"HTTP/1.1 200" in data
    assert end == "silent"
    assert not data.endswith(b"}")


def test_one_of_two_keys_is_refused(faulty: Upstream) -> None:
    url = playing(faulty, FAULTS["401_on_one_of_two_keys"], stream=False).base_url
    with httpx.Client(trust_env=False) as client:
        statuses = [
            client.post(url, json={}, headers={"authorization": f"Bearer {secret}"}).status_code
            for secret in SECRETS.values()
        ]
    assert statuses == [401, 200]


# Doors


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def doors(authority: Authority) -> Iterator[dict[str, str]]:
    with running_doors(authority) as urls:
        yield urls


def port_of(url: str) -> int:
    port = httpx.URL(url).port
    assert port is not None
    return port


@pytest.mark.parametrize(
    ("door", "expected"),
    [
        ("reset_at_once", (b"", "reset")),
        ("closed_at_once", (b"", "closed")),
        ("tls_answered_with_garbage", (bytes(range(256)), "closed")),
        ("tls_never_answered", (b"", "silent")),
    ],
)
def test_a_door_greets(doors: dict[str, str], door: str, expected: tuple[bytes, str]) -> None:
    request = b"" if door.endswith("at_once") else b"\x16\x03\x01"
    silent = expected[1] == "silent"
    assert received(port_of(doors[door]), request, lambda _: silent) == expected


def test_nobody_is_there(doors: dict[str, str]) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(doors["refused"])), timeout=PATIENCE_S)
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port_of(doors["never_accepts"])), timeout=SILENCE_S)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(httpx.URL(doors["unknown_name"]).host, 80)


def handshake(url: str, trusted: Path) -> None:
    context = ssl.create_default_context(cafile=trusted)
    with (
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1"),
    ):
        pass


@pytest.mark.parametrize(
    ("door", "words"),
    [
        ("certificate_expired", "expired"),
        ("certificate_of_another_host", "mismatch"),
        ("certificate_of_nobody", "self-signed"),
        ("tls_to_a_plain_port", "(?i)version|record|http"),
    ],
)
def test_tls_fails_for_the_reason_that_is_named(
    doors: dict[str, str], authority: Authority, door: str, words: str
) -> None:
    with pytest.raises(ssl.SSLError, match=words):
        handshake(doors[door], authority.path)


def test_the_certificate_in_order_is_taken(doors: dict[str, str], authority: Authority) -> None:
    assert handshake(doors["certificate_in_order"], authority.path) is None


# What is heard of them


@pytest.fixture(scope="module")
def listener(faulty: Upstream) -> Iterator[Listener]:
    one = Listener("chat", faulty.base_url.removesuffix("/v1"), "upstream-secret-2")
    yield one
    one.close()


def heard_of(listener: Listener, faulty: Upstream, fault: str, *, stream: bool) -> Heard:
    playing(faulty, FAULTS[fault], stream=stream)
    return listener.ask("m", stream=stream)


SOUND = [
    (fault, stream)
    for fault in FAULTS.values()
    for stream in (False, True)
    if (case := fault.case(stream=stream)) is not None
    and isinstance(case.verdict, Answered)
    and fault.name
    in {
        "a_body_in_tiny_pieces",
        "slow_within_its_limits",
        "a_huge_event",
        "thousands_of_chunks",
        "malformed_usage",
        "filtered_without_a_word",
    }
    and (fault.name, stream) != ("malformed_usage", True)
]


@pytest.mark.parametrize(("fault", "stream"), SOUND, ids=lambda value: getattr(value, "name", value))
def test_what_is_odd_but_whole_is_heard_as_it_is(
    listener: Listener, faulty: Upstream, fault: Fault, *, stream: bool
) -> None:
    case = fault.case(stream=stream)
    assert case is not None
    check(heard_of(listener, faulty, fault.name, stream=stream), case.verdict, fallback=False)


def test_what_was_said_before_an_error_is_kept(listener: Listener, faulty: Upstream) -> None:
    heard = heard_of(listener, faulty, "an_error_after_3_tokens", stream=True)
    verdict = FAULTS["an_error_after_3_tokens"].stream
    assert verdict is not None
    assert isinstance(verdict.verdict, Breaks)
    check(heard, verdict.verdict, fallback=False)
    assert len(split_events(heard.wire)) == 5


@pytest.mark.parametrize(
    ("fault", "text"),
    [("ends_in_order_after_3_tokens", BEGUN_TEXT), ("the_whole_answer_twice_before_done", TEXT * 2)],
)
def test_a_client_without_a_gateway_is_deceived(
    listener: Listener, faulty: Upstream, fault: str, text: str
) -> None:
    """The SDK takes a truncated or a doubled answer for a whole one; the checks do not."""
    heard = heard_of(listener, faulty, fault, stream=True)
    case = FAULTS[fault].stream
    assert case is not None
    assert (heard.status, heard.error, heard.text) == (200, "", text)
    with pytest.raises(AssertionError):
        check(heard, case.verdict, fallback=False)

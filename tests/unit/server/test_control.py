"""The control socket: who may use it, what comes back, and what a killed gateway leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.errors import StoreDown
from gateway.server.control import SOCKET, AlreadyRunning, NotRunning, Refused, ask, open_control


async def echo(arguments: msgspec.Raw) -> object:
    return {"got": msgspec.json.decode(arguments)}


async def refuse(_: msgspec.Raw) -> object:
    raise ValueError("not like this")


async def typed(arguments: msgspec.Raw) -> object:
    return msgspec.json.decode(arguments, type=int)


async def down(_: msgspec.Raw) -> object:
    raise StoreDown("the store does not answer")


async def broken(_: msgspec.Raw) -> object:
    raise KeyError("secret")


OPERATIONS = {"echo": echo, "refuse": refuse, "typed": typed, "down": down, "broken": broken}


@contextlib.asynccontextmanager
async def control(folder: Path) -> AsyncIterator[None]:
    opened = await open_control(folder, OPERATIONS)
    try:
        yield
    finally:
        await opened.close()


def during(folder: Path, act: Callable[[], Any]) -> Any:
    """What a command gets, in a thread, while a gateway runs on the folder."""

    async def scene() -> Any:
        async with control(folder):
            return await asyncio.to_thread(act)

    return asyncio.run(scene())


def test_an_operation_gets_its_arguments_and_gives_its_result(tmp_path: Path) -> None:
    answer = during(tmp_path, lambda: ask(tmp_path, "echo", {"a": [1, "ü\n"]}))
    assert json.loads(answer) == {"got": {"a": [1, "ü\n"]}}


def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    text = "x" * 500_000
    assert json.loads(during(tmp_path, lambda: ask(tmp_path, "echo", text))) == {"got": text}


@pytest.mark.parametrize(
    ("operation", "said", "is_down"),
    [
        ("refuse", "not like this", False),
        ("typed", "Expected `int`, got `object`", False),
        ("down", "the store does not answer", True),
        ("broken", "the gateway failed; its log says why", True),
        ("nope", "this gateway knows no operation 'nope': is it older?", False),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, operation: str, said: str, *, is_down: bool) -> None:
    with pytest.raises(Refused) as refused:
        during(tmp_path, lambda: ask(tmp_path, operation, {}))
    assert (str(refused.value), refused.value.is_down) == (said, is_down)


def test_the_socket_is_its_users_alone_and_goes_with_the_gateway(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    modes = during(folder, lambda: (folder.stat().st_mode, (folder / SOCKET).stat().st_mode))
    assert [stat.S_IMODE(mode) for mode in modes] == [0o700, 0o600]
    assert not (folder / SOCKET).exists()


def test_without_a_gateway_a_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no gateway runs with --state"):
        ask(tmp_path, "echo", {})
    with pytest.raises(NotRunning, match="no gateway runs with --state"):
        ask(tmp_path / "nowhere", "echo", {})


def leave_a_socket(folder: Path) -> None:
    """As a gateway does that is killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / SOCKET))


def test_a_socket_that_a_killed_gateway_left_is_told_from_a_running_one(tmp_path: Path) -> None:
    leave_a_socket(tmp_path)
    with pytest.raises(NotRunning, match="no gateway runs with --state"):
        ask(tmp_path, "echo", {})


def test_a_socket_that_a_killed_gateway_left_is_replaced(tmp_path: Path) -> None:
    leave_a_socket(tmp_path)
    assert during(tmp_path, lambda: ask(tmp_path, "echo", 1)) == b'{"got":1}'


def test_a_second_gateway_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async def scene() -> bytes:
        async with control(tmp_path):
            with pytest.raises(AlreadyRunning, match="another gateway runs with --state"):
                await open_control(tmp_path, OPERATIONS)
            return await asyncio.to_thread(ask, tmp_path, "echo", 1)

    assert asyncio.run(scene()) == b'{"got":1}'
    assert during(tmp_path, lambda: ask(tmp_path, "echo", 2)) == b'{"got":2}'


def test_a_folder_with_a_long_name_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    assert during(folder, lambda: ask(folder, "echo", 1)) == b'{"got":1}'


def send(folder: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / SOCKET))
        sock.sendall(line)
        return b"".join(iter(lambda: sock.recv(4096), b""))


def test_a_line_that_is_no_request_is_refused(tmp_path: Path) -> None:
    assert "malformed" in during(tmp_path, lambda: send(tmp_path, b"hello\n")).decode()


def test_a_line_without_an_end_gets_no_answer_and_hurts_nobody(tmp_path: Path) -> None:
    def act() -> bytes:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            assert send(tmp_path, b"x" * (3 << 20)) == b""
        return ask(tmp_path, "echo", 1)

    assert during(tmp_path, act) == b'{"got":1}'


def test_a_gateway_that_hangs_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / SOCKET))
        sock.listen()
        with pytest.raises(NotRunning, match="does not answer"):
            ask(tmp_path, "echo", {}, within_s=0.05)

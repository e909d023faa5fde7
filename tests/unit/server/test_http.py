"""The listening socket, and what the server asks of uvicorn."""

from __future__ import annotations

import logging
import socket

import pytest

from gateway.server.connection import Connection
from gateway.server.http import GatewayServer, ServerSettings, Turns, listen


async def app(scope: object, receive: object, send: object) -> None:
    raise AssertionError


def test_a_listening_socket_takes_connections_and_can_be_bound_again() -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=30), sock.accept()[0]:
            pass
    with listen("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port


def test_an_address_in_use_cannot_be_had() -> None:
    with listen("127.0.0.1", 0) as sock, pytest.raises(OSError):
        listen("127.0.0.1", sock.getsockname()[1])


def test_the_server_leaves_the_logging_of_the_process_alone() -> None:
    before = list(logging.getLogger().handlers), logging.getLogger("uvicorn").handlers[:]
    server = GatewayServer(app, ServerSettings(keep_alive_s=7.2), Turns(*[lambda: None] * 3))
    assert (list(logging.getLogger().handlers), logging.getLogger("uvicorn").handlers) == before
    assert server.config.http is Connection
    assert server.config.timeout_keep_alive == 8
    assert not server.config.server_header
    assert not server.config.access_log

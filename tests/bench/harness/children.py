"""Processes of a run: started on a core of their own, always ended, their memory and CPU time read."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

HOST = "127.0.0.1"
SERVER_CPU, LOAD_CPU = 0, 1
"""The server under test has a core for itself; the load and the fake upstream share the other."""

SETTLED_S, SETTLED_BYTES, SETTLES_WITHIN_S = 2.0, 1_000_000, 15.0
"""Memory has settled when it moved by less than this for so long; it is given up after the last."""

TOOLS = {
    "nginx": "nginx and libnginx-mod-http-echo",
    "wrk": "wrk",
    "taskset": "util-linux",
    "setpriv": "util-linux",
}


class BenchError(Exception):
    """The run cannot give a number that would be true."""


def require_machine() -> None:
    """Raise `BenchError` that says what is missing: two cores, or a tool and the package it comes in."""
    if not {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        raise BenchError(f"the benchmarks pin to cores {SERVER_CPU} and {LOAD_CPU}: this machine has fewer")
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        raise BenchError(
            f"missing programs; on Debian: apt-get install {' '.join(missing).replace(' and ', ' ')}"
        )


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def quiet_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This environment without proxies (some HTTP clients would obey them), plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | dict(extra)


class Child:
    """A process pinned to a core; use it with `with`. It dies with this one, however this one ends."""

    def __init__(
        self, argv: Sequence[str], cpu: int, log: Path, env: Mapping[str, str] = {}, cwd: Path | None = None
    ) -> None:
        self.name = " ".join(Path(part).name for part in argv[:4])
        self.argv = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(cpu), *argv]
        self.log, self.env, self.cwd = log, quiet_environment(env), cwd

    def __enter__(self) -> Self:
        self.started_s = time.perf_counter()
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env, cwd=self.cwd
            )
        self.process = psutil.Process(self.popen.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        family = self._family()
        self.resume()
        if self.popen.poll() is None:
            self.popen.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for process in alive:
            process.kill()
        self.popen.wait()

    def ready_s(self, port: int, path: str, limit_s: float = 90) -> float:
        """Seconds from exec until `path` answers 200; raises `BenchError` with the log's end if not."""
        while (now_s := time.perf_counter()) - self.started_s < limit_s:
            if self.popen.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.popen.returncode}:\n{self.log_tail()}")
            if _status(port, path) == http.client.OK:
                return time.perf_counter() - self.started_s
            time.sleep(max(0.0, 0.005 - (time.perf_counter() - now_s)))
        raise BenchError(f"{self.name} is not ready after {limit_s} s:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines the process wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def pause(self) -> None:
        """Stop the process and its children where they are; they keep their memory and connections."""
        for process in self._family():
            process.suspend()

    def resume(self) -> None:
        """Let paused processes go on; nothing happens to running ones."""
        for process in self._family():
            process.resume()

    def settled_rss_bytes(self) -> int:
        """Resident memory once it has stood still for two seconds.

        wrk ends by hanging up on running calls; the gateway then counts what they had got so far, for
        which it loads a tokenizer once. That belongs to neither what follows nor what went before.
        """
        size_bytes, since_s = self.rss_bytes(), time.monotonic()
        deadline_s = since_s + SETTLES_WITHIN_S
        while time.monotonic() - since_s < SETTLED_S and time.monotonic() < deadline_s:
            time.sleep(0.1)
            if abs((now_bytes := self.rss_bytes()) - size_bytes) > SETTLED_BYTES:
                size_bytes, since_s = now_bytes, time.monotonic()
        return self.rss_bytes()

    def rss_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return sum(process.memory_info().rss for process in self._family())

    def cpu_s(self) -> float:
        """User and system time that the process and its children have used."""
        times = [process.cpu_times() for process in self._family()]
        return sum(spent.user + spent.system for spent in times)

    def _family(self) -> list[psutil.Process]:
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()

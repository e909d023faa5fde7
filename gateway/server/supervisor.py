"""Keep N worker processes running behind one listening socket.

It does not know what a worker does: a worker is a command line that gets the socket's file descriptor.
Workers are fresh interpreters, not forks of a process with a loop and threads. They share the listening
socket, so a worker's death loses its own connections and no others. Workers die with this process.

One thread, no polling: it sleeps until a signal (a child's death included) or the next restart is due.
"""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import msgspec

from gateway.embedded.child import start_child

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
EARLY_S = 5.0
"""A worker that lives shorter than this counts as one that cannot start, and is retried ever later."""

STOP_MARGIN_S = 5.0
"""What a worker gets on top of its own drain before it is killed: expiry, cut, closing its stores."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def supervise(
    argv_of_worker: Callable[[int], list[str]],
    workers: int,
    sock: socket.socket,
    drain_s: float,
) -> int:
    """Run `workers` copies of `argv_of_worker(index)` until SIGTERM or SIGINT; replace those that die.

    The workers inherit `sock` under the same number, `sock.fileno()`: put that on their command line.
    Blocks; call it from the main thread, whose handlers for SIGTERM, SIGINT, SIGHUP and SIGCHLD it
    takes over meanwhile. SIGHUP is passed on. SIGTERM and SIGINT are passed on as SIGTERM, a second
    one too; what then still runs after `drain_s` and a margin is killed.
    Returns 0 after an orderly end, 1 after a second signal or a kill.
    """
    return _Supervisor(argv_of_worker, workers, sock, drain_s).run()


class Restarts(msgspec.Struct):
    """When a process that died may start again: at once, or ever later when it keeps dying early."""

    early_deaths: int = 0

    def delay_s(self, lived_s: float) -> float:
        """Count a death after `lived_s`; returns how long to wait."""
        if lived_s >= EARLY_S:
            self.early_deaths = 0
            return 0.0
        self.early_deaths += 1
        return float(min(FIRST_DELAY_S * 2 ** min(self.early_deaths - 1, 16), LONGEST_DELAY_S))


class _Worker(msgspec.Struct):
    """One place in the row of workers. `due_s` is when an empty one is filled again (monotonic)."""

    index: int
    restarts: Restarts
    child: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = 0.0


class _Supervisor:
    def __init__(
        self,
        argv_of_worker: Callable[[int], list[str]],
        workers: int,
        sock: socket.socket,
        drain_s: float,
    ) -> None:
        self.argv_of_worker = argv_of_worker
        self.workers = [_Worker(index, Restarts()) for index in range(workers)]
        self.sock = sock
        self.drain_s = drain_s
        self.kill_at_s: float | None = None
        """Set once the end has begun."""
        self.exit_code = 0

    def run(self) -> int:
        with _signals() as signals:
            while self.kill_at_s is None or self._alive():
                self._fill()
                for number in signals(self._sleep_s()):
                    self._on_signal(number)
                self._reap()
                self._kill_late()
        return self.exit_code

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [worker.child for worker in self.workers if worker.child is not None]

    def _sleep_s(self) -> float | None:
        """Until the next thing to do that no signal announces; None: there is none."""
        if self.kill_at_s is not None:
            return max(0.0, self.kill_at_s - time.monotonic())
        due = [worker.due_s for worker in self.workers if worker.child is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _fill(self) -> None:
        if self.kill_at_s is not None:
            return
        for worker in self.workers:
            if worker.child is None and worker.due_s <= time.monotonic():
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        worker.started_s = time.monotonic()
        try:
            worker.child = start_child(
                self.argv_of_worker(worker.index),
                # Not SIGKILL: with this process gone, running answers may still end in order.
                death_signal=signal.SIGTERM,
                pass_fds=(self.sock.fileno(),),
            )
        except OSError as error:
            worker.due_s = time.monotonic() + worker.restarts.delay_s(0.0)
            logger.error("worker %d cannot be started: %s", worker.index, error)  # noqa: TRY400  # the text says it
        else:
            logger.info("worker %d started, process %d", worker.index, worker.child.pid)

    def _reap(self) -> None:
        for worker in self.workers:
            if worker.child is None or (code := worker.child.poll()) is None:
                continue
            process, worker.child = worker.child.pid, None
            if self.kill_at_s is not None:
                logger.info("worker %d, process %d, ended: %s", worker.index, process, _say_end(code))
                continue
            delay_s = worker.restarts.delay_s(time.monotonic() - worker.started_s)
            worker.due_s = time.monotonic() + delay_s
            text = "worker %d, process %d, died: %s; replaced in %.1f s"
            logger.error(text, worker.index, process, _say_end(code), delay_s)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._send(signal.SIGHUP)
        elif number in _STOP_SIGNALS:
            if self.kill_at_s is None:
                self.kill_at_s = time.monotonic() + self.drain_s + STOP_MARGIN_S
            else:
                self.exit_code = 1
            self._send(signal.SIGTERM)

    def _kill_late(self) -> None:
        if self.kill_at_s is not None and time.monotonic() >= self.kill_at_s and self._alive():
            logger.error(
                "workers still run %.0f s after the signal to stop: killed", self.drain_s + STOP_MARGIN_S
            )
            self.exit_code = 1
            for child in self._alive():
                child.kill()
                child.wait()
            self._reap()

    def _send(self, number: signal.Signals) -> None:
        for child in self._alive():
            child.send_signal(number)


def _say_end(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[float | None], bytes]]:
    """Collect signals as bytes in a socket; yields a function that waits for them, at most so long."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    taken = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda *_: None) for number in taken}
    before_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def wait(limit_s: float | None) -> bytes:
        ready, _, _ = select.select([reader], [], [], limit_s)
        return reader.recv(4096) if ready else b""

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, action in before.items():
            signal.signal(number, action)
        reader.close()
        writer.close()

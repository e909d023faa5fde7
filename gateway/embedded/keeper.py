"""Keep a child process running: started again, ever later, when it dies.

Crashes and memory stay in the child, and the child dies with this process. It must not know what the child
does, but whether it answers.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, NamedTuple

from gateway.embedded.child import start_child, stop_child

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
ANSWERED_DELAY_S = 2.0
"""The longest after a child that had answered."""
STEADY_S = 30.0
"""A child that lived this long has no history: it is started again after the first delay."""

SUPERFLUOUS = os.EX_TEMPFAIL
"""The exit code of a child that found another one at its work, which it leaves to that one."""

LOG_BYTES = 1024 * 1024
_POLL_S = 0.03
_WATCH_S = 0.25

log = logging.getLogger("forebay")


class Program(NamedTuple):
    """What is kept running, its name as a sentence begins or goes on with it."""

    name: str
    argv: Sequence[str]
    grace_s: float = 10.0
    """How long it has between SIGTERM and SIGKILL when it is told to end."""
    death_signal: signal.Signals = signal.SIGTERM
    """What it gets should this process die."""
    log: Path | None = None
    """Takes its output, of which about a megabyte is kept; None: that goes where ours goes."""


class Keeper:
    """Of one child.

    All methods are for threads (none needs a loop); `state` never blocks.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._state = (False, "not started")
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        # It starts the child, so it must live as long: the child is tied to its starting thread.
        self._thread = threading.Thread(target=self._keep, name=program.name, daemon=True)

    def answers(self, pid: int) -> bool:
        """Tell whether the child does what it is there for; asked until it does. May take a second."""
        del self, pid
        return True

    def elsewhere(self) -> str | None:
        """Name what does the child's work already, and is used for as long; None: nobody does."""
        return None

    def start(self) -> None:
        """Start it and return at once; `wait_ready` waits for it. Call it once."""
        if self._program.log is not None:
            self._program.log.parent.mkdir(parents=True, exist_ok=True)
        self._state = (False, "starting")
        self._thread.start()

    def wait_ready(self, timeout_s: float, progress: Callable[[str], None] | None = None) -> None:
        """Block until it answers; raises TimeoutError, saying what it does instead.

        `progress` gets the text of `state` about once a second.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._ready.wait(min(1.0, max(0.0, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                name, state = self._program.name, self._state[1]
                raise TimeoutError(f"{name} is not ready after {timeout_s:g} s: {state}")
            if progress is not None:
                progress(self._state[1])

    def state(self) -> tuple[bool, str]:
        """Whether it answers, and what it is doing, in words for a person."""
        return self._state

    def stop(self) -> None:
        """End it, first by SIGTERM. Idempotent; it is not started again, and nothing elsewhere is ended."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            stop_child(child, self._program.grace_s)
        if self._thread.is_alive():
            self._thread.join()
        self._ready.clear()
        self._state = (False, "stopped")

    def _keep(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            if (other := self.elsewhere()) is not None:
                self._follow(other)
                delay_s = FIRST_DELAY_S
                continue
            started_s = time.monotonic()
            end = self._run_once()
            had_answered = self._ready.is_set()
            self._ready.clear()
            if self._stopping.is_set():
                return
            if end is None:  # the other one will answer in a moment
                self._stopping.wait(_WATCH_S)
                continue
            if time.monotonic() - started_s >= STEADY_S:
                delay_s = FIRST_DELAY_S
            delay_s = min(delay_s, ANSWERED_DELAY_S if had_answered else LONGEST_DELAY_S)
            self._tell(end, delay_s)
            self._stopping.wait(delay_s)
            delay_s *= 2

    def _follow(self, other: str) -> None:
        """Use what runs elsewhere until it is there no more."""
        self._state = (True, f"ready, {other}")
        self._ready.set()
        while not self._stopping.wait(_WATCH_S):
            if self.elsewhere() != other:
                break
        self._ready.clear()
        self._state = (False, "starting")

    def _run_once(self) -> str | None:
        """Run it until it ends; returns how it ended, None where it was superfluous."""
        try:
            with self._lock, self._opened_log() as output:
                if self._stopping.is_set():
                    return "stopped"
                argv, death_signal = self._program.argv, self._program.death_signal
                self._child = child = start_child(argv, death_signal=death_signal, log=output)
        except OSError as error:
            return f"cannot be started: {error}"
        while child.poll() is None and not self._stopping.wait(_POLL_S):
            if self.answers(child.pid):
                self._state = (True, f"ready, process {child.pid}")
                self._ready.set()
                break
        code = child.wait()
        if code == SUPERFLUOUS:
            return None
        return f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"

    def _tell(self, end: str, delay_s: float) -> None:
        name, path = self._program.name, self._program.log
        told = f"{end}; started again in {delay_s:g} s" + (f"; see {path}" if path else "")
        self._state = (False, told)
        log.error("%s %s", name, told)

    def _opened_log(self) -> AbstractContextManager[IO[bytes] | None]:
        path = self._program.log
        if path is None:
            return nullcontext()
        fits = path.exists() and path.stat().st_size < LOG_BYTES
        return path.open("ab" if fits else "wb")

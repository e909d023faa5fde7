"""Keep a child process running: started again, ever later, when it dies. It must not know what it does."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from gateway.embedded.child import start_child, stop_child

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 30.0
"""A child that lived this long has no history: it is started again after the first delay."""

log = logging.getLogger("forebay")


class Keeper:
    """Of one child, which gets SIGTERM should this process die. Its output goes where ours goes."""

    def __init__(self, name: str, argv: Sequence[str], grace_s: float = 10.0) -> None:
        self._name, self._argv, self._grace_s = name, argv, grace_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        # It starts the child, so it must live as long: the child is tied to its starting thread.
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        """Start it, and return at once. Call it once."""
        self._thread.start()

    def stop(self) -> None:
        """End it, first by SIGTERM. Idempotent; it is not started again."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            stop_child(child, self._grace_s)
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            started_s = time.monotonic()
            end = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s >= STEADY_S:
                delay_s = FIRST_DELAY_S
            log.error("%s %s; started again in %g s", self._name, end, delay_s)
            self._stopping.wait(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _run_once(self) -> str:
        """Run it until it ends; returns how it ended."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "stopped"
                self._child = child = start_child(self._argv, death_signal=signal.SIGTERM)
        except OSError as error:
            return f"cannot be started: {error}"
        code = child.wait()
        return f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"

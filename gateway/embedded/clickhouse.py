"""A ClickHouse on this machine when no server is configured: chDB in a child process, behind HTTP.

It does not know the ledger, nor who asks. One engine serves a state directory: where another process runs one
already (a command line while `serve` runs), that one is used, and taken over from when it ends. The child
writes `clickhouse/endpoint.json` in the state directory when it answers: whoever wants to ask reads that.
Crashes and memory stay in the child, and the child dies with this process.

`python -m gateway.embedded.clickhouse_front` is the program in the child.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from gateway.embedded.child import start_child, stop_child
from gateway.errors import ConfigError

FOLDER = "clickhouse"
PACKAGE = "chdb"
INSTALL = "`make run` installs it; by hand: pip install 'forebay[clickhouse]'"
TAKEN = 75
"""The exit code of a child that came second: another one has the folder."""

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
ANSWERED_DELAY_S = 2.0
"""The longest after an engine that had answered."""
STEADY_S = 30.0
"""An engine that lived this long has no history: it is started again after the first delay."""

STOP_GRACE_S = 8.0
LOG_BYTES = 1024 * 1024
_POLL_S = 0.03
_WATCH_S = 0.25
_PING_S = 2.0


class _Endpoint(NamedTuple):
    url: str
    pid: int


class Engine:
    """The engine of a state directory: started and watched, restarted when it dies, or another's.

    All methods are for threads (none needs a loop); `state` never blocks.
    """

    def __init__(self, state_dir: Path) -> None:
        """Raises ConfigError when chDB is not installed."""
        if importlib.util.find_spec(PACKAGE) is None:
            raise ConfigError("ClickHouse", 0, "", f'the embedded one needs the package "{PACKAGE}"', INSTALL)
        self.folder = state_dir / FOLDER
        self.log = self.folder / "log"
        self._endpoint = self.folder / "endpoint.json"
        self._state = (False, "not started")
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        # It starts the child, so it must live as long: the child is tied to its starting thread.
        self._keeper = threading.Thread(target=self._keep, name="clickhouse", daemon=True)

    def start(self) -> None:
        """Start the engine and return at once; `wait_ready` waits for it. Call it once."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._state = (False, "starting")
        self._keeper.start()

    def wait_ready(self, timeout_s: float, progress: Callable[[str], None] | None = None) -> None:
        """Block until the engine answers; raises TimeoutError, saying what it does instead.

        `progress` gets the text of `state` about once a second.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._ready.wait(min(1.0, max(0.0, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                raise TimeoutError(f"ClickHouse is not ready after {timeout_s:g} s: {self._state[1]}")
            if progress is not None:
                progress(self._state[1])

    def state(self) -> tuple[bool, str]:
        """Whether it answers, and what it is doing, in words for a person."""
        return self._state

    def stop(self) -> None:
        """End the engine, unless it is another's. Idempotent; it is not started again."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            stop_child(child, STOP_GRACE_S)
        if self._keeper.is_alive():
            self._keeper.join()
        self._ready.clear()
        self._state = (False, "stopped")

    def _keep(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            if self._use_another():
                delay_s = FIRST_DELAY_S
                continue
            started_s = time.monotonic()
            end = self._run_once()
            longest_s = ANSWERED_DELAY_S if self._ready.is_set() else LONGEST_DELAY_S
            self._ready.clear()
            if end is None:  # another one has begun, and will answer in a moment
                self._stopping.wait(_WATCH_S)
                continue
            if time.monotonic() - started_s >= STEADY_S:
                delay_s = FIRST_DELAY_S
            delay_s = min(delay_s, longest_s)
            self._state = (False, f"{end}; started again in {delay_s:g} s; see {self.log}")
            self._stopping.wait(delay_s)
            delay_s *= 2

    def _use_another(self) -> bool:
        """Use the engine of another process for as long as it answers; False: there is none."""
        found = _read(self._endpoint)
        if found is None or not _answers(found.url):
            return False
        self._state = (True, f"ready, process {found.pid} of another Forebay")
        self._ready.set()
        while not self._stopping.wait(_WATCH_S):
            if _read(self._endpoint) != found or not _answers(found.url):
                break
        self._ready.clear()
        self._state = (False, "starting")
        return True

    def _run_once(self) -> str | None:
        """Run the engine until it ends; returns how it ended, None where another has the folder."""
        try:
            with self._lock, self._opened_log() as log:
                if self._stopping.is_set():
                    return "stopped"
                self._child = child = start_child(self._argv(), log=log)
        except OSError as error:
            return f"cannot be started: {error}"
        while child.poll() is None and not self._stopping.wait(_POLL_S):
            found = _read(self._endpoint)
            if found is not None and found.pid == child.pid and _answers(found.url):
                self._state = (True, f"ready, process {child.pid}")
                self._ready.set()
                break
        code = child.wait()
        if code == TAKEN:
            return None
        return f"died with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"

    def _opened_log(self) -> IO[bytes]:
        fits = self.log.exists() and self.log.stat().st_size < LOG_BYTES
        return self.log.open("ab" if fits else "wb")

    def _argv(self) -> list[str]:
        return [sys.executable, "-m", "gateway.embedded.clickhouse_front", str(self.folder)]


def _read(path: Path) -> _Endpoint | None:
    try:
        found = json.loads(path.read_bytes())
        return _Endpoint(found["url"], found["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _answers(url: str) -> bool:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_PING_S)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def probe(state_dir: Path) -> tuple[bool, str]:
    """Ask the engine of a state directory whether it is ready, whichever process has started it."""
    found = _read(state_dir / FOLDER / "endpoint.json")
    if found is not None and _answers(found.url):
        return (True, f"answers at {found.url}")
    return (False, "does not answer")

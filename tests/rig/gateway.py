"""Runs the gateway as its users do: as a process, from a directory of YAML, over a real port.

Nothing here imports the gateway: it is known by its command line, its log and its port alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

KEY = "fb-test-key-Zk3v9QeXw1"
"""The client's key."""

SECRETS = {"RIG_KEY_1": "upstream-secret-1", "RIG_KEY_2": "upstream-secret-2"}
"""What the gateway shows upstreams, by the variables of its environment that hold them."""

PATIENT = {"consecutive": 1 << 20, "min_calls": 1 << 20}
"""A circuit breaker that stays closed: for a gateway that many tests share, each with failures of its own."""
ONCE = {"attempts": 0}
"""No second round over targets that have failed."""
CREDENTIALS = ["${RIG_KEY_1}", "${RIG_KEY_2}"]
"""The same, as routing.yaml names them."""

READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0


class Gateway:
    """A running gateway: where it is, how to call it, what it logged."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        """The raw lines of its standard error so far."""
        self.url = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="gateway-log", daemon=True)
        self._reader.start()

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {KEY}"}

    def log(self) -> list[dict[str, Any]]:
        """The log so far, parsed; fails on a line that is not JSON."""
        return [json.loads(line) for line in list(self.lines)]

    def client(self, **settings: Any) -> httpx.Client:
        """An HTTP client with the key in its headers, and no proxies."""
        headers = self.headers | settings.pop("headers", {})
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=settings.pop("timeout", 30),
            trust_env=False,
            **settings,
        )

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not self.url:
            assert self.process.poll() is None, f"the gateway ended early:\n{self.tail()}"
            assert time.monotonic() < deadline_s, f"the gateway was not ready in time:\n{self.tail()}"
            with self._changed:
                self._changed.wait(0.1)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; the exit status. Kills it, and fails, when it takes too long."""
        try:
            return self.process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway did not stop:\n{self.tail()}") from None
        finally:
            self._reader.join(5)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)

    def tail(self) -> str:
        return "\n".join(self.lines[-30:])

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
                self._notice(line)

    def _notice(self, line: str) -> None:
        if '"ready"' not in line:
            return
        with contextlib.suppress(ValueError), self._changed:
            entry = json.loads(line)
            if entry.get("event") == "ready":
                self.url = entry["url"]
                self._changed.notify_all()


@contextlib.contextmanager
def running_gateway(
    folder: Path,
    routing: dict[str, Any],
    *arguments: str,
    issuers: list[dict[str, Any]] | None = None,
    policies: dict[str, Any] | None = None,
) -> Iterator[Gateway]:
    """Run a gateway with this routing.yaml, one tenant whose key is `KEY`, and further files of policies/.

    It has no ledger unless the routing says so. Afterwards it is asked to stop, and must end with status 0
    (when the test has not ended it already).
    """
    prepared_folder(folder, routing, policies, issuers)
    gateway = started(folder, *arguments)
    try:
        gateway.wait_until_ready()
        yield gateway
        if gateway.process.poll() is None:
            gateway.terminate()
        assert gateway.wait() == 0, gateway.tail()
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


def prepared_folder(
    folder: Path,
    routing: dict[str, Any],
    policies: dict[str, Any] | None = None,
    issuers: list[dict[str, Any]] | None = None,
) -> None:
    """Write the configuration that `running_gateway` runs with."""
    routing = {"ledger": {"enabled": False}} | routing
    _write(folder, routing, {"tenants": _tenants(issuers or []), **(policies or {})})


def started(folder: Path, *arguments: str) -> Gateway:
    """Start a gateway on a prepared folder. Whoever does ends it."""
    return Gateway(_spawn(folder, arguments))


def _tenants(issuers: list[dict[str, Any]]) -> dict[str, Any]:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    return {
        "tenants": {"tests": {"keys": [{"id": "the-key", "digest": f"sha256:{digest}"}]}},
        "issuers": issuers,
    }


def _write(folder: Path, routing: dict[str, Any], policies: dict[str, Any]) -> None:
    (folder / "policies").mkdir(parents=True)
    (folder / "state").mkdir()
    (folder / "routing.yaml").write_text(yaml.safe_dump(routing))
    for name, policy in policies.items():
        (folder / "policies" / f"{name}.yaml").write_text(yaml.safe_dump(policy))


def _spawn(folder: Path, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder)]
    command += ["--state", str(folder / "state"), "--host", "127.0.0.1", "--port", "0", *arguments]
    return subprocess.Popen(
        [*_die_with_parent(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | SECRETS,
    )


def _die_with_parent() -> list[str]:
    """A test run that is killed must not leave gateways behind; util-linux can see to that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def eventually(holds: Callable[[], object], within_s: float = 20.0) -> bool:
    """Poll until `holds()` is true; False when it was not within the time."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        threading.Event().wait(0.01)
    return True

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
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.embedded.keeper import Keeper, Program
from gateway.errors import ConfigError

FOLDER = "clickhouse"
PACKAGE = "chdb"
INSTALL = "`make run` installs it; by hand: pip install 'forebay[clickhouse]'"
_GRACE_S = 8.0
_PING_S = 2.0


class _Endpoint(NamedTuple):
    url: str
    pid: int


class Engine(Keeper):
    """Keeps the engine of a state directory: started, watched, started again when it dies; or another's."""

    def __init__(self, state_dir: Path) -> None:
        """Raises ConfigError when chDB is not installed."""
        if importlib.util.find_spec(PACKAGE) is None:
            raise ConfigError("ClickHouse", 0, "", f'the embedded one needs the package "{PACKAGE}"', INSTALL)
        self.folder = state_dir / FOLDER
        self._endpoint = self.folder / "endpoint.json"
        argv = [sys.executable, "-m", "gateway.embedded.clickhouse_front", str(self.folder)]
        super().__init__(Program("ClickHouse", argv, _GRACE_S, signal.SIGKILL, self.folder / "log"))

    def start(self) -> None:
        """Start the engine and return at once; `wait_ready` waits for it. Call it once."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().start()

    def answers(self, pid: int) -> bool:
        """Tell whether the child has written where it is, and answers there."""
        found = _read(self._endpoint)
        return found is not None and found.pid == pid and _answers(found.url)

    def elsewhere(self) -> str | None:
        """Name the engine that another process has started on this directory."""
        found = _read(self._endpoint)
        if found is None or not _answers(found.url):
            return None
        return f"process {found.pid} of another Forebay"


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

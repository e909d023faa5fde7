"""A real Prometheus of our own, of Debian's package: it scrapes often, and dies with us."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.embedded.child import start_child, stop_child
from rig.gateway import eventually
from rig.programs.lacking import lacking
from rig.programs.redis import free_port

_START_S = 20.0
_EVERY = "200ms"


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; ends the test where it is not."""
    found = shutil.which(name)
    return found or lacking(f"{name}: apt-get install prometheus")


class Prometheus:
    """A server that scrapes one gateway."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def ask(self, query: str) -> dict[tuple[str, ...], float]:
        """The newest values of a query, by the values of their labels, in the order of the labels' names."""
        found = self._get("query", query=query)
        return {
            tuple(value for _, value in sorted(one["metric"].items())): float(one["value"][1])
            for one in found
        }

    def labels(self, name: str) -> list[set[str]]:
        """The names of the labels of each series of a metric, without those that Prometheus adds."""
        added = {"__name__", "instance", "job"}
        return [set(one["metric"]) - added for one in self._get("query", query=name)]

    def total(self, query: str) -> float:
        """The value of a query that has one; 0 where there is none yet."""
        return sum(self.ask(query).values())

    def course(self, query: str, since_s: float) -> list[float]:
        """The values of a query that has one, in steps of 0.2 s since then (Unix seconds)."""
        [found] = self._get("query_range", query=query, start=since_s, end=time.time(), step=0.2)
        return [float(value) for _, value in found["values"]]

    def becomes(self, query: str, value: float, within_s: float = 60.0) -> None:
        """Wait until a query has a value; fail when it does not."""
        assert eventually(lambda: self.total(query) == value, within_s), (query, self.ask(query), value)

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get("/api/v1/targets").json()["data"]["activeTargets"]
        return found

    def close(self) -> None:
        self._client.close()

    def _get(self, path: str, **asked: Any) -> list[Any]:
        answer = self._client.get(f"/api/v1/{path}", params=asked).json()
        assert answer["status"] == "success", answer
        found: list[Any] = answer["data"]["result"]
        return found

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def running_prometheus(target_url: str) -> Iterator[Prometheus]:
    """Run a server that scrapes a gateway; it ends with the block."""
    argv, folder = [program("prometheus")], Path(tempfile.mkdtemp(prefix="forebay-prometheus-"))
    scraped = {
        "job_name": "gateway",
        "scrape_interval": _EVERY,
        "scrape_timeout": _EVERY,
        "static_configs": [{"targets": [target_url.removeprefix("http://")]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scraped]}))
    port = free_port()
    argv += [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "log").open("wb") as log:
        child: subprocess.Popen[bytes] = start_child(argv, log=log)
    server = Prometheus(f"http://127.0.0.1:{port}")
    try:
        assert eventually(server.is_ready, _START_S), (folder / "log").read_text()
        yield server
    finally:
        server.close()
        stop_child(child, 5.0)
        shutil.rmtree(folder)

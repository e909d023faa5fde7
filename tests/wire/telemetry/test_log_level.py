"""The level of the log, and what is taken out of it, change with the configuration: in all processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.gateway import Gateway, eventually, running_gateway

ROUTING: dict[str, Any] = {
    "server": {"log_level": "error", "drain_s": 2},
    "backends": {"fake": {"base_url": "http://127.0.0.1:9/v1", "credentials": ["${RIG_KEY_1}"]}},
    "routes": {"fast": {"targets": [{"backend": "fake", "model": "m"}]}},
}


def edit(folder: Path, **server: Any) -> None:
    path = folder / "routing.yaml"
    routing = yaml.safe_load(path.read_text())
    routing["server"] |= server
    path.write_text(yaml.safe_dump(routing))


def events(gateway: Gateway) -> list[str]:
    return [line["event"] for line in map(json.loads, list(gateway.lines))]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_level_follows_the_configuration(tmp_path: Path, workers: int) -> None:
    routing = ROUTING | {"server": ROUTING["server"] | {"log_level": "info"}}
    with running_gateway(tmp_path, routing, f"--workers={workers}") as gateway:
        assert eventually(lambda: events(gateway).count("ready") == workers, 30)
        edit(tmp_path, log_level="error")
        assert not eventually(lambda: "configuration applied" in events(gateway), 2)
        edit(tmp_path, log_level="debug")
        assert eventually(lambda: events(gateway).count("configuration applied") == workers, 30)
        assert not any("changes with the next start" in event for event in events(gateway))


def test_what_is_taken_out_follows_the_configuration(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path, ROUTING | {"server": {"drain_s": 2}}) as gateway,
        gateway.client() as client,
    ):

        def told(mail: str) -> str:
            return client.post("/v1/chat/completions", json={"model": mail, "messages": []}).text

        assert "[email]" in told("bob@example.com")
        (tmp_path / "policies/telemetry.yaml").write_text("redact: {detect: [], patterns: ['PRJ-[0-9]+']}\n")
        assert eventually(lambda: "configuration applied" in events(gateway), 30)
        assert "bob@example.com" in told("bob@example.com")
        assert "[redacted]" in told("PRJ-17")
        assert eventually(lambda: any('"model":"[redacted]"' in line for line in list(gateway.lines)))

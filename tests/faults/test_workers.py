"""Several workers behind one port: they share metrics and keys, and a dead one is replaced."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway
from rig.script import plain
from rig.upstream import Upstream

WORKERS = 2
REVOKED_WITHIN_S = 2.0
CALL = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def place(tmp_path: Path, upstream: Upstream) -> Iterator[tuple[Gateway, Path]]:
    upstream.answer_with(plain(chat.completion()))
    routing = {
        "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
        "routes": {"fast": {"targets": [{"backend": "fake", "model": "gpt-4o-mini"}]}},
    }
    with running_gateway(tmp_path / "workers", routing, "--workers", str(WORKERS)) as gateway:
        assert eventually(lambda: len(workers_of(gateway)) == WORKERS, within_s=30)
        yield gateway, tmp_path / "workers"


def workers_of(gateway: Gateway) -> list[psutil.Process]:
    """The workers that are ready to serve."""
    ready = sum(1 for entry in gateway.log() if entry.get("event") == "ready")
    children = psutil.Process(gateway.process.pid).children(recursive=True)
    return [child for child in children if is_worker(child)] if ready else []


def is_worker(process: psutil.Process) -> bool:
    try:
        return "--worker-fd" in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def call(gateway: Gateway, key: str | None = None) -> int:
    """Make one call on a connection of its own, so that any worker may take it."""
    headers = {"authorization": f"Bearer {key}"} if key else gateway.headers
    url = f"{gateway.url}/v1/chat/completions"
    return httpx.post(url, json=CALL, headers=headers, trust_env=False, timeout=30).status_code


def calls_counted(gateway: Gateway) -> float:
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    return sum(float(value) for value in re.findall(r"^forebay_calls_total\{.*\} (\S+)$", text, re.MULTILINE))


def keys(folder: Path, *arguments: str) -> str:
    places = ["--config", str(folder), "--state", str(folder / "state")]
    command = [sys.executable, "-m", "gateway", "keys", *places, *arguments]
    secrets = {"RIG_KEY_1": "x", "RIG_KEY_2": "y"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | secrets)
    return done.stdout.strip()


def test_any_worker_tells_the_metrics_of_all(place: tuple[Gateway, Path]) -> None:
    gateway, _ = place
    assert [call(gateway) for _ in range(40)] == [200] * 40
    assert eventually(lambda: calls_counted(gateway) == 40)
    assert {calls_counted(gateway) for _ in range(10)} == {40}


def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(place: tuple[Gateway, Path]) -> None:
    gateway, _ = place
    assert [call(gateway) for _ in range(20)] == [200] * 20
    victim = workers_of(gateway)[0]
    victim.send_signal(signal.SIGKILL)
    assert eventually(
        lambda: (
            len(workers_of(gateway)) == WORKERS and victim.pid not in {w.pid for w in workers_of(gateway)}
        ),
        within_s=30,
    )
    assert [call(gateway) for _ in range(20)] == [200] * 20
    assert eventually(lambda: calls_counted(gateway) == 40)


def test_a_revoked_key_stops_working_in_every_worker(place: tuple[Gateway, Path]) -> None:
    gateway, folder = place
    key = keys(folder, "create", "--tenant", "tests", "--quiet")
    assert [call(gateway, key) for _ in range(10)] == [200] * 10
    assert "key_" in keys(folder, "revoke", key)
    revoked_s = last_taken_s = time.monotonic()
    while time.monotonic() < revoked_s + 2 * REVOKED_WITHIN_S:
        asked_s = time.monotonic()
        if call(gateway, key) == 200:
            last_taken_s = asked_s
    assert last_taken_s - revoked_s < REVOKED_WITHIN_S

"""Promises over real sockets: calls are judged, somebody hears that they burn, once, and that it is over."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.gateway import (
    CREDENTIALS,
    ONCE,
    PATIENT,
    SECRETS,
    Gateway,
    eventually,
    running_gateway,
    started,
)
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream

ROOT = Path(__file__).parents[3]
SAID = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
HEARD_S = 30.0
"""Workers say every five seconds what they have counted."""
ALERT = {"burn_rate": 2, "long": "1h", "short": "5m", "severity": "page"}
PROMISES = {
    "objectives": {
        # Told when more than half of all calls go bad.
        "answered": {"of": "availability", "target_percent": 75, "min_calls": 4, "alerts": [ALERT]},
        "elsewhere": {"of": "availability", "target_percent": 99, "routes": ["other"]},
    }
}
NO_ALERTS = {name: {**promise, "alerts": []} for name, promise in PROMISES["objectives"].items()}


def by_model(seen: Seen) -> Answer:
    return plain({"error": {"message": "down"}}, 500) if seen.model == "bad" else plain(SAID)


@pytest.fixture
def receiver() -> Iterator[Upstream]:
    """What takes webhooks."""
    with Upstream() as running:
        running.answer_with(plain({}))
        yield running


def routing(upstream: Upstream) -> dict[str, Any]:
    backend = {"base_url": upstream.base_url, "credentials": CREDENTIALS, "breaker": PATIENT}
    ways = {
        name: {"targets": [{"backend": "only", "model": name}], "retry": ONCE} for name in ("good", "bad")
    }
    return {"backends": {"only": backend}, "routes": ways | {"other": ways["good"]}}


def policies(receiver: Upstream) -> dict[str, Any]:
    alerts = {"url": f"{receiver.base_url}/hook", "secret": "${RIG_KEY_1}"}
    return {"slo": PROMISES, "budgets": {"budgets": {}, "alerts": alerts}}


def events(receiver: Upstream) -> list[tuple[str, dict[str, Any]]]:
    bodies = [seen.json() for seen in list(receiver.seen)]
    return [(one["type"], one["data"]) for one in bodies if one["type"].startswith("slo_")]


def call(gateway: Gateway, model: str, times: int) -> set[int]:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    statuses = set()
    for _ in range(times):  # a connection each: any worker may have it
        with gateway.client() as client:
            statuses.add(client.post("/v1/chat/completions", json=body).status_code)
    return statuses


def measured(gateway: Gateway) -> dict[tuple[str, str], float]:
    with gateway.client() as client:
        text = client.get("/metrics").text
    lines = re.findall(r"^forebay_slo_calls_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    found = ((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in lines)
    return {(labels["objective"], labels["outcome"]): value for labels, value in found}


def status(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = ["--config", str(folder), "--state", str(folder / "state")]
    return subprocess.run(
        [sys.executable, "-m", "gateway", "slo", "status", *places, *arguments],
        cwd=ROOT,
        env=os.environ | SECRETS,
        capture_output=True,
        text=True,
        timeout=60,
    )


def answered(folder: Path) -> dict[str, Any]:
    done = status(folder, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = next(
        one for one in json.loads(done.stdout)["objectives"] if one["objective"] == "answered"
    )
    return found


def counted(folder: Path) -> tuple[int, int]:
    one = answered(folder)
    return one["good"], one["bad"]


def workers(gateway: Gateway) -> list[int]:
    pid = gateway.process.pid
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"--worker-fd" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_workers_tell_a_burn_once_together_and_a_restart_forgets_nothing(
    upstream: Upstream, receiver: Upstream, tmp_path: Path
) -> None:
    upstream.answer_with(by_model)
    folder = tmp_path / "config"
    with running_gateway(folder, routing(upstream), "--workers", "2", policies=policies(receiver)) as gateway:
        assert call(gateway, "good", 2) == {200}
        assert call(gateway, "bad", 10) == {500}
        assert call(gateway, "unknown", 5) == {404}
        assert eventually(lambda: events(receiver), HEARD_S)
        assert measured(gateway) == {
            ("answered", "good"): 2,
            ("answered", "bad"): 10,
            ("elsewhere", "good"): 0,
            ("elsewhere", "bad"): 0,
        }
        assert eventually(lambda: counted(folder) == (2, 10), HEARD_S)
        said = answered(folder)
        assert said["burn_rates"] == {"5m": 3.333, "1h": 3.333}
        assert said["budget_left_percent"] == pytest.approx(-233.333, abs=0.001)
        # Until that is written down, whoever leads next would rather tell it twice than never.
        assert eventually(lambda: set(answered(folder)["told"]) == {"page"}, HEARD_S)
        os.kill(workers(gateway)[0], signal.SIGKILL)
        assert eventually(lambda: len(workers(gateway)) == 2, HEARD_S)
    assert counted(folder) == (2, 10)

    again = started(folder)
    try:
        again.wait_until_ready()
        assert call(again, "good", 20) == {200}
        assert eventually(lambda: counted(folder) == (22, 10), HEARD_S)
        # It burns no longer, but lasts for its short window yet: not when nobody wants to hear of it.
        assert set(answered(folder)["told"]) == {"page"}
        assert len(events(receiver)) == 1
        edited = folder / "policies/slo.new"
        edited.write_text(json.dumps({"objectives": NO_ALERTS}))
        edited.rename(folder / "policies/slo.yaml")
        assert eventually(lambda: len(events(receiver)) > 1, HEARD_S)
        again.terminate()
        assert again.wait() == 0
    finally:
        if again.process.poll() is None:
            again.kill()
    assert counted(folder) == (22, 10)
    (began, burn), (ended, over) = events(receiver)
    assert (began, ended) == ("slo_burn", "slo_burn_over")
    assert (burn["severity"], burn["objective"], burn["above"]) == ("page", "answered", 2)
    assert (over["severity"], over["objective"], over["since"]) == ("page", "answered", burn["since"])
    assert answered(folder)["told"] == {}


def test_status_is_a_table_for_people(upstream: Upstream, receiver: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(by_model)
    folder = tmp_path / "config"
    with running_gateway(folder, routing(upstream), policies=policies(receiver)) as gateway:
        assert call(gateway, "good", 3) == {200}
    done = status(folder)
    assert done.returncode == 0, done.stderr
    title, first, second = done.stdout.splitlines()
    assert re.split(r"\s{2,}", title) == [
        *("objective", "of", "target, %", "good", "bad", "budget left, %", "burn rates", "told")
    ]
    assert re.split(r"\s{2,}", first) == [
        *("answered", "availability", "75", "3", "0", "100.0", "5m:0 1h:0", "-")
    ]
    assert second.startswith("elsewhere")


def test_status_says_when_nobody_has_counted_anything(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer_with(by_model)
    folder = tmp_path / "config"
    with running_gateway(folder, routing(upstream)) as gateway:
        assert call(gateway, "good", 3) == {200}
    done = status(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("forebay: no gateway has counted anything in ")

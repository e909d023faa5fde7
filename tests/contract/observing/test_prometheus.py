"""A real Prometheus over four workers: what it adds up is what the upstreams saw and the clients got."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import ONCE, PATIENT, Gateway, eventually, running_gateway
from rig.load import put_calls, request
from rig.programs.prometheus import Prometheus, running_prometheus
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream

from gateway.telemetry.metrics.families import FAMILIES

WORKERS = 4
ASKED = {"messages": [{"role": "user", "content": "hi"}]}
CALLS = "forebay_calls_total"


def answer(seen: Seen) -> Answer:
    """Answer by the model's name."""
    asked = seen.json()
    if asked["model"] == "broken":
        return plain(chat.error("no", "server_error"), 500)
    return events(sse(*chat.chunks())) if asked.get("stream") else plain(chat.completion())


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        server.answer_with(answer)
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    routing = {
        "server": {"workers": WORKERS},
        "breaker": PATIENT,
        "backends": {"ours": {"base_url": upstream.base_url}},
        "routes": {
            "good": {"targets": [{"backend": "ours", "model": "well"}]},
            "bad": {"targets": [{"backend": "ours", "model": "broken"}], "retry": ONCE},
            "mended": {
                "targets": [
                    {"backend": "ours", "model": "broken", "priority": 0},
                    {"backend": "ours", "model": "well", "priority": 1},
                ],
                "retry": ONCE,
            },
        },
    }
    with running_gateway(tmp_path_factory.mktemp("prometheus") / "gateway", routing) as running:
        assert eventually(lambda: len(workers_of(running)) == WORKERS, 60)
        yield running


@pytest.fixture(scope="module")
def prometheus(gateway: Gateway) -> Iterator[Prometheus]:
    with running_prometheus(gateway.url) as server:
        assert eventually(lambda: [one["health"] for one in server.targets()] == ["up"], 60), server.targets()
        yield server


def workers_of(gateway: Gateway) -> list[int]:
    """The processes of the workers that said that they are ready."""
    pids = [
        int(pid) for line in gateway.lines for pid in re.findall(r"worker \d+ started, process (\d+)", line)
    ]
    ready = sum('"ready"' in line for line in gateway.lines)
    return [pid for pid in pids if Path("/proc", str(pid)).exists()] if ready >= len(pids) else []


def asked(gateway: Gateway, model: str, *, stream: bool = False) -> bytes:
    return request(gateway.url, gateway.headers, ASKED | {"model": model, "stream": stream})


def told(gateway: Gateway) -> str:
    with gateway.client() as client:
        return client.get("/metrics").text


def put(gateway: Gateway, each: int) -> Counter[str]:
    """Put calls of all kinds to the gateway over many connections; returns how many got which status."""
    kinds = [("good", False), ("good", True), ("bad", False), ("mended", True), ("nobody", False)]
    requests = [asked(gateway, model, stream=stream) for model, stream in kinds]
    answers = put_calls(gateway.url, itertools.chain(*[requests] * each), 16)
    return Counter(str(one.status) for one in answers)


def test_totals_are_what_the_upstream_saw_and_the_clients_got(
    gateway: Gateway, prometheus: Prometheus, upstream: Upstream
) -> None:
    got = put(gateway, 100)
    assert got == {"200": 300, "500": 100, "404": 100}
    seen = Counter(one.model for one in upstream.seen)
    for status, calls in got.items():
        prometheus.becomes(f'sum({CALLS}{{status="{status}"}})', calls)
    assert prometheus.ask(f"sum by (route) ({CALLS})") == {
        ("good",): 200,
        ("bad",): 100,
        ("mended",): 100,
        ("none",): 100,
    }
    attempts = prometheus.ask("sum by (cause) (forebay_attempts_total)")
    assert attempts == {(): seen["well"], ("upstream_failed",): seen["broken"]}
    assert prometheus.total("sum(forebay_fallbacks_total)") == 100
    spent = prometheus.ask("sum by (kind) (forebay_tokens_total)")
    assert spent[("input",)] == seen["well"] * chat.USAGE["prompt_tokens"]
    assert spent[("output",)] == seen["well"] * chat.USAGE["completion_tokens"]
    usage = prometheus.ask("sum by (gen_ai_token_type) (gen_ai_client_token_usage_sum)")
    assert usage == {("input",): spent[("input",)], ("output",): spent[("output",)]}
    assert prometheus.total("sum(gen_ai_client_operation_duration_seconds_count)") == len(upstream.seen)
    assert prometheus.total("sum(gen_ai_server_time_to_first_token_seconds_count)") == 200
    assert prometheus.total("sum(forebay_call_duration_seconds_count)") == 500
    prometheus.becomes("forebay_calls_in_flight", 0)


def test_what_a_worker_counted_outlives_it_though_it_is_killed_amid_calls(
    gateway: Gateway, prometheus: Prometheus, upstream: Upstream
) -> None:
    before = sum(
        float(line.rpartition(" ")[2]) for line in told(gateway).splitlines() if line.startswith(CALLS)
    )
    prometheus.becomes(f"sum({CALLS}) or vector(0)", before)
    seen_before, since_s = len(upstream.seen), time.time()
    whole, over = list[float](), threading.Event()

    def call() -> None:
        with gateway.client() as client:
            while not over.is_set():
                try:
                    client.post("/v1/chat/completions", json=ASKED | {"model": "good"})
                except httpx.TransportError:  # its worker was killed
                    continue
                whole.append(time.time())

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    assert eventually(lambda: len(whole) >= 200, 60)
    killed = workers_of(gateway)[0]
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: len(whole) >= 600, 60)
    over.set()
    for caller in callers:
        caller.join()
    assert eventually(lambda: len(workers_of(gateway)) == WORKERS and killed not in workers_of(gateway), 60)

    assert eventually(lambda: prometheus.total(f"sum({CALLS})") - before >= len(whole), 60)
    counted = prometheus.total(f"sum({CALLS})") - before
    assert len(whole) <= counted <= len(upstream.seen) - seen_before
    course = prometheus.course(f"sum({CALLS})", since_s)
    assert len(course) > 5
    assert course == sorted(course)

    put(gateway, 10)
    prometheus.becomes(f"sum({CALLS})", before + counted + 50)
    prometheus.becomes('sum(forebay_breakers{state="closed"}) > 0', prometheus.total("sum(forebay_breakers)"))


def test_every_metric_has_the_labels_it_is_listed_with(gateway: Gateway, prometheus: Prometheus) -> None:
    text = told(gateway)
    for name, family in FAMILIES.items():
        suffix = "_count" if family.kind == "histogram" else ""
        for labels in prometheus.labels(f"{name}{suffix}"):
            assert labels <= {label.replace(".", "_") for label in family.labels}, name
        assert f"# TYPE {name} {family.kind}\n" in text


def test_the_dashboards_only_ask_what_the_gateway_tells(gateway: Gateway) -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", told(gateway), re.MULTILINE))
    there = {
        name + suffix
        for name, kind in kinds.items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    folder = Path(__file__).resolve().parents[3] / "dashboards" / "grafana"
    asked_for = set[str]()
    for file in folder.glob("*.json"):
        board: dict[str, Any] = json.loads(file.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                asked_for |= set(re.findall(r"\b(?:forebay|gen_ai)_\w+", target.get("expr", "")))
    assert len(asked_for) > 10
    assert asked_for <= there

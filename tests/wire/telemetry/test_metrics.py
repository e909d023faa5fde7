"""What a gateway tells of itself at /metrics and over OTLP, over real sockets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from rig import chat
from rig.gateway import KEY, Gateway, eventually, running_gateway
from rig.programs.otlp import members, running_collector
from rig.script import Answer, Gate, plain
from rig.upstream import Seen, Upstream, refusing_port

PATH = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "hi"}]}
TENANTS, MODELS = 60, 100


def told(gateway: Gateway) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with gateway.client() as client:
        text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(gateway: Gateway, name: str, **labels: str) -> float | None:
    return told(gateway).get((name, tuple(sorted(labels.items()))))


def becomes(gateway: Gateway, wanted: Callable[[float], bool], name: str, **labels: str) -> None:
    def holds() -> bool:
        found = value(gateway, name, **labels)
        return found is not None and wanted(found)

    assert eventually(holds, 30), (name, labels, value(gateway, name, **labels))


def routing(upstream: Upstream, **changes: Any) -> dict[str, Any]:
    backends = {"ours": {"base_url": upstream.base_url, **changes}}
    routes = {
        "fast": {"targets": [{"backend": "ours", "model": "well"}]},
        "any-*": {"targets": [{"backend": "ours"}]},
    }
    return {"backends": backends, "routes": routes}


def test_tenants_keys_users_and_models_do_not_multiply_series(tmp_path: Path) -> None:
    keys = [f"fb-test-key-of-tenant-{number:04}" for number in range(TENANTS)]
    tenants = {
        "tenants": {
            f"tenant-{number:04}": {
                "keys": [
                    {"id": f"key-{number:04}", "digest": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"}
                ]
            }
            for number, key in enumerate(keys)
        }
    }
    with Upstream() as upstream:
        upstream.answer_with(plain(chat.completion()))
        with (
            running_gateway(
                tmp_path / "gateway", routing(upstream), policies={"tenants": tenants}
            ) as gateway,
            gateway.client() as client,
        ):

            def ask(number: int, model: str) -> None:
                key = {"authorization": f"Bearer {keys[number]}", "x-forebay-user": f"user-{number:04}"}
                answer = client.post(PATH, json=ASKED | {"model": model}, headers=key)
                assert answer.status_code == 200, answer.text

            becomes(gateway, lambda ok: ok == 1, "forebay_part_ok", part="keys")
            ask(0, "fast")
            before = len(told(gateway))
            for number in range(1, TENANTS):
                ask(number, "fast")
            assert len(told(gateway)) == before
            for number in range(MODELS):
                ask(number % TENANTS, f"any-{number:04}")
            text = client.get("/metrics").text
            models = set(re.findall(r'gen_ai_request_model="([^"]*)"', text))
            assert len(models) <= 66
            assert {"well", "other", "any-0000"} <= models
            assert not re.search(r"tenant-\d|key-\d|user-\d|call_[0-9a-f]{8}", text)


def test_queues_connections_and_breakers_are_looked_at(tmp_path: Path) -> None:
    gate = Gate()

    def answer(_: Seen) -> Answer:
        return Answer(200, [("content-type", "application/json")], [gate, plain(chat.completion()).steps[0]])

    with Upstream() as upstream, refusing_port() as dead:
        given = routing(upstream, concurrency={"max_calls": 1})
        given["backends"]["dead"] = {"base_url": f"http://127.0.0.1:{dead}/v1", "breaker": {"consecutive": 1}}
        given["routes"]["dead"] = {"targets": [{"backend": "dead"}], "retry": {"attempts": 0}}
        upstream.answer_with(answer)
        _look(tmp_path, given, gate)


def _look(tmp_path: Path, given: dict[str, Any], gate: Gate) -> None:
    with (
        running_gateway(tmp_path / "gateway", given) as gateway,
        gateway.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        becomes(gateway, lambda up: up == 1, "forebay_backend_up", backend="dead")
        asked = [pool.submit(client.post, PATH, json=ASKED | {"model": "fast"}) for _ in range(2)]
        becomes(gateway, lambda waiting: waiting == 1, "forebay_queue_depth", backend="ours")
        becomes(
            gateway, lambda used: used == 1, "forebay_upstream_connections", backend="ours", state="in_use"
        )
        becomes(gateway, lambda calls: calls == 2, "forebay_calls_in_flight")
        gate.open()
        assert [one.result().status_code for one in asked] == [200, 200]
        becomes(gateway, lambda waiting: waiting == 0, "forebay_queue_depth", backend="ours")
        becomes(gateway, lambda idle: idle == 1, "forebay_upstream_connections", backend="ours", state="idle")
        assert value(gateway, "forebay_queue_wait_seconds_count", backend="ours") == 2
        assert client.post(PATH, json=ASKED | {"model": "dead"}).status_code >= 500
        becomes(gateway, lambda one: one == 1, "forebay_breakers", backend="dead", state="open")
        becomes(gateway, lambda up: up == 0, "forebay_backend_up", backend="dead")
        becomes(gateway, lambda ok: ok == 1, "forebay_part_ok", part="keys")
        becomes(gateway, lambda seen: seen > 5, "forebay_event_loop_lag_seconds_count")


def test_an_edit_turns_metrics_of_calls_off_and_a_bad_one_is_told(tmp_path: Path) -> None:
    with Upstream() as upstream:
        upstream.answer_with(plain(chat.completion()))
        folder = tmp_path / "gateway"
        with running_gateway(folder, routing(upstream)) as gateway, gateway.client() as client:
            policy = folder / "policies" / "telemetry.yaml"
            policy.write_text(yaml.safe_dump({"metrics": {"enabled": False}}))
            becomes(gateway, lambda served: served == 2, "forebay_config_generation")
            client.post(PATH, json=ASKED | {"model": "fast"})
            assert not any(name == "forebay_calls_total" for name, _ in told(gateway))
            policy.write_text("metrics: {enabled: maybe}\n")
            becomes(gateway, lambda ok: ok == 0, "forebay_config_reload_ok")
            policy.write_text(yaml.safe_dump({"metrics": {"enabled": True}}))
            becomes(gateway, lambda ok: ok == 1, "forebay_config_reload_ok")
            assert value(gateway, "forebay_reloads_total", result="refused") == 1
            client.post(PATH, json=ASKED | {"model": "fast"})
            assert any(name == "forebay_calls_total" for name, _ in told(gateway))


def test_what_limits_hold_back_is_compared_with_what_calls_use(tmp_path: Path) -> None:
    quotas = {"quotas": {"all": {"per": ["tenant"], "tokens_per_minute": 1_000_000}}}
    with Upstream() as upstream:
        upstream.answer_with(plain(chat.completion()))
        with (
            running_gateway(tmp_path / "gateway", routing(upstream), policies={"quotas": quotas}) as gateway,
            gateway.client() as client,
        ):
            assert client.post(PATH, json=ASKED | {"model": "fast"}).status_code == 200
            assert value(gateway, "forebay_reservation_used_ratio_count", metric="tokens") == 1


def test_each_worker_sends_its_own_numbers_to_the_receiver(tmp_path: Path) -> None:
    with Upstream() as upstream, running_collector() as collector:
        upstream.answer_with(plain(chat.completion()))
        telemetry = {"otlp": {"endpoint": collector.url}, "metrics": {"every_s": 0.2}}
        given = routing(upstream) | {"server": {"workers": 2}}

        def sent() -> float:
            """The newest sums of all workers."""
            newest: dict[str, float] = {}
            for one in list(collector.metrics):
                if one.name == "forebay_calls":
                    points = [
                        point.as_double
                        for point in one.data.sum.data_points
                        if members(point.attributes)["route"] == "fast"
                    ]
                    newest[one.resource["service.instance.id"]] = sum(points)
            return sum(newest.values())

        def processes() -> set[str]:
            return {one.resource["service.instance.id"] for one in list(collector.metrics)}

        with running_gateway(tmp_path / "gateway", given, policies={"telemetry": telemetry}) as gateway:
            for _ in range(20):
                with gateway.client() as client:
                    assert client.post(PATH, json=ASKED | {"model": "fast"}).status_code == 200
            assert eventually(lambda: sent() == 20, 30), sent()
            assert eventually(lambda: len(processes()) == 2, 60), processes()
        assert KEY not in str(collector.metrics)


def test_the_environment_names_the_receiver_of_both_signals_and_their_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upstream() as upstream, running_collector() as collector:
        upstream.answer_with(plain(chat.completion()))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20t%2Cu==, x-team = core")
        telemetry = {"traces": {"sample": 1.0}, "metrics": {"every_s": 0.2}}
        with running_gateway(
            tmp_path / "gateway", routing(upstream), policies={"telemetry": telemetry}
        ) as gateway:
            with gateway.client() as client:
                assert client.post(PATH, json=ASKED | {"model": "fast"}).status_code == 200
            assert eventually(lambda: collector.spans and collector.metrics, 30)
        said = [(one.get("authorization"), one.get("x-team")) for one in collector.headers]
        assert set(said) == {("Bearer t,u==", "core")}


def test_a_ledger_that_takes_nothing_is_told_with_how_far_it_is_behind(tmp_path: Path) -> None:
    with Upstream() as upstream, refusing_port() as dead:
        upstream.answer_with(plain(chat.completion()))
        given = routing(upstream) | {"ledger": {"clickhouse_url": f"http://127.0.0.1:{dead}"}}
        with running_gateway(tmp_path / "gateway", given) as gateway, gateway.client() as client:
            assert client.post(PATH, json=ASKED | {"model": "fast"}).status_code == 200
            becomes(gateway, lambda ok: ok == 0, "forebay_meter_ok")
            becomes(gateway, lambda behind_s: behind_s > 1, "forebay_ledger_lag_seconds")
            becomes(gateway, lambda size_bytes: size_bytes > 0, "forebay_spool_bytes")
            assert value(gateway, "forebay_meter_inserted_rows") == 0
            assert value(gateway, "forebay_ledger_lost_total") == 0

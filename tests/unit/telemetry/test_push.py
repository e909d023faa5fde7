"""What is sent over OTLP, and when: to a receiver on a real port."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from rig.gateway import eventually
from rig.programs.otlp import Collector, GotMetric, members, metrics_of, running_collector

from gateway.exchange import Attempt, Record, Usage
from gateway.telemetry.metrics import Metrics, families
from gateway.telemetry.metrics.families import FAMILIES
from gateway.telemetry.metrics.rendering import render
from gateway.telemetry.otlp import Receiver, resource_of
from gateway.telemetry.push import Push, metrics_data

SOON_S = 0.05


UNITS = {"s": "seconds", "By": "bytes"}
"""Of the table of units those that are used here."""


def prometheus_name(metric: Any) -> str:
    """The name that Prometheus and the Collector give a metric that comes over OTLP, as they document it.

    Source: OpenTelemetry Collector, "Prometheus Normalization".
    """
    tokens = [token for token in re.split(r"[^a-zA-Z0-9]+", metric.name) if token]
    unit = re.sub(r"\{.*?\}", "", metric.unit)
    kind = type(metric.data).__name__
    if unit and unit != "1" and (word := UNITS[unit]) not in tokens:
        tokens.append(word)
    if unit == "1" and kind == "Gauge":
        tokens = [*(token for token in tokens if token != "ratio"), "ratio"]
    if kind == "Sum" and metric.data.is_monotonic:
        tokens = [*(token for token in tokens if token != "total"), "total"]
    return "_".join(tokens)


def test_prometheus_has_the_same_names_over_otlp_as_it_scrapes() -> None:
    numbers = {(name, ("x",) * len(family.labels)): [1.0] * family.cells for name, family in FAMILIES.items()}
    [of_us] = metrics_data(numbers, resource_of(Receiver()), 1, 2).resource_metrics
    [scope] = of_us.scope_metrics
    pushed = {prometheus_name(metric) for metric in scope.metrics}
    scraped = re.findall(r"^# TYPE (\S+)", render(numbers).decode(), re.MULTILINE)
    assert pushed == {name for name in scraped if not name.endswith("_created")} == set(FAMILIES)
    assert len(scope.metrics) == len(FAMILIES)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture
def metrics() -> Metrics:
    counted = Metrics()
    attempt = Attempt("b", "m", 1.0, usage=Usage(100, 20), answered_model="m-1")
    counted.observe(
        Record("c", "chat", 0.5, route="r", status=200, ending="finished", attempts=[attempt]), 2.0
    )
    return counted


def newest(collector: Collector, name: str) -> GotMetric:
    assert eventually(lambda: any(one.name == name for one in list(collector.metrics)), 20)
    return [one for one in list(collector.metrics) if one.name == name][-1]


def test_numbers_are_sent_as_otlp_has_them(collector: Collector, metrics: Metrics) -> None:
    push = Push(metrics.own)
    push.revise(Receiver(collector.url, headers={"x-token": "t"}, service_name="gate"), SOON_S)
    try:
        calls = newest(collector, "forebay_calls")
        tokens = newest(collector, "gen_ai.client.token.usage")
        reload_ok = newest(collector, "forebay_config_reload_ok")
    finally:
        push.close()
    assert calls.data.sum.is_monotonic
    assert calls.data.sum.aggregation_temporality == 2  # cumulative
    [point] = calls.data.sum.data_points
    assert point.as_double == 1
    assert point.start_time_unix_nano < point.time_unix_nano
    assert members(point.attributes) == {
        "tenant_class": "default",
        "route": "r",
        "backend": "b",
        "status": "200",
        "ending": "finished",
    }
    spent = {members(one.attributes)["gen_ai.token.type"]: one for one in tokens.data.histogram.data_points}
    assert (spent["input"].sum, spent["input"].count) == (100, 1)
    assert list(spent["input"].explicit_bounds) == list(families.TOKEN_USAGE.buckets)
    assert len(spent["input"].bucket_counts) == len(families.TOKEN_USAGE.buckets) + 1
    assert not spent["input"].HasField("min")
    assert (tokens.unit, calls.resource["service.name"]) == ("{token}", "gate")
    assert calls.resource["service.instance.id"]
    assert [one.as_double for one in reload_ok.data.gauge.data_points] == [1]
    assert collector.headers[-1]["x-token"] == "t"


def test_the_last_numbers_are_sent_at_the_end(collector: Collector, metrics: Metrics) -> None:
    push = Push(metrics.own)
    push.revise(Receiver(collector.url), 3600.0)
    metrics.count_event("surge")
    push.close()
    assert newest(collector, "forebay_events").data.sum.data_points[0].as_double == 1


def test_a_receiver_that_was_away_gets_all_that_was_counted_meanwhile(
    collector: Collector, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    push, collector.status = Push(metrics.own), 400
    with caplog.at_level(logging.WARNING, "forebay"):
        push.revise(Receiver(collector.url, timeout_s=0.3), SOON_S)
        try:
            assert eventually(lambda: collector.refused >= 3, 20)
            metrics.count_event("surge")
            collector.status = 200
            event = newest(collector, "forebay_events")
            assert eventually(lambda: len(caplog.records) >= 2)
        finally:
            push.close()
    assert event.data.sum.data_points[0].as_double == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the receiver does not take metrics; what is counted meanwhile is sent later",
        "the receiver takes metrics again",
    ]


def test_another_receiver_gets_the_numbers_from_then_on(collector: Collector, metrics: Metrics) -> None:
    with running_collector() as other:
        push = Push(metrics.own)
        push.revise(Receiver(collector.url), SOON_S)
        try:
            newest(collector, "forebay_calls")
            push.revise(Receiver(other.url), SOON_S)
            newest(other, "forebay_calls")
            collector.clear()
            metrics.count_event("surge")
            newest(other, "forebay_events")
            assert not collector.metrics
            push.revise(None, SOON_S)
        finally:
            push.close()


def test_without_the_extra_for_grpc_a_receiver_that_is_named_later_works(
    collector: Collector,
    metrics: Metrics,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    push = Push(metrics.own)
    with caplog.at_level(logging.WARNING, "forebay"):
        push.revise(Receiver(collector.url, "grpc"), SOON_S)
        try:
            assert eventually(lambda: caplog.records)
            push.revise(Receiver(collector.url, "grpc", timeout_s=1.0), SOON_S)
            push.revise(Receiver(collector.url), SOON_S)
            newest(collector, "forebay_calls")
            assert eventually(lambda: len(caplog.records) >= 2)
        finally:
            push.close()
    first, last = caplog.records
    assert first.__dict__["problem"] == "grpc is missing: pip install forebay[otlp-grpc]"
    assert last.getMessage() == "the receiver takes metrics again"


def test_numbers_are_sent_over_grpc_and_what_is_rejected_of_them_is_told_once(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[tuple[ExportMetricsServiceRequest, dict[str, str]]] = []
    rejecting = ExportMetricsServiceResponse()
    rejecting.partial_success.rejected_data_points = 2
    rejecting.partial_success.error_message = "too old"

    def export(_: object, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:
        got.append((request, {pair.key: pair.value for pair in context.invocation_metadata()}))
        return rejecting if len(got) < 4 else ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    taker = type("Taker", (MetricsServiceServicer,), {"Export": export})
    add_MetricsServiceServicer_to_server(taker(), server)
    url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    push = Push(metrics.own)
    try:
        with caplog.at_level(logging.WARNING, "forebay"):
            push.revise(Receiver(url, "grpc", {"X-Token": "t"}), SOON_S)
            assert eventually(lambda: len(caplog.records) >= 2, 20)
    finally:
        push.close()
        server.stop(None).wait(30)
    request, headers = got[0]
    assert "forebay_calls" in {metric.name for metric in metrics_of(request)}
    assert headers["x-token"] == "t"
    first, last = caplog.records
    assert first.getMessage() == "the receiver does not take some metrics"
    assert (vars(first)["problem"], vars(first)["points"]) == ("it rejects a part: too old", 2)
    assert last.getMessage() == "the receiver takes metrics again"


def test_only_the_receivers_own_headers_are_sent(
    collector: Collector, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-elsewhere=hush")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-elsewhere=hush")
    push = Push(metrics.own)
    push.revise(Receiver(collector.url), SOON_S)
    try:
        newest(collector, "forebay_calls")
    finally:
        push.close()
    assert "x-elsewhere" not in collector.headers[-1]


def test_whoever_has_no_receiver_has_no_thread(metrics: Metrics) -> None:
    push = Push(metrics.own)
    push.revise(None, 1.0)
    assert push._thread is None
    push.close()

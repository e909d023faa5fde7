"""A receiver of traces and metrics: OTLP on a real port, read with the protocol's definitions.

It can be told to refuse what it gets, and to be away for a while.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from rig.gateway import eventually

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")


@dataclass(frozen=True)
class GotSpan:
    """A span as it arrived: ids as hexadecimal, times as nanoseconds since 1970."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    status: str
    message: str
    state: str
    resource: dict[str, Any]
    scope: str
    schema_url: str

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass
class GotMetric:
    """A metric of one export, with its resource; `data` is the protocol's message."""

    name: str
    unit: str
    data: Metric
    resource: dict[str, Any]


@dataclass
class Collector:
    """What arrived so far, and how the next requests are answered."""

    url: str = ""
    spans: list[GotSpan] = field(default_factory=list)
    metrics: list[GotMetric] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, by lower-case names."""
    texts: list[bytes] = field(default_factory=list)
    """The body of each request, unpacked: whoever looks for a word looks here."""
    status: int = 200
    """What requests are answered with; those that are refused count for nothing."""
    refused: int = 0

    def traces(self) -> dict[str, list[GotSpan]]:
        """The spans so far, by trace."""
        found: dict[str, list[GotSpan]] = {}
        for span in list(self.spans):
            found.setdefault(span.trace_id, []).append(span)
        return found

    def wait_for(self, name: str, count: int = 1, within_s: float = 30.0) -> list[GotSpan]:
        """The spans of a name, once so many came; fails when they do not."""

        def named() -> list[GotSpan]:
            return [span for span in list(self.spans) if span.name == name]

        assert eventually(lambda: len(named()) >= count, within_s), sorted(span.name for span in self.spans)
        return named()

    def clear(self) -> None:
        for kept in (self.spans, self.metrics, self.headers, self.texts):
            kept.clear()
        self.refused = 0

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Take one request; return the status to answer with."""
        if self.status != 200:
            self.refused += 1
            return self.status
        text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        if path == "/v1/traces":
            self.spans += spans_of(ExportTraceServiceRequest.FromString(text))
        elif path == "/v1/metrics":
            self.metrics += metrics_of(ExportMetricsServiceRequest.FromString(text))
        else:
            return 404
        self.headers.append(headers)
        self.texts.append(text)
        return 200


def spans_of(request: ExportTraceServiceRequest) -> list[GotSpan]:
    """Read the spans of one export."""
    return [
        GotSpan(
            span.name,
            KINDS[span.kind],
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            members(span.attributes),
            STATUSES[span.status.code],
            span.status.message,
            span.trace_state,
            members(resource.resource.attributes),
            scope.scope.name,
            scope.schema_url,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def metrics_of(request: ExportMetricsServiceRequest) -> list[GotMetric]:
    """Read the metrics of one export."""
    return [
        GotMetric(metric.name, metric.unit, metric, members(resource.resource.attributes))
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def members(pairs: Any) -> dict[str, Any]:
    """Read attributes as plain values."""
    each: list[KeyValue] = list(pairs)
    return {pair.key: value_of(pair.value) for pair in each}


def value_of(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)


@contextmanager
def running_collector(port: int = 0) -> Iterator[Collector]:
    """Run a receiver, on a port of its own choice unless one is given."""
    collector = Collector()

    class Taker(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(collector.take(self.path, body, headers))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Taker) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="collector", daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(30)


@contextmanager
def running_grpc_collector() -> Iterator[Collector]:
    """Run a receiver of spans that speaks gRPC."""
    collector = Collector()

    def export(_: object, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        collector.headers.append({pair.key: pair.value for pair in context.invocation_metadata()})
        collector.spans += spans_of(request)
        return ExportTraceServiceResponse()

    taker = type("Taker", (TraceServiceServicer,), {"Export": export})
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    add_TraceServiceServicer_to_server(taker(), server)
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait(30)

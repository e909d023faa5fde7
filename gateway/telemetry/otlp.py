"""The receiver of traces and metrics, over OTLP: the way there, and what this process is called there.

Trying again is not its business, nor is the environment: what is sent with a request, the receiver says.
Libraries are imported with the first receiver: whoever has none starts without them.
Sources: OpenTelemetry specification, "OTLP exporter" and "Resource"; OTLP specification 1.9, "OTLP/HTTP",
"Failures" and "Partial Success".
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import uuid4

import msgspec

from gateway.telemetry.logs import cleaned

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Signal = Literal["traces", "metrics"]
Taken = Literal["taken", "refused", "away"]
"""What became of a batch: the receiver has it; will never take it; may take it later."""

_REFUSED = frozenset({400, 413})
"""What says that the batch is at fault. Any other status may be otherwise after somebody has looked."""
_SUCCESS = range(200, 300)
_METHODS: Mapping[Signal, str] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_PROTOBUF = "application/x-protobuf"
_FASTEST = 1
"""Of gzip's levels: spans repeat themselves so much that a higher one saves little."""
_READ_CHARS, _SAID_CHARS = 10_000, 200


class Answer(NamedTuple):
    """What became of an export, and what is wrong, for people."""

    taken: Taken
    problem: str = ""
    rejected: int = 0
    """Of what was taken: so many spans, or points of metrics, were not."""


Post = Callable[[bytes], Answer]
"""Sends one export; says what became of it. Waits, `timeout_s` of the receiver at most."""
Close = Callable[[], None]


class Receiver(msgspec.Struct, frozen=True):
    """Where it is, and what is told of this deployment. `endpoint` is a base URL; empty: there is none."""

    endpoint: str = ""
    protocol: Literal["http", "grpc"] = "http"
    headers: Mapping[str, str] = {}
    timeout_s: float = 10.0
    service_name: str = "forebay"
    resource: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Name the place; headers and URLs may hold secrets."""
        return "<Receiver>"

    def url(self, signal: Signal) -> str:
        """Return where a signal is sent."""
        return self.endpoint if self.protocol == "grpc" else f"{self.endpoint}/v1/{signal}"


def resource_of(receiver: Receiver) -> Resource:
    """Say who sends: this gateway, its version, this process; and what the configuration adds."""
    from opentelemetry.sdk.resources import Resource

    own = {
        "service.name": receiver.service_name,
        "service.version": version("forebay"),
        "service.instance.id": _instance_id(os.getpid()),
    }
    return Resource.create(own | dict(receiver.resource))


@cache
def _instance_id(_pid: int) -> str:
    """Name a process: one for each worker, a new one after a restart."""
    return str(uuid4())


def open_way(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    """Return what sends exports of a signal there, and what ends it; raises ImportError without the extra."""
    open_ = _open_grpc if receiver.protocol == "grpc" else _open_http
    return open_(receiver, signal)


def _open_http(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    import httpx

    client = httpx.Client(timeout=receiver.timeout_s, headers=dict(receiver.headers))
    url, read = receiver.url(signal), _reader_of(signal)
    coded = {"content-type": _PROTOBUF, "content-encoding": "gzip"}

    def post(body: bytes) -> Answer:
        try:
            answer = client.post(url, content=gzip.compress(body, _FASTEST), headers=coded)
        except httpx.HTTPError:
            return Answer("away", "it cannot be reached")
        status = answer.status_code
        if status not in _SUCCESS:
            return Answer("refused" if status in _REFUSED else "away", f"it answers with {status}")
        is_ours = answer.headers.get("content-type", "").startswith(_PROTOBUF)
        return read(answer.content) if is_ours else Answer("taken")

    return post, client.close


def _open_grpc(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    import grpc

    scheme, _, place = receiver.endpoint.partition("://")
    options = {"compression": grpc.Compression.Gzip}
    if scheme == "https":
        channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(), **options)
    else:
        channel = grpc.insecure_channel(place, **options)
    export, read = channel.unary_unary(_METHODS[signal]), _reader_of(signal)
    said = tuple((name.lower(), value) for name, value in receiver.headers.items())

    def post(body: bytes) -> Answer:
        try:
            answer = export(body, timeout=receiver.timeout_s, metadata=said)
        except grpc.RpcError as error:
            code = error.code()
            refused = code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
            return Answer("refused" if refused else "away", f"it answers with {code.name}")
        return read(answer)

    return post, channel.close


def _reader_of(signal: Signal) -> Callable[[bytes], Answer]:
    """Return what reads the answer to an export that succeeded: a part of it may have been rejected."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    def read(answer: bytes) -> Answer:
        with suppress(Exception):  # of what cannot be read only the status counts: all is well
            if signal == "traces":
                spans = ExportTraceServiceResponse.FromString(answer).partial_success
                return _partly(spans.rejected_spans, spans.error_message)
            points = ExportMetricsServiceResponse.FromString(answer).partial_success
            return _partly(points.rejected_data_points, points.error_message)
        return Answer("taken")

    return read


def _partly(rejected: int, message: str) -> Answer:
    """Say what was rejected, and why. A message without that is advice, which nobody has asked for."""
    if rejected <= 0:
        return Answer("taken")
    said = "".join(sign if sign.isprintable() else " " for sign in cleaned(message[:_READ_CHARS]))
    return Answer("taken", f"it rejects a part: {said[:_SAID_CHARS]}".rstrip(": "), rejected)

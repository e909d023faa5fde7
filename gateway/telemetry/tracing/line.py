"""An open way to a receiver, over HTTP or gRPC: for spans, and for whatever else OTLP has.

Trying again is not its business, nor is the environment: what is sent with a request, the receiver says.
Source: OTLP specification 1.9, "OTLP/HTTP" and "Failures".
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from gateway.telemetry.otlp import Receiver, Signal
from gateway.telemetry.tracing.wire import head_of, request_of

Taken = Literal["taken", "refused", "away"]
"""What became of a batch: the receiver has it; will never take it; may take it later."""

_REFUSED = frozenset({400, 413})
"""What says that the batch is at fault. Any other status may be otherwise after somebody has looked."""
_SUCCESS = range(200, 300)
_METHODS: Mapping[Signal, str] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_FASTEST = 1
"""Of gzip's levels: spans repeat themselves so much that a higher one saves little."""

Post = Callable[[bytes], tuple[Taken, str]]
"""Sends one export; says what became of it, and what is wrong, for people. Waits, `timeout_s` at most."""
Close = Callable[[], None]


class SpanLine:
    """To one receiver. `send` waits, `timeout_s` of the receiver at most."""

    def __init__(self, receiver: Receiver) -> None:
        self._head = head_of(receiver)
        self._post, self.close = open_way(receiver, "traces")

    def send(self, calls: Sequence[bytes]) -> tuple[Taken, str]:
        """Send the spans of calls; say what became of them, and what is wrong, for people."""
        return self._post(request_of(self._head, calls))


def open_way(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    """Return what sends exports of a signal there, and what ends it; raises ImportError without the extra."""
    open_ = _open_grpc if receiver.protocol == "grpc" else _open_http
    return open_(receiver, signal)


def _open_http(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    import httpx

    client = httpx.Client(timeout=receiver.timeout_s, headers=dict(receiver.headers))
    url = receiver.url(signal)
    coded = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}

    def post(body: bytes) -> tuple[Taken, str]:
        try:
            status = client.post(url, content=gzip.compress(body, _FASTEST), headers=coded).status_code
        except httpx.HTTPError:
            return "away", "it cannot be reached"
        if status in _SUCCESS:
            return "taken", ""
        return ("refused" if status in _REFUSED else "away"), f"it answers with {status}"

    return post, client.close


def _open_grpc(receiver: Receiver, signal: Signal) -> tuple[Post, Close]:
    import grpc

    scheme, _, place = receiver.endpoint.partition("://")
    options = {"compression": grpc.Compression.Gzip}
    if scheme == "https":
        channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(), **options)
    else:
        channel = grpc.insecure_channel(place, **options)
    export = channel.unary_unary(_METHODS[signal])
    said = tuple((name.lower(), value) for name, value in receiver.headers.items())

    def post(body: bytes) -> tuple[Taken, str]:
        try:
            export(body, timeout=receiver.timeout_s, metadata=said)
        except grpc.RpcError as error:
            code = error.code()
            refused = code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
            return ("refused" if refused else "away"), f"it answers with {code.name}"
        return "taken", ""

    return post, channel.close

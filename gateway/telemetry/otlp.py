"""The receiver of traces and metrics, over OTLP, and what this process is called there.

The SDK is imported with the first receiver: whoever has none starts without it.
Source: OpenTelemetry specification, "OTLP exporter" and "Resource"; OTLP specification 1.9, "Failures".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

Taken = Literal["taken", "refused", "away"]
"""What became of a batch: the receiver has it; will never take it; may take it later."""

_REFUSED = frozenset({400, 413})
"""What says that the batch is at fault. Any other status may be otherwise after somebody has looked."""


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

    def url(self, signal: Literal["traces", "metrics"]) -> str:
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


class SpanLine:
    """An open way for spans. The SDK itself tries again within `timeout_s`, where that may help."""

    def __init__(self, receiver: Receiver) -> None:
        self._status: int | None = None
        self._exporter = self._grpc(receiver) if receiver.protocol == "grpc" else self._http(receiver)

    def send(self, spans: Sequence[ReadableSpan]) -> tuple[Taken, str]:
        """Send a batch; say what became of it, and what is wrong, for people. Waits."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        self._status = None
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return "taken", ""
        problem = "it cannot be reached" if self._status is None else f"it answers with {self._status}"
        return ("refused" if self._status in _REFUSED else "away"), problem

    def close(self) -> None:
        """Send no more, and end the pauses of what is being sent."""
        self._exporter.shutdown()

    def _http(self, receiver: Receiver) -> SpanExporter:
        from opentelemetry.exporter.otlp.proto.http import Compression, trace_exporter
        from requests import Session

        _silence(trace_exporter.__name__)
        session = Session()
        session.hooks["response"].append(self._note)
        return trace_exporter.OTLPSpanExporter(
            receiver.url("traces"),
            headers=dict(receiver.headers),
            timeout=receiver.timeout_s,
            compression=Compression.Gzip,
            session=session,
        )

    def _grpc(self, receiver: Receiver) -> SpanExporter:
        from opentelemetry.exporter.otlp.proto.grpc import exporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        _silence(exporter.__name__)
        return OTLPSpanExporter(
            receiver.endpoint,
            headers=dict(receiver.headers),
            timeout=receiver.timeout_s,
        )

    def _note(self, response: Any, *_: Any, **__: Any) -> None:
        self._status = response.status_code


def _silence(name: str) -> None:
    """Keep the SDK from logging each failure, with its URL: whoever sends tells the first and the last."""
    logging.getLogger(name).disabled = True

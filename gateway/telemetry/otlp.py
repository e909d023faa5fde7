"""The receiver of traces and metrics, over OTLP, and what this process is called there.

The SDK is imported with the first receiver: whoever has none starts without it.
Source: OpenTelemetry specification, "OTLP exporter" and "Resource".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Signal = Literal["traces", "metrics"]


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

"""An open way to a receiver for the spans of calls. Trying again is not its business."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.telemetry.otlp import Answer, Receiver, open_way
from gateway.telemetry.tracing.wire import head_of, request_of


class SpanLine:
    """To one receiver. `send` waits, `timeout_s` of the receiver at most."""

    def __init__(self, receiver: Receiver) -> None:
        self._head = head_of(receiver)
        self._post, self.close = open_way(receiver, "traces")

    def send(self, calls: Sequence[bytes]) -> Answer:
        """Send the spans of calls; say what became of them."""
        return self._post(request_of(self._head, calls))

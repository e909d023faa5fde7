"""Send the numbers of this process to the receiver, over OTLP, now and then: from a thread of its own.

What is sent is all that was counted since the process began, so one that was lost is made up for by the next.
The SDK is imported with the first receiver: whoever has none starts without it. Of it only the words and
their encoding are used: its exporters read headers from the environment, whatever they are given.
Source: OpenTelemetry specification, "Metrics Data Model" (cumulative sums and histograms).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread
from time import time_ns
from typing import TYPE_CHECKING, Any

from gateway.telemetry.metrics.families import FAMILIES, Family
from gateway.telemetry.metrics.gathering import Numbers
from gateway.telemetry.otlp import Answer, Receiver, open_way, resource_of

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData
    from opentelemetry.sdk.resources import Resource

_JOIN_S = 1.0
_SCOPE = "forebay"
_TAKES_NONE = "the receiver does not take metrics; what is counted meanwhile is sent later"
_REJECTS = "the receiver does not take some metrics"

log = logging.getLogger("forebay")


class Push:
    """Sends what `read` gives, which it asks in its thread, to the receiver of the day."""

    def __init__(self, read: Callable[[], Numbers]) -> None:
        self._read = read
        self._began_ns = time_ns()
        self._asked: tuple[Receiver | None, float] = (None, 0.0)
        self._line: _Line | None = None
        self._is_over = False
        self._failing = ""
        self._wake = Event()
        self._thread: Thread | None = None

    def revise(self, receiver: Receiver | None, every_s: float) -> None:
        """Send there from now on, so often; None: nowhere."""
        if self._asked == (receiver, every_s):
            return
        self._asked = receiver, every_s
        if self._thread is not None:
            self._wake.set()
        elif receiver is not None:
            self._thread = Thread(target=self._work, name="metrics", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send the last numbers, for a moment, and stop."""
        self._is_over = True
        self._wake.set()
        if self._thread is None:
            return
        self._thread.join(_JOIN_S)
        line = self._line
        if line is not None and self._thread.is_alive():  # the receiver is away: wait no longer
            line.close()
            self._thread.join(_JOIN_S)

    def _work(self) -> None:
        while True:
            self._serve()
            if self._is_over:
                return

    def _serve(self) -> None:
        """Send to one receiver until there is another one, or the end: that, too, is told to it."""
        receiver, every_s = asked = self._asked
        while True:
            self._wake.wait(None if receiver is None else every_s)
            self._wake.clear()
            if receiver is not None:
                self._send(receiver)
            if self._is_over or self._asked != asked:
                break
        if self._line is not None:
            self._line.close()
            self._line = None

    def _send(self, receiver: Receiver) -> None:
        try:
            if self._line is None:
                self._line = _Line(receiver)
            answer = self._line.send(self._read(), self._began_ns)
        except ImportError as error:
            answer = Answer("away", f"{error.name} is missing: pip install forebay[otlp-grpc]")
        except Exception as error:  # what is to come is sent all the same
            answer = Answer("away", type(error).__name__)
            if not self._failing:
                log.exception("metrics cannot be sent")
        self._tell(answer)

    def _tell(self, answer: Answer) -> None:
        """Log that the receiver began to fail, and how, and that it is well again; nothing in between."""
        failing = _REJECTS if answer.rejected else _TAKES_NONE if answer.problem else ""
        if failing == self._failing:
            return
        self._failing = failing
        if answer.rejected:
            log.warning(failing, extra={"problem": answer.problem, "points": answer.rejected})
        elif failing:
            log.warning(failing, extra={"problem": answer.problem})
        else:
            log.warning("the receiver takes metrics again")


class _Line:
    """An open way to one receiver. What it does not take goes with the next numbers: they hold all."""

    def __init__(self, receiver: Receiver) -> None:
        self._resource = resource_of(receiver)
        self._post, self.close = open_way(receiver, "metrics")

    def send(self, numbers: Numbers, began_ns: int) -> Answer:
        """Send the numbers; say what became of them. Waits."""
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        export = encode_metrics(metrics_data(numbers, self._resource, began_ns, time_ns()))
        return self._post(export.SerializeToString())


def metrics_data(numbers: Numbers, resource: Resource, began_ns: int, now_ns: int) -> MetricsData:
    """Put numbers into the SDK's words; `began_ns` is when they began to be counted, Unix nanoseconds."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = list(_metrics(numbers, began_ns, now_ns))
    scope = ScopeMetrics(InstrumentationScope(_SCOPE), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metrics(numbers: Numbers, began_ns: int, now_ns: int) -> Iterator[Metric]:
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Histogram, Metric, Sum

    points: dict[str, list[Any]] = {}
    for (name, labels), values in numbers.items():
        family = FAMILIES[name]
        # To OTLP an attribute without a value is none; to Prometheus it is the same.
        told = {key: value for key, value in zip(family.labels, labels, strict=True) if value}
        points.setdefault(name, []).append(_point(family, told, values, (began_ns, now_ns)))
    since_began = AggregationTemporality.CUMULATIVE
    for name, those in points.items():
        family = FAMILIES[name]
        data: Gauge | Histogram | Sum = Gauge(those)
        if family.kind == "counter":
            data = Sum(those, since_began, is_monotonic=True)
        elif family.kind == "histogram":
            data = Histogram(those, since_began)
        yield Metric(family.told_as, family.text, family.unit, data)


def _point(family: Family, labels: dict[str, str], values: list[float], between_ns: tuple[int, int]) -> Any:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

    began_ns, now_ns = between_ns
    if family.kind != "histogram":
        return NumberDataPoint(labels, began_ns, now_ns, values[0])
    total, *counts = values
    nobody_knows: Any = None  # of the least and the most; to OTLP they are optional, in the SDK's types not
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=began_ns,
        time_unix_nano=now_ns,
        count=int(sum(counts)),
        sum=total,
        bucket_counts=[int(count) for count in counts],
        explicit_bounds=list(family.buckets),
        min=nobody_knows,
        max=nobody_knows,
    )

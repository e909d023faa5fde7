"""Write numbers in Prometheus' text format. It must not know who counted.

Source: Prometheus' documentation, "Exposition formats".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Metric, generate_latest

from gateway.telemetry.metrics.families import FAMILIES, Family
from gateway.telemetry.metrics.gathering import Numbers

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class _Collected:
    """What prometheus_client writes: it asks for `collect`."""

    def __init__(self, numbers: Numbers) -> None:
        self._series: dict[str, list[tuple[tuple[str, ...], list[float]]]] = defaultdict(list)
        for (name, labels), values in sorted(numbers.items()):
            self._series[name].append((labels, values))

    def collect(self) -> Iterator[Metric]:
        """Give all families, those too that have no series yet."""
        for family in FAMILIES.values():
            metric = Metric(family.name.removesuffix("_total"), family.text, family.kind)
            names = [label.replace(".", "_") for label in family.labels]
            for labels, values in self._series[family.name]:
                _add(metric, family, dict(zip(names, labels, strict=True)), values)
            yield metric


def render(numbers: Numbers) -> bytes:
    """Write them all."""
    return generate_latest(_Collected(numbers))


def _add(metric: Metric, family: Family, labels: dict[str, str], values: list[float]) -> None:
    if family.kind != "histogram":
        metric.add_sample(family.name, labels, values[0])
        return
    total, *counts = values
    bounds = (*(str(bound) for bound in family.buckets), "+Inf")
    below = list(accumulate(counts))
    for bound, count in zip(bounds, below, strict=True):
        metric.add_sample(family.name + "_bucket", {**labels, "le": bound}, count)
    metric.add_sample(family.name + "_count", labels, below[-1])
    metric.add_sample(family.name + "_sum", labels, total)

"""The text that Prometheus reads: parsed with a reader that is not ours."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import EACH_TOKEN_SECONDS, FAMILIES, PART_OK
from gateway.telemetry.metrics.gathering import own
from gateway.telemetry.metrics.rendering import render


def test_every_family_is_told_with_its_kind_and_labels() -> None:
    cells = Cells()
    for family in FAMILIES.values():
        labels = tuple(f"of {label}" for label in family.labels)
        cells.numbers[cells.place(family, labels) + family.cells - 1] = 2.0
    told = {one.name: one for one in text_string_to_metric_families(render(own(cells)).decode())}
    assert set(told) == {name.removesuffix("_total") for name in FAMILIES}
    for family in FAMILIES.values():
        one = told[family.name.removesuffix("_total")]
        assert (one.type, one.documentation) == (family.kind, family.text)
        labels = {label.replace(".", "_"): f"of {label}" for label in family.labels}
        assert all(sample.labels.items() >= labels.items() for sample in one.samples)
        assert one.samples[-2 if family.buckets else -1].value == 2.0


def test_buckets_are_told_as_what_does_not_exceed_their_bound() -> None:
    cells = Cells()
    labels = ("chat", "openai", "m", "", "")
    for value in (0.005, 0.02, 0.02, 9.0):
        Histogram(cells, EACH_TOKEN_SECONDS, labels).observe(value)
    [family] = [
        one
        for one in text_string_to_metric_families(render(own(cells)).decode())
        if one.name == EACH_TOKEN_SECONDS.name
    ]
    below = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
    assert below == [1, 3, *[3] * (len(EACH_TOKEN_SECONDS.buckets) - 2), 4]
    assert [sample.value for sample in family.samples[-2:]] == [4, 9.045]


def test_what_a_label_may_not_hold_is_escaped() -> None:
    cells = Cells()
    name = 'a "part"\nwith \\ and ü'
    cells.numbers[cells.place(PART_OK, (name,))] = 1.0
    [sample] = [
        sample
        for one in text_string_to_metric_families(render(own(cells)).decode())
        for sample in one.samples
        if sample.name == PART_OK.name
    ]
    assert sample.labels == {"part": name}

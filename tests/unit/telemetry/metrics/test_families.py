"""What is measured is named as Prometheus and OpenTelemetry ask, and bounded."""

from __future__ import annotations

import re

from gateway.telemetry.metrics.families import FAMILIES


def test_names_end_in_their_unit_and_counters_in_total() -> None:
    for family in FAMILIES.values():
        assert re.fullmatch(r"(forebay|gen_ai)_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert bool(family.buckets) == (family.kind == "histogram"), family.name
        words = family.name.removesuffix("_total").split("_")
        for unit, word in (("s", "seconds"), ("By", "bytes"), ("1", "ratio")):
            assert (family.unit == unit) == (words[-1] == word), family.name
        assert ("usd" in words) == (family.unit == "{USD}"), family.name


def test_buckets_rise() -> None:
    for family in FAMILIES.values():
        assert list(family.buckets) == sorted(set(family.buckets)), family.name


def test_no_label_is_of_a_tenant_a_key_a_user_or_a_call() -> None:
    labels = {label for family in FAMILIES.values() for label in family.labels}
    assert labels.isdisjoint(
        {"tenant", "key", "user", "team", "call", "call_id", "request_id", "conversation"}
    )
    assert "tenant_class" in labels


def test_all_series_together_are_bounded() -> None:
    """A worker's cells take a few megabytes at most, whatever clients do."""
    assert sum((family.most + 1) * family.cells for family in FAMILIES.values()) * 8 < 4 << 20

"""What is counted, under labels that no client can multiply."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.exchange import Attempt, Record, Usage
from gateway.telemetry.metrics import CONTENT_TYPE, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, tuple(sorted(labels.items()))))


def answered(usage: Usage | None = None, spent: Usage | None = None) -> list[Attempt]:
    """Two attempts: one that failed, and may have `spent` something, and the one that answered."""
    failed = Attempt("a", "m", 0.1, cause="upstream_overloaded", usage=spent)
    return [failed, Attempt("b", "m", 0.2, "next", usage=usage)]


def ended(**fields: Any) -> Record:
    given: dict[str, Any] = {"route": "fast", "status": 200, "ending": "finished"}
    given["attempts"] = answered()
    return Record("call_1", "chat", 100.0, **{**given, **fields})


def test_a_call_is_counted_under_the_backend_that_answered() -> None:
    metrics = Metrics()
    metrics.observe(ended(first_byte_s=100.2), 101.0)
    labels = {"route": "fast", "backend": "b", "status": "200", "ending": "finished"}
    assert value(metrics, "forebay_calls_total", **labels) == 1
    assert value(metrics, "forebay_attempts_total", backend="a", cause="upstream_overloaded") == 1
    assert value(metrics, "forebay_attempts_total", backend="b", cause="") == 1
    assert value(metrics, "forebay_call_duration_seconds_sum", route="fast") == pytest.approx(1.0)
    assert value(metrics, "forebay_first_byte_seconds_bucket", route="fast", le="0.25") == 1
    assert value(metrics, "forebay_first_byte_seconds_bucket", route="fast", le="0.1") == 0


def test_tokens_are_counted_by_kind_and_by_who_counted() -> None:
    metrics = Metrics()
    metrics.observe(ended(attempts=answered(Usage(100, 20, cached_tokens=64, reasoning_tokens=8))), 101.0)
    metrics.observe(ended(attempts=answered(Usage(7, 3, origin="counted"), spent=Usage(5, 1))), 101.0)
    labels = {"route": "fast", "backend": "b"}
    told = {
        kind: value(metrics, "forebay_tokens_total", kind=kind, origin="reported", **labels) for kind in KINDS
    }
    assert told == {"input": 100, "output": 20, "cached": 64, "cache_write": None, "reasoning": 8}
    assert value(metrics, "forebay_tokens_total", kind="output", origin="counted", **labels) == 3
    labels["backend"] = "a"
    assert value(metrics, "forebay_tokens_total", kind="output", origin="reported", **labels) == 1


KINDS = ("input", "output", "cached", "cache_write", "reasoning")


def test_what_never_reached_a_route_is_counted_under_none() -> None:
    metrics = Metrics()
    metrics.observe(ended(route="", attempts=[], status=401, ending="refused"), 100.5)
    labels = {"route": "none", "backend": "none", "status": "401", "ending": "refused"}
    assert value(metrics, "forebay_calls_total", **labels) == 1
    assert not value(metrics, "forebay_first_byte_seconds_count", route="none")


def test_calls_of_the_gateways_own_are_counted_apart_but_not_their_tokens() -> None:
    metrics = Metrics()
    metrics.observe(ended(purpose="shadow", attempts=answered(Usage(7, 3))), 101.0)
    labels = {"route": "fast", "backend": "b"}
    own = {"purpose": "shadow", "ending": "finished"}
    assert value(metrics, "forebay_own_calls_total", **own, **labels) == 1
    assert value(metrics, "forebay_calls_total", status="200", ending="finished", **labels) is None
    assert value(metrics, "forebay_tokens_total", kind="output", origin="reported", **labels) == 3


def test_edits_of_the_configuration_are_counted() -> None:
    metrics = Metrics()
    for result in ("applied", "applied", "refused"):
        metrics.count_reload(result)
    assert value(metrics, "forebay_reloads_total", result="applied") == 2
    assert value(metrics, "forebay_reloads_total", result="refused") == 1


def test_what_clients_choose_is_no_label() -> None:
    metrics = Metrics()
    metrics.observe(ended(), 101.0)
    before = len(samples(metrics))
    for number in range(50):
        metrics.observe(ended(model=f"m{number}", tenant=f"t{number}", key=f"k{number}"), 101.0)
    assert len(samples(metrics)) == before
    text = metrics.render().decode()
    assert "m49" not in text
    assert "t49" not in text


def test_calls_in_flight_are_what_was_set_last() -> None:
    metrics = Metrics()
    metrics.set_in_flight(3)
    metrics.set_in_flight(2)
    assert value(metrics, "forebay_calls_in_flight") == 2


def test_the_text_is_what_its_content_type_says() -> None:
    assert CONTENT_TYPE.startswith("text/plain")
    assert Metrics().render().startswith(b"# HELP")

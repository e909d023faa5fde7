"""What is counted, under labels that no client can multiply."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import BudgetExceeded, QuotaExceeded, Unauthenticated, UpstreamError
from gateway.exchange import Attempt, Price, Record, Usage
from gateway.exchange.price import Rates
from gateway.telemetry.metrics import CONTENT_TYPE, Metrics, MetricsSettings, families
from gateway.telemetry.places import Place


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
    return Record(**{"call_id": "call_1", "format": "chat", "started_s": 100.0, **given, **fields})


def test_a_call_is_counted_under_the_backend_that_answered() -> None:
    metrics = Metrics()
    metrics.observe(ended(first_byte_s=100.2), 101.0)
    labels = {"route": "fast", "backend": "b", "status": "200", "ending": "finished"}
    labels |= {"tenant_class": "default", "cause": ""}
    assert value(metrics, "forebay_calls_total", **labels) == 1
    assert (
        value(metrics, "forebay_attempts_total", backend="a", cause="upstream_overloaded", why="first") == 1
    )
    assert value(metrics, "forebay_attempts_total", backend="b", cause="", why="next") == 1
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
    error = Unauthenticated("who is this?")
    metrics.observe(ended(route="", attempts=[], status=401, ending="refused", error=error), 100.5)
    labels = {"route": "none", "backend": "none", "status": "401", "ending": "refused"}
    labels |= {"tenant_class": "default", "cause": "invalid_api_key"}
    assert value(metrics, "forebay_calls_total", **labels) == 1
    assert not value(metrics, "forebay_first_byte_seconds_count", route="none")


def test_calls_of_the_gateways_own_are_counted_apart_but_not_their_tokens() -> None:
    metrics = Metrics()
    metrics.observe(ended(purpose="shadow", attempts=answered(Usage(7, 3))), 101.0)
    labels = {"route": "fast", "backend": "b"}
    own = {"purpose": "shadow", "ending": "finished"}
    assert value(metrics, "forebay_own_calls_total", **own, **labels) == 1
    assert not any(name == "forebay_calls_total" for name, _ in samples(metrics))
    assert value(metrics, "forebay_tokens_total", kind="output", origin="reported", **labels) == 3


def test_edits_of_the_configuration_are_counted() -> None:
    metrics = Metrics()
    for result in ("applied", "applied", "refused"):
        metrics.count_reload(result)
    assert value(metrics, "forebay_reloads_total", result="applied") == 2
    assert value(metrics, "forebay_reloads_total", result="refused") == 1


def test_what_clients_choose_does_not_multiply_series() -> None:
    metrics = Metrics()
    metrics.revise(MetricsSettings(models=frozenset({"named"})))
    metrics.observe(ended(), 101.0)
    before = len(samples(metrics))
    for number in range(10_000):
        usage = Usage(100, 20, cached_tokens=1)
        who = {"tenant": f"t{number}", "key": f"k{number}", "call": None, "made_for": f"c{number}"}
        name = f"m{number}"
        attempts = [Attempt("b", name, 0.1, answered_model=f"a{number}", usage=usage, first_token_s=0.1)]
        attempts[0].ended_s = 0.5
        metrics.observe(ended(model=name, attempts=attempts, call_id=f"call_{number}", **who), 101.0)
    told = samples(metrics)
    models = {label for _, labels in told for label in labels if label[0] == "gen_ai_request_model"}
    # 64 names of both kinds together, the failed one's of before, and what comes later.
    assert len(models) <= 66
    assert len(told) - before <= 70 * (2 * 16 + 3 * 18)
    text = metrics.render().decode()
    assert not re.search(r"[tkc]9999|m9999|a9999|call_9", text)
    assert 'gen_ai_request_model="other"' in text


def test_names_of_failed_attempts_take_no_room() -> None:
    metrics = Metrics()
    for number in range(100):
        attempts = [Attempt("b", f"invented-{number}", 0.1, cause="upstream_unknown_model")]
        metrics.observe(ended(attempts=attempts, status=404, ending="refused"), 101.0)
    metrics.observe(ended(attempts=[Attempt("b", "real", 0.1)]), 101.0)
    text = metrics.render().decode()
    assert "invented" not in text
    assert 'gen_ai_request_model="real"' in text


def test_codes_of_errors_are_bounded_whoever_makes_them_up() -> None:
    metrics = Metrics()
    for number in range(1000):
        error = UpstreamError("no", code=f"code_{number}")
        attempts = [Attempt("b", "m", 0.1, cause=error.code)]
        metrics.observe(ended(attempts=attempts, status=502, ending="failed", error=error), 101.0)
    causes = {dict(labels).get("cause") for name, labels in samples(metrics) if name == "forebay_calls_total"}
    assert len(causes) == 129
    assert "other" in causes


def test_a_denied_call_is_counted_with_its_limit_and_its_tenants_class() -> None:
    metrics = Metrics()
    for error, limit in ((QuotaExceeded("slow down"), "minute"), (BudgetExceeded("spent"), "month")):
        error.limit = limit
        denied = {"attempts": [], "status": error.status, "ending": "refused", "class_": "free"}
        metrics.observe(ended(error=error, **denied), 100.1)
    labels = {"route": "fast", "backend": "none", "ending": "refused", "tenant_class": "free"}
    assert value(metrics, "forebay_calls_total", status="429", cause="rate_limit_exceeded", **labels) == 1
    assert value(metrics, "forebay_calls_total", status="402", cause="budget_exceeded", **labels) == 1
    assert value(metrics, "forebay_limit_refusals_total", limit="month", outcome="refused") == 1


def test_fallbacks_are_counted_by_what_had_failed() -> None:
    metrics = Metrics()
    tries = [
        Attempt("a", "m", 0.1, cause="upstream_overloaded"),
        Attempt("b", "m", 0.2, "next", cause="upstream_timeout"),
        Attempt("c", "m", 0.3, "fallback"),
    ]
    metrics.observe(ended(attempts=tries), 101.0)
    at = {"route": "fast"}
    assert value(metrics, "forebay_fallbacks_total", why="next", cause="upstream_overloaded", **at) == 1
    assert value(metrics, "forebay_fallbacks_total", why="fallback", cause="upstream_timeout", **at) == 1


@pytest.mark.parametrize(
    ("first", "second", "result"), [("interrupted", "", "won"), ("", "interrupted", "lost")]
)
def test_hedges_are_counted_by_whose_answer_the_client_got(first: str, second: str, result: str) -> None:
    metrics = Metrics()
    tries = [Attempt("a", "m", 0.1, cause=first), Attempt("b", "m", 0.2, "hedge", cause=second)]
    metrics.observe(ended(attempts=tries), 101.0)
    assert value(metrics, "forebay_hedges_total", route="fast", result=result) == 1
    assert not any(name == "forebay_fallbacks_total" for name, _ in samples(metrics))


def test_an_answer_of_no_upstream_is_a_substitute() -> None:
    metrics = Metrics()
    metrics.observe(ended(attempts=[Attempt("a", "m", 0.1, cause="upstream_timeout")]), 101.0)
    metrics.observe(ended(attempts=[], cache="hit"), 101.0)
    metrics.observe(ended(), 101.0)
    assert value(metrics, "forebay_substitute_answers_total", route="fast", kind="earlier") == 1
    assert value(metrics, "forebay_substitute_answers_total", route="fast", kind="written") == 1


def test_costs_and_savings_are_in_dollars() -> None:
    metrics = Metrics()
    price = Price.flat("v", Rates.plain(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_000))
    for usage in (
        Usage(1_000_000, 100_000, cached_tokens=500_000),
        Usage(1_000_000, cache_write_tokens=1_000_000),
    ):
        metrics.observe(ended(attempts=[Attempt("b", "m", 0.1, usage=usage, price=price)]), 101.0)
    at = {"route": "fast", "backend": "b"}
    assert value(metrics, "forebay_cost_usd_total", **at) == pytest.approx(1.5 + 0.15 + 1.5 + 3.75)
    assert value(metrics, "forebay_cache_savings_usd_total", result="saved", **at) == pytest.approx(1.35)
    assert value(metrics, "forebay_cache_savings_usd_total", result="lost", **at) == pytest.approx(0.75)


def test_attempts_are_measured_as_the_conventions_ask() -> None:
    metrics = Metrics()
    places = {"b": Place("openai", "api.example.com", 443)}
    metrics.revise(MetricsSettings(models=frozenset({"gpt-x"}), places=places))
    good = Attempt("b", "gpt-x", 10.0, usage=Usage(100, 21), first_token_s=0.5, answered_model="gpt-x-1")
    good.ended_s, good.seconds = 12.5, 0.5
    bad = Attempt("b", "gpt-x", 5.0, cause="upstream_timeout", seconds=4.0)
    metrics.observe(ended(attempts=[bad, good]), 101.0)
    model = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-x",
        "server_address": "api.example.com",
    }
    whole = {**model, "gen_ai_response_model": "gpt-x-1"}
    failed = {**model, "gen_ai_response_model": "", "error_type": "upstream_timeout"}
    tokens = "gen_ai_client_token_usage_sum"
    assert value(metrics, tokens, gen_ai_token_type="input", **whole) == 100
    assert value(metrics, tokens, gen_ai_token_type="output", **whole) == 21
    seconds = "gen_ai_client_operation_duration_seconds_sum"
    assert value(metrics, seconds, error_type="", **whole) == pytest.approx(2.5)
    assert value(metrics, seconds, **failed) == pytest.approx(4.0)
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_sum", **whole) == pytest.approx(0.5)
    assert value(metrics, "gen_ai_server_time_per_output_token_seconds_sum", **whole) == pytest.approx(0.1)


def test_waiting_before_a_backend_is_measured_where_there_is_a_queue() -> None:
    metrics = Metrics()
    metrics.observe(ended(attempts=[Attempt("a", "m", 0.1), Attempt("b", "m", 0.1, queued_s=0.2)]), 101.0)
    assert value(metrics, "forebay_queue_wait_seconds_count", backend="b") == 1
    assert value(metrics, "forebay_queue_wait_seconds_count", backend="a") is None


def test_what_was_reserved_is_compared_with_what_was_used() -> None:
    metrics = Metrics()
    for reserved, used in ((100, 50), (100, 200), (0, 5), (5, 0)):
        metrics.compare("tokens", reserved, used)
    assert value(metrics, "forebay_reservation_used_ratio_sum", metric="tokens") == pytest.approx(2.5)
    assert value(metrics, "forebay_reservation_used_ratio_bucket", metric="tokens", le="1.0") == 1


def test_calls_are_not_counted_while_metrics_are_off_but_what_was_counted_stays() -> None:
    metrics = Metrics()
    metrics.observe(ended(), 101.0)
    before = samples(metrics)
    metrics.revise(MetricsSettings(enabled=False))
    metrics.observe(ended(), 101.0)
    metrics.compare("usd", 1, 1)
    assert samples(metrics) == before
    metrics.revise(MetricsSettings())
    metrics.observe(ended(), 101.0)
    assert samples(metrics) != before


def test_the_newest_edit_is_known_to_serve_or_not() -> None:
    metrics = Metrics()
    seen = []
    for result in ("applied", "refused", "applied"):
        metrics.count_reload(result)
        seen.append((value(metrics, "forebay_config_generation"), value(metrics, "forebay_config_reload_ok")))
    assert seen == [(2, 1), (2, 0), (3, 1)]


def test_a_backend_that_is_no_more_has_no_gauges() -> None:
    metrics = Metrics()
    metrics.set_all(families.QUEUE_DEPTH, {("a",): 1.0, ("b",): 2.0})
    metrics.set_all(families.QUEUE_DEPTH, {("b",): 3.0})
    assert value(metrics, "forebay_queue_depth", backend="a") is None
    assert value(metrics, "forebay_queue_depth", backend="b") == 3
    metrics.set_all(families.QUEUE_DEPTH, {("a",): 4.0})
    assert value(metrics, "forebay_queue_depth", backend="a") == 4


def test_calls_in_flight_are_what_was_set_last() -> None:
    metrics = Metrics()
    metrics.set_in_flight(3)
    metrics.set_in_flight(2)
    assert value(metrics, "forebay_calls_in_flight") == 2


def test_the_text_is_what_its_content_type_says() -> None:
    assert CONTENT_TYPE.startswith("text/plain")
    assert Metrics().render().startswith(b"# HELP")

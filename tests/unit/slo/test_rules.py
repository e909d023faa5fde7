"""Rules for Prometheus: what is recorded, what alerts, and that it is YAML."""

from __future__ import annotations

from typing import Any

import yaml

from gateway.slo.objectives import ALERTS, Alert, Objective
from gateway.slo.rules import PARTS, as_yaml, rules_of
from gateway.telemetry.metrics.families import FAMILIES

ANSWERED = Objective("answered", "availability", 0.999, alerts=ALERTS[:1], min_calls=10)


def groups(*objectives: Objective, runbooks: str = "https://docs.example/runbooks/") -> dict[str, Any]:
    read = yaml.safe_load(as_yaml(rules_of(objectives, runbooks)))
    return {group["name"]: group["rules"] for group in read["groups"]}


def test_each_window_of_an_alert_is_recorded_once() -> None:
    other = Objective("other", "availability", 0.99, alerts=ALERTS[:2])
    recorded = [rule["record"] for rule in groups(ANSWERED, other)["forebay-slo-ratios"]]
    assert recorded == [f"objective:forebay_slo_bad:ratio_rate{span}" for span in ("5m", "30m", "1h", "6h")]


def test_an_alert_compares_both_windows_with_what_is_allowed() -> None:
    (rule,) = groups(ANSWERED)["forebay-slo-alerts"]
    assert rule == {
        "alert": "ForebaySloBurn",
        "expr": 'objective:forebay_slo_bad:ratio_rate1h{objective="answered"} > 0.0144\n'
        "and\n"
        'objective:forebay_slo_bad:ratio_rate5m{objective="answered"} > 0.0144\n'
        "and\n"
        "(\n"
        '  sum by (objective) (increase(forebay_slo_calls_total{objective="answered"}[1h])) >= 10\n'
        "  and\n"
        '  sum by (objective) (increase(forebay_slo_calls_total{objective="answered", outcome="bad"}[1h]))'
        " >= 3\n"
        "  or\n"
        '  max by (objective) (ALERTS{alertname="ForebaySloBurn", alertstate="firing", severity="page", '
        'objective="answered", long="1h", short="5m"})\n'
        ")",
        "keep_firing_for": "5m",
        "labels": {"severity": "page", "objective": "answered", "long": "1h", "short": "5m"},
        "annotations": {
            "summary": "Objective answered: burn rate above 14.4 over 1h and 5m.",
            "description": "{{ $value | humanizePercentage }} of the calls of 1h were bad; "
            "the objective allows 0.1 % in 30 days.",
            "runbook_url": "https://docs.example/runbooks/slo-burn.md",
        },
    }


def test_an_alert_that_can_never_be_is_left_out() -> None:
    loose = Objective("loose", "duration", 0.5, alerts=(Alert(2.0, 3600, 300, "page"), *ALERTS[3:]))
    assert [rule["labels"]["long"] for rule in groups(loose)["forebay-slo-alerts"]] == ["3d"]


def test_without_promises_only_the_parts_are_watched() -> None:
    (name,) = groups()
    assert name == "forebay-parts"


def test_rules_about_parts_are_over_metrics_that_there_are() -> None:
    for part in PARTS:
        assert any(name in part.expr for name in FAMILIES), part.expr

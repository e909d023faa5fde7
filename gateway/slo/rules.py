"""Write objectives as rules for Prometheus: the same windows and thresholds, over counters of all gateways.

Beside them are rules about the parts of a gateway, which are the same for everybody. Must not know files.
A rule that can never hold, because all calls together do not burn as fast, is left out. `keep_firing_for`
takes Prometheus 2.42. Pure.
Sources: Prometheus 2.42 documentation, "Defining recording rules", "Alerting rules"; Google, The Site
Reliability Workbook, chapter 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.slo.objectives import Alert, Objective, span_text

_JUDGED = "forebay_slo_calls_total"
_BURN = "ForebaySloBurn"
_PAUSE = "1m"
"""How long what a part tells has to be so: a restart is no alarm."""


class Rule(msgspec.Struct, frozen=True):
    """A recording rule (`record`) or an alert, as Prometheus has them."""

    expr: str
    record: str = ""
    alert: str = ""
    hold: str = ""
    """How long it has to be so."""
    keep: str = ""
    """How long it stays on when it is no longer so."""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Group(msgspec.Struct, frozen=True):
    """Rules that are evaluated one after the other."""

    name: str
    rules: Sequence[Rule]
    interval: str = ""


class _Part(msgspec.Struct, frozen=True):
    """Something about a gateway's parts that somebody has to hear."""

    alert: str
    expr: str
    hold: str
    severity: str
    summary: str
    runbook: str


PARTS = (
    _Part(
        "ForebayBreakerOpen",
        'max by (backend) (forebay_breakers{state!="closed"}) > 0',
        "5m",
        "ticket",
        "A circuit breaker of backend {{ $labels.backend }} is open.",
        "breaker-open",
    ),
    _Part(
        "ForebayBackendDown",
        "max by (instance, backend) (forebay_backend_up) == 0",
        "2m",
        "page",
        "Backend {{ $labels.backend }} is down for {{ $labels.instance }}.",
        "backend-down",
    ),
    _Part(
        "ForebayLedgerLag",
        "max by (instance) (forebay_ledger_lag_seconds) > 300 or min by (instance) (forebay_meter_ok) == 0",
        "5m",
        "ticket",
        "The ledger of {{ $labels.instance }} lags behind.",
        "ledger-lag",
    ),
    _Part(
        "ForebayConfigReloadFailed",
        "min by (instance) (forebay_config_reload_ok) == 0",
        _PAUSE,
        "ticket",
        "{{ $labels.instance }} refused the last edit of its configuration.",
        "config-reload-failed",
    ),
    _Part(
        "ForebayNoMetrics",
        "absent(forebay_calls_in_flight)",
        "5m",
        "page",
        "No gateway tells anything: none runs, or none can be scraped.",
        "README",
    ),
)
"""About the parts of each gateway, whatever is promised."""


def rules_of(objectives: Sequence[Objective], runbooks: str) -> list[Group]:
    """Return what is to be evaluated. `runbooks` is where docs/runbooks is, as a URL or a path."""
    link = runbooks.rstrip("/")
    spans = sorted({span for one in objectives for alert in one.alerts for span in _spans(alert)})
    groups = [
        Group("forebay-slo-ratios", [_ratio(span_text(span)) for span in spans]),
        Group("forebay-slo-budgets", [_budget(one) for one in objectives], "5m"),
        Group("forebay-slo-alerts", [rule for one in objectives for rule in _alerts(one, link)]),
        Group("forebay-parts", [_of_part(part, link) for part in PARTS]),
    ]
    return [group for group in groups if group.rules]


def as_yaml(groups: Sequence[Group]) -> str:
    """Write a file of rules."""
    return "groups:\n" + "".join(line + "\n" for group in groups for line in _group_lines(group))


def _spans(alert: Alert) -> tuple[int, int]:
    return alert.long_s, alert.short_s


def ratio_name(span: str) -> str:
    """Name what is recorded of a window: the share of bad calls, by objective."""
    return f"objective:forebay_slo_bad:ratio_rate{span}"


def _ratio(span: str) -> Rule:
    bad, every = f'{_JUDGED}{{outcome="bad"}}', _JUDGED
    return Rule(
        f"sum by (objective) (rate({bad}[{span}]))\n/\nsum by (objective) (rate({every}[{span}]))",
        record=ratio_name(span),
    )


def _budget(one: Objective) -> Rule:
    name = json.dumps(one.name)
    bad, every = (f"{_JUDGED}{{objective={name}{more}}}" for more in (', outcome="bad"', ""))
    return Rule(
        f"1 - sum(increase({bad}[{one.days}d]))\n"
        f"/ sum(increase({every}[{one.days}d]))\n"
        f"/ {_number(one.may_fail)}",
        record="objective:forebay_slo_budget_left:ratio",
        labels={"objective": one.name},
    )


def _alerts(one: Objective, runbooks: str) -> Iterator[Rule]:
    """Write an alert for each pair of windows. They differ in labels, so that none hides another."""
    name = json.dumps(one.name)
    for alert in one.alerts:
        most = round(alert.burn * one.may_fail, 12)
        if most >= 1:
            continue
        long, short = map(span_text, _spans(alert))
        parts = [f"{ratio_name(span)}{{objective={name}}} > {_number(most)}" for span in (long, short)]
        labels = {"severity": alert.severity, "objective": one.name, "long": long, "short": short}
        parts.append(_enough(one, long, labels))
        said = f"Objective {one.name}: burn rate above {alert.burn:g}"
        yield Rule(
            "\nand\n".join(parts),
            alert=_BURN,
            keep=short,
            labels=labels,
            annotations={
                "summary": f"{said} over {long} and {short}.",
                "description": (
                    f"{{{{ $value | humanizePercentage }}}} of the calls of {long} were bad; "
                    f"the objective allows {100 * one.may_fail:g} % in {one.days} days."
                ),
                "runbook_url": f"{runbooks}/slo-burn.md",
            },
        )


def _enough(one: Objective, long: str, labels: Mapping[str, str]) -> str:
    """Write that there are calls enough for an alert to begin, or that it has begun."""
    name = json.dumps(one.name)
    least = [("", one.min_calls)] if one.min_calls else []
    least.append((', outcome="bad"', one.min_bad))
    counts = [
        f"sum by (objective) (increase({_JUDGED}{{objective={name}{more}}}[{long}])) >= {number}"
        for more, number in least
    ]
    mine = {"alertname": _BURN, "alertstate": "firing", **labels}
    fires = ", ".join(f"{label}={json.dumps(value)}" for label, value in mine.items())
    return "(\n  " + "\n  and\n  ".join(counts) + f"\n  or\n  max by (objective) (ALERTS{{{fires}}})\n)"


def _of_part(part: _Part, runbooks: str) -> Rule:
    return Rule(
        part.expr,
        alert=part.alert,
        hold=part.hold,
        labels={"severity": part.severity},
        annotations={"summary": part.summary, "runbook_url": f"{runbooks}/{part.runbook}.md"},
    )


def _number(value: float) -> str:
    """Write a number without the noise of binary fractions."""
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _group_lines(group: Group) -> Iterator[str]:
    yield f"  - name: {group.name}"
    if group.interval:
        yield f"    interval: {group.interval}"
    yield "    rules:"
    for rule in group.rules:
        yield from _rule_lines(rule)


def _rule_lines(rule: Rule) -> Iterator[str]:
    """Write one rule. Texts are quoted as JSON, which YAML takes; queries stand as they are, to be read."""
    yield f"      - record: {rule.record}" if rule.record else f"      - alert: {rule.alert}"
    yield "        expr: |-"
    yield from (f"          {line}" for line in rule.expr.splitlines())
    if rule.hold:
        yield f"        for: {rule.hold}"
    if rule.keep:
        yield f"        keep_firing_for: {rule.keep}"
    for name, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        if texts:
            yield f"        {name}:"
            yield from (f"          {key}: {json.dumps(text)}" for key, text in texts.items())

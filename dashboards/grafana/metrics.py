"""What the dashboard on the gateway's own metrics shows."""

from __future__ import annotations

from dashboards.grafana.drawing import PROMETHEUS, Drawn, Json, dashboard, found, metric, source_variable

_ROUTE = 'route=~"$route"'
_BACKEND = 'backend=~"$backend"'
_BOTH = f"{_ROUTE}, {_BACKEND}"
_SPAN = "[$__rate_interval]"


def _share(metric_: str, part: float) -> tuple[str, str]:
    inner = f"sum by (le) (rate({metric_}_bucket{{{_ROUTE}}}{_SPAN}))"
    return f"histogram_quantile({part}, {inner})", f"p{part * 100:g}"


def _rate(metric_: str, by: str, where: str = "") -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric_}{{{where}}}{_SPAN}))", _legend(by)


def _increase(metric_: str, by: str, where: str = "") -> tuple[str, str]:
    return f"sum by ({by}) (increase({metric_}{{{where}}}{_SPAN}))", _legend(by)


def _legend(by: str) -> str:
    return " ".join(f"{{{{{one}}}}}" for one in by.split(", "))


def _promises_and_waits() -> list[list[Drawn]]:
    """Whether promises are kept, and what calls wait for."""
    missed = f'sum by (objective) (rate(forebay_slo_calls_total{{outcome="bad"}}{_SPAN}))'
    lags = f"sum by (le) (rate(forebay_event_loop_lag_seconds_bucket{_SPAN}))"
    waits = f"sum by (le, backend) (rate(forebay_queue_wait_seconds_bucket{{{_BACKEND}}}{_SPAN}))"
    return [
        [
            metric(
                "Promises",
                "Of the calls that a promise is about, the share that missed it.",
                "percentunit",
                (f"{missed} / sum by (objective) (rate(forebay_slo_calls_total{_SPAN}))", "{{objective}}"),
            ),
            metric(
                "Backends that are up",
                "0: its probe fails, or none of its breakers is closed.",
                "short",
                (f"max by (backend) (forebay_backend_up{{{_BACKEND}}})", "{{backend}}"),
            ),
        ],
        [
            metric(
                "Waiting for a place",
                "How long attempts wait at a backend with a limit on calls at once, p95.",
                "s",
                (f"histogram_quantile(0.95, {waits})", "{{backend}}"),
            ),
            metric(
                "Lag of the event loop",
                "How late it wakes a task, p99.",
                "s",
                (f"histogram_quantile(0.99, {lags})", "p99"),
            ),
        ],
        [
            metric(
                "Tries after a failed one",
                "A second, by why they were made and what had failed.",
                "reqps",
                _rate("forebay_fallbacks_total", "why, cause", _ROUTE),
            ),
            metric(
                "Cost",
                "US dollars an hour, by route; the ledger is exact.",
                "currencyUSD",
                (f"3600 * sum by (route) (rate(forebay_cost_usd_total{{{_BOTH}}}{_SPAN}))", "{{route}}"),
            ),
        ],
        [
            metric(
                "Lag of the ledger",
                "How old the oldest entry is that it has not taken.",
                "s",
                ("max by (instance) (forebay_ledger_lag_seconds)", "{{instance}}"),
            ),
            metric(
                "Hedges",
                "Tries beside a slow one, a second, by whose answer the client got.",
                "reqps",
                _rate("forebay_hedges_total", "result", _ROUTE),
            ),
        ],
    ]


def gateway() -> Json:
    """What the gateway's own metrics say, from Prometheus: seconds old, and without ClickHouse."""
    rows: list[list[Drawn]] = [
        [
            metric(
                "Calls",
                "Ended calls a second, by how they ended.",
                "reqps",
                _rate("forebay_calls_total", "ending", _BOTH),
            ),
            metric(
                "Calls in flight",
                "Calls running now, of all workers.",
                "short",
                ("sum(forebay_calls_in_flight)", "running"),
            ),
        ],
        [
            metric(
                "Time of whole calls",
                "From the request's head to the answer's last byte; as fine as the histogram's buckets.",
                "s",
                *(_share("forebay_call_duration_seconds", part) for part in (0.5, 0.95, 0.99)),
            ),
            metric(
                "Time to the first byte",
                "To the beginning of a streamed answer, or the whole of another.",
                "s",
                *(_share("forebay_first_byte_seconds", part) for part in (0.5, 0.95, 0.99)),
            ),
        ],
        [
            metric(
                "Failed attempts",
                "Tries upstream that failed, a second, by backend and cause.",
                "reqps",
                _rate("forebay_attempts_total", "backend, cause", f'{_BACKEND}, cause!~"|interrupted"'),
            ),
            metric(
                "Circuit breakers",
                "Changes of breakers by their new state, within the step.",
                "short",
                _increase("forebay_breaker_changes_total", "backend, state", _BACKEND),
            ),
        ],
        *_promises_and_waits(),
        [
            metric(
                "Tokens", "Tokens a second, by kind.", "short", _rate("forebay_tokens_total", "kind", _BOTH)
            ),
            metric(
                "Other units",
                "Searches, characters and seconds of sound, a second.",
                "short",
                _rate("forebay_units_total", "kind", _BOTH),
            ),
        ],
        [
            metric(
                "Limits",
                "Calls a second that a limit turned away, or would have (measured).",
                "reqps",
                _rate("forebay_limit_refusals_total", "limit, outcome"),
            ),
            metric(
                "Own calls",
                "Calls a second that the gateway made itself: copies, questions about tasks.",
                "reqps",
                _rate("forebay_own_calls_total", "purpose, ending", _BOTH),
            ),
        ],
        [
            metric(
                "Events",
                "Events that were told, within the step.",
                "short",
                _increase("forebay_events_total", "type"),
            ),
            metric(
                "Edits of the configuration",
                "Applied and refused, within the step.",
                "short",
                _increase("forebay_reloads_total", "result"),
            ),
        ],
    ]
    variables = [source_variable("prometheus", "Prometheus", PROMETHEUS["type"])]
    for name in ("route", "backend"):
        asked = {"query": f"label_values(forebay_calls_total, {name})", "refId": "A"}
        variables.append(found(name, name.capitalize(), PROMETHEUS, asked, ".*"))
    text = "What the gateway's own metrics say (GET /metrics), from Prometheus."
    return dashboard("forebay-gateway", "Forebay: gateway", text, variables, rows)

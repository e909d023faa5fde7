"""What the dashboards on the ledger show: cost, usage, and how calls went."""

from __future__ import annotations

from dashboards.grafana import asking
from dashboards.grafana.drawing import (
    Drawn,
    Json,
    choice,
    dashboard,
    found,
    half,
    lines,
    numbers,
    source_variable,
    stacked,
    table,
)

_BY = "${by:raw}"
_EDGES = "Whole steps of the resolution: the first one may begin before the time range."


def _variables(*, by: bool) -> list[Json]:
    variables = [source_variable("clickhouse", "ClickHouse", asking.SOURCE["type"])]
    variables += [
        found(name, name.capitalize(), asking.SOURCE, asking.names_of(name), asking.ALL)
        for name in asking.FILTERS
    ]
    if by:
        variables.append(choice("by", "By", asking.DIMENSIONS, "model"))
    return [*variables, choice("resolution", "Resolution", asking.RESOLUTIONS, "hour")]


def cost() -> Json:
    """What was paid, for what, and what of it was in vain."""
    rows: list[list[Drawn]] = [
        [
            numbers(
                "totals",
                ["cost_usd", "before_cost_usd", "saved_usd", "wasted_usd", "calls", "users"],
                "In all",
                "What all attempts cost, and the span of equal length before; what providers' caches saved "
                "(writing them is deducted); what was paid for answers that nobody had. Users, as the "
                f"applications named them, are an estimate within 1 %. {_EDGES}",
            )
        ],
        [
            stacked(
                lines(
                    "series",
                    ["name", "cost_usd"],
                    "Cost over time",
                    "The dearest eight, and the rest.",
                    by1=_BY,
                    limit="8",
                )
            ),
            stacked(lines("kinds", ["kind", "cost_usd"], "Cost by kind of token", "Kinds do not overlap.")),
        ],
        [
            lines(
                "burndown",
                ["name", "running_usd"],
                "Spent since the month began",
                "Running sum within the calendar month (UTC), by day.",
                by1=_BY,
                limit="8",
            ),
            half(
                table(
                    "movers",
                    ["name", "cost_usd", "before_usd", "change_usd", "change_share"],
                    "Top movers",
                    "Whose cost changed most against the span of equal length before.",
                    by1=_BY,
                    limit="20",
                )
            ),
        ],
        [
            table(
                "unit_costs",
                [
                    *("name", "cost_usd", "calls", "per_call_usd", "per_1k_tokens_usd"),
                    *("per_good_conversation_usd", "per_user_usd"),
                ],
                "Unit costs",
                "A good conversation has a call that ended well; users are those that applications named.",
                by1=_BY,
            )
        ],
        [
            half(
                table(
                    "savings",
                    ["name", "cost_usd", "uncached_usd", "saved_by_cache_usd", "fallback_usd"],
                    "What caches saved and fallbacks cost",
                    "The saving against a baseline price is on the built-in page: it needs that price.",
                    by1=_BY,
                )
            ),
            half(
                table(
                    "waste", ["waste", "cause", "attempts", "cost_usd"], "Waste", "Paid for in vain, and why."
                )
            ),
        ],
        [
            table(
                "confidence",
                ["confidence", "attempts", "cost_usd", "share"],
                "How sure the numbers are",
                "Reported by the provider, counted by the gateway, estimated; unpriced: cost unknown.",
            )
        ],
    ]
    text = (
        "What calls cost, from the ledger in ClickHouse. Sums of money are exact there; Grafana rounds them."
    )
    return dashboard("forebay-cost", "Forebay: cost", text, _variables(by=True), rows)


def usage() -> Json:
    """Who uses how much."""
    rows: list[list[Drawn]] = [
        [
            numbers(
                "totals",
                ["calls", "input_tokens", "cached_tokens", "output_tokens", "users", "conversations"],
                "In all",
                "Calls that ended; input with its cached part, output with its reasoning. Users and "
                f"conversations are estimates within 1 %. {_EDGES}",
            )
        ],
        [
            stacked(
                lines(
                    "series",
                    ["name", "calls"],
                    "Calls over time",
                    "The dearest eight, and the rest.",
                    by1=_BY,
                    limit="8",
                )
            ),
            stacked(lines("kinds", ["kind", "tokens"], "Tokens by kind", "Kinds do not overlap.")),
        ],
        [
            stacked(
                lines(
                    "series",
                    ["name", "input_tokens"],
                    "Input tokens over time",
                    "The dearest eight, and the rest.",
                    by1=_BY,
                    limit="8",
                )
            ),
            stacked(
                lines(
                    "series",
                    ["name", "output_tokens"],
                    "Output tokens over time",
                    "The dearest eight, and the rest.",
                    by1=_BY,
                    limit="8",
                )
            ),
        ],
        [
            table(
                "breakdown",
                [
                    *(
                        "name1",
                        "calls",
                        "errors",
                        "refused",
                        "input_tokens",
                        "cached_tokens",
                        "output_tokens",
                    ),
                    *("cost_usd", "wasted_usd", "users", "total_p50_ms", "total_p95_ms"),
                ],
                "Usage by dimension",
                "The dearest first.",
                by1=_BY,
            )
        ],
        [
            table(
                "users",
                [
                    "user",
                    "calls",
                    "errors",
                    "input_tokens",
                    "output_tokens",
                    "cost_usd",
                    "conversations",
                    "last",
                ],
                "Users",
                "Users that the applications named, the dearest first.",
            )
        ],
    ]
    text = "Who uses how much, from the ledger in ClickHouse."
    return dashboard("forebay-usage", "Forebay: usage", text, _variables(by=True), rows)


def operations() -> Json:
    """How calls went: latency, errors, backends."""
    rows: list[list[Drawn]] = [
        [
            numbers(
                "totals",
                ["calls", "errors", "refused", "first_token_p50_ms", "first_token_p95_ms", "total_p95_ms"],
                "In all",
                "Errors failed, broke off or met a defect; refused are those that the gateway turned away "
                f"(4xx). Times are from the call's beginning. {_EDGES}",
            )
        ],
        [
            lines(
                "latency",
                ["first_token_p50_ms", "first_token_p95_ms", "first_token_p99_ms"],
                "Time to the first token",
                "From the call's beginning, retries and waiting included.",
            ),
            lines(
                "latency",
                ["total_p50_ms", "total_p95_ms", "total_p99_ms"],
                "Time of whole calls",
                "From the call's beginning to the answer's end.",
            ),
        ],
        [
            stacked(
                lines(
                    "errors",
                    ["error", "calls"],
                    "Errors by code",
                    "Calls by the code that the client was told.",
                )
            ),
            lines(
                "latency",
                ["output_per_s_p50"],
                "Speed of answers",
                "Output tokens a second after the first one, p50.",
            ),
        ],
        [
            table(
                "backends",
                [
                    *("backend", "model", "attempts", "failures", "failure_share", "first_token_p50_ms"),
                    *(
                        "first_token_p95_ms",
                        "attempt_p50_ms",
                        "attempt_p95_ms",
                        "output_per_s_p50",
                        "cost_usd",
                    ),
                ],
                "Backends",
                "Attempts, and how many failed: not those whose client left or that another one beat.",
            )
        ],
        [
            half(
                table(
                    "waste", ["waste", "cause", "attempts", "cost_usd"], "Waste", "Paid for in vain, and why."
                )
            )
        ],
    ]
    text = "How calls went, from the ledger in ClickHouse: latency, errors, backends."
    return dashboard("forebay-operations", "Forebay: latency and errors", text, _variables(by=False), rows)

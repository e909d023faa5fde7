"""The panels: what each one asks, in which dimensions, and what its columns are. Data.

The SQL is dashboards/sql/NAME.sql; its columns are those here, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

ColumnType = Literal["text", "number", "usd", "ms", "time", "share", "per_s"]


class Column(msgspec.Struct, frozen=True):
    """A column of an answer. `usd` are decimal texts, `time` Unix seconds, `share` is 1 for all of it."""

    name: str
    type: ColumnType
    title: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A question with a name."""

    name: str
    title: str
    columns: tuple[Column, ...]
    by: str = ""
    """The dimension where none is named; empty: it has none."""
    most_by: int = 0
    limit: int = 100
    """Rows, or names, where no limit is named."""
    is_raw: bool = False
    """It asks the raw rows: the edges of the span are exact."""


def _columns(type_: ColumnType, *named: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, type_, title) for name, title in named)


_TIME = (Column("time", "time", "Time"),)
_NAME = (Column("name", "text", "Name"),)
_COST = (Column("cost_usd", "usd", "Cost"),)

MEASURES = (
    *_columns(
        "number", ("calls", "Calls"), ("errors", "Errors"), ("refused", "Refused"), ("attempts", "Attempts")
    ),
    *_columns("number", ("input_tokens", "Input tokens"), ("output_tokens", "Output tokens")),
    *_columns("number", ("cached_tokens", "Cached tokens"), ("cache_write_tokens", "Cache-write tokens")),
    *_columns("number", ("reasoning_tokens", "Reasoning tokens")),
    *_columns("usd", ("cost_usd", "Cost"), ("saved_usd", "Saved by caches"), ("wasted_usd", "Wasted")),
    *_columns("number", ("users", "Users"), ("conversations", "Conversations")),
    *_columns("number", ("good_conversations", "Good conversations")),
    *_columns("ms", ("first_token_p50_ms", "First token, p50"), ("first_token_p95_ms", "First token, p95")),
    *_columns("ms", ("total_p50_ms", "Whole call, p50"), ("total_p95_ms", "Whole call, p95")),
)
"""What can be told of any group of rows."""

_PANELS = (
    Panel(
        name="totals",
        title="All in one",
        columns=(
            *MEASURES,
            *_columns("number", ("before_calls", "Calls before"), ("before_errors", "Errors before")),
            *_columns("usd", ("before_cost_usd", "Cost before")),
            *_columns("number", ("before_output_tokens", "Output tokens before")),
            *_columns("ms", ("before_total_p95_ms", "Whole call before, p95")),
        ),
    ),
    Panel(
        name="series",
        title="Usage over time",
        by="model",
        most_by=1,
        limit=8,
        columns=(
            *(*_TIME, *_NAME),
            *_columns("number", ("calls", "Calls"), ("errors", "Errors")),
            *_columns("number", ("input_tokens", "Input tokens"), ("output_tokens", "Output tokens")),
            *_COST,
        ),
    ),
    Panel(
        name="breakdown",
        title="Usage by dimension",
        by="model",
        most_by=3,
        columns=(*_columns("text", ("name1", "Name"), ("name2", "Name 2"), ("name3", "Name 3")), *MEASURES),
    ),
    Panel(
        name="kinds",
        title="Tokens and money by kind",
        columns=(*_TIME, Column("kind", "text", "Kind"), Column("tokens", "number", "Tokens"), *_COST),
    ),
    Panel(
        name="unit_costs",
        title="Unit costs",
        by="model",
        most_by=1,
        columns=(
            *_NAME,
            *_columns("usd", ("per_call_usd", "Per call"), ("per_1k_tokens_usd", "Per 1,000 tokens")),
            *_columns(
                "usd", ("per_good_conversation_usd", "Per good conversation"), ("per_user_usd", "Per user")
            ),
            *_columns(
                "number",
                ("calls", "Calls"),
                ("tokens", "Tokens"),
                ("good_conversations", "Good conversations"),
            ),
            *(Column("users", "number", "Users"), *_COST),
        ),
    ),
    Panel(
        name="savings",
        title="Savings against the baseline",
        by="model",
        most_by=1,
        columns=(
            *_NAME,
            *_columns(
                "usd",
                ("cost_usd", "Cost"),
                ("uncached_usd", "Without caches"),
                ("baseline_usd", "At the baseline"),
            ),
            *_columns(
                "usd", ("saved_by_cache_usd", "Saved by caches"), ("saved_by_routing_usd", "Saved by routing")
            ),
            *_columns("usd", ("fallback_usd", "Spent on fallbacks")),
        ),
    ),
    Panel(
        name="waste",
        title="Wasted spend",
        columns=(
            *_columns("text", ("waste", "Waste"), ("cause", "Cause")),
            *(Column("attempts", "number", "Attempts"), *_COST),
        ),
    ),
    Panel(
        name="movers",
        title="Top movers",
        by="model",
        most_by=1,
        limit=20,
        columns=(
            *_NAME,
            *_columns("usd", ("cost_usd", "Cost"), ("before_usd", "Cost before"), ("change_usd", "Change")),
            Column("change_share", "share", "Change, share"),
        ),
    ),
    Panel(
        name="latency",
        title="Latency",
        columns=(
            *_TIME,
            *_columns(
                "ms", ("first_token_p50_ms", "First token, p50"), ("first_token_p95_ms", "First token, p95")
            ),
            *_columns("ms", ("first_token_p99_ms", "First token, p99"), ("total_p50_ms", "Whole call, p50")),
            *_columns("ms", ("total_p95_ms", "Whole call, p95"), ("total_p99_ms", "Whole call, p99")),
            Column("output_per_s_p50", "per_s", "Output tokens a second, p50"),
        ),
    ),
    Panel(
        name="errors",
        title="Errors",
        columns=(*_TIME, Column("error", "text", "Error"), Column("calls", "number", "Calls")),
    ),
    Panel(
        name="backends",
        title="Backends",
        columns=(
            *_columns("text", ("backend", "Backend"), ("model", "Model")),
            *_columns("number", ("attempts", "Attempts"), ("failures", "Failures")),
            Column("failure_share", "share", "Failures, share"),
            *_columns(
                "ms", ("first_token_p50_ms", "First token, p50"), ("first_token_p95_ms", "First token, p95")
            ),
            *_columns("ms", ("attempt_p50_ms", "Attempt, p50"), ("attempt_p95_ms", "Attempt, p95")),
            Column("output_per_s_p50", "per_s", "Output tokens a second, p50"),
            *_COST,
        ),
    ),
    Panel(
        name="confidence",
        title="How sure the numbers are",
        columns=(
            *(Column("confidence", "text", "Confidence"), Column("attempts", "number", "Attempts"), *_COST),
            Column("share", "share", "Share of the cost"),
        ),
    ),
    Panel(
        name="anomalies",
        title="Unusual spend",
        columns=(
            *(*_TIME, Column("tenant", "text", "Tenant")),
            *_columns(
                "usd",
                ("cost_usd", "Cost"),
                ("usual_usd", "Usual"),
                ("low_usd", "Lowest usual"),
                ("high_usd", "Highest usual"),
            ),
            Column("score", "number", "Score"),
        ),
    ),
    Panel(
        name="burndown",
        title="Spent within the month",
        by="tenant",
        most_by=1,
        limit=20,
        columns=(*_TIME, *_NAME, *_COST, Column("running_usd", "usd", "Since the month began")),
    ),
    Panel(
        name="users",
        title="Users",
        is_raw=True,
        columns=(
            Column("user", "text", "User"),
            *_columns("number", ("calls", "Calls"), ("errors", "Errors")),
            *_columns("number", ("input_tokens", "Input tokens"), ("output_tokens", "Output tokens")),
            *_COST,
            *(Column("conversations", "number", "Conversations"), Column("last", "time", "Last call")),
        ),
    ),
)
PANELS: Mapping[str, Panel] = {panel.name: panel for panel in _PANELS}

CALLS = Panel(
    name="calls",
    title="Calls",
    is_raw=True,
    limit=50,
    columns=(
        *(Column("call", "text", "Call"), *_TIME),
        *_columns(
            "text",
            ("tenant", "Tenant"),
            ("team", "Team"),
            ("key", "Key"),
            ("user", "User"),
            ("conversation", "Conversation"),
        ),
        *_columns(
            "text",
            ("route", "Route"),
            ("rule", "Rule"),
            ("asked_model", "Asked model"),
            ("backend", "Backend"),
            ("model", "Model"),
        ),
        *(
            Column("status", "number", "Status"),
            *_columns("text", ("ending", "Ending"), ("error", "Error"), ("finish", "Finish")),
        ),
        *_columns("number", ("stream", "Streamed"), ("attempts", "Attempts")),
        *_columns("number", ("input_tokens", "Input tokens"), ("output_tokens", "Output tokens")),
        *_columns("number", ("cached_tokens", "Cached tokens"), ("reasoning_tokens", "Reasoning tokens")),
        *_columns("usd", ("cost_usd", "Cost"), ("wasted_usd", "Wasted")),
        *_columns("ms", ("total_ms", "Whole call"), ("first_token_ms", "First token")),
        *_columns("text", ("price", "Price"), ("confidence", "Confidence")),
        *(
            Column("corrected", "number", "Corrected"),
            *_columns("text", ("purpose", "Purpose"), ("source", "Source")),
        ),
    ),
)
"""The search of calls."""


def usage_columns(by: Sequence[str], *, stepped: bool) -> tuple[Column, ...]:
    """Return the columns of the usage by these dimensions."""
    dimensions = tuple(Column(name, "text", name.capitalize()) for name in by)
    return (*(_TIME if stepped else ()), *dimensions, *MEASURES)

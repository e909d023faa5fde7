"""policies/quotas.yaml: how many calls and tokens there may be, and how large one call.

Must not know where it is counted, nor how long a call waits. All limits that match must allow, so that one
more can only narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.config.checks.problems import Problem, within
from gateway.config.located import Located
from gateway.config.spec import Spec
from gateway.errors import ConfigErrors
from gateway.policy.limits.scopes import LimitSpec, Routes, RuleName, counted_per, holds_for, scope_problems
from gateway.quotas.counting import Meter
from gateway.quotas.rules import Line, Metric, Rule

RATES: Mapping[str, tuple[Metric, str]] = {
    "requests_per_second": ("requests", "second"),
    "requests_per_minute": ("requests", "minute"),
    "requests_per_day": ("requests", "day"),
    "input_tokens_per_minute": ("input_tokens", "minute"),
    "input_tokens_per_day": ("input_tokens", "day"),
    "output_tokens_per_minute": ("output_tokens", "minute"),
    "output_tokens_per_day": ("output_tokens", "day"),
    "tokens_per_minute": ("tokens", "minute"),
    "tokens_per_day": ("tokens", "day"),
}
"""What a field counts, in which time."""
SEATS: Mapping[str, Metric] = {"concurrent_calls": "calls", "concurrent_streams": "streams"}
SIZES = ("max_prompt_tokens", "max_output_tokens")

_SPANS: Mapping[str, tuple[int, int]] = {
    "second": (1_000, 20),
    "minute": (60_000, 60),
    "day": (86_400_000, 96),
}
"""How long it is, in milliseconds, and the steps of a window: each is a number that the store keeps."""

Amount = Annotated[int, Meta(ge=0, le=10**12)]
Size = Annotated[int, Meta(ge=1, le=10**9)]
Part = Annotated[float, Meta(gt=0, le=1)]


class QuotaSpec(LimitSpec, frozen=True, kw_only=True):
    """Limits on the calls that `for` names: rates, calls at the same time, sizes. 0 lets nothing pass."""

    requests_per_second: Annotated[Amount | None, Meta(description="In any second.")] = None
    requests_per_minute: Annotated[Amount | None, Meta(description="In any 60 seconds.")] = None
    requests_per_day: Annotated[Amount | None, Meta(description="In any 24 hours.")] = None
    input_tokens_per_minute: Annotated[Amount | None, Meta(description="Cached ones count, too.")] = None
    input_tokens_per_day: Annotated[Amount | None, Meta(description="In any 24 hours.")] = None
    output_tokens_per_minute: Annotated[Amount | None, Meta(description="Those of reasoning included.")] = (
        None
    )
    output_tokens_per_day: Annotated[Amount | None, Meta(description="In any 24 hours.")] = None
    tokens_per_minute: Annotated[Amount | None, Meta(description="Input and output together.")] = None
    tokens_per_day: Annotated[Amount | None, Meta(description="In any 24 hours.")] = None
    concurrent_calls: Annotated[Amount | None, Meta(description="At the same time, streams included.")] = None
    concurrent_streams: Annotated[Amount | None, Meta(description="At the same time.")] = None
    max_prompt_tokens: Annotated[Size | None, Meta(description="Of one call, as estimated.")] = None
    max_output_tokens: Annotated[Size | None, Meta(description="That one call may ask for.")] = None
    over_output: Annotated[
        Literal["cap", "reject"] | None,
        Meta(
            description="What becomes of a call that asks for more than max_output_tokens: cap gives it that "
            "many, also where it does not say; reject turns it away. Default: reject."
        ),
    ] = None
    algorithm: Annotated[
        Literal["sliding", "bucket"],
        Meta(
            description="Of the rates. sliding: never more than the amount in any span of that length; "
            "bucket: it comes back steadily, and what is there may be taken at once."
        ),
    ] = "sliding"
    burst: Annotated[
        Part | None, Meta(description="Of a bucket: the part of the amount that it holds. Default: 1.")
    ] = None


class QuotasSpec(Spec, frozen=True, kw_only=True):
    """Limits on calls and tokens."""

    quotas: Annotated[
        dict[RuleName, QuotaSpec], Meta(description="By name; all that match a call must allow it.")
    ] = field(default_factory=dict)


def compile(spec: Located[QuotasSpec] | None, routes: Routes | None) -> tuple[Rule, ...]:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file.

    `routes` are those of routing.yaml; None: they are not known, and names of them are not checked.
    """
    if spec is None:
        return ()
    problems = [
        problem
        for name, quota in spec.value.quotas.items()
        for problem in within(("quotas", name), _problems(quota, routes))
    ]
    if problems:
        errors = [spec.error(*problem) for problem in problems]
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))
    return tuple(_rule(name, quota) for name, quota in spec.value.quotas.items())


def _rule(name: str, spec: QuotaSpec) -> Rule:
    return Rule(
        name=name,
        kind="quota",
        holds_for=holds_for(spec.calls),
        names_users=bool(spec.calls.user),
        per=counted_per(spec),
        lines=tuple(_lines(spec)),
        shadow=spec.shadow,
        fail=spec.fail,
        most_prompt_tokens=spec.max_prompt_tokens,
        most_output_tokens=spec.max_output_tokens,
        caps_output=spec.over_output == "cap",
    )


def _lines(spec: QuotaSpec) -> Iterator[Line]:
    for field_name, (metric, unit) in RATES.items():
        amount: int | None = getattr(spec, field_name)
        if amount is not None:
            text = f"{_counted(amount, metric.replace('_', ' '))} per {unit}"
            yield Line(metric, _meter(spec, amount, unit), text)
    for field_name, metric in SEATS.items():
        amount = getattr(spec, field_name)
        if amount is not None:
            yield Line(metric, Meter("seats", amount), _counted(amount, f"concurrent {metric}"))


def _meter(spec: QuotaSpec, amount: int, unit: str) -> Meter:
    span_ms, steps = _SPANS[unit]
    if spec.algorithm == "sliding":
        return Meter("window", amount, span_ms, steps)
    limit = _at_once(spec, amount)
    # As long as the sustained rate is the written one: where a part of 1 was cut off, a little shorter.
    return Meter("bucket", limit, math.ceil(limit * span_ms / amount) if limit else span_ms)


def _at_once(spec: QuotaSpec, amount: int) -> int:
    # A float's shortest text is what was written: 0.1 of 60 are 6, not 6.000000000000001.
    return int(amount * Decimal(str(1 if spec.burst is None else spec.burst)))


def _counted(amount: int, what: str) -> str:
    return f"{amount:,} {what.removesuffix('s') if amount == 1 else what}"


def _problems(spec: QuotaSpec, routes: Routes | None) -> Iterator[Problem]:
    yield from scope_problems(spec, routes)
    rates = [name for name in RATES if getattr(spec, name) is not None]
    sizes = [name for name in SIZES if getattr(spec, name) is not None]
    counts = bool(rates) or any(getattr(spec, name) is not None for name in SEATS)
    if not counts and not sizes:
        yield (), "it limits nothing", "give an amount, such as requests_per_minute"
    elif not counts and spec.per:
        yield ("per",), "it has no effect: nothing is counted", "remove it"
    if spec.shadow and sizes:
        hint = "give them a quota of their own"
        yield ("shadow",), f"it has no effect on {' and '.join(sizes)}", hint
    if spec.over_output is not None and spec.max_output_tokens is None:
        yield ("over_output",), "it has no effect without max_output_tokens", "say how many"
    yield from _bucket_problems(spec, rates)


def _bucket_problems(spec: QuotaSpec, rates: list[str]) -> Iterator[Problem]:
    if spec.algorithm == "sliding":
        if spec.burst is not None:
            yield ("burst",), "it has no effect on a sliding window", "write `algorithm: bucket`"
        return
    if not rates:
        yield ("algorithm",), "it has no effect: there is no rate", "remove it"
    for name in rates:
        amount: int = getattr(spec, name)
        if amount and not _at_once(spec, amount):
            yield ("burst",), f"of {name} {amount} it is less than 1: nothing would pass", "raise it"

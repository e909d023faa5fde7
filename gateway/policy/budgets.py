"""policies/budgets.yaml: how much money there is for a time, and who hears when it goes.

Must not know what a call costs, nor how alerts are sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from gateway.config.checks.problems import Problem, repeated, within
from gateway.config.checks.routes import route_name_problems
from gateway.config.checks.zones import zone_problems
from gateway.config.effect.routes import is_pattern
from gateway.config.located import Located
from gateway.config.spec import Dollars, Secret, Spec
from gateway.errors import ConfigErrors
from gateway.policy.limits.scopes import (
    ForSpec,
    LimitSpec,
    Routes,
    RuleName,
    WhileDown,
    counted_per,
    holds_for,
    scope_problems,
)
from gateway.quotas.counting import Meter
from gateway.quotas.periods import Period, Unit
from gateway.quotas.rules import MOST_USD, NANOUSD, Line, Rule

_HOUR_MS = 3_600_000
_ROLLING: Mapping[Unit, tuple[int, int, str]] = {
    "hour": (_HOUR_MS, 60, "any 60 minutes"),
    "day": (24 * _HOUR_MS, 96, "any 24 hours"),
    "week": (7 * 24 * _HOUR_MS, 84, "any 7 days"),
    "month": (30 * 24 * _HOUR_MS, 120, "any 30 days"),
}
"""How long a rolling window is, in how many steps it slides on, and what people call it."""

_WHOLE_PERCENT = 100

Level = Annotated[int, Meta(ge=1, le=1000)]


class DowngradeSpec(Spec, frozen=True, kw_only=True):
    """What is done instead of turning calls away."""

    downgrade: Annotated[str, Meta(description="A cheaper route, which takes the calls.")]


class BudgetSpec(LimitSpec, frozen=True, kw_only=True):
    """Money for the calls that `for` names. 0 lets only those pass that cost nothing."""

    usd: Annotated[Dollars, Meta(description="US dollars, to the nano-dollar.")]
    every: Annotated[Unit, Meta(description="Of the calendar; weeks begin on Monday.")]
    rolling: Annotated[
        bool, Meta(description="In any span of that length (of a month: 30 days), not by the calendar.")
    ] = False
    timezone: Annotated[
        str,
        Meta(
            description="Of the calendar: a zone of the IANA database. Default: the tenant's; UTC where "
            "several tenants share a counter."
        ),
    ] = ""
    over: Annotated[
        Literal["deny", "warn"] | DowngradeSpec,
        Meta(description="What becomes of calls that it does not cover: deny turns them away, warn tells."),
    ] = "deny"
    alerts: Annotated[
        tuple[Level, ...], Meta(description="Per cent at which somebody is told, once in each period.")
    ] = (50, 80, 100)
    # What must not be spent is rather not served than not counted.
    fail: WhileDown = "closed"


class AlertsSpec(Spec, frozen=True, kw_only=True):
    """Where alerts go."""

    url: Annotated[str, Meta(description="They are posted there, as JSON.")]
    secret: Annotated[
        Secret, Meta(min_length=1, description="They are signed with it: given as ${VAR} or ${file:/path}.")
    ]


class BudgetsSpec(Spec, frozen=True, kw_only=True):
    """Money."""

    budgets: Annotated[
        dict[RuleName, BudgetSpec], Meta(description="By name; all that match a call must cover it.")
    ] = field(default_factory=dict)
    alerts: Annotated[AlertsSpec | None, Meta(description="Without it, alerts are only logged.")] = None


class Budgets(Struct, frozen=True):
    """The compiled policy."""

    rules: tuple[Rule, ...] = ()
    alerts: AlertsSpec | None = None


def compile(
    spec: Located[BudgetsSpec] | None, routes: Routes | None, quotas: Collection[str] = ()
) -> Budgets:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file.

    `routes` are those of routing.yaml; None: they are not known, and names of them are not checked.
    `quotas` are the names that quotas.yaml has taken.
    """
    if spec is None:
        return Budgets()
    problems = [
        problem
        for name, budget in spec.value.budgets.items()
        for problem in within(("budgets", name), _problems(budget, routes))
    ]
    problems += _file_problems(spec.value, quotas)
    if problems:
        errors = [spec.error(*problem) for problem in problems]
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))
    return Budgets(tuple(_rule(name, one) for name, one in spec.value.budgets.items()), spec.value.alerts)


def _rule(name: str, spec: BudgetSpec) -> Rule:
    downgrade = spec.over.downgrade if isinstance(spec.over, DowngradeSpec) else ""
    per = counted_per(spec)
    # A shared counter has one calendar: with those of all its tenants it would be one counter for each.
    has_tenants_calendar = "tenant" in per or _is_for_one(spec.calls)
    return Rule(
        name=name,
        kind="budget",
        holds_for=holds_for(spec.calls),
        names_users=bool(spec.calls.user),
        per=per,
        lines=(_line(spec),),
        timezone=spec.timezone or ("" if has_tenants_calendar else "UTC"),
        shadow=spec.shadow,
        fail=spec.fail,
        over="downgrade" if isinstance(spec.over, DowngradeSpec) else spec.over,
        downgrade=downgrade,
        alerts=tuple(sorted(spec.alerts)),
    )


def _is_for_one(spec: ForSpec) -> bool:
    return len(spec.tenant) == 1 and not is_pattern(spec.tenant[0])


def _line(spec: BudgetSpec) -> Line:
    limit, usd = int(_usd(spec) * NANOUSD), f"${_usd(spec):,f}"
    if not spec.rolling:
        return Line("nanousd", Meter("period", limit), f"{usd} per {spec.every}", Period(spec.every))
    span_ms, steps, span = _ROLLING[spec.every]
    return Line("nanousd", Meter("window", limit, span_ms, steps), f"{usd} in {span}")


def _usd(spec: BudgetSpec) -> Decimal:
    return Decimal(str(spec.usd))


def _file_problems(spec: BudgetsSpec, quotas: Collection[str]) -> Iterator[Problem]:
    for name in spec.budgets:
        if name in quotas:
            yield ("budgets", name), "policies/quotas.yaml has a quota of this name", "rename one of them"
    if spec.alerts is not None and not _is_url(spec.alerts.url):
        yield ("alerts", "url"), "this is not an http(s) URL", "write https://host/path"


def _problems(spec: BudgetSpec, routes: Routes | None) -> Iterator[Problem]:
    yield from scope_problems(spec, routes)
    if _usd(spec) * NANOUSD % 1:
        yield ("usd",), "finer than a billionth of a dollar", "round it"
    if _usd(spec) > MOST_USD:
        yield ("usd",), f"more than {MOST_USD:,} dollars", "that much cannot be counted to the nano-dollar"
    if spec.timezone:
        yield from zone_problems(("timezone",), spec.timezone)
        if spec.rolling:
            yield ("timezone",), "it has no effect: a rolling budget knows no calendar", "remove it"
    yield from _alert_problems(spec)
    if isinstance(spec.over, DowngradeSpec):
        yield from within(("over", "downgrade"), _downgrade_problems(spec, spec.over.downgrade, routes))


def _alert_problems(spec: BudgetSpec) -> Iterator[Problem]:
    yield from repeated(("alerts",), [f"{level} %" for level in spec.alerts])
    if spec.over == "deny" and not spec.shadow:
        for i, level in enumerate(spec.alerts):
            if level > _WHOLE_PERCENT:
                hint = "write `over: warn`, or remove it"
                yield ("alerts", i), f"{level} % are never reached: nothing passes beyond 100 %", hint


def _downgrade_problems(spec: BudgetSpec, route: str, routes: Routes | None) -> Iterator[Problem]:
    if routes is not None:
        yield from route_name_problems(route, routes)
    if {route} in (set(spec.calls.route), set(spec.calls.model)):
        yield (), "it is for calls of this very route", "name a cheaper one"


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        # Reading the port is what checks it.
        has_host = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and has_host

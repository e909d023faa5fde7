"""policies/slo.yaml: what is promised of calls, and who hears when it is not kept.

Must not know how calls are counted.
Source: Google, The Site Reliability Workbook, chapters 2 and 5.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, field

from gateway.config.checks.problems import Problem, repeated, within
from gateway.config.effect.routes import is_pattern
from gateway.config.located import Located, did_you_mean, quoted
from gateway.config.signals import Globs
from gateway.config.spec import Dollars, Spec
from gateway.errors import ConfigErrors
from gateway.quotas.rules import NANOUSD
from gateway.slo.burning import MOST_DAYS, MOST_WINDOW_S
from gateway.slo.objectives import ALERTS, Alert, Kind, Objective, Severity, span_text

ObjectiveName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Milliseconds = Annotated[float, Meta(gt=0, le=86_400_000)]
Span = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,3}[mhd]$", description="Minutes, hours or days: 5m, 6h, 3d.")
]

_SECONDS: Mapping[str, int] = {"m": 60, "h": 3600, "d": 86_400}
_NEEDS: Mapping[Kind, str] = {
    "first_token": "within_ms",
    "duration": "within_ms",
    "cost": "at_most_usd",
}
"""What makes a call good, where that is not plain."""


class BurnAlertSpec(Spec, frozen=True, kw_only=True):
    """Somebody hears when errors come too fast over both windows."""

    burn_rate: Annotated[
        float,
        Meta(gt=0, le=1_000_000, description="More than so many times as fast as the promise allows."),
    ]
    long: Annotated[Span, Meta(description="The window that says that it matters; at most 3d.")]
    short: Annotated[Span, Meta(description="The window that says that it still goes on.")]
    severity: Annotated[Severity, Meta(description="page: at once; ticket: in working hours.")]


class ObjectiveSpec(Spec, frozen=True, kw_only=True):
    """One promise."""

    of: Annotated[
        Kind,
        Meta(
            description="availability: calls are answered; first_token: streams begin in time; duration: "
            "answers are over in time; cost: a call costs no more than that."
        ),
    ]
    target_percent: Annotated[float, Meta(gt=0, lt=100, description="Of the calls, so many are good.")]
    within_ms: Annotated[
        Milliseconds | None,
        Meta(description="For first_token and duration: from when the whole request is there."),
    ] = None
    at_most_usd: Annotated[
        Dollars | None, Meta(description="For cost: of one call, with all of its attempts.")
    ] = None
    routes: Annotated[Globs, Meta(description="Globs over routes. Default: all calls.")] = ()
    classes: Annotated[tuple[str, ...], Meta(description="Of tenants (policies/tenants.yaml).")] = ()
    days: Annotated[
        int, Meta(ge=1, le=MOST_DAYS, description="The promise is about the calls of so many days.")
    ] = 30
    min_calls: Annotated[
        int,
        Meta(ge=0, description="No alert begins while its long window has fewer calls than that."),
    ] = 10
    min_bad: Annotated[
        int, Meta(ge=1, description="No alert begins while its long window has fewer bad calls than that.")
    ] = 3
    alerts: Annotated[
        tuple[BurnAlertSpec, ...] | None, Meta(description="Default: those of the file. []: nobody is told.")
    ] = None


class SloSpec(Spec, frozen=True, kw_only=True):
    """Promises."""

    objectives: Annotated[dict[ObjectiveName, ObjectiveSpec], Meta(description="By name.")] = field(
        default_factory=dict
    )
    alerts: Annotated[
        tuple[BurnAlertSpec, ...] | None,
        Meta(
            description="Of objectives without their own. Default: 14.4 times over 1h and 5m, and 6 over 6h "
            "and 30m, page; 3 over 1d and 2h, and 1 over 3d and 6h, are tickets."
        ),
    ] = None


def compile(spec: Located[SloSpec] | None, routes: Collection[str] | None) -> tuple[Objective, ...]:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file.

    `routes` are those of routing.yaml; None: they are not known, and names of them are not checked.
    """
    if spec is None:
        return ()
    problems = list(within(("alerts",), _alert_problems(spec.value.alerts or ())))
    for name, one in spec.value.objectives.items():
        problems += within(("objectives", name), _problems(one, routes))
    if problems:
        errors = [spec.error(*problem) for problem in problems]
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))
    default = ALERTS if spec.value.alerts is None else _alerts(spec.value.alerts)
    return tuple(_objective(name, one, default) for name, one in spec.value.objectives.items())


def idle(objectives: Sequence[Objective], routes: Collection[str], classes: Collection[str]) -> Iterator[str]:
    """Say which objectives are about no call, and which of their alerts can never be: in sentences."""
    for one in objectives:
        where = f"objective {one.name}"
        if not any(one.covers(route, class_) for route in routes for class_ in classes):
            yield f"{where} is about no call: no route and no tenant's class is as it says"
        for alert in one.alerts:
            if alert.burn * one.may_fail >= 1:
                most = f"{1 / one.may_fail:.3g}"
                yield (
                    f"{where}: its alert at {alert.burn:g} over {span_text(alert.long_s)} never comes: "
                    f"when every call fails, its burn rate is {most}"
                )


def _objective(name: str, spec: ObjectiveSpec, default: tuple[Alert, ...]) -> Objective:
    return Objective(
        name=name,
        kind=spec.of,
        target=round(spec.target_percent / 100, 12),
        routes=spec.routes,
        classes=spec.classes,
        within_s=(spec.within_ms or 0.0) / 1000,
        at_most_nanousd=int(Decimal(str(spec.at_most_usd or 0)) * NANOUSD),
        days=spec.days,
        alerts=default if spec.alerts is None else _alerts(spec.alerts),
        min_calls=spec.min_calls,
        min_bad=spec.min_bad,
    )


def _alerts(specs: Sequence[BurnAlertSpec]) -> tuple[Alert, ...]:
    return tuple(Alert(one.burn_rate, _seconds(one.long), _seconds(one.short), one.severity) for one in specs)


def _seconds(span: str) -> int:
    return int(span[:-1]) * _SECONDS[span[-1]]


def _problems(spec: ObjectiveSpec, routes: Collection[str] | None) -> Iterator[Problem]:
    needed = _NEEDS.get(spec.of, "")
    for name in sorted(set(_NEEDS.values())):
        is_given = getattr(spec, name) is not None
        if name == needed and not is_given:
            yield (), f"`of: {spec.of}` needs {name}", "say what makes a call good"
        elif is_given and name != needed:
            yield (name,), f"it has no effect with `of: {spec.of}`", "remove it"
    if spec.at_most_usd is not None and Decimal(str(spec.at_most_usd)) * NANOUSD % 1:
        yield ("at_most_usd",), "finer than a billionth of a dollar", "round it"
    for name in ("routes", "classes"):
        yield from repeated((name,), getattr(spec, name))
    if routes is not None:
        yield from _unknown_routes(spec.routes, routes)
    yield from within(("alerts",), _alert_problems(spec.alerts or ()))


def _unknown_routes(globs: Globs, routes: Collection[str]) -> Iterator[Problem]:
    for i, name in enumerate(globs):
        if not is_pattern(name) and name not in routes:
            yield ("routes", i), f"there is no route {quoted(name)}", did_you_mean(name, tuple(routes))


def _alert_problems(alerts: Sequence[BurnAlertSpec]) -> Iterator[Problem]:
    for i, one in enumerate(alerts):
        for name in ("long", "short"):
            if _seconds(getattr(one, name)) > MOST_WINDOW_S:
                yield (i, name), "longer than what is kept by minutes", f"at most {span_text(MOST_WINDOW_S)}"
        if _seconds(one.short) >= _seconds(one.long):
            yield (i, "short"), "it is not shorter than the long window", "a twelfth is usual"
        if one in alerts[:i]:
            yield (i,), "this alert is here twice", "remove one of them"

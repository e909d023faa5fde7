"""When to tell that a promise burns, and when that it is over: each once. Pure: time is told."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.slo.burning import Burn, Standing
from gateway.slo.objectives import Severity, span_text

Event = tuple[str, dict[str, Any]]
"""The kind of an event, and what it tells."""

_SEVERITIES: tuple[Severity, ...] = ("page", "ticket")


def changes(
    standings: Sequence[Standing],
    told: MutableMapping[str, float],
    lasts: MutableMapping[str, float],
    unix_s: float,
) -> Iterator[Event]:
    """Give what is to be told now. `told` notes since when which alarm is on, `lasts` until when at least.

    An objective has one alarm for each severity: it begins with the first alert of that severity, and is
    over when each of them has not burned for as long as its short window; or when there is no such objective
    any more. So calls that go about as badly as an alert allows tell it once, and not with each of them.
    """
    known = set[str]()
    for standing in standings:
        for severity in _SEVERITIES:
            key = alarm_key(severity, standing.objective.name)
            known.add(key)
            burns = [burn for burn in standing.burns if burn.alert.severity == severity]
            if key in told:
                lasts[key] = _lasts_s(burns, lasts.get(key, unix_s), unix_s)
                if lasts[key] <= unix_s:
                    yield "slo_burn_over", _over(key, told.pop(key), unix_s, standing)
            elif on := [burn for burn in burns if burn.is_on]:
                event = event_of(standing, max(on, key=lambda burn: burn.long), unix_s)
                told[key], lasts[key] = unix_s, _lasts_s(burns, unix_s, unix_s)
                yield "slo_burn", event
    for key in [key for key in told if key not in known]:
        yield "slo_burn_over", _over(key, told.pop(key), unix_s)
    for key in lasts.keys() - told.keys():
        del lasts[key]


def alarm_key(severity: str, objective: str) -> str:
    """Name the alarm of a severity: what `told` knows it by."""
    return f"{severity} {objective}"


def _lasts_s(burns: Sequence[Burn], lasts_s: float, unix_s: float) -> float:
    """Return until when an alarm lasts now, given until when it did; a clock put back makes it no longer."""
    longest_s = max((burn.alert.short_s for burn in burns), default=0)
    return max(
        min(lasts_s, unix_s + longest_s), *(unix_s + burn.alert.short_s for burn in burns if burn.burns), 0.0
    )


def event_of(standing: Standing, burn: Burn, unix_s: float) -> dict[str, Any]:
    """Return what a receiver is told when it begins."""
    objective, alert = standing.objective, burn.alert
    left, long = percent(standing.budget_left), span_text(alert.long_s)
    return {
        "severity": alert.severity,
        "summary": (
            f"objective {objective.name}: burn rate {burn.long:.3g} over {long}; "
            f"{left:,.1f} % of its error budget of {objective.days} days is left"
        ),
        "objective": objective.name,
        "of": objective.kind,
        "target_percent": percent(objective.target),
        "days": objective.days,
        "above": alert.burn,
        "burn_rates": {long: round(burn.long, 3), span_text(alert.short_s): round(burn.short, 3)},
        "budget_left_percent": left,
        "since": time_text(unix_s),
    }


def percent(share: float) -> float:
    """Write a share in per cent, without the digits that are none."""
    return round(100 * share, 6)


def time_text(unix_s: float) -> str:
    """Write a time, of UTC, to the second."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _over(key: str, since_s: float, unix_s: float, standing: Standing | None = None) -> dict[str, Any]:
    severity, _, name = key.partition(" ")
    told = {
        "severity": severity,
        "objective": name,
        "since": time_text(since_s),
        "until": time_text(unix_s),
    }
    return told if standing is None else told | {"budget_left_percent": percent(standing.budget_left)}

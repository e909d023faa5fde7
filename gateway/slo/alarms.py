"""When to tell that a promise burns, and when that it is over: each once. Pure."""

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
    standings: Sequence[Standing], told: MutableMapping[str, float], unix_s: float
) -> Iterator[Event]:
    """Give what is to be told now, and note it in `told`: since when which alarm is on.

    An objective has one alarm for each severity: it begins with the first alert of that severity, and is
    over when none is left, or when there is no such objective any more.
    """
    known = set[str]()
    for standing in standings:
        for severity in _SEVERITIES:
            key = f"{severity} {standing.objective.name}"
            known.add(key)
            burns = [burn for burn in standing.burns if burn.alert.severity == severity]
            worst = max((burn for burn in burns if burn.is_on), key=lambda burn: burn.long, default=None)
            if worst is not None and key not in told:
                told[key] = unix_s
                yield "slo_burn", event_of(standing, worst, unix_s)
            elif worst is None and key in told:
                yield "slo_burn_over", _over(key, told.pop(key), unix_s, standing)
    for key in [key for key in told if key not in known]:
        yield "slo_burn_over", _over(key, told.pop(key), unix_s)


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

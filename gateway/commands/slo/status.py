"""`forebay slo status`: how promises stand, by the files of the gateway that runs on a state directory.

It locks and changes nothing. What it says is as new as those files: five seconds old, at most.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import msgspec

from gateway.compose.reading import as_a_client, load_config
from gateway.slo.alarms import percent, time_text
from gateway.slo.burning import Standing
from gateway.slo.objectives import span_text
from gateway.telemetry.tallies import gather, load

_OLD_S = 180.0
"""The gateway writes each minute: what is older was left behind."""
_TITLES = ("objective", "of", "target, %", "good", "bad", "budget left, %", "burn rates", "told")


def run(args: argparse.Namespace) -> int:
    """Run the command; 1: nothing was counted there. Raises ConfigErrors."""
    config, folder, now_s = load_config(args.config, environ=as_a_client()), args.state / "slo", time()
    try:
        gathered, written_s = load(folder)
        gather(folder, gathered, now_s)
    except OSError as error:
        sys.stderr.write(f"forebay: cannot read {folder}: {error.strerror}\n")
        return 1
    if not gathered.workers and not written_s:
        sys.stderr.write(f"forebay: no gateway has counted anything in {folder}\n")
        return 1
    standings = gathered.standings(config.objectives, now_s)
    told = dict(gathered.told)
    if args.json:
        lines = [_as_json(one, told) for one in standings]
        written = time_text(written_s) if written_s else None
        sys.stdout.write(msgspec.json.encode({"written": written, "objectives": lines}).decode() + "\n")
        return 0
    sys.stdout.write(_as_table([_TITLES, *(_cells(one, told) for one in standings)]))
    if written_s and now_s - written_s > _OLD_S:
        sys.stdout.write(f"No gateway has counted here since {time_text(written_s)}.\n")
    return 0


def _as_json(standing: Standing, told: Mapping[str, float]) -> dict[str, Any]:
    one = standing.objective
    return {
        "objective": one.name,
        "of": one.kind,
        "target_percent": percent(one.target),
        "days": one.days,
        "good": standing.counted.good,
        "bad": standing.counted.bad,
        "budget_left_percent": percent(standing.budget_left),
        "burn_rates": _burn_rates(standing),
        "alerts": [
            {
                "severity": burn.alert.severity,
                "above": burn.alert.burn,
                "long": span_text(burn.alert.long_s),
                "short": span_text(burn.alert.short_s),
                "on": burn.is_on,
            }
            for burn in standing.burns
        ],
        "told": {severity: time_text(since_s) for severity, since_s in _told(one.name, told)},
    }


def _burn_rates(standing: Standing) -> dict[str, float]:
    """Return burn rates by window, the shortest first."""
    rates: dict[int, float] = {}
    for burn in standing.burns:
        rates |= {burn.alert.long_s: burn.long, burn.alert.short_s: burn.short}
    return {span_text(span_s): round(rates[span_s], 3) for span_s in sorted(rates)}


def _told(name: str, told: Mapping[str, float]) -> list[tuple[str, float]]:
    keys = [(severity, f"{severity} {name}") for severity in ("page", "ticket")]
    return [(severity, told[key]) for severity, key in keys if key in told]


def _cells(standing: Standing, told: Mapping[str, float]) -> Sequence[str]:
    one = standing.objective
    return (
        one.name,
        one.kind,
        f"{percent(one.target):g}",
        f"{standing.counted.good:,}",
        f"{standing.counted.bad:,}",
        f"{percent(standing.budget_left):,.1f}",
        " ".join(f"{span}:{rate:.3g}" for span, rate in _burn_rates(standing).items()) or "-",
        ", ".join(f"{severity} since {time_text(since_s)}" for severity, since_s in _told(one.name, told))
        or "-",
    )


def _as_table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(written) + "\n"

"""Whether the files can be served, and what in them is without effect. Reads nothing itself; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.commands.check import hints
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.compose.reading import Config
from gateway.errors import ConfigError

_NAME: Final = "configuration"
_BACKEND_OFF: Final = "backend "
_ROUTE_OFF = re.compile("route (.+) is off: none of its backends is active")
_ALERTS: Final = (
    "Write into policies/budgets.yaml: alerts: {url: https://..., secret: '${ALERTS_SECRET}'}; "
    "without it alerts are only logged."
)


def judge_errors(errors: Sequence[ConfigError]) -> list[Finding]:
    """Say why the files cannot be served, a line for each place."""
    return [fail(_NAME, str(error), "Correct it, then: forebay check") for error in errors]


def judge_configuration(config: Config) -> list[Finding]:
    """Say what a configuration that can be served is made of, and what is odd about it."""
    return [_whole(config), *_odd(config), *_telling(config)]


def _whole(config: Config) -> Finding:
    resolved, known = config.resolved, config.tenants
    seen = f"{_count(len(resolved.backends), 'backend')}, {_count(len(resolved.routes), 'route')}, "
    seen += f"{_count(len(known.tenants), 'tenant')}"
    off = [note for note in resolved.notes if note.startswith(_BACKEND_OFF)]
    return ok(_NAME, f"{seen}; {_count(len(off), 'backend')} off" if off else seen)


def _odd(config: Config) -> Iterator[Finding]:
    notes = [note for note in config.resolved.notes if not note.startswith(_BACKEND_OFF)]
    if idle := [found[1] for note in notes if (found := _ROUTE_OFF.fullmatch(note))]:
        seen = f"none of its backends is active: {_count(len(idle), 'route')}, {', '.join(idle)}"
        yield warn(_NAME, seen, "Set the credential of one of its backends, or take the route out.")
    for note in notes:
        if not _ROUTE_OFF.fullmatch(note):
            yield warn(_NAME, note, "Set the credential of that backend, or take it out.")
    for note in (*config.notes, *hints(config)):
        yield warn(_NAME, note, "Correct it, or take it out; `forebay check` has all of these.")


def _telling(config: Config) -> Iterator[Finding]:
    """Say who hears when something goes wrong."""
    if config.alerts is None:
        yield warn("alerts", "nobody is told of alerts", _ALERTS)
    else:
        yield ok("alerts", "a webhook is told")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

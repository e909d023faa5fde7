"""Check the name of a time zone, whatever it is for.

Source: the IANA database, as `zoneinfo` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from gateway.config.checks.problems import Problem
from gateway.config.located import Where, quoted


def zone_problems(where: Where, name: str) -> Iterator[Problem]:
    """Check one name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        hint = "write one of the IANA database, like Europe/Berlin or UTC"
        yield where, f"there is no time zone {quoted(name)}", hint

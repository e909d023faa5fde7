"""Show findings: as lines for people, or as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from gateway.commands.doctor.finding import Finding, State
from gateway.commands.explain import printable

_STATES: tuple[State, ...] = ("fail", "warn", "ok", "skipped")


def as_lines(findings: Sequence[Finding]) -> str:
    """Write a line for each, and below it what to do; the last line counts them."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines: list[str] = []
    for finding in findings:
        seen = printable(finding.seen)
        lines.append(f"{finding.state:7}  {printable(finding.name):{width}}  {seen}".rstrip())
        if finding.todo:
            lines.append(f"{'':7}  {'':{width}}  -> {printable(finding.todo)}")
    counts = Counter(finding.state for finding in findings)
    lines.append(", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]) or "no checks")
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """Write all of them, and whether nothing fails."""
    told = {"ok": is_well(findings), "checks": findings}
    return msgspec.json.format(msgspec.json.encode(told)).decode() + "\n"


def is_well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing fails."""
    return all(finding.state != "fail" for finding in findings)

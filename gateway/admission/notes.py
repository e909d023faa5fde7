"""Tell a client how its limits stand, from what its worker was last told of them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.admission.lease import Line
from gateway.exchange import Format
from gateway.formats.http.limits import Left, limit_headers


def notes(lines: Sequence[Line], format_: Format, now_ms: int) -> list[tuple[bytes, bytes]]:
    """Return header lines; limits that only measure are nobody's business."""
    lefts: list[Left] = []
    for line in lines:
        held, pocket = line.held, line.pocket
        if held.rule.shadow or held.rule.kind == "budget" or pocket.counter.meter.kind == "seats":
            continue
        remaining = max(pocket.limit - pocket.taken - pocket.alone, 0)
        reset_ms = max(pocket.whole_ms - (now_ms - pocket.told_ms), 0)
        lefts.append(Left(held.line.metric, pocket.limit, remaining, reset_ms))
    return limit_headers(lefts, format_, now_ms) if lefts else []

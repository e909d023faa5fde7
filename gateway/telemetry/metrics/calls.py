"""Count ended calls, each once, by how they ended."""

from __future__ import annotations

from gateway.errors import Denied
from gateway.exchange import Record
from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.names import Names

_NOBODY = "none"
"""The route and backend of calls that got no further than being refused."""
_REMEMBERED = 4096


class _Alike:
    """The places of what is counted of calls that ended alike."""

    __slots__ = ("calls", "duration", "first_byte")

    def __init__(self, calls: int, duration: Histogram, first_byte: Histogram) -> None:
        self.calls, self.duration, self.first_byte = calls, duration, first_byte


class CallCounts:
    """The cells of calls; `causes` bounds that label."""

    def __init__(self, cells: Cells, causes: Names) -> None:
        self._cells, self._causes = cells, causes
        self._alike: dict[tuple[str, str, str, int, str, str], _Alike] = {}

    def count(self, record: Record, ended_s: float) -> None:
        """Count a client's call, or one of our own."""
        error, route, backend = record.error, record.route, record.backend
        if record.purpose != "call":
            labels = record.purpose, route, backend or _NOBODY, record.ending
            self._count(families.OWN_CALLS, labels)
            return
        cause = "" if error is None else error.code
        key = (record.class_, route, backend, record.status, record.ending, cause)
        alike = self._alike.get(key) or self._begin(key)
        self._cells.numbers[alike.calls] += 1.0
        alike.duration.observe(ended_s - record.started_s)
        if record.first_byte_s is not None:
            alike.first_byte.observe(record.first_byte_s - record.started_s)
        if isinstance(error, Denied):
            self._count(families.REFUSALS, (error.limit, "refused"))
        if record.ending == "finished" and all(attempt.cause for attempt in record.attempts):
            self._count(families.SUBSTITUTES, (route, "earlier" if record.cache == "hit" else "written"))

    def _begin(self, key: tuple[str, str, str, int, str, str]) -> _Alike:
        class_, route, backend, status, ending, cause = key
        if len(self._alike) >= _REMEMBERED:
            self._alike.clear()
        cells, route = self._cells, route or _NOBODY
        labels = (class_, route, backend or _NOBODY, str(status), ending, self._causes.of(cause))
        alike = self._alike[key] = _Alike(
            cells.place(families.CALLS, labels),
            Histogram(cells, families.CALL_SECONDS, (route,)),
            Histogram(cells, families.FIRST_BYTE_SECONDS, (route,)),
        )
        return alike

    def _count(self, family: families.Family, labels: tuple[str, ...]) -> None:
        self._cells.numbers[self._cells.place(family, labels)] += 1.0

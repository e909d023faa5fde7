"""Count the attempts of ended calls: what each took, used and cost.

Where attempts are alike, the places of their cells are looked up once.
Source: OpenTelemetry's semantic conventions for generative AI, "Metrics".
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import astuple

from gateway.exchange import SPENT, Attempt, Format, Record, Usage
from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import Family
from gateway.telemetry.metrics.names import Names
from gateway.telemetry.places import Place
from gateway.telemetry.tracing.names import OPERATIONS

_KINDS = tuple((name, name.removesuffix("_tokens")) for name in SPENT)
"""The fields of Usage, in their order, and the kinds that they are counted as; units keep their names."""
_MOST = 1 << 50
"""What an upstream may claim to have used of a kind: more is a mistake."""
_NANOUSD, _FEMTOUSD = 1e-9, 1e-15
_REMEMBERED = 4096
_NOWHERE = Place("unknown")


class _Alike:
    """Attempts of one route at one deployment that went alike. What never happened has no series."""

    __slots__ = ("_cells", "_histograms", "_labels", "attempts", "duration")

    def __init__(self, cells: Cells, labels: tuple[str, ...], cause: str) -> None:
        self._cells, self._labels = cells, labels
        self._histograms: dict[tuple[str, str], Histogram] = {}
        self.duration = Histogram(cells, families.OPERATION_SECONDS, (*labels, cause))
        self.attempts = -1

    def histogram(self, family: Family, kind: str = "") -> Histogram:
        """Return one of its histograms; `kind` is of tokens."""
        known = self._histograms.get((family.name, kind))
        if known is None:
            labels = (*self._labels, kind) if kind else self._labels
            known = self._histograms[family.name, kind] = Histogram(self._cells, family, labels)
        return known


class AttemptCounts:
    """The cells of attempts. `models` and `causes` bound those labels."""

    def __init__(self, cells: Cells, models: Names, causes: Names) -> None:
        self._cells, self._models, self._causes = cells, models, causes
        self._places: Mapping[str, Place] = {}
        self._alike: dict[tuple[str, ...], _Alike] = {}
        self._spent: dict[tuple[str, str, str], list[int]] = {}
        self._queues: dict[str, Histogram] = {}

    def revise(self, places: Mapping[str, Place]) -> None:
        """Look up there, from now on, what backends are and where."""
        self._places = places
        self._alike.clear()

    def count(self, record: Record) -> None:
        """Count all attempts of a call."""
        route, form, numbers = record.route, record.format, self._cells.numbers
        for attempt in record.attempts:
            cause, answered = attempt.cause, attempt.answered_model
            key = (attempt.backend, attempt.model, answered, form, cause, attempt.why)
            alike = self._alike.get(key) or self._begin(key, attempt, form)
            numbers[alike.attempts] += 1.0
            ended_s, started_s = attempt.ended_s, attempt.started_s
            took_s = attempt.seconds if ended_s is None else ended_s - started_s
            alike.duration.observe(took_s)
            if attempt.queued_s:
                self._queue(attempt.backend).observe(attempt.queued_s)
            if (usage := attempt.usage) is not None:
                self._spend(route, attempt, usage)
                self._use(alike, usage)
            if attempt.first_token_s is not None and not cause:
                self._stream(alike, attempt, took_s)
        if len(record.attempts) > 1:
            self._count_further(record)

    def _begin(self, key: tuple[str, ...], attempt: Attempt, form: Format) -> _Alike:
        if len(self._alike) >= _REMEMBERED:  # clients may choose models' names: any number of them
            self._alike.clear()
        place, cause = self._places.get(attempt.backend, _NOWHERE), self._causes.of(attempt.cause)
        labels = (
            OPERATIONS.get(form, form),
            place.provider,
            # A name that nobody has answered to may be anybody's invention.
            self._models.of(attempt.model, is_real=not cause),
            self._models.of(attempt.answered_model),
            place.address,
        )
        alike = self._alike[key] = _Alike(self._cells, labels, cause)
        alike.attempts = self._cells.place(families.ATTEMPTS, (attempt.backend, cause, attempt.why))
        return alike

    def _use(self, alike: _Alike, usage: Usage) -> None:
        if usage.input_tokens:
            alike.histogram(families.TOKEN_USAGE, "input").observe(min(usage.input_tokens, _MOST))
        if usage.output_tokens:
            alike.histogram(families.TOKEN_USAGE, "output").observe(min(usage.output_tokens, _MOST))

    def _stream(self, alike: _Alike, attempt: Attempt, took_s: float) -> None:
        first_s, usage = attempt.first_token_s or 0.0, attempt.usage
        alike.histogram(families.FIRST_TOKEN_SECONDS).observe(first_s)
        if usage is not None and usage.output_tokens > 1 and took_s > first_s:
            each_s = (took_s - first_s) / (usage.output_tokens - 1)
            alike.histogram(families.EACH_TOKEN_SECONDS).observe(each_s)

    def _spend(self, route: str, attempt: Attempt, usage: Usage) -> None:
        numbers, cells = self._cells.numbers, self._cells
        key = (route, attempt.backend, usage.origin)
        places = self._spent.get(key)
        if places is None:
            places = self._spent[key] = [-1] * (len(_KINDS) + 1)
        for at, amount in enumerate(astuple(usage)[: len(_KINDS)]):
            if amount:
                if places[at] < 0:  # what is never spent has no series
                    name, kind = _KINDS[at]
                    family = families.UNITS if name == kind else families.TOKENS
                    places[at] = cells.place(family, (route, attempt.backend, kind, usage.origin))
                numbers[places[at]] += min(amount, _MOST)
        if attempt.price is None:
            return
        if places[-1] < 0:
            places[-1] = cells.place(families.COST_USD, (route, attempt.backend))
        numbers[places[-1]] += attempt.price.of(usage) * _NANOUSD
        if usage.cached_tokens or usage.cache_write_tokens:
            saved_usd = attempt.price.saved(usage) * _FEMTOUSD
            result = "saved" if saved_usd >= 0 else "lost"  # apart: a counter must not fall
            numbers[cells.place(families.CACHE_USD, (route, attempt.backend, result))] += abs(saved_usd)

    def _queue(self, backend: str) -> Histogram:
        known = self._queues.get(backend)
        if known is None:
            known = self._queues[backend] = Histogram(self._cells, families.QUEUE_SECONDS, (backend,))
        return known

    def _count_further(self, record: Record) -> None:
        """Count why a call took more than one attempt."""
        cells, failure = self._cells, ""
        for number, attempt in enumerate(record.attempts):
            if attempt.why == "hedge":
                result = "lost" if attempt.cause else "won"
                cells.numbers[cells.place(families.HEDGES, (record.route, result))] += 1.0
            elif number and attempt.why != "first":
                labels = (record.route, attempt.why, self._causes.of(failure))
                cells.numbers[cells.place(families.FALLBACKS, labels)] += 1.0
            failure = attempt.cause or failure

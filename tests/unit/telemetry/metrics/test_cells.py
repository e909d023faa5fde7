"""Numbers in memory: each series has its own cells, and no client can ask for more than there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import CALL_SECONDS, CALLS, FAMILIES, IN_FLIGHT, OTHER, RELOADS

CALL = ("default", "fast", "b", "200", "finished", "")


@pytest.fixture(params=["alone", "shared"])
def cells(request: pytest.FixtureRequest, tmp_path: Path) -> Cells:
    return Cells(tmp_path if request.param == "shared" else None)


def test_a_series_keeps_its_place(cells: Cells) -> None:
    at = cells.place(CALLS, CALL)
    assert cells.place(RELOADS, ("applied",)) != at
    assert cells.place(CALLS, CALL) == at
    assert cells.numbers[at] == 0


def test_a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed(cells: Cells) -> None:
    times = Histogram(cells, CALL_SECONDS, ("fast",))
    bounds = CALL_SECONDS.buckets
    for value in (0.0, bounds[0], bounds[0] * 1.001, bounds[-1], bounds[-1] * 2):
        times.observe(value)
    at = cells.place(CALL_SECONDS, ("fast",))
    total, *counts = cells.numbers[at : at + CALL_SECONDS.cells]
    assert total == pytest.approx(bounds[0] * 2.001 + bounds[-1] * 3)
    assert counts == [2, 1, *[0] * (len(bounds) - 3), 1, 1]


def test_what_is_too_much_for_a_family_is_counted_together(cells: Cells) -> None:
    places = {cells.place(RELOADS, (f"result {number}",)) for number in range(RELOADS.most + 100)}
    assert len(places) == RELOADS.most + 1
    assert cells.place(RELOADS, (OTHER,)) == cells.place(RELOADS, ("result one too many",))
    assert cells.place(RELOADS, ("result 0",)) != cells.place(RELOADS, (OTHER,))


def test_there_is_room_for_all_series_that_all_families_may_have(cells: Cells) -> None:
    for family in FAMILIES.values():
        for number in range(family.most + 2):
            last = cells.place(family, (str(number),) * len(family.labels))
            cells.numbers[last + family.cells - 1] = 1.0
    assert cells.place(IN_FLIGHT) < len(cells.numbers)

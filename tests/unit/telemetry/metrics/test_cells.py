"""Numbers in memory: each series has its own cells, and no client can ask for more than there are."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry.metrics import cells as cells_module
from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import CALL_SECONDS, CALLS, FAMILIES, IN_FLIGHT, OTHER, RELOADS
from gateway.telemetry.metrics.gathering import gathered

FULL = """
import resource, sys
from pathlib import Path
from gateway.telemetry.metrics import cells
from gateway.telemetry.metrics.families import ATTEMPTS, CALL_SECONDS, RELOADS
from gateway.telemetry.metrics.gathering import gathered

folder, series = Path(sys.argv[1]), int(sys.argv[2])
cells._PAUSE_S = 0.0
ours = cells.Cells(folder)
ours.numbers[ours.place(RELOADS, ("applied",))] += 1.0
[names] = folder.glob("*.names")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (names.stat().st_size + 10, most))  # half a line, and no more
for _ in range(3):
    for number in range(series):
        ours.numbers[ours.place(ATTEMPTS, ("b", str(number), ""))] += 1.0
        cells.Histogram(ours, CALL_SECONDS, (str(number),)).observe(1.0)
assert list(gathered(folder)) == [(RELOADS.name, ("applied",))], gathered(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
ours.place(RELOADS, ("applied",))
found = gathered(folder)
assert found[ATTEMPTS.name, ("b", "0", "")] == [3.0], found
assert len(found) == 1 + 2 * min(series, CALL_SECONDS.most), len(found)
"""
"""Counts while the kernel lets the file of names grow no further, and then on."""

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


@pytest.mark.parametrize("series", [1, 400])
def test_what_cannot_be_named_on_a_full_disk_is_counted_and_named_later(tmp_path: Path, series: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(series)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_name_is_tried_again_now_and_then_and_both_ends_of_that_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cells = Cells(tmp_path)
    [file] = tmp_path.glob("*.cells")
    names = file.with_suffix(".names")
    names.mkdir()  # nothing can be written there
    with caplog.at_level(logging.WARNING, "forebay"):
        for result in ("applied", "refused"):
            cells.numbers[cells.place(RELOADS, (result,))] += 1.0
        names.rmdir()
        cells.place(RELOADS, ("applied",))
        assert not names.exists(), "it was tried a moment ago"
        monkeypatch.setattr(cells_module, "_PAUSE_S", 0.0)
        cells.place(RELOADS, ("applied",))
    assert gathered(tmp_path) == {(RELOADS.name, (result,)): [1.0] for result in ("applied", "refused")}
    assert [record.getMessage() for record in caplog.records] == [
        "new metrics are not shared with the other workers",
        "all metrics are shared with the other workers again",
    ]


def test_the_room_of_shared_numbers_is_taken_at_the_start(tmp_path: Path) -> None:
    Cells(tmp_path)
    [file] = tmp_path.glob("*.cells")
    assert file.stat().st_blocks * 512 >= file.stat().st_size > 1_000_000


def test_without_room_for_its_numbers_a_worker_counts_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with caplog.at_level(logging.WARNING, "forebay"):
        cells = Cells(tmp_path)
    cells.numbers[cells.place(RELOADS, ("applied",))] += 1.0
    assert not list(tmp_path.iterdir())
    assert [record.getMessage() for record in caplog.records] == [
        "metrics are not shared with the other workers"
    ]


def test_where_room_cannot_be_taken_beforehand_numbers_are_shared_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.posix_fallocate", unknown)
    cells = Cells(tmp_path)
    cells.numbers[cells.place(RELOADS, ("applied",))] += 1.0
    assert gathered(tmp_path) == {(RELOADS.name, ("applied",)): [1.0]}

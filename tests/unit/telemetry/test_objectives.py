"""Calls judged as they end, written down for all workers, and told of by one of them."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unit.stand_ins import record

from gateway.errors import BadRequest
from gateway.exchange import Ending, Record
from gateway.slo.alarms import changes
from gateway.slo.burning import Counts
from gateway.slo.objectives import Alert, Objective
from gateway.telemetry import tallies
from gateway.telemetry.objectives import Tally
from gateway.telemetry.tallies import gather, load

ALERT = (Alert(2.0, 3600, 300, "page"),)
ANSWERED = Objective("answered", "availability", 0.9, alerts=ALERT, min_bad=1)
LOCAL = Objective("local", "availability", 0.9, routes=("local",), classes=("free",), alerts=ALERT, min_bad=1)
OFTEN_S = 0.01


def ended(ending: Ending = "finished", **fields: Any) -> Record:
    made = record(route="fast", **fields)
    made.ending = ending
    return made


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        self.receipts: list[asyncio.Future[bool]] | None = None
        """None: what is told is taken at once."""

    def __call__(self, kind: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
        self.events.append((kind, data["objective"]))
        self.threads.add(threading.get_ident())
        if self.receipts is None:
            return None
        self.receipts.append(asyncio.get_running_loop().create_future())
        return self.receipts[-1]


def tally_of(folder: Path, *objectives: Objective, judged: list[Any] | None = None) -> Tally:
    count = [] if judged is None else judged
    made = Tally(folder, lambda *what: count.append(what))
    made.revise(objectives)
    return made


@asynccontextmanager
async def following(tally: Tally, *, waits: bool = False) -> AsyncIterator[Told]:
    told = Told()
    told.receipts = [] if waits else None
    task = asyncio.create_task(tally.follow(told, OFTEN_S))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def written(folder: Path) -> dict[str, list[int]]:
    sums: dict[str, list[int]] = {}
    for file in folder.glob("*.json"):
        for name, counts in json.loads(file.read_bytes()).items():
            before = sums.setdefault(name, [0, 0])
            sums[name] = [before[0] + counts[0], before[1] + counts[1]]
    return sums


def standing(folder: Path, objectives: Sequence[Objective]) -> dict[str, Counts]:
    """What whoever leads next would know."""
    gathered, written_s = load(folder)
    gather(folder, gathered, written_s)
    return {one.objective.name: one.counted for one in gathered.standings(objectives, written_s)}


def test_each_call_is_counted_for_the_promises_that_are_about_it(tmp_path: Path) -> None:
    judged: list[Any] = []
    tally = tally_of(tmp_path, ANSWERED, LOCAL, judged=judged)
    assert judged == [(name, outcome, 0) for name in ("answered", "local") for outcome in ("good", "bad")]
    judged.clear()
    local = ended()
    local.route, local.class_ = "local", "free"
    refused = ended("refused", error=BadRequest("no"))
    for one in (ended(), ended("broken"), refused, local):
        tally.note(one, 2.0)
    assert judged == [
        ("answered", "good", 1),
        ("answered", "bad", 1),
        ("answered", "good", 1),
        ("local", "good", 1),
    ]


def test_what_was_counted_stays_when_promises_change(tmp_path: Path) -> None:
    async def scene() -> None:
        tally = tally_of(tmp_path, ANSWERED)
        tally.note(ended(), 2.0)
        tally.revise([LOCAL])
        tally.note(ended(), 2.0)
        tally.revise([ANSWERED, LOCAL])
        tally.note(ended("broken"), 2.0)
        async with following(tally):
            await until(lambda: written(tmp_path).get("answered") == [1, 1])

    asyncio.run(scene())
    assert standing(tmp_path, [ANSWERED]) == {"answered": (1, 1)}


def test_a_burning_promise_is_told_once_by_one_of_all_workers(tmp_path: Path) -> None:
    async def scene() -> None:
        tallies = [tally_of(tmp_path, ANSWERED) for _ in range(3)]
        async with following(tallies[0]) as first, following(tallies[1]) as second:
            await until((tmp_path / "all.mpk").exists)
            for tally in tallies[:2]:
                tally.note(ended("broken"), 2.0)
            await until(lambda: first.events or second.events)
            async with following(tallies[2]) as third:
                tallies[2].note(ended("broken"), 2.0)
                await until(lambda: written(tmp_path).get("answered") == [0, 3])
            assert third.events == []
        (events,) = (one for one in (first.events, second.events) if one)
        assert events == [("slo_burn", "answered")]
        assert (first.threads | second.threads) == {threading.get_ident()}

    asyncio.run(scene())
    assert standing(tmp_path, [ANSWERED]) == {"answered": (0, 3)}


def test_a_restart_repeats_nothing_and_tells_the_end(tmp_path: Path) -> None:
    now_s = 1_800_000_000.0

    async def once(objectives: Sequence[Objective], calls: Sequence[Ending], wanted: int) -> list[Any]:
        tally, before = Tally(tmp_path, clock=lambda: now_s), set(tmp_path.glob("*.json"))
        tally.revise(objectives)
        for one in calls:
            tally.note(ended(one), 2.0)
        async with following(tally) as told:
            await until(lambda: set(tmp_path.glob("*.json")) - before and len(told.events) >= wanted)
        return told.events

    assert asyncio.run(once([ANSWERED], ["broken"], 1)) == [("slo_burn", "answered")]
    assert asyncio.run(once([ANSWERED], ["broken"], 0)) == []
    assert standing(tmp_path, [ANSWERED]) == {"answered": (0, 2)}
    assert asyncio.run(once([ANSWERED], ["finished"] * 20, 0)) == []
    now_s += ALERT[0].short_s
    assert asyncio.run(once([ANSWERED], [], 1)) == [("slo_burn_over", "answered")]


@pytest.mark.parametrize("outcome", [None, False, True], ids=["under way", "given up", "taken"])
def test_what_no_receiver_has_is_told_again_after_a_restart(tmp_path: Path, *, outcome: bool | None) -> None:
    async def once() -> list[Any]:
        tally = tally_of(tmp_path, ANSWERED)
        tally.note(ended("broken"), 2.0)
        async with following(tally, waits=True) as told:
            await until(lambda: told.events or load(tmp_path)[0].told)
            if outcome is not None:
                for receipt in told.receipts or ():
                    receipt.set_result(outcome)
            await asyncio.sleep(0)
        return told.events

    assert asyncio.run(once()) == [("slo_burn", "answered")]
    assert bool(load(tmp_path)[0].told) == bool(outcome)
    assert asyncio.run(once()) == ([] if outcome else [("slo_burn", "answered")])


def test_a_defect_ends_neither_the_counting_nor_what_was_found_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(*what: Any) -> Any:
        yield from changes(*what)
        raise KeyError("odd")

    async def scene() -> None:
        changes_of = "gateway.telemetry.objectives.changes"
        with monkeypatch.context() as patched:
            patched.setattr(changes_of, odd)
            tally = tally_of(tmp_path, ANSWERED)
            tally.note(ended("broken"), 2.0)
            async with following(tally) as told:
                await until(lambda: told.events)
                patched.undo()
                await until(lambda: written(tmp_path).get("answered") == [0, 1])
        assert told.events == [("slo_burn", "answered")]

    with caplog.at_level("INFO", "forebay"):
        asyncio.run(scene())
    assert [line.message.partition(":")[0] for line in caplog.records] == [
        "internal error",
        "what was counted of objectives is not written down",
        "what is counted of objectives is written down again",
    ]
    assert standing(tmp_path, [ANSWERED]) == {"answered": (0, 1)}


def test_one_that_cannot_be_told_leaves_the_others_and_is_told_after_a_restart(tmp_path: Path) -> None:
    class Deaf(Told):
        def __call__(self, kind: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
            if data["objective"] == "answered":
                raise RuntimeError("odd")
            return super().__call__(kind, data)

    async def once() -> list[Any]:
        told = Deaf()
        tally = tally_of(tmp_path, ANSWERED, msgspec.structs.replace(ANSWERED, name="other"))
        tally.note(ended("broken"), 2.0)
        task = asyncio.create_task(tally.follow(told, OFTEN_S))
        await until(lambda: load(tmp_path)[0].told)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        return told.events

    assert asyncio.run(once()) == [("slo_burn", "other")]
    assert set(load(tmp_path)[0].told) == {"page other"}


def test_a_restart_tells_nothing_before_it_knows_what_is_promised(tmp_path: Path) -> None:
    async def burn() -> None:
        tally = tally_of(tmp_path, ANSWERED)
        tally.note(ended("broken"), 2.0)
        async with following(tally) as told:
            await until(lambda: told.events)

    async def start_again() -> list[Any]:
        tally = Tally(tmp_path)
        async with following(tally) as told:
            await asyncio.sleep(0.1)  # as long as a configuration takes to open
            tally.revise([ANSWERED])
            tally.note(ended("broken"), 2.0)
            await until(lambda: written(tmp_path).get("answered") == [0, 1])
        return told.events

    asyncio.run(burn())
    assert asyncio.run(start_again()) == []


def test_a_promise_that_is_taken_back_while_it_burns_is_told_to_be_over(tmp_path: Path) -> None:
    async def once(objectives: Sequence[Objective], calls: Sequence[Ending]) -> list[Any]:
        tally = tally_of(tmp_path, *objectives)
        for one in calls:
            tally.note(ended(one), 2.0)
        async with following(tally) as told:
            await until(lambda: told.events)
        return told.events

    assert asyncio.run(once([ANSWERED], ["broken"])) == [("slo_burn", "answered")]
    assert asyncio.run(once([], [])) == [("slo_burn_over", "answered")]


def test_where_nothing_is_promised_nothing_is_left_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        tally = tally_of(tmp_path / "slo")
        async with following(tally):
            tally.note(ended(), 2.0)
            await asyncio.sleep(0.05)

    asyncio.run(scene())
    assert not (tmp_path / "slo").exists()


def test_a_full_disk_stops_no_alarm_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        tried.append(path)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    tried: list[Path] = []
    caplog.set_level("INFO")

    async def scene() -> None:
        tally = tally_of(tmp_path, ANSWERED)
        with monkeypatch.context() as patched:
            patched.setattr(tallies, "_replace", full)
            async with following(tally) as told:
                tally.note(ended("broken"), 2.0)
                await until(lambda: told.events and len(tried) > 3)
                patched.undo()
                await until((tmp_path / "all.mpk").exists)
        assert told.events == [("slo_burn", "answered")]

    asyncio.run(scene())
    assert [line.message.partition(":")[0] for line in caplog.records] == [
        "what was counted of objectives is not written down",
        "what is counted of objectives is written down again",
    ]
    assert standing(tmp_path, [ANSWERED]) == {"answered": (0, 1)}

"""What is in the spool gets into the ledger, whatever the store does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any, cast

import msgspec
import pytest
from rig.entries import an_entry

from gateway.errors import BadRows, StoreDown
from gateway.finops.meter import Meter, MeterState
from gateway.ledger.reading import COLUMNS, SpoolReader
from gateway.ledger.spool import Spool, SpoolSettings
from gateway.protocols import Found

encode = msgspec.json.Encoder().encode


class FakeStore:
    """Keeps one insert for each token, until it has forgotten that, as ClickHouse does.

    `fails` is asked before and after each.
    """

    def __init__(self) -> None:
        self.kept: dict[str, list[Sequence[Any]]] = {}
        self.old: list[Sequence[Any]] = []
        self.migrated = 0
        self.fails: Callable[[str], bool] = lambda _: False
        self.refuses: Callable[[Sequence[Any]], bool] = lambda _: False

    def migrate(self) -> None:
        self._fail("migrate")
        self.migrated += 1

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], token: str) -> None:
        assert dict(COLUMNS)[cast("Any", table)] == names
        self._fail("before")
        if any(self.refuses(row) for row in rows):
            raise BadRows("they are bad")
        self.kept.setdefault(token, list(rows))
        self._fail("after")

    def query(self, _sql: str, _parameters: Mapping[str, Any]) -> Found:
        raise AssertionError

    def export(self, _sql: str, _parameters: Mapping[str, Any], _format: str) -> Iterator[bytes]:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    def calls(self) -> list[str]:
        return [row[1] for rows in [self.old, *self.kept.values()] for row in rows]

    def forget(self) -> None:
        """Forget all tokens, as after many more inserts of other hosts."""
        self.old += [row for rows in self.kept.values() for row in rows]
        self.kept.clear()

    def _fail(self, when: str) -> None:
        if self.fails(when):
            raise StoreDown("it is down")


class Site:
    """A spool, the store, and the meter between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(SpoolSettings(folder, 1 << 30))
        self.store = FakeStore()
        self.told: list[MeterState] = []
        self.meter = self.again()

    def again(self) -> Meter:
        """A meter as it is after a restart."""
        self.meter = Meter(SpoolReader(self.folder), self.store, self.store.migrate, self.told.append)
        return self.meter

    def put(self, *calls: str) -> None:
        self.spool.append(b"L" + encode([an_entry(call=call) for call in calls]))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "spool")
    yield made
    made.spool.close()


def test_what_is_there_is_inserted_and_the_tables_are_made_first(site: Site) -> None:
    site.put("a")
    assert site.meter.work()
    site.put("b", "c")
    assert site.meter.work()
    assert site.store.calls() == ["a", "b", "c"]
    assert site.store.migrated == 1
    assert (site.told[-1].inserted, site.told[-1].problem) == (3, "")


@pytest.mark.parametrize("when", ["migrate", "before", "after"])
def test_a_store_that_is_down_is_tried_again_and_gets_each_entry_once(site: Site, when: str) -> None:
    site.put("a")
    site.store.fails = lambda now: now == when
    assert not site.meter.work()
    assert site.told[-1].problem == "it is down"
    site.put("b")
    assert not site.meter.work()
    site.store.fails = lambda _: False
    assert site.again().work()
    assert sorted(site.store.calls()) == ["a", "b"]
    assert site.told[-1].problem == ""


def test_a_host_that_was_away_for_long_inserts_nothing_twice(site: Site) -> None:
    site.put("a")
    assert site.meter.work()
    site.store.forget()
    assert site.again().work()
    site.put("b")
    assert site.meter.work()
    site.spool.close()
    site.store.forget()
    assert site.again().work()
    assert site.store.calls() == ["a", "b"]


def test_what_was_inserted_while_the_disk_was_full_is_not_inserted_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fills_the_disk(when: str) -> bool:
        if when == "after":
            monkeypatch.setattr(os, "fsync", full)
        return False

    site.put("a")
    site.store.fails = fills_the_disk
    assert not site.meter.work()
    assert "No space left" in site.told[-1].problem
    site.store.forget()
    site.put("b")
    assert not site.meter.work()
    assert site.store.calls() == ["a"]
    monkeypatch.undo()
    site.store.fails = lambda _: False
    assert site.meter.work()
    assert site.store.calls() == ["a", "b"]


def test_entries_that_are_refused_are_set_aside_alone(site: Site) -> None:
    site.store.refuses = lambda row: row[1] in {"bad", "worse"}
    site.put(*"abc", "bad", *"def")
    site.put("g", "worse")
    assert site.meter.work()
    assert sorted(site.store.calls()) == list("abcdefg")
    kept = sorted(path.read_text() for path in (site.folder / "quarantine").iterdir())
    assert [("bad" in text, "worse" in text) for text in kept] == [(True, False), (False, True)]
    assert site.told[-1].set_aside == 2


def test_a_restart_amid_entries_that_are_refused_inserts_nothing_twice(site: Site) -> None:
    site.store.refuses = lambda row: row[1] == "bad"
    site.put(*"abc", "bad", *"def")
    inserts = [0]

    def third_time(now: str) -> bool:
        inserts[0] += now == "after"
        return now == "after" and inserts[0] == 2

    site.store.fails = third_time
    assert not site.meter.work()
    assert site.again().work()
    assert sorted(site.store.calls()) == list("abcdef")


def test_damage_is_set_aside_and_the_rest_goes_on(site: Site) -> None:
    site.put("a")
    site.spool.append(b"Lnonsense")
    site.put("b")
    assert site.meter.work()
    assert site.store.calls() == ["a", "b"]
    (path,) = (site.folder / "quarantine").iterdir()
    assert b"nonsense" in path.read_bytes()


def test_it_works_once_more_when_it_is_told_to_stop(site: Site) -> None:
    site.put("a")
    stop = Event()
    stop.set()
    site.meter.run(stop)
    assert site.store.calls() == ["a"]


def test_pauses_grow_while_the_store_is_down_and_shrink_at_once(site: Site) -> None:
    pauses, pause_s = list[float](), 1.0
    for _ in range(7):
        pause_s = site.meter._pause_s(pause_s, is_well=False)
        pauses.append(pause_s)
    assert pauses == [2, 4, 5, 5, 5, 5, 5]
    assert site.meter._pause_s(5, is_well=True) == 1.0

"""Each entry comes out of the spool once, in batches that stay the same whatever ends in between."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.entries import an_entry

from gateway.ledger import reading
from gateway.ledger.entries import Entry
from gateway.ledger.reading import Batch, SpoolReader, left_behind, segments
from gateway.ledger.segments import END, MAGIC, write_record
from gateway.ledger.spool import Spool, SpoolSettings

encode = msgspec.json.Encoder().encode


def record(*calls: str) -> bytes:
    return b"L" + encode([an_entry(call=call) for call in calls])


def segment(folder: Path, name: str, *payloads: bytes, closed: bool = True) -> Path:
    """A segment that nobody writes any more."""
    text = bytearray(1 << 20)
    text[: len(MAGIC)] = MAGIC
    at = len(MAGIC)
    for payload in payloads:
        at = write_record(memoryview(text), at, payload)
    if closed:
        text[at : at + len(END)] = END
        del text[at + len(END) :]
    path = folder / f"{name}.seg"
    path.write_bytes(text)
    return path


def calls(batch: Batch) -> list[str]:
    return [entry.call for entry in batch.rows["ledger"]]


def take_all(reader: SpoolReader) -> list[str]:
    taken = list[str]()
    for batch in reader.batches():
        taken += calls(batch)
        reader.taken(batch)
    return taken


def test_segments_are_taken_in_their_order_and_removed(tmp_path: Path) -> None:
    segment(tmp_path, "2", record("c"), record("d", "e"))
    segment(tmp_path, "1", record("a"), record("b"), closed=False)
    assert left_behind(tmp_path) == 2
    assert take_all(SpoolReader(tmp_path)) == ["a", "b", "c", "d", "e"]
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == 0


def test_entries_and_prices_come_apart(tmp_path: Path) -> None:
    price = b"P" + encode([("v1", "openai", "gpt", "{}", 1)])
    segment(tmp_path, "1", price, record("a"))
    (batch,) = SpoolReader(tmp_path).batches()
    assert calls(batch) == ["a"]
    assert [row.version for row in batch.rows["prices"]] == ["v1"]


def test_a_batch_that_was_not_taken_comes_again_the_same_although_more_has_come(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(tmp_path, 1 << 30))
    try:
        spool.append(record("a"))
        first = next(SpoolReader(tmp_path).batches())
        spool.append(record("b"))
        reader = SpoolReader(tmp_path)  # as after the end of the one before
        again = next(reader.batches())
        assert (again.token, calls(again)) == (first.token, ["a"])
        reader.taken(again)
        following = next(reader.batches())
        assert calls(following) == ["b"]
        assert following.token != first.token
    finally:
        spool.close()


def test_what_was_taken_does_not_come_again_and_what_is_written_stays(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(tmp_path, 1 << 30))
    try:
        reader = SpoolReader(tmp_path)
        assert take_all(reader) == []
        spool.append(record("a"))
        assert take_all(reader) == ["a"]
        assert take_all(reader) == []
        spool.append(record("b"))
        assert take_all(reader) == ["b"]
        assert len(segments(tmp_path)) == 1
    finally:
        spool.close()
    assert take_all(reader) == []
    assert segments(tmp_path) == []


def test_what_was_taken_does_not_come_again_to_the_next_reader(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(tmp_path, 1 << 30))
    try:
        spool.append(record("a"))
        assert take_all(SpoolReader(tmp_path)) == ["a"]
        assert list(SpoolReader(tmp_path).batches()) == []
        spool.append(record("b"))
        assert take_all(SpoolReader(tmp_path)) == ["b"]
    finally:
        spool.close()
    assert take_all(SpoolReader(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_taken_is_safe_on_disk_before_the_next_is_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves, at the worst: of all that was renamed, only what was synced."""
    spool = Spool(SpoolSettings(tmp_path, 1 << 30, 60.0))
    try:
        spool.append(record("a"))
        reader = SpoolReader(tmp_path)
        (batch,) = reader.batches()
        synced, fsync = list[bytes](), os.fsync

        def sync(file: int) -> None:
            fsync(file)
            path = Path(f"/proc/self/fd/{file}")
            synced.append(path.read_bytes() if path.is_file() else b"the folder")

        monkeypatch.setattr(os, "fsync", sync)
        reader.taken(batch)
        monkeypatch.undo()
        assert synced == [b"%d %d\n" % (batch.end, batch.end), b"the folder"]
    finally:
        spool.close()


def test_a_segment_that_comes_back_after_it_was_removed_is_known_by_its_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says in which order a disk forgets two files, unless one waits for it in between."""
    path = segment(tmp_path, "1", record("a"))
    reader = SpoolReader(tmp_path)
    (batch,) = reader.batches()
    assert batch.is_last
    left, fsync = list[list[str]](), os.fsync

    def sync(file: int) -> None:
        fsync(file)
        left.append([found.suffix for found in tmp_path.iterdir()])

    monkeypatch.setattr(os, "fsync", sync)
    reader.taken(batch)
    assert left == [[".cur"]]
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_down_as_taken_is_taken_for_its_reader_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(SpoolSettings(tmp_path, 1 << 30, 60.0))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    try:
        spool.append(record("a"))
        reader = SpoolReader(tmp_path)
        (batch,) = reader.batches()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            reader.taken(batch)
        monkeypatch.undo()
        spool.append(record("b"))
        assert take_all(reader) == ["b"]
        assert list(SpoolReader(tmp_path).batches()) == []
    finally:
        spool.close()


def test_a_batch_that_nobody_takes_holds_up_its_own_segment_alone(tmp_path: Path) -> None:
    segment(tmp_path, "1", record("a"))
    segment(tmp_path, "2", record("b"))
    reader = SpoolReader(tmp_path)
    assert [calls(batch) for batch in reader.batches()] == [["a"], ["b"]]
    assert take_all(reader) == ["a", "b"]


def test_damage_is_told_with_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    path = segment(tmp_path, "1", record("a"), record("b"), record("c"))
    text = bytearray(path.read_bytes())
    at = text.index(record("b"))
    text[at + 5] ^= 0xFF
    path.write_bytes(text)
    reader = SpoolReader(tmp_path)
    (batch,) = reader.batches()
    assert calls(batch) == ["a", "c"]
    ((start, end),) = batch.damages
    assert reader.stretch(path, start, end)[12:] == bytes(text[at : at + len(record("b"))])


def test_a_record_that_is_whole_and_makes_no_sense_is_damage(tmp_path: Path) -> None:
    segment(tmp_path, "1", b"Lnot JSON", b"?", record("a"), b"L" + encode([["too short"]]))
    (batch,) = SpoolReader(tmp_path).batches()
    assert calls(batch) == ["a"]
    assert len(batch.damages) == 3


def test_what_is_set_aside_is_kept(tmp_path: Path) -> None:
    path = SpoolReader(tmp_path).set_aside("1-8.damaged", b"xyz")
    assert path.read_bytes() == b"xyz"
    assert path.parent == tmp_path / reading.QUARANTINE


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spools")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_readers_that_end_anywhere_take_everything_once_by_token(folders: Path, seed: int) -> None:
    """The store keeps one batch for each token, and forgets the tokens of those that were taken, as
    ClickHouse does after many more; readers end before or after it has a batch.
    """
    chance = random.Random(seed)
    folder = folders / str(seed)
    spool = Spool(SpoolSettings(folder, 1 << 30, 60.0, 16 << 10))
    store, booked = dict[str, list[str]](), list[str]()
    written, reader = list[str](), SpoolReader(folder)
    for number in range(chance.randrange(1, 60)):
        written.append(f"call-{number}")
        spool.append(record(written[-1]))
        if chance.random() < 0.4:
            for batch in reader.batches():
                if chance.random() < 0.2:
                    reader = SpoolReader(folder)
                    break
                store.setdefault(batch.token, calls(batch))
                if chance.random() < 0.2:
                    reader = SpoolReader(folder)
                    break
                reader.taken(batch)
                booked += store.pop(batch.token)
                if chance.random() < 0.2:
                    reader = SpoolReader(folder)
                    break
    spool.close()
    reader = SpoolReader(folder)
    for batch in reader.batches():
        store.setdefault(batch.token, calls(batch))
        reader.taken(batch)
        booked += store.pop(batch.token)
    assert store == {}
    assert sorted(booked) == sorted(written)
    assert segments(folder) == []
    assert Entry.__struct_fields__ == reading.COLUMNS["ledger"]

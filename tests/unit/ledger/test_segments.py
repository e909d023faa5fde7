"""What is written is read; what is torn or damaged costs itself alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.segments import END, HEAD_BYTES, MAGIC, Damage, read_part, write_record

SIZE = 64 << 10
START = len(MAGIC)


def written(*payloads: bytes, size: int = SIZE, closed: bool = False) -> tuple[bytearray, list[int]]:
    """A segment with these records, and where each of them ends."""
    segment = bytearray(size)
    segment[:START] = MAGIC
    view, ends = memoryview(segment), [START]
    for payload in payloads:
        ends.append(write_record(view, ends[-1], payload))
    if closed:
        segment[ends[-1] : ends[-1] + len(END)] = END
    return segment, ends


def everything(segment: bytearray, *, is_final: bool = True) -> tuple[list[bytes], list[Damage], bool]:
    """All of a segment, read in parts of some records each."""
    at, payloads, damages = START, list[bytes](), list[Damage]()
    while True:
        part = read_part(bytes(segment), at, is_final=is_final, most_bytes=512)
        payloads += [record.payload for record in part.records]
        damages += part.damages
        if part.closed or part.end == at:
            return payloads, damages, part.closed
        at = part.end


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=40), st.booleans())
def test_all_that_was_written_is_read_once_and_in_its_order(payloads: list[bytes], closed: bool) -> None:
    segment, _ = written(*payloads, closed=closed)
    assert everything(segment, is_final=closed) == (payloads, [], closed)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20), st.data())
def test_one_that_was_torn_at_the_end_is_waited_for_and_then_stepped_over(
    payloads: list[bytes], data: st.DataObject
) -> None:
    segment, ends = written(*payloads)
    torn_at = data.draw(st.integers(ends[-2], ends[-1] - 1))
    segment[torn_at:] = bytes(len(segment) - torn_at)
    got, damages, closed = everything(segment, is_final=False)
    whole = payloads if got == payloads else payloads[:-1]  # noughts at its end may be its own
    assert (got, damages, closed) == (whole, [], False)
    got, damages, closed = everything(segment, is_final=True)
    assert (got, closed) == (whole, True)
    assert all(ends[-2] <= damage.start < damage.end <= ends[-1] for damage in damages)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=3, max_size=20), st.data())
def test_damage_costs_the_records_that_it_hits_and_no_others(
    payloads: list[bytes], data: st.DataObject
) -> None:
    segment, ends = written(*payloads, closed=True)
    hit = data.draw(st.integers(0, len(payloads) - 1))
    at = data.draw(st.integers(ends[hit], ends[hit + 1] - 1))
    segment[at] ^= data.draw(st.integers(1, 255))
    got, damages, closed = everything(segment)
    assert got == payloads[:hit] + payloads[hit + 1 :]
    assert damages == [Damage(ends[hit], ends[hit + 1])]
    assert closed


@given(st.binary(min_size=1, max_size=4000))
def test_what_was_never_a_segment_gives_no_record_and_comes_to_an_end(text: bytes) -> None:
    got, damages, closed = everything(bytearray(MAGIC + text))
    assert got == []
    assert closed
    assert sum(damage.end - damage.start for damage in damages) <= len(text)


def test_a_length_beyond_the_file_is_damage_and_no_memory_is_taken_for_it() -> None:
    segment, ends = written(b"one", b"two", b"three", closed=True)
    segment[ends[1] + 4 : ends[1] + 8] = b"\xff\xff\xff\x7f"
    assert everything(segment)[:2] == ([b"one", b"three"], [Damage(ends[1], ends[2])])


def test_a_part_has_the_bytes_that_were_asked_for_and_one_record_at_least() -> None:
    segment, ends = written(b"a" * 100, b"b" * 100, b"c" * 100)
    part = read_part(bytes(segment), START, is_final=False, most_bytes=1)
    assert [record.payload for record in part.records] == [b"a" * 100]
    assert part.end == ends[1] == START + HEAD_BYTES + 100
    part = read_part(bytes(segment), part.end, is_final=False, most_bytes=1 << 20)
    assert [record.payload for record in part.records] == [b"b" * 100, b"c" * 100]

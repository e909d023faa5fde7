"""Lines, however they arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Broken
from gateway.formats.framing.lines import LineFramer

LINES = st.lists(st.sampled_from([b"{}", b'{"a":1}', b"", b" \r", b'{"b":"\xc3\xa9"}']), max_size=8)


@given(lines=LINES, rest=st.sampled_from([b"", b"{", b" "]), sizes=st.lists(st.integers(1, 7), min_size=1))
def test_lines_are_the_same_however_they_are_split(lines: list[bytes], rest: bytes, sizes: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines) + rest
    framer = LineFramer(100)
    found, start = [], 0
    while start < len(data):
        size = sizes[start % len(sizes)]
        found += framer.feed(data[start : start + size])
        start += size
    assert found == [line for line in lines if line.strip()]
    assert framer.rest() == rest.strip()


def test_a_line_beyond_the_limit_breaks_the_stream() -> None:
    framer = LineFramer(10)
    assert framer.feed(b"x" * 10) == []
    with pytest.raises(Broken):
        framer.feed(b"x")
    with pytest.raises(Broken):
        LineFramer(10).feed(b"{}\n" + b"x" * 11 + b"\n{}\n")


def test_many_whole_lines_in_a_piece_are_no_long_line() -> None:
    assert len(LineFramer(10).feed(b"12345\n" * 1000)) == 1000


def test_a_line_in_many_pieces_costs_in_proportion() -> None:
    framer = LineFramer(10**7)
    for _ in range(100_000):
        assert framer.feed(b"x" * 10) == []
    assert framer.feed(b"\n") == [b"x" * 10**6]

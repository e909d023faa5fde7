"""Names that others choose keep apart, and take no more room than is given them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import short_name


@given(st.lists(st.text(max_size=90), min_size=2, max_size=5, unique=True))
def test_different_names_stay_different_and_none_is_longer_than_it_may(names: list[str]) -> None:
    begun_alike = ["the same beginning of all " + name for name in names]
    cut = [short_name(name, 40) for name in begun_alike]
    assert len(set(cut)) == len(names)
    assert all(len(name) <= 40 for name in cut)


def test_a_name_that_fits_is_left_alone() -> None:
    assert short_name("x" * 40, 40) == "x" * 40
    assert short_name("x" * 41, 40).startswith("x" * 23 + "~")

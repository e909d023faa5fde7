"""Names that others choose, as far as there is room for them."""

from __future__ import annotations

from gateway.telemetry.metrics.names import Names


def test_known_names_need_no_room() -> None:
    names = Names(["a"], most=1)
    names.learn(["b"])
    assert [names.of(name) for name in ("c", "a", "b", "d", "c", "")] == ["c", "a", "b", "other", "c", ""]


def test_a_name_that_may_be_invented_takes_no_room() -> None:
    names = Names(most=1)
    assert names.of("invented", is_real=False) == "other"
    assert names.of("real") == "real"
    assert names.of("real", is_real=False) == "real"


def test_a_name_that_is_too_long_for_a_label_is_none() -> None:
    assert Names(most=9).of("x" * 129) == "other"

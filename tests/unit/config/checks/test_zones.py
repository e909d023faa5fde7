"""Names of time zones."""

from __future__ import annotations

import pytest

from gateway.config.checks.zones import zone_problems


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_zone_of_the_database_is_one(name: str) -> None:
    assert list(zone_problems((), name)) == []


@pytest.mark.parametrize("name", ["", "Europe", "../UTC", "/etc/passwd", "UTC+1", "a\0b", "x" * 5000])
def test_what_is_no_zone_is_named_with_its_place(name: str) -> None:
    ((where, message, _),) = zone_problems(("t", "timezone"), name)
    assert where == ("t", "timezone")
    assert message.startswith("there is no time zone ")

"""Keys take turns; one that is refused stays away, longer each time, and the others go on."""

from __future__ import annotations

import pytest

from gateway.exchange import Credential
from gateway.protocols import Credentials
from gateway.upstream.credentials import CredentialsInTurn

ONE, TWO, THREE = (Credential(f"b#{i}", f"secret-{i}") for i in (1, 2, 3))


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_is_used_in_turn(clock: Clock) -> None:
    keys: Credentials = CredentialsInTurn([ONE, TWO, THREE], clock)
    assert [keys.next() for _ in range(5)] == [ONE, TWO, THREE, ONE, TWO]


def test_a_single_one_is_used_always(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE], clock)
    assert [keys.next() for _ in range(3)] == [ONE, ONE, ONE]


def test_none_at_all_is_a_value_error(clock: Clock) -> None:
    with pytest.raises(ValueError, match="at least one credential"):
        CredentialsInTurn([], clock)


def test_a_refused_one_is_left_out_for_a_minute(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE, TWO, THREE], clock)
    assert keys.eject(TWO)
    assert [keys.next() for _ in range(4)] == [ONE, THREE, ONE, THREE]
    clock.now_s += 59.9
    assert TWO not in {keys.next() for _ in range(4)}
    clock.now_s += 0.1
    assert {keys.next() for _ in range(3)} == {ONE, TWO, THREE}


def test_the_last_one_stays_in_whatever_the_provider_says(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE, TWO], clock)
    assert keys.eject(ONE)
    clock.now_s += 10
    assert not keys.eject(TWO)
    assert [keys.next() for _ in range(2)] == [TWO, TWO]
    clock.now_s += 50
    assert {keys.next() for _ in range(2)} == {ONE, TWO}
    single = CredentialsInTurn([ONE], clock)
    assert not single.eject(ONE)
    assert single.next() == ONE


def absence_s(keys: CredentialsInTurn, clock: Clock) -> float:
    """For how long the first of two stays away, once it is refused; it is back afterwards."""
    since_s = clock.now_s
    keys.eject(ONE)
    while keys.next() != ONE:
        clock.now_s += 30
    return clock.now_s - since_s


def test_while_it_keeps_being_refused_it_stays_away_twice_as_long_up_to_ten_minutes(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE, TWO], clock)
    assert [absence_s(keys, clock) for _ in range(6)] == [60, 120, 240, 480, 600, 600]


def test_one_that_did_well_for_as_long_as_it_was_away_begins_anew(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE, TWO], clock)
    assert [absence_s(keys, clock) for _ in range(2)] == [60, 120]
    clock.now_s += 120
    assert absence_s(keys, clock) == 60


def test_calls_that_were_under_way_with_a_refused_one_do_not_lengthen_its_absence(clock: Clock) -> None:
    keys = CredentialsInTurn([ONE, TWO], clock)
    for _ in range(32):
        assert keys.eject(ONE)
    clock.now_s += 60
    assert {keys.next() for _ in range(2)} == {ONE, TWO}

"""Who goes on asking is told later and later."""

from __future__ import annotations

import pytest

from gateway.quotas.patience import Patience


def delays(patience: Patience, times: list[float], tenant: str = "acme") -> list[float]:
    return [patience.delay_s(tenant, now_s) for now_s in times]


def test_the_first_refusals_of_a_second_are_told_at_once() -> None:
    assert set(delays(Patience(), [5.0] * 20)) == {0.0}


def test_each_further_one_waits_longer_and_none_longer_than_a_second() -> None:
    late = delays(Patience(), [5.0] * 200)[20:]
    assert late[:3] == pytest.approx([0.02, 0.04, 0.06])
    assert late == sorted(late)
    assert late[-1] == 1.0


def test_who_asks_twenty_times_a_second_or_less_never_waits() -> None:
    assert set(delays(Patience(), [n / 19 for n in range(1000)])) == {0.0}


def test_a_turn_of_the_second_forgives_nothing() -> None:
    patience = Patience()
    delays(patience, [5.99] * 100)
    assert patience.delay_s("acme", 6.01) == 1.0


def test_all_is_forgiven_after_two_seconds() -> None:
    patience = Patience()
    delays(patience, [5.0] * 100)
    assert patience.delay_s("acme", 7.0) == 0.0


def test_one_tenant_does_not_wait_for_another() -> None:
    patience = Patience()
    delays(patience, [5.0] * 100)
    assert patience.delay_s("other", 5.0) == 0.0


@pytest.mark.parametrize(("connections", "most_a_second"), [(10, 40), (100, 110), (1000, 1050)])
def test_a_loop_on_any_number_of_connections_is_slowed_down(connections: int, most_a_second: int) -> None:
    patience, due, refused = Patience(), [0.0] * connections, 0
    while (now_s := min(due)) < 10.0:
        refused += now_s >= 2.0
        due[due.index(now_s)] = now_s + 0.001 + patience.delay_s("acme", now_s)
    assert refused / 8 <= most_a_second


def test_the_tenants_refused_longest_ago_are_forgotten() -> None:
    patience = Patience()
    delays(patience, [5.0] * 100)
    for n in range(Patience.REMEMBERED):
        patience.delay_s(f"tenant-{n}", 5.0)
    assert patience.delay_s("acme", 5.0) == 0.0

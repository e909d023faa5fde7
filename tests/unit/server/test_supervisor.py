"""When a worker that died is started again."""

from __future__ import annotations

import pytest

from gateway.server.supervisor import EARLY_S, LONGEST_DELAY_S, Restarts


def test_early_deaths_wait_ever_longer_up_to_a_limit() -> None:
    restarts = Restarts()
    delays = [restarts.delay_s(lived_s=0.1) for _ in range(40)]
    assert delays[:6] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
    assert set(delays[6:]) == {LONGEST_DELAY_S}


def test_a_worker_that_had_lived_is_replaced_at_once_and_its_history_forgotten() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.delay_s(lived_s=0.1)
    assert restarts.delay_s(lived_s=EARLY_S) == 0.0
    assert restarts.delay_s(lived_s=0.1) == pytest.approx(0.1)

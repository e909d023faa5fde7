"""A breaker under any order of calls, ends and waits: half open, never more than one call tries."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.errors import Cause
from gateway.routing.health.breaker import PLACE_S, BreakerSettings
from gateway.routing.health.health import Health, Visit

CAUSES: tuple[Cause | None, ...] = (None, "error", "timeout", "empty", "rejected", "rate_limited", "busy")
COOL_DOWN_S = 10.0


class Calls(RuleBasedStateMachine):
    """Calls that come and end as they like, and a clock that only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        terms = BreakerSettings(consecutive=2, min_calls=4, cool_down_s=COOL_DOWN_S, jitter=0.5)
        self.draws = 0.0
        self.states: list[str] = []
        self.health = Health(terms, lambda: self.draws, self.states.append)
        self.visits: list[Visit] = []
        self.trying: Visit | None = None
        self.tries_until_s = 0.0
        self.opened_s = 0.0

    @rule(seconds=st.floats(0.0, PLACE_S * 1.5), draw=st.floats(0.0, 1.0, exclude_max=True))
    def time_passes(self, seconds: float, draw: float) -> None:
        self.now_s += seconds
        self.draws = draw

    @rule(count=st.integers(1, 20))
    def calls_come(self, count: int) -> None:
        state = self.health.breaker.state
        is_free = self.trying is None or self.now_s >= self.tries_until_s
        could_go = self.health.obstacle(self.now_s) is None
        came = [visit for _ in range(count) if (visit := self.health.enter(self.now_s)) is not None]
        self.visits += came
        if state == "closed":
            assert len(came) == count
            return
        assert len(came) == (1 if could_go else 0)
        assert state == "open" or could_go == is_free
        if state == "open" and came:
            assert self.now_s >= self.opened_s + COOL_DOWN_S * 0.5
        if came:
            self.trying, self.tries_until_s = came[0], self.now_s + PLACE_S

    @precondition(lambda self: self.visits)
    @rule(which=st.integers(0), cause=st.sampled_from(CAUSES), answered=st.booleans())
    def a_call_ends(self, which: int, cause: Cause | None, answered: bool) -> None:
        visit = self.visits.pop(which % len(self.visits))
        if answered:
            visit.answered(self.now_s)
        visit.ended(self.now_s, cause)
        self._forget(visit)

    @precondition(lambda self: self.visits)
    @rule(which=st.integers(0))
    def a_call_is_given_up(self, which: int) -> None:
        visit = self.visits.pop(which % len(self.visits))
        visit.abandoned()
        visit.ended(self.now_s, "error")
        self._forget(visit)

    def _forget(self, visit: Visit) -> None:
        if visit is self.trying or self.health.breaker.state != "half_open":
            self.trying = None
        if self.states[-1:] == ["open"]:
            self.opened_s = self.now_s
            self.states.clear()

    @invariant()
    def calls_under_way_are_counted(self) -> None:
        assert self.health.in_flight == len(self.visits)
        assert 0.0 <= self.health.error_rate <= 1.0

    @invariant()
    def it_is_never_shut_for_ever(self) -> None:
        assert self.health.obstacle(self.now_s + COOL_DOWN_S * 1.5 + PLACE_S) is None


Calls.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase

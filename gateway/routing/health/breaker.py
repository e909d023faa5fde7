"""Leave a deployment alone after it failed, then let one call try: a circuit breaker.

pybreaker holds the state (closed, open, half-open) and tells of its changes. Everything else is decided
here, because pybreaker reads a clock of its own, counts only failures in a row, and half open lets through
every call that comes at the same time. Must not know calls, HTTP or Redis; whoever calls says the time
(monotonic seconds).

A call that tries and is answered closes the breaker at its first content, not at the end of what may be a
long stream; until a call has ended well, one failure opens it again.

Source: pybreaker 1.4.1; M. Nygard, "Release It!" (the pattern).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from gateway.errors import Cause
from gateway.routing.health.gauges import Window
from gateway.routing.health.sharing import Share
from gateway.routing.health.states import (
    STATE_HALF_OPEN,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
)

State = Literal["closed", "open", "half_open"]

PLACE_S: Final = 30.0
"""So long a call that tries keeps others away. One that takes longer decides all the same when it ends."""

_STATES: Final[dict[str, State]] = {"closed": "closed", "open": "open", "half-open": "half_open"}
_FAILURES: Final = frozenset[Cause](
    {"unreachable", "timeout", "error", "bad_answer", "empty", "broken", "overloaded"}
)
_PERHAPS_THE_CALL: Final = frozenset[Cause]({"empty"})
"""One odd prompt can cause it again and again: it counts in the rate, not as one of failures in a row."""
_ALIVE: Final = frozenset[Cause]({"rejected", "context_length", "content_filter"})
"""The deployment has read the call and judged it: that is as good as an answer. What is in none of these
sets (rates, quotas, credentials, wrong names, our own queue) says nothing of whether it can answer."""


class Obstacle(msgspec.Struct, frozen=True, gc=False):
    """Why no call should go there now, and when to ask again; None: nobody knows.

    `cause` is the word that fallbacks have for it.
    """

    reason: str
    retry_after_s: float | None = None
    cause: Cause = "overloaded"
    is_hint: bool = False
    """It is our guess: where nobody else can be asked, asking it may still help."""


class BreakerSettings(msgspec.Struct, frozen=True, gc=False):
    """When a breaker opens, and for how long. `slow_ms` None: no answer is too slow."""

    consecutive: int = 5
    error_rate: float = 0.5
    min_calls: int = 10
    window_s: float = 30.0
    slow_ms: int | None = None
    cool_down_s: float = 10.0
    jitter: float = 0.2


class BreakerStanding(msgspec.Struct, frozen=True, gc=False):
    """How a breaker stands, for who looks on."""

    state: State
    since_s: float | None
    """When it opened that was closed before; None: it is closed."""
    why: str
    """Why it opened last; empty: it is closed."""
    tries_s: float | None
    """From then on a call may try; None: any may, or one does already."""
    calls: int
    """In its window."""
    failures: int


class _Changes(CircuitBreakerListener):
    """Hands on the changes of state that pybreaker tells its listeners."""

    def __init__(self, tell: Callable[[State], None]) -> None:
        self._tell = tell

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        del cb, old_state
        self._tell(_STATES[new_state.name])


class Breaker:
    """See the module. `draw` gives numbers in [0, 1), one for each opening; `tell` hears each new state."""

    __slots__ = (
        "_draw",
        "_failed_in_a_row",
        "_first_ticket",
        "_machine",
        "_place_ends_s",
        "_settings",
        "_share",
        "_since_s",
        "_tell",
        "_ticket",
        "_until_s",
        "_why",
        "is_closed",
        "window",
    )

    def __init__(
        self,
        settings: BreakerSettings,
        draw: Callable[[], float],
        share: Share,
        tell: Callable[[State], None],
    ) -> None:
        self.is_closed = True
        self.window = Window(settings.window_s)
        self._settings = settings
        self._draw = draw
        self._share = share
        self._tell = tell
        self._machine = CircuitBreaker(listeners=[_Changes(self._note_state)])
        self._failed_in_a_row = 0
        self._since_s = 0.0
        self._until_s = 0.0
        self._why = ""
        # Calls that try have numbers: `_first_ticket` is the first since it opened last, `_ticket` the
        # latest, and its place is taken until `_place_ends_s`.
        self._first_ticket = 1
        self._ticket = 0
        self._place_ends_s = float("-inf")
        share.join(self)

    @property
    def state(self) -> State:
        """The state that pybreaker holds."""
        return _STATES[self._machine.current_state]

    def obstacle(self, now_s: float) -> Obstacle | None:
        """Say whether a call may go there, and if not why. Changes nothing."""
        if self.is_closed:
            return None
        if self._machine.current_state == STATE_HALF_OPEN:
            if now_s >= self._place_ends_s:
                return None
            return Obstacle("its circuit breaker is half open, and another call is trying")
        if now_s < self._until_s:
            return Obstacle(f"its circuit breaker is open: {self._why}", self._until_s - now_s)
        if self._share.may_try():
            return None
        return Obstacle("its circuit breaker is open, and it is another worker's turn to try")

    def standing(self, now_s: float) -> BreakerStanding:
        """Tell how it stands. Changes nothing."""
        calls, failures = self.window.whole()
        if self.is_closed:
            return BreakerStanding("closed", None, "", None, calls, failures)
        tries_s = max(self._until_s, now_s) if self.state == "open" else None
        return BreakerStanding(self.state, self._since_s, self._why, tries_s, calls, failures)

    def admit(self, now_s: float) -> int:
        """Let a call try, where it is not closed: returns its ticket. 0: it may not."""
        if self.obstacle(now_s) is not None:
            return 0
        self._ticket += 1
        self._place_ends_s = now_s + PLACE_S
        self._share.trying(PLACE_S)
        if self._machine.current_state != STATE_HALF_OPEN:
            self._machine.half_open()
        return self._ticket

    def answered(self, ticket: int) -> None:
        """A call that tries has got its first content, in time."""
        if self._is_trying(ticket):
            self._close()
            self._share.closed()
            self._failed_in_a_row = self._settings.consecutive - 1

    def ended(self, now_s: float, cause: Cause | None, ticket: int = 0) -> None:
        """A call is over, well or with a cause."""
        if cause is None or cause in _ALIVE:
            self._went_well(now_s, ticket)
        elif cause in _FAILURES:
            self.failed(now_s, cause, ticket)
        else:
            self.given_up(ticket)

    def failed(self, now_s: float, what: str, ticket: int = 0) -> None:
        """A call has failed; `what` says how, in a word."""
        if self._is_trying(ticket):
            self._open(now_s, f"the call that tried failed too ({what})")
        elif self.is_closed:
            window = self._current(now_s)
            window.calls += 1
            window.failures += 1
            if what not in _PERHAPS_THE_CALL:
                self._failed_in_a_row += 1
            if why := self._too_many():
                self._open(now_s, f"{why} ({what})")

    def given_up(self, ticket: int) -> None:
        """A call has ended without saying anything; its place is free for the next one."""
        if ticket == self._ticket and self._is_trying(ticket):
            self._place_ends_s = float("-inf")
            self._share.trying(0.0)

    def cut_short(self) -> None:
        """Let a call try at once: there is a sign that it is well again."""
        self._until_s = float("-inf")

    def opened_elsewhere(self, now_s: float, left_s: float, why: str) -> None:
        """Follow a breaker of the same deployment that has opened."""
        self._begin_cool_down(now_s, left_s, why)

    def closed_elsewhere(self) -> None:
        """Follow a breaker of the same deployment that has closed."""
        if not self.is_closed:
            self._close()

    def _went_well(self, now_s: float, ticket: int) -> None:
        if self._is_trying(ticket):
            self._close()
            self._share.closed()
        if self.is_closed:
            self._failed_in_a_row = 0
            self._current(now_s).calls += 1

    def _too_many(self) -> str:
        settings = self._settings
        if self._failed_in_a_row >= settings.consecutive:
            return f"{self._failed_in_a_row} failures in a row"
        calls, failures = self.window.whole()
        if calls >= settings.min_calls and failures >= settings.error_rate * calls:
            return f"{failures} of {calls} calls failed"
        return ""

    def _open(self, now_s: float, why: str) -> None:
        cool_down_s = self._settings.cool_down_s * (1 + self._settings.jitter * (2 * self._draw() - 1))
        self._begin_cool_down(now_s, cool_down_s, why)
        self._share.opened(cool_down_s, why)

    def _begin_cool_down(self, now_s: float, left_s: float, why: str) -> None:
        if self.is_closed:
            self._since_s = now_s
        self._until_s, self._why = now_s + left_s, why
        self._first_ticket = self._ticket + 1
        self._machine.open()

    def _close(self) -> None:
        self.window.clear()
        self._failed_in_a_row = 0
        self._first_ticket = self._ticket + 1
        self._machine.close()

    def _is_trying(self, ticket: int) -> bool:
        return ticket >= self._first_ticket and self._machine.current_state == STATE_HALF_OPEN

    def _current(self, now_s: float) -> Window:
        if now_s >= self.window.ends_s:
            self.window.turn(now_s)
        return self.window

    def _note_state(self, state: State) -> None:
        if state != "half_open":
            self._place_ends_s = float("-inf")
        self.is_closed = state == "closed"
        self._tell(state)

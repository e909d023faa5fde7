"""How one deployment is doing: what keeps calls away from it now, and how fast and sure it lately was.

Fed by the attempts that are made there, by what answers say of rate limits, and by probes. Reads no clock:
whoever calls says the time (monotonic seconds). A visit costs about a microsecond in all, and asking for
an obstacle a tenth of one, as long as nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Final

import msgspec

from gateway.errors import Cause
from gateway.exchange import Headers
from gateway.routing.health.breaker import Breaker, BreakerSettings, BreakerStanding, Obstacle, State
from gateway.routing.health.gauges import Gauges, smoothed
from gateway.routing.health.remaining import LONGEST_WAIT_S, told_by
from gateway.routing.health.sharing import Alone, Share

__all__ = ("BreakerSettings", "Health", "Obstacle", "Standing", "Visit")

_LONGEST_REST_S: Final = 3600.0
_LONGEST_SPENT_S: Final = 1.0
"""What is told is when a rate is whole again; room for one call is there much sooner."""
_QUOTA_REST_S: Final = 60.0
"""An account without money is asked once a minute whether somebody has paid."""
_SHORTEST_STREAM_S: Final = 0.05
"""What is over sooner after its first content came whole: it was generated before that."""
_MEDIAN: Final = 50.0
_SLOW: Final = 95.0
_DEFAULTS: Final = BreakerSettings()
_ALONE: Final = Alone()


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a deployment is doing, for who looks on. Of times, None: nothing is known."""

    breaker: BreakerStanding
    obstacle: Obstacle | None
    """What keeps calls away now."""
    rests_until_s: float | None
    """It is left alone: it asked for that, or our account has nothing left. None: it is not."""
    rest_why: str
    spent_until_s: float | None
    """Its answers say that a rate is used up until then. None: they do not."""
    in_flight: int
    first_token_s: float | None
    """Smoothed, as are the next two."""
    latency_s: float | None
    tokens_per_s: float | None
    first_token_p50_s: float | None
    """Of the latest, as is the next."""
    first_token_p95_s: float | None


class Health(Gauges):
    """See the module.

    `draw` gives numbers in [0, 1) for the jitter, `on_change` hears each new state of the breaker, `share`
    tells the breakers of the same deployment in other workers.
    """

    def __init__(
        self,
        settings: BreakerSettings = _DEFAULTS,
        draw: Callable[[], float] = lambda: 0.5,
        on_change: Callable[[State], None] = lambda _state: None,
        share: Share = _ALONE,
    ) -> None:
        super().__init__()
        self.slow_s = inf if settings.slow_ms is None else settings.slow_ms / 1000
        self.breaker = Breaker(settings, draw, share, self._changed)
        self._on_change = on_change
        self._is_clear = True
        self._rest_until_s, self._rest_why = -inf, ""
        self._rest_cause: Cause = "overloaded"
        self._spent_until_s = -inf
        self._probe_failure = ""

    def obstacle(self, now_s: float) -> Obstacle | None:
        """Say what keeps calls away; None: nothing does."""
        # Asked of every candidate of every call: so old failures are forgotten also where no call goes.
        if now_s >= self.breaker.window.ends_s:
            self.breaker.window.turn(now_s)
            self.error_rate = self.breaker.window.rate()
        return None if self._is_clear else self._find_obstacle(now_s)

    def enter(self, now_s: float) -> Visit | None:
        """Begin an attempt. None: it is open, or it is half open and another call is trying."""
        ticket = 0
        if not self.breaker.is_closed:
            ticket = self.breaker.admit(now_s)
            if not ticket:
                return None
        self.in_flight += 1
        return Visit(self, now_s, ticket)

    def told(self, headers: Headers, now_s: float, *, refused: bool = False) -> None:
        """Read what headers say of the rate left; of a call that was `refused`, also when to come back."""
        if (found := told_by(headers)) is None:
            return
        if found.rest_s and refused:
            self.rest(min(found.rest_s, LONGEST_WAIT_S), now_s)
        if found.spent_s:
            self._spent_until_s = now_s + min(found.spent_s, _LONGEST_SPENT_S)
            self._is_clear = False
        elif found.spent_s is not None:
            self._spent_until_s = -inf

    def rest(self, seconds: float, now_s: float) -> None:
        """Leave it alone for so long: it asked for that."""
        self._leave(seconds, now_s, "it asked to be left alone", "rate_limited")

    def probed(self, failure: str = "") -> None:
        """Hear of a probe of its backend: why it failed; empty: it is well.

        The first that goes well again lets a call try at once where the breaker is open; it closes nothing.
        """
        if self._probe_failure and not failure:
            self.breaker.cut_short()
        self._probe_failure = failure
        if failure:
            self._is_clear = False

    def spent(self, now_s: float) -> None:
        """Leave it alone for a while: our account there has nothing left."""
        self._leave(_QUOTA_REST_S, now_s, "our account there has no quota left", "quota")

    def standing(self, now_s: float) -> Standing:
        """Tell how it is doing. Changes nothing but what `obstacle` does."""
        obstacle = self.obstacle(now_s)
        rests = self._rest_until_s > now_s
        return Standing(
            breaker=self.breaker.standing(now_s),
            obstacle=obstacle,
            rests_until_s=self._rest_until_s if rests else None,
            rest_why=self._rest_why if rests else "",
            spent_until_s=self._spent_until_s if self._spent_until_s > now_s else None,
            in_flight=self.in_flight,
            first_token_s=self.first_token_s,
            latency_s=self.latency_s,
            tokens_per_s=self.tokens_per_s,
            first_token_p50_s=self.percentile_s(_MEDIAN),
            first_token_p95_s=self.percentile_s(_SLOW),
        )

    def _leave(self, seconds: float, now_s: float, why: str, cause: Cause) -> None:
        until_s = now_s + min(seconds, _LONGEST_REST_S)
        if until_s > self._rest_until_s:
            self._rest_until_s, self._rest_why, self._rest_cause = until_s, why, cause
            self._is_clear = False

    def _find_obstacle(self, now_s: float) -> Obstacle | None:
        if self._probe_failure:
            return Obstacle(f"its probe fails: {self._probe_failure}")
        if (found := self.breaker.obstacle(now_s)) is not None:
            return found
        if (left_s := self._rest_until_s - now_s) > 0:
            return Obstacle(f"{self._rest_why} for {ceil(left_s)} s", left_s, self._rest_cause)
        if (left_s := self._spent_until_s - now_s) > 0:
            why = f"its rate limit is used up for {ceil(left_s)} s"
            return Obstacle(why, left_s, "rate_limited", is_hint=True)
        self._is_clear = self.breaker.is_closed
        return None

    def _changed(self, state: State) -> None:
        if state == "closed":
            self.error_rate = 0.0
        else:
            self._is_clear = False
        self._on_change(state)


class Visit:
    """One attempt under way. Tell how it began at most once, and how it ended exactly once."""

    __slots__ = ("_first_s", "_health", "_is_over", "_started_s", "_ticket", "_was_slow")

    def __init__(self, health: Health, started_s: float, ticket: int) -> None:
        self._health = health
        self._started_s = started_s
        self._ticket = ticket
        self._first_s = -inf
        self._was_slow = False
        self._is_over = False

    def answered(self, now_s: float) -> None:
        """Its first content came: a whole answer, or a stream's first token."""
        if self._first_s > -inf or self._is_over:
            return
        self._first_s = now_s
        health = self._health
        took_s = now_s - self._started_s
        health.times.append(took_s)
        health.first_token_s = smoothed(health.first_token_s, took_s)
        if took_s > health.slow_s:
            self._was_slow = True
        elif self._ticket:
            health.breaker.answered(self._ticket)

    def ended(self, now_s: float, cause: Cause | None = None, output_tokens: int = 0) -> None:
        """It is over: well, or with a cause. Further calls change nothing."""
        if self._is_over:
            return
        if cause is None:
            self._measure(now_s, output_tokens)
        self._is_over = True
        health = self._health
        health.in_flight -= 1
        if cause is None and self._was_slow:
            health.breaker.failed(now_s, "too slow", self._ticket)
        else:
            health.breaker.ended(now_s, cause, self._ticket)
        if cause is not None or self._was_slow or health.error_rate:
            health.error_rate = health.breaker.window.rate()
        if cause == "quota":
            health.spent(now_s)

    def abandoned(self) -> None:
        """It was given up by us or by the client: it says nothing of the deployment."""
        if not self._is_over:
            self._is_over = True
            self._health.in_flight -= 1
            self._health.breaker.given_up(self._ticket)

    def _measure(self, now_s: float, output_tokens: int) -> None:
        if self._first_s == -inf:
            self.answered(now_s)
        health = self._health
        took_s = now_s - self._started_s
        health.latency_s = smoothed(health.latency_s, took_s)
        if output_tokens > 1:
            spoke_s = now_s - self._first_s
            if spoke_s < _SHORTEST_STREAM_S:
                spoke_s = took_s
            if spoke_s > 0:
                health.tokens_per_s = smoothed(health.tokens_per_s, output_tokens / spoke_s)

"""Whose turn it is after a failure: the next target, the same ones after a pause, or a declared fallback.

Pure: it is told what happened and says what to do. It begins nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gateway.errors import Cause, UpstreamError
from gateway.exchange import Try
from gateway.routing.routes import Candidate, Retry, Step

ABOUT_THE_REQUEST: frozenset[Cause] = frozenset({"context_length", "content_filter", "rejected"})
"""What another target would most likely say too: only a fallback that names them follows."""

_REPEATED: frozenset[Cause] = frozenset(
    {"unreachable", "error", "bad_answer", "overloaded", "rate_limited", "busy"}
)
"""What may be gone a moment later. Not a timeout: that upstream is still working on the first try."""


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Try a target."""

    candidate: Candidate
    why: Try


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Pause before the next try."""

    seconds: float


class Take(msgspec.Struct, frozen=True, gc=False):
    """Take a declared fallback."""

    step: Step


class Journey:
    """The way of one call through candidates and steps. Ask `next` until it gives None."""

    def __init__(self, retry: Retry, steps: Sequence[Step]) -> None:
        self._retry = retry
        self._steps = list(steps)
        self._queue: list[Candidate] = []
        self._why: Try = "first"
        self._again: list[tuple[Candidate, UpstreamError]] = []
        self._round = 0
        self._cause: Cause | None = None
        self._named: Cause | None = None
        """There is a step for this cause, which goes before all who are queued."""
        self._refused = False
        """The request itself was refused: what a try beside that one says changes nothing."""

    def begin(self, candidates: Sequence[Candidate], why: Try) -> None:
        """Go through `candidates` from here on."""
        self._queue = list(candidates)
        self._why, self._round = why, 0
        self._named, self._refused = None, False
        self._again.clear()

    def failed(self, candidate: Candidate, error: UpstreamError) -> None:
        """A try at `candidate` ended with `error`."""
        if self._refused:
            return
        self.stopped(error.cause)
        if error.retry == "never":
            self._refused = True
            self._queue.clear()
            self._again.clear()
        elif error.cause in _REPEATED:
            self._again.append((candidate, error))

    def stopped(self, cause: Cause) -> None:
        """Nobody could be asked, or somebody has failed, for this `cause`."""
        self._cause = cause
        if self._named is None and self._step_for(cause) is not None:
            self._named = cause

    def skip(self) -> None:
        """There is no time for those who are queued."""
        self._queue.clear()

    def rival(self) -> Candidate | None:
        """Return who is next in line, for a try beside the one under way."""
        return self._queue[0] if self._queue else None

    def pull(self) -> Candidate:
        """Take the next in line out of the queue."""
        return self._queue.pop(0)

    def next(self, draw: Callable[[], float]) -> Ask | Wait | Take | None:
        """Say what to do now; None: there is nothing left.

        A step that comes to nothing was in vain, no more: those who were queued are asked after it.
        """
        if (step := self._named_step()) is not None:
            return Take(step)
        if self._queue:
            why = self._why
            if why == "first":
                self._why = "next"
            return Ask(self._queue.pop(0), why)
        if (wait := self._another_round(draw)) is not None:
            return wait
        return self._step_for_all()

    def _another_round(self, draw: Callable[[], float]) -> Wait | None:
        """Queue those that may do better after a pause, as far as the route's allowance goes."""
        retry, again = self._retry, self._again
        if not again or self._round >= retry.attempts:
            return None
        wanted_s = min(error.retry_after_s or 0.0 for _, error in again)
        if wanted_s > retry.max_retry_after_s:
            return None
        pause_s = max(draw() * min(retry.backoff_s * 2**self._round, retry.max_backoff_s), wanted_s)
        ready = [candidate for candidate, error in again if (error.retry_after_s or 0.0) <= pause_s]
        self._queue = [candidate for candidate in ready if retry.allowance.take()]
        if not self._queue:
            return None
        self._round += 1
        self._why = "retry"
        again.clear()
        return Wait(pause_s)

    def _named_step(self) -> Step | None:
        cause = self._named
        if cause is None or (step := self._step_for(cause)) is None:
            self._named = None
            return None
        self._steps.remove(step)
        return step

    def _step_for_all(self) -> Take | None:
        cause = self._cause
        # Where nobody was made for the call, "we are busy" would not be true: only others are asked.
        step = next((step for step in self._steps if not step.on and (cause or step.targets)), None)
        if step is None or cause in ABOUT_THE_REQUEST:
            return None
        self._steps.remove(step)
        return Take(step)

    def _step_for(self, cause: Cause) -> Step | None:
        return next((step for step in self._steps if cause in step.on), None)

"""Take one call from target to target until one accepts it: other targets, pauses, declared fallbacks.

`journey` says whose turn it is; here it is done. Nothing is begun after the call's deadline, and whatever
was begun and is not used is ended.

Must not know wire formats or HTTP clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from math import inf
from random import random
from time import monotonic, time

from gateway.attempts.journey import ABOUT_THE_REQUEST, Ask, Journey, Wait
from gateway.attempts.opening import Errand, open_attempt
from gateway.attempts.outcome import Outcome
from gateway.attempts.racing import Trying, delay_s, first_of
from gateway.attempts.substitutes import canned_answer, remembered_answer, remembering, shortened
from gateway.errors import BudgetExceeded, Busy, StoreDown, TimedOut, Unsupported, UpstreamError
from gateway.exchange import Attempt, Call, Moment, Record, Try
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import Passage, Terms
from gateway.routing.canary import Side
from gateway.routing.choice import choose
from gateway.routing.plans import Plan, nobody
from gateway.routing.routes import Canary, Candidate, Deployment, Shorten, Step, StreamTerms

_SEEN_AT_ONCE = StreamTerms()
_LATER: frozenset[Try] = frozenset({"next", "fallback", "hedge"})

_LATE = "deadline_exceeded"

log = logging.getLogger("forebay")


class Trip:
    """One call under way."""

    def __init__(self, call: Call, plan: Plan, record: Record) -> None:
        way = plan.way
        self.call, self.plan, self.record = call, plan, record
        self.terms = Terms(
            record.call_id,
            int(time()),
            call.envelope.model if plan.route.names_itself else None,
            rewritten=call.envelope.stream and way.stream.on_break == "continue",
        )
        self.notes: list[tuple[bytes, bytes]] = []
        """Headers that say what was done to the call."""
        self._deadline_s = inf if (s := way.limits.deadline_s) is None else record.started_s + s
        self._journey = Journey(way.retry, way.steps)
        self._failure: UpstreamError | None = None
        self._unfit: Unsupported | None = None
        """Why the format of some target cannot express the call."""
        self._uncovered: BudgetExceeded | StoreDown | None = None
        self._spare: Outcome | None = None
        """An answer that says nothing, or that the prompt was not let through, for want of a better one."""
        self._spent_nanousd = 0
        """What the attempts cost, as estimated; also of those under way."""
        way.retry.allowance.pay_in()
        if way.hedge is not None:
            way.hedge.allowance(call.caller.tenant).pay_in()

    def left_s(self) -> float:
        """How long the call may still take."""
        return inf if self._deadline_s == inf else self._deadline_s - monotonic()

    async def run(self) -> Outcome:
        """Return the first accepted answer. Raises what the client is to be told."""
        journey, choice = self._journey, self.plan.choice
        if choice.candidates:
            journey.begin(choice.candidates, "first")
        elif (cause := choice.cause) is not None:
            journey.stopped(cause)
        while (move := journey.next(random)) is not None:
            if isinstance(move, Wait):
                await self._wait(move.seconds)
                continue
            outcome = await self._ask(move) if isinstance(move, Ask) else self._take(move.step)
            if outcome is not None:
                return self._given(outcome)
        if self._spare is not None:
            return self._given(self._spare)
        raise self._failure or self._uncovered or self._unfit or nobody(self.plan.route, choice)

    def _given(self, outcome: Outcome) -> Outcome:
        """Write down whose answer the client gets."""
        if outcome.attempt is not None:
            outcome.attempt.cause = ""
            self.record.dropped, self.record.translated_to = outcome.dropped, outcome.translated_to
        return outcome

    async def _wait(self, seconds: float) -> None:
        if seconds < self.left_s():
            await asyncio.sleep(seconds)
        else:
            self._journey.skip()

    def _late(self) -> UpstreamError:
        if self._failure is not None and self._failure.code == _LATE:
            return self._failure
        allowed_ms = (self.plan.way.limits.deadline_s or 0.0) * 1000
        last = f"; the last try failed: {self._failure.message}" if self._failure else ""
        return TimedOut(f"no answer within the route's {allowed_ms:g} ms{last}", code=_LATE)

    def _take(self, step: Step) -> Outcome | None:
        """Take a declared fallback: an answer that needs no upstream, or further targets to ask."""
        if step.answer:
            return canned_answer(self.call, step.answer, self.terms)
        if step.cached_s is not None:
            earlier = remembered_answer(self.call, self.plan, step.cached_s)
            self.record.cache = "miss" if earlier is None else "hit"
            return earlier
        if self.left_s() <= 0 or (step.shorten is not None and not self._shorten(step.shorten)):
            return None
        way = self.plan.way
        demand = self.plan.demand.of(self.call)
        targets, strategy = step.targets or way.targets, step.strategy or way.strategy
        self._journey.begin(choose(targets, strategy, demand, Moment.now()).candidates, "fallback")
        return None

    def _shorten(self, terms: Shorten) -> bool:
        facts = (
            target.site.deployment(target.model or self.call.envelope.model).facts
            for target in self.plan.way.targets
        )
        windows = [tokens for fact in facts if (tokens := fact.context_tokens) is not None]
        shorter, turns = shortened(self.call, terms, max(windows, default=None))
        if turns:
            self.call = shorter
            self.notes.append((b"x-forebay-shortened", b"turns=%d" % turns))
        return turns > 0

    def _ask(self, move: Ask) -> Awaitable[Outcome | None]:
        hedge, rival = self.plan.way.hedge, self._journey.rival()
        after_s = None if hedge is None or rival is None else delay_s(hedge, move.candidate.deployment.health)
        if hedge is None or after_s is None or move.why not in {"first", "next"}:
            return self.attempt(move.candidate, move.why)

        def second() -> Trying | None:
            if self._journey.rival() is not rival or not hedge.allowance(self.call.caller.tenant).take():
                return None
            return partial(self.attempt, self._journey.pull(), "hedge")

        return first_of(partial(self.attempt, move.candidate, move.why), after_s, second)

    async def attempt(self, candidate: Candidate, why: Try) -> Outcome | None:
        """Try a target, in the first of its formats that can express the call; None: it failed."""
        deployment = candidate.deployment
        if self.left_s() <= 0:
            self._fail(candidate, self._late())
            return None
        if why in _LATER and deployment.health.obstacle(monotonic()) is not None:
            return None  # what was known when it was chosen may be otherwise by now
        if not self.afford(candidate) or not (self.record.lease is None or await self.covered(candidate)):
            return None
        for wire in candidate.wires:
            attempt = self.begin(deployment, why)
            try:
                passage = open_passage(self.call, wire, deployment.model, self.terms)
                outcome = await self.open(passage, deployment, attempt)
            except Unsupported as error:
                attempt.cause = error.code
                self._unfit = self._unfit or error
                continue
            except UpstreamError as error:
                self.repay(candidate, attempt)
                self._fail(candidate, error)
                return None
            return self._accepted(outcome, candidate)
        self._forget(candidate)
        return None

    def afford(self, candidate: Candidate) -> bool:
        """Reckon with the cost of an attempt; False: with those before it, that is more than a call may."""
        limit_nanousd = self.plan.way.limits.cost_nanousd
        cost_nanousd = candidate.cost_nanousd or 0
        if limit_nanousd is not None and self._spent_nanousd + cost_nanousd > limit_nanousd:
            return False
        self._spent_nanousd += cost_nanousd
        return True

    def repay(self, candidate: Candidate, attempt: Attempt) -> None:
        """Reckon no more with an attempt that has failed, if nothing was generated for it."""
        if attempt.transcript is None:
            self._forget(candidate)

    async def covered(self, candidate: Candidate) -> bool:
        """Have the caller's budgets cover an attempt that `afford` reckons with; False: they do not."""
        lease, price = self.record.lease, candidate.deployment.price
        try:
            if lease is None or lease.has_room(price) or await lease.enlarge():
                return True
        except StoreDown as down:  # what goes on with a stream that broke must not end it without a word
            self._uncovered = down
        else:
            where = candidate.deployment.name
            self._uncovered = BudgetExceeded(f"the budget does not cover a further try, at {where}")
        self._forget(candidate)
        return False

    def _forget(self, candidate: Candidate) -> None:
        self._spent_nanousd -= candidate.cost_nanousd or 0
        if self.record.lease is not None:
            self.record.lease.spare(candidate.deployment.price)

    def _fail(self, candidate: Candidate, error: UpstreamError) -> None:
        # That it rests because of earlier failures is no news to whoever has seen the last one.
        self._failure = self._failure if isinstance(error, Busy) and self._failure else error
        self._journey.failed(candidate, error)

    def _accepted(self, outcome: Outcome, candidate: Candidate) -> Outcome | None:
        outcome.notes = tuple(self.notes)
        if outcome.lack is not None:
            outcome.forgo(outcome.lack.code)
            self._spare = self._spare or outcome
            self._journey.failed(candidate, outcome.lack)
            return None
        if self.plan.memory is not None:
            outcome.remember = remembering(self.record.call or self.call, self.plan)
        return outcome

    def begin(self, deployment: Deployment, why: Try) -> Attempt:
        """Write down that an attempt begins."""
        attempt = Attempt(deployment.site.backend.name, deployment.model, monotonic(), why)
        attempt.price = deployment.price
        attempt.call = self.call
        if deployment.site.self_hosted and self.record.trace is not None:
            attempt.trace = self.record.trace.child()
        self.record.attempts.append(attempt)
        return attempt

    def open(self, passage: Passage, deployment: Deployment, attempt: Attempt) -> Awaitable[Outcome]:
        """Make the attempt: see open_attempt."""
        way = self.plan.way
        errand = Errand(
            passage=passage,
            deployment=deployment,
            limits=way.limits,
            deadline_s=self._deadline_s,
            holding=way.stream if attempt.why != "continue" else _SEEN_AT_ONCE,
            attempt=attempt,
            noted=_nobody_asks if way.canary is None else partial(_compare, way.canary),
            priority=self.plan.demand.signals.priority if deployment.site.gate else "interactive",
            silent=self.terms.rewritten,
        )
        return open_attempt(errand)


def _nobody_asks(_attempt: Attempt, _error: UpstreamError | None) -> None:
    """There is no canary to be compared."""


def _compare(canary: Canary, attempt: Attempt, error: UpstreamError | None) -> None:
    """Tell the watch over a canary how an attempt went, there or at another target."""
    target = canary.target
    is_own = target.site.backend.name == attempt.backend and target.model in {None, attempt.model}
    side: Side = "canary" if is_own else "baseline"
    now_s = monotonic()
    latency_s = attempt.first_token_s or now_s - attempt.started_s
    ok = error is None or error.cause in ABOUT_THE_REQUEST
    reason = canary.watch.note(side, ok=ok, latency_s=latency_s, now_s=now_s)
    if reason and side == "canary":
        deployment = f"{attempt.backend}/{attempt.model}"
        log.warning("canary rolled back", extra={"deployment": deployment, "reason": reason})

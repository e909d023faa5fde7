"""Choose among targets: leave out those that cannot take the call, put the others in order.

Pure. Every target that gets a call went through here: primary, canary, fallback, hedge and shadow alike,
so that nothing reaches a backend that its data may not go to.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.errors import Cause
from gateway.exchange import Call, Format, Moment
from gateway.formats.passage.wires import wires_for
from gateway.routing.filters import (
    expected_cost_nanousd,
    forbidden,
    is_late,
    latest_s,
    not_taken,
    too_dear,
    too_long,
)
from gateway.routing.routes import Candidate, Deployment, Limits, Site, Strategy, Target
from gateway.routing.sensitivity import Sensitivity
from gateway.routing.signals.signals import Signals

LATE_ASKED = 0.05
"""The share of calls in which a late target keeps its place, so that it can be seen to have recovered."""


class Demand(msgspec.Struct, frozen=True):
    """What is asked of targets: by a call, under the limits of its way, by the policy on its data."""

    signals: Signals
    limits: Limits
    sensitivity: Sensitivity
    reckons: bool = True
    """Somebody asks what the call costs at each target: to know the prompt's length takes 10 us."""

    def of(self, call: Call) -> Demand:
        """Ask the same for a changed call. Of the same one, what was read is not read again."""
        if call is self.signals.call:
            return self
        return Demand(Signals(call, self.signals.readers), self.limits, self.sensitivity, self.reckons)


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """A target that cannot take the call, and why.

    `cause` is what asking it all the same would have ended with, where fallbacks have a word for it:
    context_length, or for what passes overloaded (breaker, probe, queue) and rate_limited; None: it is not
    made for such calls, or may not have them. `forbidden`: its data may not go there.
    """

    name: str
    reason: str
    cause: Cause | None = None
    retry_after_s: float | None = None
    """When it may take the call; None: nobody knows, or never."""
    forbidden: bool = False
    unless_alone: Candidate | None = None
    """It lacks what the call needs, or its rate is used up, as far as we know: so it is asked where nobody
    else can be."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """Candidates in the order to try, and who was left out."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def cause(self) -> Cause | None:
        """Why nobody can be asked, in the word that fallbacks have for it."""
        return next((left.cause for left in self.left_out if left.cause is not None), None)


def choose(targets: Sequence[Target], strategy: Strategy, demand: Demand, moment: Moment) -> Choice:
    """Choose among `targets`.

    Candidates come by priority, those of one priority as the strategy orders them, those that lately took
    far longer than the limits allow behind all others.
    """
    candidates: list[Candidate] = []
    left_out: list[LeftOut] = []
    for target in targets:
        found = _considered(target, demand, moment)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            candidates.append(found)
    if not candidates and left_out:
        candidates, left_out = _for_want_of_better(left_out)
    if len(candidates) > 1:
        return Choice(tuple(_in_order(candidates, strategy, demand, moment)), tuple(left_out))
    return Choice(tuple(candidates), tuple(left_out))


def _considered(target: Target, demand: Demand, moment: Moment) -> Candidate | LeftOut:
    """Ask what is cheap to know before the rest, and what never changes before what passes."""
    signals, site = demand.signals, target.site
    model = signals.model if target.model is None else target.model
    if target.when is not None and not target.when(signals, moment):
        return _left_out(site, model, "is not meant for such calls: its `when` does not hold")
    wires = wires_for(signals.format, site.backend.speaks(model))
    if not wires:
        return _left_out(site, model, f"takes no {signals.format} calls")
    if reason := forbidden(demand.sensitivity, signals, site):
        return _left_out(site, model, reason, forbidden=True)
    return _judged(target, site.deployment(model), wires, demand, moment)


def _judged(
    target: Target, deployment: Deployment, wires: tuple[Format, ...], demand: Demand, moment: Moment
) -> Candidate | LeftOut:
    """Ask what is known of the deployment."""
    signals, facts, price = demand.signals, deployment.facts, deployment.price
    if reason := too_long(facts, signals):
        return LeftOut(deployment.name, reason, "context_length")
    cost_nanousd = expected_cost_nanousd(price, signals) if price is not None and demand.reckons else None
    if reason := too_dear(cost_nanousd, demand.limits):
        return LeftOut(deployment.name, reason)
    candidate = Candidate(target, deployment, wires, cost_nanousd)
    if (obstacle := deployment.health.obstacle(moment.now_s)) is not None:
        hinted = candidate if obstacle.is_hint else None
        return LeftOut(
            deployment.name, obstacle.reason, obstacle.cause, obstacle.retry_after_s, unless_alone=hinted
        )
    if reason := not_taken(facts, signals):
        return LeftOut(deployment.name, reason, unless_alone=candidate)
    return candidate


def _for_want_of_better(left_out: list[LeftOut]) -> tuple[list[Candidate], list[LeftOut]]:
    """Ask those that only our own knowledge speaks against, when nobody else can be asked, now or later.

    It may be out of date, and their own refusal says more than ours could.
    """
    if any(left.cause is not None and left.unless_alone is None for left in left_out):
        return [], left_out
    candidates = [left.unless_alone for left in left_out if left.unless_alone is not None]
    return candidates, [left for left in left_out if left.unless_alone is None]


def _left_out(site: Site, model: str, reason: str, *, forbidden: bool = False) -> LeftOut:
    """Leave a target out before its deployment was looked up."""
    return LeftOut(f"{site.backend.name}/{model}", reason, forbidden=forbidden)


def _in_order(
    candidates: list[Candidate], strategy: Strategy, demand: Demand, moment: Moment
) -> Sequence[Candidate]:
    signals = demand.signals
    priorities = {candidate.target.priority for candidate in candidates}
    if len(priorities) == 1:
        ordered = strategy(candidates, signals, moment)
    else:
        ordered = [
            candidate
            for tier in _tiers(candidates)
            for candidate in (strategy(tier, signals, moment) if len(tier) > 1 else tier)
        ]
    limit_s = latest_s(demand.limits, stream=signals.stream)
    return ordered if limit_s is None else _timely_first(ordered, limit_s, moment, stream=signals.stream)


def _tiers(candidates: list[Candidate]) -> list[list[Candidate]]:
    tiers: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        tiers.setdefault(candidate.target.priority, []).append(candidate)
    return [tiers[priority] for priority in sorted(tiers)]


def _timely_first(
    ordered: Sequence[Candidate], limit_s: float, moment: Moment, *, stream: bool
) -> Sequence[Candidate]:
    """Put the late ones behind the others, but not always: who is never asked stays late for ever."""
    late = [one for one in ordered if is_late(one.deployment.health, limit_s, stream=stream)]
    if not late or len(late) == len(ordered) or moment.draw() < LATE_ASKED:
        return ordered
    return [*(one for one in ordered if not is_late(one.deployment.health, limit_s, stream=stream)), *late]

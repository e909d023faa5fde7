"""Ask a configuration where a call would go, and on from there whenever somebody fails. Nothing is sent.

The plan and the way through it are production's own; only what they are told is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.attempts.journey import Ask, Journey, Take, Wait
from gateway.attempts.substitutes import shortened
from gateway.compose.reading import Config
from gateway.errors import (
    BadAnswer,
    Broken,
    Busy,
    Cause,
    ConnectFailed,
    ContextTooLong,
    Empty,
    Failed,
    Filtered,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    UnknownModel,
    Unsupported,
    UpstreamError,
)
from gateway.exchange import Call, Caller, Format, Moment
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import Terms
from gateway.routing.choice import choose
from gateway.routing.plans import Plan
from gateway.routing.routes import Candidate, Shorten, Step

FAILURES: Mapping[Cause, type[UpstreamError]] = {
    kind.cause: kind
    for kind in (
        *(ConnectFailed, TimedOut, Failed, BadAnswer, Empty, Broken, Overloaded, RateLimited, QuotaSpent),
        *(Busy, ContextTooLong, Filtered, Refused, UnknownModel, Rejected),
    )
}
"""What an attempt ends with, by the word that routing.yaml has for it."""

_TERMS = Terms("call_rehearsed", 0)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call as somebody wrote it down."""

    body: Mapping[str, object]
    format: Format = "chat"
    tenant: str = ""
    key: str = ""
    headers: Mapping[str, str] = {}


def call_of(asked: Asked, config: Config) -> Call:
    """Make the call. Raises BadRequest, as the gateway would; LookupError for a tenant that there is not."""
    members = decode_members(msgspec.json.encode(asked.body))
    envelope = decode_envelope(members)
    headers = {name.lower(): value for name, value in asked.headers.items()}
    return Call(asked.format, _caller(asked, config), envelope, members, headers)


def _caller(asked: Asked, config: Config) -> Caller:
    """Find out what the key may use: what its tenant may, and for a key of the file its own share of that."""
    tenants = config.tenants.tenants
    tenant = asked.tenant or next(iter(tenants))
    if tenant not in tenants:
        raise LookupError(f"there is no tenant {tenant!r}; policies/tenants.yaml has {', '.join(tenants)}")
    caller = tenants[tenant]
    own = next((key for key in config.tenants.keys if (key.id, key.tenant) == (asked.key, tenant)), None)
    routes = caller.routes if own is None else (*caller.routes, own.routes)
    return msgspec.structs.replace(caller, key=asked.key, routes=routes)


class Walk:
    """The way of a call whose targets fail as `failing` says: by name (backend/model), with a cause.

    `asked` has who was asked, in turn; `cached` and `answer` stand for the answers of the gateway's own.
    `answered` says whether the last of them gave one.
    """

    def __init__(
        self,
        plan: Plan,
        moment: Moment,
        failing: Callable[[Candidate], Cause | None] = lambda _: None,
        *,
        remembered: bool = False,
    ) -> None:
        self._plan, self._moment, self._failing = plan, moment, failing
        self._remembered = remembered
        self._call = plan.demand.signals.call
        self._journey = Journey(plan.way.retry, plan.way.steps)
        self.asked: list[str] = []
        self.failure: UpstreamError | None = None
        self.answered = self._walk()

    def _walk(self) -> bool:
        journey, choice = self._journey, self._plan.choice
        self._plan.way.retry.allowance.pay_in()
        if choice.candidates:
            journey.begin(choice.candidates, "first")
        elif choice.cause is not None:
            journey.stopped(choice.cause)
        while (move := journey.next(self._moment.draw)) is not None:
            if not isinstance(move, Wait) and self._make(move):
                return True
        return False

    def _make(self, move: Ask | Take) -> bool:
        return self._ask(move.candidate) if isinstance(move, Ask) else self._take(move.step)

    def _ask(self, candidate: Candidate) -> bool:
        if not self._is_expressible(candidate):
            return False
        self.asked.append(candidate.deployment.name)
        if (cause := self._failing(candidate)) is None:
            return True
        self.failure = FAILURES[cause](f"{candidate.deployment.name} was to fail")
        self._journey.failed(candidate, self.failure)
        return False

    def _is_expressible(self, candidate: Candidate) -> bool:
        """Tell whether one of the target's formats can express the call."""
        for wire in candidate.wires:
            try:
                open_passage(self._call, wire, candidate.deployment.model, _TERMS)
            except Unsupported:
                continue
            return True
        return False

    def _take(self, step: Step) -> bool:
        if step.answer:
            self.asked.append("answer")
            return True
        if step.cached_s is not None:
            self.asked += ["cached"] * self._remembered
            return self._remembered
        if step.shorten is None or self._shorten(step.shorten):
            plan = self._plan
            demand = plan.demand.of(self._call)
            targets, strategy = step.targets or plan.way.targets, step.strategy or plan.way.strategy
            self._journey.begin(choose(targets, strategy, demand, self._moment).candidates, "fallback")
        return False

    def _shorten(self, terms: Shorten) -> bool:
        model = self._call.envelope.model
        targets = self._plan.way.targets
        facts = [target.site.deployment(target.model or model).facts for target in targets]
        windows = [fact.context_tokens for fact in facts if fact.context_tokens is not None]
        self._call, turns = shortened(self._call, terms, max(windows, default=None))
        return turns > 0


def is_named(name: str, deployment: str) -> bool:
    """Tell whether a name, of a backend or of a deployment, means a deployment."""
    return name in {deployment, deployment.partition("/")[0]}


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    """Name the deployments of candidates."""
    return [candidate.deployment.name for candidate in candidates]

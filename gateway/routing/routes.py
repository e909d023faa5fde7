"""Routes, targets and deployments as compiled from routing.yaml, and finding the route of a name.

Pure: no await, no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.errors import Cause
from gateway.exchange import Facts, Format, Moment, Price, Request, Timeouts
from gateway.protocols import Backend, Credentials, Gate, Transport
from gateway.routing.budgets import Allowance
from gateway.routing.canary import CanaryWatch
from gateway.routing.health.health import Health
from gateway.routing.signals.signals import Signals

MATCH_CACHE_ENTRIES = 4096

Condition = Callable[[Signals, Moment], bool]
"""Whether something holds for a call, now. Pure."""


class About(msgspec.Struct, frozen=True):
    """What there is to tell of a backend that no call needs to know."""

    provider: str = ""
    preset: str = ""
    """Empty: none was taken."""
    healths: Callable[[], Mapping[str, Health]] = dict
    """Those of its deployments that have come into being, by the model's name."""
    probe: Callable[[], str] | None = None
    """Why its probe fails, empty: it goes well; None: it has none."""


class Site(msgspec.Struct, frozen=True):
    """A backend with what it takes to send to it."""

    backend: Backend
    transport: Transport
    credentials: Credentials
    sign: Callable[[Request], Request]
    """Adds to a request what has to be made at the moment of sending; raises UpstreamError."""
    timeouts: Timeouts
    answer_limit_bytes: int
    event_limit_bytes: int
    deployment: Callable[[str], Deployment]
    """Its deployment of an upstream model, by the model's name."""
    gate: Gate | None = None
    """Bounds how many calls it gets at once; None: no bound."""
    region: str = ""
    self_hosted: bool = False
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    """What its chats call the limit on generated tokens."""
    about: About = About()


class Deployment(msgspec.Struct, frozen=True):
    """One upstream model at one backend: the unit of health, price and pacing."""

    site: Site
    model: str
    health: Health
    facts: Facts = Facts()
    price: Price | None = None
    """None: it is not known."""

    @property
    def name(self) -> str:
        """What it is called in decisions: backend/model."""
        return f"{self.site.backend.name}/{self.model}"


class Target(msgspec.Struct, frozen=True, gc=False):
    """A deployment in a route; `model` is the upstream's name, None passes the requested one on."""

    site: Site
    model: str | None
    priority: int = 0
    weight: float = 1.0
    when: Condition | None = None


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A target that can take the call: its deployment, and the wire formats to try, the preferred first."""

    target: Target
    deployment: Deployment
    wires: tuple[Format, ...]
    cost_nanousd: int | None = None
    """What the call will cost there, as estimated; None: there is no price."""
    score: float | None = None
    """What the strategy ranked it by, the lower the better; None: by no number."""


Strategy = Callable[[Sequence[Candidate], Signals, Moment], Sequence[Candidate]]
"""Puts candidates of one priority in the order to try. Pure."""


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What a call may take; None: as much as the backend's timeouts let it."""

    first_token_s: float | None = None
    latency_s: float | None = None
    gap_s: float | None = None
    cost_nanousd: int | None = None
    deadline_s: float | None = None


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Rounds over the targets that have failed. `allowance` is shared by all calls of the route."""

    attempts: int
    backoff_s: float
    max_backoff_s: float
    max_retry_after_s: float
    allowance: Allowance


class Shorten(msgspec.Struct, frozen=True, gc=False):
    """Leave out the oldest turns, down to `to_share` of the window (or of the call), but keep some."""

    keep_turns: int
    to_share: float


class Step(msgspec.Struct, frozen=True, gc=False):
    """A fallback: other `targets`, the same ones with a shorter call, a `cached` answer or a fixed one.

    `on` empty: after every cause but those about the request itself. Exactly one of the others is set.
    """

    on: frozenset[Cause] = frozenset()
    targets: tuple[Target, ...] = ()
    strategy: Strategy | None = None
    shorten: Shorten | None = None
    cached_s: float | None = None
    answer: str = ""


class Hedge(msgspec.Struct, frozen=True, gc=False):
    """A second try after a delay: fixed, or a percentile of what the deployment lately took."""

    after_s: float | None
    percentile: float | None
    allowance: Callable[[str], Allowance]
    """The tenant's share of hedged calls."""


class StreamTerms(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a stream that breaks, and how much of its beginning is held back."""

    on_break: Literal["error", "continue", "restart"] = "error"
    hold_tokens: int = 0
    hold_s: float = 0.0


class Shadow(msgspec.Struct, frozen=True, gc=False):
    """A target that gets copies of a share of the calls."""

    target: Target
    share: float
    compare: bool


class Way(msgspec.Struct, frozen=True):
    """How calls are sent."""

    targets: tuple[Target, ...]
    strategy: Strategy
    limits: Limits
    retry: Retry
    steps: tuple[Step, ...] = ()
    hedge: Hedge | None = None
    stream: StreamTerms = StreamTerms()
    canary: Canary | None = None
    shadow: Shadow | None = None
    reckons: bool = True
    """A limit or a strategy asks what a call costs."""

    @property
    def everywhere(self) -> tuple[Target, ...]:
        """All that its calls may be sent to: first, as a canary, as a fallback, as a copy."""
        canary = () if self.canary is None else (self.canary.target,)
        shadow = () if self.shadow is None else (self.shadow.target,)
        return (*self.targets, *canary, *(target for step in self.steps for target in step.targets), *shadow)

    @property
    def remembers(self) -> bool:
        """Whether answers are kept, to be given again when nobody answers."""
        return any(step.cached_s is not None for step in self.steps)


class Canary(msgspec.Struct, frozen=True):
    """A target that comes first for the calls that `takes` says, until `watch` rolls it back."""

    target: Target
    takes: Condition
    watch: CanaryWatch


class Rule(msgspec.Struct, frozen=True):
    """What is different for the calls it holds for: another way, another route, or none."""

    name: str
    holds: Condition
    way: Way | None = None
    use: str = ""
    deny: str = ""


class Route(msgspec.Struct, frozen=True):
    """A public model name, or a glob over names, and how its calls are sent.

    `way` None: only its rules say.
    """

    name: str
    way: Way | None
    rules: tuple[Rule, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str = ""
    names_itself: bool = False
    """Answers carry the requested name instead of the upstream's."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that its calls may be sent to first, whichever rule holds."""
        return tuple(target for way in self._ways() for target in way.targets)

    @property
    def everywhere(self) -> tuple[Target, ...]:
        """All that its calls may be sent to at all, whichever rule holds."""
        return tuple(target for way in self._ways() for target in way.everywhere)

    def _ways(self) -> list[Way]:
        return [way for way in (self.way, *(rule.way for rule in self.rules)) if way is not None]

"""Stand-ins for what targets are chosen by: a call's signals, deployments, a policy on data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from gateway.exchange import Caller, Facts, Feature, Format, Moment, Price, Rates
from gateway.routing.choice import Demand
from gateway.routing.health.health import Obstacle
from gateway.routing.routes import Candidate, Limits, Target

CALLER = Caller("acme", "key-1")


@dataclass
class StandInSignals:
    """A call's signals, all of them given; `asked` has the costly ones that were looked at."""

    model: str = "requested"
    format: Format = "chat"
    stream: bool = False
    caller: Caller = CALLER
    user: str = ""
    conversation: str = ""
    prompt: bytes = b""
    tokens: int = 100
    size_bytes: int = 1 << 30
    max_tokens: int | None = None
    features: frozenset[Feature] = frozenset()
    labels: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    @property
    def prompt_tokens(self) -> int:
        self.asked.append("prompt_tokens")
        return self.tokens


@dataclass
class StandInHealth:
    """How a deployment is doing."""

    in_flight: int = 0
    first_token_s: float | None = None
    latency_s: float | None = None
    tokens_per_s: float | None = None
    error_rate: float = 0.0
    keeps_away: Obstacle | None = None

    def obstacle(self, now_s: float) -> Obstacle | None:
        return self.keeps_away


class StandInSensitivity:
    """A policy: by label, the regions that may have such calls; self-hosted backends always may."""

    def __init__(self, **regions: tuple[str, ...]) -> None:
        self._regions = regions

    def forbids(self, labels: frozenset[str], region: str, *, self_hosted: bool) -> str:
        forbidden = (label for label in sorted(labels) if region not in self._regions.get(label, (region,)))
        return "" if self_hosted else next(forbidden, "")


def site(name: str, speaks: tuple[Format, ...] = ("chat",), **more: Any) -> Any:
    """A backend, and its deployments by the model's name: each with the health, facts and price given."""
    backend = SimpleNamespace(name=name, speaks=lambda _model: speaks)
    made: dict[str, Any] = {}
    place = SimpleNamespace(
        backend=backend, region=more.pop("region", ""), self_hosted=more.pop("self_hosted", False)
    )
    given = {"health": StandInHealth(), "facts": Facts(), "price": None} | more

    def deployment(model: str) -> Any:
        named = SimpleNamespace(site=place, model=model, name=f"{name}/{model}", **given)
        return made.setdefault(model, named)

    place.deployment = deployment
    return place


def target(name: str, *, model: str | None = "m", **more: Any) -> Target:
    """A target at a backend of its own."""
    own = {key: more.pop(key) for key in ("priority", "weight", "when") if key in more}
    return Target(site(name, **more), model, **own)


def candidate(name: str, *, weight: float = 1.0, cost_nanousd: int | None = None, **health: Any) -> Candidate:
    """A candidate by itself, as strategies get it."""
    whole = target(name, weight=weight, health=StandInHealth(**health))
    return Candidate(whole, whole.site.deployment("m"), ("chat",), cost_nanousd)


def demand(signals: StandInSignals | None = None, policy: Any = None, **limits: Any) -> Demand:
    """What a call asks of targets."""
    asked: Any = signals or StandInSignals()
    return Demand(asked, Limits(**limits), policy or StandInSensitivity())


def moment(drawn: float | Callable[[], float] = 0.5) -> Moment:
    """A moment in which this is drawn, or what this gives."""
    return Moment(0.0, 0.0, drawn if callable(drawn) else lambda: drawn)


def chance(seed: int) -> Moment:
    """A moment whose chance is of a seed."""
    return Moment(0.0, 0.0, Random(seed).random)


def names(candidates: Iterable[Candidate]) -> list[str]:
    """The names of candidates' backends."""
    return [one.target.site.backend.name for one in candidates]


def price(input_usd: float, output_usd: float) -> Price:
    """A price in dollars for a million tokens."""
    return Price.flat("p1", Rates.plain(round(input_usd * 1e9), round(output_usd * 1e9), 0, 0))

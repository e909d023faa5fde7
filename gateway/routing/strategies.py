"""In which order targets of one priority are tried: one function or small class for each strategy.

Pure and deterministic: time and chance come in the Moment. Each returns all of its candidates, in an order.
What cannot take a call was left out before. Must not know priorities or limits.

Sources: weighted rendezvous hashing, Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import inf, log

from msgspec.structs import replace

from gateway.config.ways import StickyBy, StrategyKind, StrategySpec, WeightsSpec
from gateway.exchange import Moment
from gateway.routing.filters import expected_output_tokens
from gateway.routing.health.health import Health
from gateway.routing.routes import Candidate, Strategy
from gateway.routing.signals.signals import Signals

FIRST_CALLS = 3
"""So many calls at once are spent on a deployment of which nothing is known yet."""

WORST = 10.0
"""As bad as a score takes anything to be, in times the best. Beside what is free all else is infinitely dear:
without this bound the price would decide alone."""


def compile_strategy(spec: StrategyKind | StrategySpec | None, salt: str) -> Strategy:
    """Compile a strategy; None is `priority`. With another `salt` sticky calls fall elsewhere."""
    made = spec if isinstance(spec, StrategySpec) else StrategySpec(kind=spec or "priority")
    return _MAKERS[made.kind](made, salt)


def as_written(candidates: Sequence[Candidate], _signals: Signals, _moment: Moment) -> Sequence[Candidate]:
    """Priority: change nothing."""
    return candidates


def weighted(candidates: Sequence[Candidate], _signals: Signals, moment: Moment) -> Sequence[Candidate]:
    """Draw by weight, without putting back; those of no weight come last, as written."""
    rest = [candidate for candidate in candidates if candidate.target.weight > 0]
    weights = [candidate.target.weight for candidate in rest]
    ordered: list[Candidate] = []
    while len(rest) > 1:
        mark = moment.draw() * sum(weights)
        drawn = 0
        while mark >= weights[drawn] and drawn < len(rest) - 1:  # the last one takes what rounding leaves
            mark -= weights[drawn]
            drawn += 1
        ordered.append(rest.pop(drawn))
        del weights[drawn]
    ordered += rest
    if len(ordered) < len(candidates):
        ordered += [candidate for candidate in candidates if candidate.target.weight <= 0]
    return ordered


def least_busy(candidates: Sequence[Candidate], _signals: Signals, moment: Moment) -> Sequence[Candidate]:
    """Order by calls under way; chance decides between equals, so that they fill up evenly."""
    draw = moment.draw
    return sorted(candidates, key=lambda candidate: (candidate.deployment.health.in_flight, draw()))


def cheapest(candidates: Sequence[Candidate], _signals: Signals, _moment: Moment) -> Sequence[Candidate]:
    """Order by what this call will cost; what has no price comes last."""
    return sorted(candidates, key=_cost_nanousd)


class Fastest:
    """By the time that the answer will take; now and then another one first, to see how it does now."""

    __slots__ = ("_explore",)

    def __init__(self, explore: float) -> None:
        self._explore = explore

    def __call__(
        self, candidates: Sequence[Candidate], signals: Signals, moment: Moment
    ) -> Sequence[Candidate]:
        """Order them: the new ones first, then the known ones, then those that never gave an answer."""

        def rank(candidate: Candidate) -> float:
            health = candidate.deployment.health
            seconds = expected_s(health, signals)
            if seconds is None:
                return -1.0 if _is_new(health) else inf
            return seconds

        return _explored(sorted(candidates, key=rank), self._explore, moment)


class Sticky:
    """The calls of one identity go to the same target as long as it can take them.

    Each identity has its own order of all targets. One that goes leaves its calls to the next in the order
    of each, one that comes takes its share from all; nothing else moves.
    """

    __slots__ = ("_identity", "_salt")

    def __init__(self, identity: Callable[[Signals], bytes], salt: str) -> None:
        self._identity = identity
        self._salt = blake2b(salt.encode(), digest_size=16).digest()

    def __call__(
        self, candidates: Sequence[Candidate], signals: Signals, _moment: Moment
    ) -> Sequence[Candidate]:
        """Order them by a race: each arrives at a time drawn from the two names, sooner with more weight."""
        seed = blake2b(self._salt + self._identity(signals), digest_size=16).digest()

        def arrival(candidate: Candidate) -> float:
            weight = candidate.target.weight
            return _exponential(seed, candidate.deployment.name) / weight if weight else inf

        return sorted(candidates, key=arrival)


class Score:
    """By a sum over cost, latency and errors, each in times the best of the candidates.

    Latencies are of calls that were made, so others are tried now and then, as with `fastest`.
    """

    __slots__ = ("_explore", "_weights")

    def __init__(self, weights: WeightsSpec, explore: float) -> None:
        self._weights = weights
        self._explore = explore

    def __call__(
        self, candidates: Sequence[Candidate], signals: Signals, moment: Moment
    ) -> Sequence[Candidate]:
        """Order them, the lowest sum first."""
        sums = self.sums(candidates, signals)
        order = sorted(range(len(candidates)), key=sums.__getitem__)
        scored = [replace(candidates[index], score=sums[index]) for index in order]
        return _explored(scored, self._explore, moment)

    def sums(self, candidates: Sequence[Candidate], signals: Signals) -> list[float]:
        """Give each its score."""
        weights = self._weights
        healths = [candidate.deployment.health for candidate in candidates]
        costs = _relative([_cost_nanousd(candidate) for candidate in candidates])
        times = _relative([_presumed_s(health, signals) for health in healths])
        errors = _relative([_tries(health) for health in healths])
        return [
            weights.cost * cost + weights.latency * time + weights.errors * error
            for cost, time, error in zip(costs, times, errors, strict=True)
        ]


def expected_s(health: Health, signals: Signals) -> float | None:
    """How long the answer will take, from what the deployment lately took; None: nothing is known."""
    first_token_s, tokens_per_s = health.first_token_s, health.tokens_per_s
    if first_token_s is None or (not signals.stream and health.latency_s is not None):
        return health.latency_s
    return first_token_s + expected_output_tokens(signals) / tokens_per_s if tokens_per_s else first_token_s


def _cost_nanousd(candidate: Candidate) -> float:
    return inf if candidate.cost_nanousd is None else candidate.cost_nanousd


def _presumed_s(health: Health, signals: Signals) -> float | None:
    """How long the answer will take; None: it is new."""
    seconds = expected_s(health, signals)
    if seconds is None:
        return None if _is_new(health) else inf
    return seconds


def _tries(health: Health) -> float:
    """How many tries an answer takes there: a thousandth of errors hardly counts, a half does."""
    return 1 / (1 - health.error_rate) if health.error_rate < 1 else inf


def _relative(values: Sequence[float | None]) -> list[float]:
    """Give each value in times the least of them, 1 to WORST; None is presumed to be as good as the best."""
    best = min((value for value in values if value is not None), default=inf)
    return [_times(value, best) for value in values]


def _times(value: float | None, best: float) -> float:
    if value is None or value == best:
        return 1.0
    return min(value / best, WORST) if best else WORST


def _is_new(health: Health) -> bool:
    """Nothing is known of it: it has not failed either, and few calls are finding out."""
    return health.in_flight < FIRST_CALLS and not health.error_rate


def _explored(ordered: list[Candidate], explore: float, moment: Moment) -> list[Candidate]:
    """For a share of the calls, move one of the others to the front."""
    others = len(ordered) - 1
    if not explore or not others or (drawn := moment.draw()) >= explore:
        return ordered
    chosen = 1 + min(int(drawn / explore * others), others - 1)
    return [ordered[chosen], *ordered[:chosen], *ordered[chosen + 1 :]]


def _exponential(seed: bytes, name: str) -> float:
    """Draw from the exponential distribution of mean 1, always the same for the same names."""
    digest = blake2b(seed + name.encode(errors="surrogatepass"), digest_size=8).digest()
    # 52 bits and a half: never 0 or 1, whose logarithms would be no use.
    return -log(((int.from_bytes(digest, "big") >> 12) + 0.5) / (1 << 52))


def _identity(by: StickyBy, prefix_bytes: int) -> Callable[[Signals], bytes]:
    """Say what is read of a call. Where it has none, its key stands in."""

    def named(text: str) -> bytes:
        return text.encode(errors="surrogatepass")

    readers: Mapping[StickyBy, Callable[[Signals], bytes]] = {
        "user": lambda signals: named(signals.user or signals.caller.key),
        "conversation": lambda signals: named(signals.conversation or signals.user or signals.caller.key),
        "prefix": lambda signals: bytes(signals.prompt[:prefix_bytes]) or named(signals.caller.key),
        "key": lambda signals: named(signals.caller.key),
        "tenant": lambda signals: named(signals.caller.tenant),
    }
    return readers[by]


_MAKERS: Mapping[StrategyKind, Callable[[StrategySpec, str], Strategy]] = {
    "priority": lambda _spec, _salt: as_written,
    "weighted": lambda _spec, _salt: weighted,
    "least_busy": lambda _spec, _salt: least_busy,
    "cheapest": lambda _spec, _salt: cheapest,
    "fastest": lambda spec, _salt: Fastest(spec.explore),
    "sticky": lambda spec, salt: Sticky(_identity(spec.by, spec.prefix_chars), salt),
    "score": lambda spec, _salt: Score(spec.weights, spec.explore),
}

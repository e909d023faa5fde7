"""The limits that hold for a call, compiled: which calls each is for, what it counts, and by whom.

Pure. Must not know where counters are kept, nor YAML: `gateway.policy.quotas` and `.budgets` compile to this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.quotas.counting import Counter, Meter
from gateway.quotas.periods import Period

NANOUSD = 1_000_000_000
MOST_USD = 9_000_000
"""As nano-dollars it is just below 2**53: counters of Redis are exact up to there."""

Metric = Literal["requests", "input_tokens", "output_tokens", "tokens", "nanousd", "calls", "streams"]
"""What is counted; `tokens` are input and output, `calls` and `streams` those that run at the same time."""

Dimension = Literal["tenant", "team", "key", "user", "route", "model"]
Fail = Literal["open", "closed", "local"]
"""What holds while the store does not answer: nothing; no call; or this worker's share of the limit."""

Over = Literal["deny", "warn", "downgrade"]


class Scope(msgspec.Struct, frozen=True, gc=False):
    """Whom and what a call concerns; empty: it has no such thing."""

    tenant: str
    team: str = ""
    key: str = ""
    user: str = ""
    route: str = ""
    model: str = ""
    """As requested."""
    tags: tuple[str, ...] = ()
    timezone: str = "UTC"
    """The tenant's."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """One number of a rule: so much of a metric, as a meter runs."""

    metric: Metric
    meter: Meter
    text: str
    """For people: "60 requests per minute"."""
    period: Period | None = None
    """Of a meter that counts by calendar; its time zone is the rule's, else the scope's."""


class Rule(msgspec.Struct, frozen=True):
    """One entry of quotas.yaml or budgets.yaml."""

    name: str
    kind: Literal["quota", "budget"]
    holds_for: Callable[[Scope], bool]
    per: tuple[Dimension, ...]
    """Each combination of their values has counters of its own; none: all share them."""
    lines: tuple[Line, ...]
    timezone: str = ""
    """Empty: the tenant's."""
    names_users: bool = False
    """`holds_for` looks at the user of a call, which costs something to find out."""
    shadow: bool = False
    """It measures and reports, and lets everything pass."""
    fail: Fail = "local"
    over: Over = "deny"
    downgrade: str = ""
    """The route that is taken instead."""
    alerts: tuple[int, ...] = ()
    """Per cent of the limit at which somebody is told."""
    most_prompt_tokens: int | None = None
    most_output_tokens: int | None = None
    caps_output: bool = False
    """A call that asks for more output, or does not say, is given that much; else it is turned away."""

    @property
    def is_soft(self) -> bool:
        """It is never a reason to turn a call away."""
        return self.shadow or self.over != "deny"


class Held(msgspec.Struct, frozen=True):
    """A line that holds for a scope: `prefix` names its counter, up to the period."""

    rule: Rule
    line: Line
    prefix: str
    timezone: str

    def counter(self, now_ms: int) -> Counter:
        """Return its counter at this time."""
        period = self.line.period
        if period is None:
            return Counter(self.prefix, self.line.meter)
        starts_ms, ends_ms = period.around(now_ms, self.timezone)
        return Counter(f"{self.prefix}:{starts_ms // 1000}", self.line.meter, ends_ms)


class Terms(msgspec.Struct, frozen=True):
    """What holds for a scope: lines with counters, and rules that bound the size of one call."""

    held: tuple[Held, ...]
    bounds: tuple[Rule, ...]

    def __bool__(self) -> bool:
        """Whether anything does."""
        return bool(self.held or self.bounds)


class Rules:
    """All rules of a configuration. What holds for the scopes that were asked for last is remembered."""

    REMEMBERED = 8192

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.every = tuple(rules)
        self.by_name: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self.looks_at_users = any(rule.names_users or "user" in rule.per for rule in rules)
        self._known: dict[Scope, Terms] = {}

    def of(self, scope: Scope) -> tuple[Held, ...]:
        """Return all lines that hold for a scope, in the order of the files."""
        return self.terms(scope).held

    def terms(self, scope: Scope) -> Terms:
        """Return all that holds for a scope."""
        terms = self._known.get(scope)
        if terms is None:
            if len(self._known) >= self.REMEMBERED:
                self._known.clear()
            terms = self._known[scope] = self._find(scope)
        return terms

    def _find(self, scope: Scope) -> Terms:
        rules = [rule for rule in self.every if rule.holds_for(scope)]
        held = (
            Held(rule, line, key_prefix(rule, line, scope), rule.timezone or scope.timezone)
            for rule in rules
            for line in rule.lines
        )
        bounds = (
            rule for rule in rules if (rule.most_prompt_tokens, rule.most_output_tokens) != (None, None)
        )
        return Terms(tuple(held), tuple(bounds))


def key_prefix(rule: Rule, line: Line, scope: Scope) -> str:
    """Name a counter: by its rule, its metric and span, and the values that it is kept apart by."""
    values = [
        str(getattr(scope, dimension)).replace("%", "%25").replace(":", "%3a") for dimension in rule.per
    ]
    span = f"{line.period.unit}" if line.period is not None else f"{line.meter.kind}{line.meter.span_ms}"
    return ":".join([rule.kind, rule.name, line.metric, span, *values])

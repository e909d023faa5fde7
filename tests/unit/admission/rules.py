"""Rules of a small company, for tests of what is said of limits."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.exchange import Caller
from gateway.quotas.counting import Ask, Meter
from gateway.quotas.periods import Period
from gateway.quotas.rules import Line, Rule, Rules, Scope
from gateway.stores.quotas_memory import MemoryQuotas

USD = 1_000_000_000
NOW_MS = 1_792_108_800_000
"""2026-10-16, at midnight (UTC): half of the month is almost over."""
MONTH_ENDS_MS = 1_793_491_200_000

REQUESTS = Line("requests", Meter("window", 60, 60_000), "60 requests per minute")
TOKENS = Line("tokens", Meter("bucket", 100_000, 60_000), "100,000 tokens per minute")
SEATS = Line("calls", Meter("seats", 4), "4 calls at the same time")
MONTHLY = Line("nanousd", Meter("period", 500 * USD), "$500 per month", Period("month"))
ROLLING = Line("nanousd", Meter("window", 10 * USD, 3_600_000), "$10 in any 60 minutes")

FREE = Rule("free", "quota", lambda scope: "free" in scope.tags, ("tenant", "user"), (REQUESTS, TOKENS))
PROVIDER = Rule("provider", "quota", lambda scope: scope.route == "gpt", (), (REQUESTS,))
TEAMS = Rule("teams", "quota", lambda _: True, ("tenant", "team"), (SEATS,), shadow=True)
PAID = Rule("paid", "budget", lambda _: True, ("tenant",), (MONTHLY,))
SHARED = Rule("shared", "budget", lambda _: True, (), (ROLLING,))
SHORT = Rule("short", "quota", lambda _: True, (), (), most_prompt_tokens=8000)
RULES = Rules([FREE, PROVIDER, TEAMS, PAID, SHARED, SHORT])

CALLERS = {"acme": Caller("acme", "", tags=("free",)), "beta": Caller("beta", "")}
ACME = Scope("acme", tags=("free",))


class Store(MemoryQuotas):
    """Counters in memory, at a time of the test's own."""

    __slots__ = ("at_ms", "questions")

    def __init__(self) -> None:
        super().__init__(lambda: self.at_ms)
        self.at_ms = NOW_MS
        self.questions = 0

    async def exchange(self, asks: Sequence[Ask]) -> object:
        self.questions += 1
        return await super().exchange(asks)

    async def take(self, scope: Scope, rule: str, amount: int) -> None:
        """Take so much of all lines of a rule."""
        held = [held for held in RULES.of(scope) if held.rule.name == rule]
        verdict = await self.exchange([Ask(one.counter(self.at_ms), amount) for one in held])
        assert verdict.granted

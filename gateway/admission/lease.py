"""What one call has taken of its limits, until it is settled by what it really used.

Must not know the store: the desk asks it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, get_args

import msgspec

from gateway.exchange import Attempt, Price
from gateway.quotas.pockets import Pocket
from gateway.quotas.rules import Held, Metric

log = logging.getLogger("forebay")

_MOST = 1 << 50
"""What an upstream may claim to have used: counters hold no more than eight times that."""


class Amounts(NamedTuple):
    """What a call takes, or has used, by metric: a request, and a seat, is one."""

    requests: int
    calls: int
    streams: int
    input_tokens: int
    output_tokens: int
    tokens: int
    nanousd: int


PLACES: Mapping[Metric, int] = {metric: Amounts._fields.index(metric) for metric in get_args(Metric)}
_MONEY = PLACES["nanousd"]
_SEATS = (PLACES["calls"], PLACES["streams"])


def amounts_of(input_tokens: int = 0, output_tokens: int = 0, nanousd: int = 0) -> Amounts:
    """Return the amounts of one call."""
    return Amounts(1, 1, 1, input_tokens, output_tokens, input_tokens + output_tokens, nanousd)


def money_of(nanousd: int) -> Amounts:
    """Return an amount of money alone."""
    return Amounts(0, 0, 0, 0, 0, 0, nanousd)


def most_nanousd(price: Price | None, input_tokens: int, output_tokens: int, tier: str = "") -> int:
    """Return the most that so many tokens may cost: where a cache takes all input; 0 without a price.

    `tier` is the class of service that is asked for.
    """
    return 0 if price is None else price.at_most(input_tokens, output_tokens, tier)


class Line(msgspec.Struct, gc=False):
    """A limit that holds for a call, its counter's pocket now, and the place of its metric in Amounts."""

    held: Held
    pocket: Pocket
    at: int


Taken = tuple[Line, Pocket, int, int]
"""Of a line, out of its pocket as it was then: an amount, and the slot it came from. A call has several of
these: a tuple is made and taken apart 3 times faster than anything with names."""


_ONE = amounts_of()


class CallLease:
    """See the module. `take_money` takes more of limits on money, `settled` hears what came of the call."""

    __slots__ = (
        *("_has_grown", "_is_over", "_is_settled", "compared"),
        *("notes", "planned", "promised", "settled", "take_money", "taken", "tier"),
    )

    def __init__(self, take_money: Callable[[CallLease, int], Awaitable[bool]]) -> None:
        self.taken: list[Taken] = []
        self.planned = _ONE
        """What was taken."""
        self.promised = 0
        """What the attempts that were begun cost at most, in nano-USD."""
        self.tier = ""
        """The class of service that the call asks for."""
        self.take_money = take_money
        self.settled: Callable[[Sequence[Attempt]], None] | None = None
        self.compared: Callable[[Amounts, Amounts], None] | None = None
        """Hears what was planned and what was used."""
        self.notes: list[tuple[bytes, bytes]] = []
        self._has_grown = self._is_over = self._is_settled = False

    def has_room(self, price: Price | None) -> bool:
        """Reckon with the cost of one more attempt; False: more has to be taken first (`enlarge`)."""
        self.promised += self._cost(price)
        return self.promised <= self.planned.nanousd

    async def enlarge(self) -> bool:
        """Take what the attempts reckoned with lack; False: a limit does not have it."""
        lack = self.promised - self.planned.nanousd
        if lack <= 0 or not any(line.at == _MONEY for line, *_ in self.taken):
            return True
        return await self.take_money(self, lack)

    def grown(self, more: list[Taken], nanousd: int) -> None:
        """Money was taken for it."""
        self._has_grown = True
        self.taken += more
        self.planned = self.planned._replace(nanousd=self.planned.nanousd + nanousd)

    def money(self) -> list[Line]:
        """Return the limits on money that it has taken of."""
        return list({id(line): line for line, *_ in self.taken if line.at == _MONEY}.values())

    def spare(self, price: Price | None) -> None:
        """Reckon no more with an attempt: it has cost nothing."""
        self.promised -= self._cost(price)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Tell the client what is left of its limits."""
        return self.notes

    def end(self) -> None:
        """The call runs no more. Further calls change nothing."""
        if self._is_over:
            return
        self._is_over = True
        for line, pocket, amount, slot in self.taken:
            if line.at in _SEATS:
                pocket.settle(slot, amount, 0)

    def cancel(self) -> None:
        """Give all of it back: the call goes another way, where other limits hold."""
        if not self._is_over:
            self._is_over = self._is_settled = True
            put_back(self.taken)

    def settle(self, attempts: Sequence[Attempt]) -> None:
        """Give back what the attempts did not use. Further calls change nothing.

        Whoever hears of it may raise: only then, when everything is given back.
        """
        self.end()
        if self._is_settled:
            return
        self._is_settled = True
        used = self._used(attempts)
        if self._has_grown:
            self._settle_parts(used)
        else:
            for line, pocket, amount, slot in self.taken:
                if line.at not in _SEATS:
                    pocket.settle(slot, amount, used[line.at])
        if self.compared is not None:
            self.compared(self.planned, used)
        if self.settled is not None:
            self.settled(attempts)

    def _settle_parts(self, used: Amounts) -> None:
        """Settle what was taken in several parts: the last one carries what was used beyond all of them."""
        last = {pocket: part for part, (_, pocket, _, _) in enumerate(self.taken)}
        left = dict[Pocket, int]()
        for part, (line, pocket, amount, slot) in enumerate(self.taken):
            if line.at in _SEATS:
                continue
            rest = left.get(pocket, used[line.at])
            mine = rest if last[pocket] == part else min(amount, rest)
            left[pocket] = rest - mine
            pocket.settle(slot, amount, mine)

    def _used(self, attempts: Sequence[Attempt]) -> Amounts:
        tokens_in = tokens_out = nanousd = 0
        for attempt in attempts:
            given, made, cost = self._used_by(attempt)
            if given < 0 or made < 0 or cost < 0:  # none takes away from what another has used
                given, made, cost = max(0, given), max(0, made), max(0, cost)
            tokens_in += given
            tokens_out += made
            nanousd += cost
        return amounts_of(min(tokens_in, _MOST), min(tokens_out, _MOST), min(nanousd, _MOST))

    def _used_by(self, attempt: Attempt) -> tuple[int, int, int]:
        """Return tokens of input and output, and their cost; what was planned where nobody can say that."""
        usage, price = attempt.usage, attempt.price
        if usage is None and attempt.transcript is None:
            return 0, 0, 0
        if usage is not None:
            try:
                return usage.input_tokens, usage.output_tokens, 0 if price is None else price.of(usage)
            except (ArithmeticError, ValueError):
                log.exception("cost not computed")
        return self.planned.input_tokens, self.planned.output_tokens, self._cost(price)

    def _cost(self, price: Price | None) -> int:
        return most_nanousd(price, self.planned.input_tokens, self.planned.output_tokens, self.tier)


def put_back(taken: Sequence[Taken]) -> None:
    """Give back all of it."""
    for _, pocket, amount, slot in taken:
        pocket.settle(slot, amount, 0)

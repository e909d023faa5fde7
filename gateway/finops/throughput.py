"""What a backend of your own delivers, measured from the ledger, as what its GPUs' price is computed from.

By the minute in which calls ended, over the minutes in which any did: of a busy server that is what it
delivers; of an idle one it is less than it could. Sustained is what it kept up in one of twenty such minutes;
what a price is computed from are input and output of the same minutes, the busiest tenth. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

_MINUTE_S = 60
_SUSTAINED = 0.95
_FEW_MINUTES = 60
_MTOK = 1_000_000


class Pace(msgspec.Struct, frozen=True):
    """Tokens for each second: in the middle minute, sustained (the 95th percentile), and at most."""

    median: float
    sustained: float
    most: float


class Throughput(msgspec.Struct, frozen=True):
    """What was measured of a backend, of one model or of all."""

    model: str
    """Empty: all together, which is what its GPUs delivered."""
    busy_minutes: int
    input_tokens: int
    output_tokens: int
    input: Pace
    output: Pace
    busiest: tuple[float, float]
    """Input and output tokens for each second, both at the same time, in the busiest tenth of the minutes."""

    @property
    def is_scarce(self) -> bool:
        """Tell whether there is too little to rely on."""
        return self.busy_minutes < _FEW_MINUTES


def measure(rows: Iterable[Sequence[Any]]) -> list[Throughput]:
    """Measure the rows of throughput.sql: minute, model, input tokens, output tokens; all together first."""
    minutes: dict[str, dict[int, tuple[int, int]]] = {"": {}}
    for minute, model, input_tokens, output_tokens in rows:
        for name in ("", model) if model else ("",):
            of_model = minutes.setdefault(name, {})
            before = of_model.get(minute, (0, 0))
            of_model[minute] = (before[0] + input_tokens, before[1] + output_tokens)
    if len(minutes) == 2:
        # One model only: it is all.
        del minutes[max(minutes)]
    return [_measured(model, list(amounts.values())) for model, amounts in minutes.items() if amounts]


def _measured(model: str, amounts: Sequence[tuple[int, int]]) -> Throughput:
    busy = [amount for amount in amounts if amount[0] > 0 or amount[1] > 0]
    taken, given = [one[0] for one in busy], [one[1] for one in busy]
    paces = _pace(taken), _pace(given)
    return Throughput(model, len(busy), sum(taken), sum(given), *paces, _busiest(busy))


def _busiest(busy: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Average the busiest tenth: by work, where all input and all output weigh the same."""
    if not busy:
        return 0.0, 0.0
    taken, given = max(sum(one[0] for one in busy), 1), max(sum(one[1] for one in busy), 1)
    rising = sorted(busy, key=lambda one: one[0] / taken + one[1] / given)
    busiest = rising[-max(len(rising) // 10, 1) :]
    seconds = len(busiest) * _MINUTE_S
    return round(sum(one[0] for one in busiest) / seconds, 1), round(
        sum(one[1] for one in busiest) / seconds, 1
    )


def utilization(measured: Throughput, minutes: int) -> float:
    """Return the part of the time that is worked, were it all at the pace of the busiest tenth."""
    if minutes <= 0:
        return 0.0
    whole = [
        tokens / (pace * _MINUTE_S * minutes)
        for tokens, pace in zip(
            (measured.input_tokens, measured.output_tokens), measured.busiest, strict=True
        )
        if pace > 0
    ]
    return min(round(sum(whole) / len(whole), 3), 1.0) if whole else 0.0


def _pace(tokens: Sequence[int]) -> Pace:
    rising = sorted(one / _MINUTE_S for one in tokens) or [0.0]
    at = (round(part * (len(rising) - 1)) for part in (0.5, _SUSTAINED, 1.0))
    return Pace(*(round(rising[place], 1) for place in at))


def usd_per_mtok(usd_per_second: Decimal, tokens_per_s: float, share: Decimal) -> Decimal | None:
    """Return what a million tokens cost that take this share of each second; None: nothing was delivered."""
    return usd_per_second * share * _MTOK / Decimal(str(tokens_per_s)) if tokens_per_s > 0 else None

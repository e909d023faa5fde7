"""Say to a client which limit turned its call away, and when there is room again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import BudgetExceeded, Denied, QuotaExceeded
from gateway.quotas.counting import Told
from gateway.quotas.rules import NANOUSD, Held

_SEAT_S = 1.0
"""Nobody knows when a seat is free: soon, mostly."""


def refusal(lines: Sequence[Held], told: Sequence[Told]) -> Denied:
    """Return the error about the limit that has no room for the longest time."""
    full = [
        (held, one) for held, one in zip(lines, told, strict=True) if one.frees_ms and not held.rule.is_soft
    ]
    held, one = max(full, key=lambda pair: _wait_ms(pair[1]))
    error = denied(held, one)
    error.limit = held.rule.name
    if one.frees_ms < 0:  # OpenAI's SDKs would try again
        error.notes = ((b"x-should-retry", b"false"),)
    return error


def denied(held: Held, told: Told) -> Denied:
    """Say that a limit is reached."""
    rule, line = held.rule, held.line
    whose = f" of {', '.join(rule.per)}" if rule.per else ""
    if told.frees_ms < 0:
        wait, retry_after_s = "; this call alone is more than that", None
    elif line.metric in {"calls", "streams"}:
        wait, retry_after_s = "; try again when one has ended", _SEAT_S
    else:
        retry_after_s = told.frees_ms / 1000
        wait = f"; there is room again in {in_words(told.frees_ms)}"
    if rule.kind == "budget":
        spent = f"{usd(told.taken)} of {usd(told.limit)} are spent or reserved"
        text = f" ({line.text})" if told.limit == line.meter.limit else ""
        message = f"the budget {rule.name!r}{whose}{text} does not cover this call: {spent}{wait}"
        return BudgetExceeded(message, retry_after_s=retry_after_s)
    message = f"the limit {rule.name!r}{whose} of {told.limit:,} {_what(line.text)} is reached{wait}"
    return QuotaExceeded(message, retry_after_s=retry_after_s)


def in_words(ms: int) -> str:
    """Write a time for people."""
    seconds = -(-ms // 1000)
    if seconds < 120:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = -(-minutes // 60)
    return f"{hours} h" if hours < 48 else f"{-(-hours // 24)} days"


def usd(nanousd: int) -> str:
    """Write an amount of money."""
    whole, part = divmod(nanousd, NANOUSD)
    cents = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{cents}"


def _wait_ms(told: Told) -> float:
    return float("inf") if told.frees_ms < 0 else told.frees_ms


def _what(text: str) -> str:
    """Leave the number out of a line's text: it may have been set to another one."""
    return text.split(" ", 1)[-1]

"""Header lines that tell a client what is left of its limits, under the names that its SDK reads.

Of several limits of a kind the one counts that has the least left, as a part of the whole. Money and calls
at the same time have no such headers. Must not know how anything is counted.
Sources: "Rate limits" in the guides of OpenAI (durations, as Go writes them) and of Anthropic (RFC 3339; its
`tokens` headers tell the most restrictive of its token limits), checked 2026-11 with recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from gateway.exchange import Format

_ANTHROPIC: frozenset[Format] = frozenset({"messages", "count_tokens"})
_TOKENS = ("tokens", "input_tokens", "output_tokens")
_KINDS: Mapping[str, tuple[int, ...]] = {"requests": (0,), **dict.fromkeys(_TOKENS, (1,))}
"""By metric, which rows of the names it may fill."""
_KINDS_ANTHROPIC: Mapping[str, tuple[int, ...]] = {**_KINDS, "input_tokens": (1, 2), "output_tokens": (1, 3)}
_NAMES = tuple(
    tuple(f"x-ratelimit-{what}-{kind}".encode() for what in ("limit", "remaining", "reset"))
    for kind in ("requests", "tokens")
)
_NAMES_ANTHROPIC = tuple(
    tuple(f"anthropic-ratelimit-{kind}-{what}".encode() for what in ("limit", "remaining", "reset"))
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
)
_S, _MINUTE = 1000, 60_000


class Left(NamedTuple):
    """How one limit stands; `reset_ms`: so long until all of it is free again, if nothing more is taken."""

    metric: str
    limit: int
    remaining: int
    reset_ms: int


def limit_headers(limits: Iterable[Left], format_: Format, now_ms: int) -> list[tuple[bytes, bytes]]:
    """Build the header lines for a client of `format_`; `now_ms` is in Unix time."""
    is_anthropics = format_ in _ANTHROPIC
    kinds, names = (_KINDS_ANTHROPIC, _NAMES_ANTHROPIC) if is_anthropics else (_KINDS, _NAMES)
    lines: list[tuple[bytes, bytes]] = []
    for row, left in _tightest(limits, kinds).items():
        limit, remaining, reset = names[row]
        lines.append((limit, str(left.limit).encode()))
        lines.append((remaining, str(max(left.remaining, 0)).encode()))
        resets = (
            _moment((now_ms + left.reset_ms + _S - 1) // _S) if is_anthropics else duration(left.reset_ms)
        )
        lines.append((reset, resets.encode()))
    return lines


def duration(ms: int) -> str:
    """Write a duration as Go does: 0s, 120ms, 55.492s, 6m0s, 23h59m51.36s."""
    if ms < _S:
        return f"{ms}ms" if ms > 0 else "0s"
    minutes, rest_ms = divmod(ms, _MINUTE)
    seconds, parts = divmod(rest_ms, _S)
    text = f"{seconds}.{parts:03d}".rstrip("0") + "s" if parts else f"{seconds}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"


def _tightest(limits: Iterable[Left], kinds: Mapping[str, tuple[int, ...]]) -> dict[int, Left]:
    """Return the limit that counts of each kind."""
    found: dict[int, Left] = {}
    for left in limits:
        for kind in kinds.get(left.metric, ()):
            if kind not in found or _is_tighter(left, found[kind]):
                found[kind] = left
    return found


def _is_tighter(left: Left, best: Left) -> bool:
    # Exactly, and without a division by a limit of 0, of which nothing is ever left.
    mine, other = left.remaining * best.limit, best.remaining * left.limit
    if mine == other:
        return (left.remaining, -left.reset_ms) < (best.remaining, -best.reset_ms)
    return mine < other


@lru_cache(4096)
def _moment(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Turn "how much to think" from words into tokens and back, where formats use one or the other.

Source: Google, "OpenAI compatibility", table of reasoning_effort and thinking budgets (checked 2026-11).
"""

from __future__ import annotations

BUDGETS = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 65536,
}


def budget_of(effort: str) -> int | None:
    """Return the tokens that an effort stands for; None for a word that nobody defined."""
    return BUDGETS.get(effort)


def effort_of(budget_tokens: int) -> str:
    """Return the least effort whose budget covers the tokens; "none" for 0."""
    if budget_tokens <= 0:
        return "none"
    return next(
        (word for word in ("low", "medium", "high", "xhigh") if BUDGETS[word] >= budget_tokens), "max"
    )

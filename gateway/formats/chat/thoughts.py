"""Thoughts as chat hosts tell them: plain text, and OpenRouter's details, whole and in pieces.

Sources: DeepSeek API reference, "Reasoning model"; OpenRouter, "Reasoning tokens" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from gateway.formats.chat.types import ReasoningDetail
from gateway.formats.neutral.events import Growth
from gateway.formats.neutral.parts import Reasoning


class Thoughtful(Protocol):
    """What may hold thoughts: a message or a delta."""

    reasoning_content: str | None
    reasoning: str | None
    reasoning_details: list[ReasoningDetail] | None


def read_thoughts(message: Thoughtful) -> list[Reasoning]:
    """Read the thoughts of a whole message; the plain text counts only where the details have no words."""
    thoughts: list[Reasoning] = []
    last: ReasoningDetail | None = None
    for detail in message.reasoning_details or ():
        if last is not None and _goes_on(last, detail):
            thoughts[-1] = _longer(thoughts[-1], detail)
        else:
            thoughts.append(_longer(Reasoning(origin="chat"), detail))
        last = detail
    thoughts = [thought for thought in thoughts if thought != Reasoning(origin="chat", id=thought.id)]
    said = message.reasoning_content or message.reasoning or ""
    if said and not any(thought.text or thought.summary for thought in thoughts):
        if len(thoughts) == 1:
            return [msgspec.structs.replace(thoughts[0], text=said)]
        return [Reasoning(said, origin="chat"), *thoughts]
    return thoughts


def _goes_on(last: ReasoningDetail, detail: ReasoningDetail) -> bool:
    """Tell whether two details are of one thought: the same index, and no two ids."""
    same_index = detail.index is not None and detail.index == last.index
    return same_index and not (detail.id and last.id and detail.id != last.id)


def _longer(thought: Reasoning, detail: ReasoningDetail) -> Reasoning:
    summary = thought.summary
    if detail.summary:
        summary = ("".join([*summary, detail.summary]),)
    return Reasoning(
        thought.text + (detail.text or ""),
        summary,
        thought.signature + (detail.signature or ""),
        thought.encrypted + (detail.data or ""),
        thought.id or detail.id or "",
        thought.origin,
    )


def same_thought(known: ReasoningDetail | None, detail: ReasoningDetail) -> bool:
    """Tell whether a detail goes on with the open thought; one that brings an id begins another."""
    if known is None:
        return not detail.index and not detail.id
    return _goes_on(known, detail) and (not detail.id or known.id == detail.id)


def growths(detail: ReasoningDetail) -> Iterator[tuple[Growth, str]]:
    """Say what a detail adds to the thought that it goes on with."""
    if detail.text:
        yield "text", detail.text
    if detail.summary:
        yield "summary", detail.summary
    if detail.signature:
        yield "signature", detail.signature
    if detail.data:
        yield "encrypted", detail.data

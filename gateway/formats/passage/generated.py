"""The words of an answer, for counting tokens where nobody told their number."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.formats.neutral.events import Event, join
from gateway.formats.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall


def text_of_events(events: Iterable[Event]) -> str:
    """Return all that a stream has generated so far."""
    completion = join(events)
    return "".join(_words(part) for choice in completion.choices for part in choice.parts)


def _words(part: Part) -> str:
    if isinstance(part, Text | Refusal):
        return part.text
    if isinstance(part, Reasoning):
        return part.text + "".join(part.summary)
    return part.name + part.arguments if isinstance(part, ToolCall) else ""

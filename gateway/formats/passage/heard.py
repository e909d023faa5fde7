"""What the events of a stream have said so far, in little memory: usage, end, and words for counting."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.exchange import Usage
from gateway.formats.neutral.events import Ended, Event, Faulted, Finished, Grew, Metered, Opened
from gateway.formats.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall

_WORDS = frozenset({"text", "summary", "arguments", "transcript"})
_MOST_PIECES = 4096
"""So many words are kept apart: a string of its own costs 50 bytes beside its letters."""


class Heard:
    """Listens to the events of one stream."""

    __slots__ = ("_words", "done", "failed", "finished", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = self.done = self.failed = False
        self._words: list[str] = []

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        for event in events:
            if isinstance(event, Grew):
                if event.what in _WORDS:
                    self._words.append(event.text)
            elif isinstance(event, Opened):
                self._words.append(_words(event.content))
            elif isinstance(event, Metered):
                self.usage = event.usage
            else:
                self._end(event)
        if len(self._words) > _MOST_PIECES:
            self._words = ["".join(self._words)]

    def _end(self, event: Event) -> None:
        self.finished = self.finished or isinstance(event, Finished)
        self.done = self.done or isinstance(event, Ended)
        self.failed = self.failed or isinstance(event, Faulted)

    def text(self) -> str:
        """Return all that was generated so far."""
        return "".join(self._words)


def _words(part: Part) -> str:
    if isinstance(part, Text | Refusal):
        return part.text
    if isinstance(part, Reasoning):
        return part.text + "".join(part.summary)
    return part.name + part.arguments if isinstance(part, ToolCall) else ""

"""What the events of a stream have said so far, in little memory: who speaks, its end, usage, and words."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.message import OpenCall
from gateway.formats.neutral.completion import MOST_CHARS, MUTE, About, Completion, Finish, tier_of
from gateway.formats.neutral.events import (
    Began,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall

_WORDS = frozenset({"text", "summary", "arguments", "transcript"})
_MOST_PIECES = 4096
"""So many words are kept apart: a string of its own costs 50 bytes beside its letters."""


class Heard:
    """Listens to the events of one stream.

    `begun`: something was said. An end that is an answer by itself counts: a limit met, a filter that struck.
    `failed`: a choice ended in an error. `choices`: those that came. `asked`: so many were asked for.
    """

    __slots__ = (
        "_began",
        "_calls",
        "_finish",
        "_words",
        "asked",
        "begun",
        "choices",
        "done",
        "failed",
        "fault",
        "usage",
    )

    def __init__(self, asked: int = 1) -> None:
        self.usage: Usage | None = None
        self.fault: UpstreamError | None = None
        self.begun = self.done = self.failed = False
        self.choices: set[int] = set()
        self.asked = asked
        self._words: list[str] = []
        self._calls: dict[int, OpenCall | None] = {}
        """Those that are not whole yet, by their parts. None: of a tool that takes free text."""
        self._began = Began()
        self._finish: dict[int, Finish] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        for event in events:
            if isinstance(event, Grew):
                self._grow(event)
            elif isinstance(event, Opened):
                self._open(event)
            elif isinstance(event, Metered):
                self.usage = event.usage
            elif isinstance(event, Closed):
                self._calls.pop(event.part, None)
            else:
                self._end(event)
        if len(self._words) > _MOST_PIECES:
            self._join()

    @property
    def finished(self) -> bool:
        """Every choice has told why it ended: those that were asked for, and those that came."""
        return self.has_all and self.choices <= self._finish.keys() and bool(self._finish)

    @property
    def has_all(self) -> bool:
        """As many choices came as were asked for."""
        return len(self.choices) >= self.asked

    @property
    def amid_call(self) -> bool:
        """A call is open of whose arguments there is more to come."""
        return any(call is not None and not call.is_whole() for call in self._calls.values())

    @property
    def calling(self) -> bool:
        """A call was begun that is not whole yet."""
        return bool(self._calls)

    def _join(self) -> None:
        self._words = ["".join(self._words)]
        for call in self._calls.values():
            if call is not None:
                call.said[:] = ["".join(call.said)]

    def _grow(self, event: Grew) -> None:
        self.begun = self.begun or bool(event.text) or event.value is not None
        if event.what in _WORDS:
            self._words.append(event.text)
        if event.what == "arguments" and (call := self._calls.get(event.part)) is not None:
            call.said.append(event.text)

    def _open(self, event: Opened) -> None:
        content = event.content
        self.begun = self.begun or says(content)
        self.choices.add(event.choice)
        self._words.append(_words(content))
        if isinstance(content, ToolCall):
            call = OpenCall(content.id, event.part, [content.arguments])
            self._calls[event.part] = None if content.custom else call

    def _end(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.choices.add(event.choice)
            self._finish[event.choice] = event.finish
            self.failed = self.failed or event.finish == "error"
            self.begun = self.begun or event.finish not in MUTE
        elif isinstance(event, Faulted):
            self.fault = self.fault or event.error
        elif isinstance(event, Ended):
            self.done = True
        elif isinstance(event, Began):
            self._began = event

    def about(self) -> About:
        """Return what the answer tells of itself, as far as it came."""
        began, usage = self._began, self.usage
        finish = self._finish.get(0) or next(iter(self._finish.values()), None)
        tier = tier_of(began.service_tier) if usage is None else usage.tier
        return About(began.model[:MOST_CHARS], finish or "", tier)

    def text(self) -> str:
        """Return all that was generated so far."""
        return "".join(self._words)


def says_nothing(completion: Completion) -> bool:
    """Tell whether an answer is empty: no word, no thought, no call, and no end that says why."""
    return all(
        choice.finish in MUTE and not any(says(part) for part in choice.parts)
        for choice in completion.choices
    )


def says(part: Part) -> bool:
    """Tell whether a part says something already; words and thoughts may begin with nothing."""
    if isinstance(part, Text | Refusal):
        return bool(part.text)
    if isinstance(part, Reasoning):
        return bool(part.text or part.summary or part.encrypted)
    return True


def _words(part: Part) -> str:
    if isinstance(part, Text | Refusal):
        return part.text
    if isinstance(part, Reasoning):
        return part.text + "".join(part.summary)
    return part.name + part.arguments if isinstance(part, ToolCall) else ""

"""A streamed answer, whatever the wire format: its events, and joining them to the whole answer.

The life of a stream: `Began`, then for each part `Opened`, any number of `Grew`, `Closed`; `Finished` for
each choice; `Metered` whenever usage is told (the last one counts); nothing after `Ended`. Parts are
numbered in the order of their opening, across all choices, from 0. Usually one part is open at a time,
but parallel calls and several choices may interleave. Nothing follows the `Closed` of a part: where the wire
does not say that a part has ended, it is closed when no more can come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from gateway.errors import UpstreamError
from gateway.exchange import Usage
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob
from gateway.formats.neutral.parts import Citation, Opaque, Part, Reasoning, Text

Growth = Literal["text", "summary", "signature", "encrypted", "arguments", "data", "transcript", "opaque"]
"""Which field of the open part gets longer. `text` of Text, Reasoning and Refusal; `summary` of Reasoning
(the next one begins with `new_summary`); `data` and `transcript` of Media; `opaque`: `value` is an event
of the own format that an Opaque part consists of."""


class Began(msgspec.Struct, frozen=True, gc=False):
    """The first event: who answers."""

    id: str = ""
    model: str = ""
    created_unix_s: int = 0
    service_tier: str = ""
    extra: dict[str, Any] = {}


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A part begins, with what is known of it already: a call's id and name, the first words."""

    part: int
    content: Part
    choice: int = 0


class Grew(msgspec.Struct, frozen=True, gc=False):
    """A part goes on. `logprobs` are those of the tokens in `text`."""

    part: int
    text: str
    what: Growth = "text"
    new_summary: bool = False
    logprobs: tuple[TokenLogprob, ...] | None = None
    value: Any = None
    choice: int = 0


class Cited(msgspec.Struct, frozen=True, gc=False):
    """A source for the text of an open part."""

    part: int
    citation: Citation
    choice: int = 0


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A part is whole. `content` replaces what had grown where the wire repeats the whole part."""

    part: int
    choice: int = 0
    content: Part | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A choice ended, and why."""

    finish: Finish
    finish_raw: str = ""
    stop_sequence: str = ""
    choice: int = 0
    raw: Any = None


class Metered(msgspec.Struct, frozen=True, gc=False):
    """The usage so far; the last one told is the whole call's. None: what is told now is nonsense."""

    usage: Usage | None


class Faulted(msgspec.Struct, frozen=True, gc=False):
    """The upstream says, inside the stream, that it failed."""

    error: UpstreamError


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The upstream said all it had to say, in the way its format says so. `extra` as in Completion."""

    extra: dict[str, Any] = {}


Event = Began | Opened | Grew | Cited | Closed | Finished | Metered | Faulted | Ended


def join(events: Iterable[Event]) -> Completion:
    """Put the events of a stream together to the answer that would have come at once.

    A stream without Finished gives choices whose `finish` is None. A Faulted does not raise here.
    """
    joined = Joined()
    for event in events:
        joined.add(event)
    return joined.completion()


class Joined:
    """The answer as far as its events have come."""

    def __init__(self) -> None:
        self._began = Began()
        self._usage: Usage | None = None
        self._extra: dict[str, Any] = {}
        self._parts: dict[int, _Growing] = {}
        self._ends: dict[int, Finished] = {}
        self._logprobs: dict[int, list[TokenLogprob]] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        _TAKEN[type(event)](self, event)

    def began(self, event: Began) -> None:
        """Take who answers."""
        self._began = event

    def opened(self, event: Opened) -> None:
        """Take the beginning of a part."""
        self._parts[event.part] = _Growing(event.content, event.choice)

    def cited(self, event: Cited) -> None:
        """Take a source."""
        self._parts[event.part].citations.append(event.citation)

    def closed(self, event: Closed) -> None:
        """Take the end of a part."""
        if event.content is not None:
            self._parts[event.part] = _Growing(event.content, event.choice)

    def finished(self, event: Finished) -> None:
        """Take the end of a choice."""
        self._ends[event.choice] = event

    def metered(self, event: Metered) -> None:
        """Take the usage so far."""
        self._usage = event.usage

    def faulted(self, event: Faulted) -> None:
        """Take a failure: the answer stays as it is."""

    def ended(self, event: Ended) -> None:
        """Take the end."""
        self._extra |= event.extra

    def grew(self, event: Grew) -> None:
        """Take what a part got longer by."""
        self._parts[event.part].grow(event)
        if event.logprobs:
            self._logprobs.setdefault(event.choice, []).extend(event.logprobs)

    def completion(self) -> Completion:
        """Return the answer so far."""
        began = self._began
        numbers = {growing.choice for growing in self._parts.values()} | set(self._ends) or {0}
        return Completion(
            choices=tuple(self._choice(number) for number in sorted(numbers)),
            id=began.id,
            model=began.model,
            created_unix_s=began.created_unix_s,
            usage=self._usage,
            service_tier=began.service_tier,
            extra=began.extra | self._extra,
        )

    def _choice(self, number: int) -> Choice:
        parts = tuple(
            growing.part() for _, growing in sorted(self._parts.items()) if growing.choice == number
        )
        logprobs = self._logprobs.get(number)
        end = self._ends.get(number)
        if end is None:
            return Choice(parts, logprobs=tuple(logprobs) if logprobs else None)
        return Choice(
            parts,
            finish=end.finish,
            finish_raw=end.finish_raw,
            stop_sequence=end.stop_sequence,
            logprobs=tuple(logprobs) if logprobs else None,
            raw=end.raw,
        )


_TAKEN: dict[type, Callable[[Joined, Any], None]] = {
    Grew: Joined.grew,
    Opened: Joined.opened,
    Closed: Joined.closed,
    Cited: Joined.cited,
    Finished: Joined.finished,
    Metered: Joined.metered,
    Faulted: Joined.faulted,
    Began: Joined.began,
    Ended: Joined.ended,
}


class _Growing:
    """A part under way: texts are collected and joined once."""

    __slots__ = ("_content", "_events", "_grown", "_summaries", "choice", "citations")

    def __init__(self, content: Part, choice: int) -> None:
        self.choice = choice
        self.citations: list[Citation] = []
        self._content = content
        self._grown: dict[str, list[str]] = {}
        self._summaries: list[str] = []
        self._events: list[Any] = []

    def grow(self, event: Grew) -> None:
        if event.what == "summary":
            if event.new_summary or not self._summaries:
                self._summaries.append("")
            self._summaries[-1] += event.text
        elif event.what == "opaque":
            self._events.append(event.value)
        else:
            self._grown.setdefault(event.what, []).append(event.text)

    def part(self) -> Part:
        content = self._content
        changes: dict[str, Any] = {
            name: getattr(content, name) + "".join(texts) for name, texts in self._grown.items()
        }
        if self._summaries and isinstance(content, Reasoning):
            changes["summary"] = (*content.summary, *self._summaries)
        if self.citations and isinstance(content, Text):
            changes["citations"] = (*content.citations, *self.citations)
        if self._events and isinstance(content, Opaque):
            changes["value"] = {"opened": content.value, "events": self._events}
        return msgspec.structs.replace(content, **changes) if changes else content


def whole(completion: Completion) -> list[Event]:
    """Say a whole answer as a stream: for clients that asked for one where the upstream had none."""
    events: list[Event] = [
        Began(completion.id, completion.model, completion.created_unix_s, completion.service_tier)
    ]
    number = 0
    for index, choice in enumerate(completion.choices):
        logprobs = choice.logprobs
        for part in choice.parts:
            if logprobs and isinstance(part, Text):  # only what grows can tell them
                empty = msgspec.structs.replace(part, text="")
                events += [
                    Opened(number, empty, index),
                    Grew(number, part.text, logprobs=logprobs, choice=index),
                ]
                logprobs = None
            else:
                events.append(Opened(number, part, index))
            events.append(Closed(number, index))
            number += 1
        finish = choice.finish or "stop"
        events.append(Finished(finish, choice.finish_raw, choice.stop_sequence, index, choice.raw))
    if completion.usage is not None:
        events.append(Metered(completion.usage))
    return [*events, Ended(completion.extra)]

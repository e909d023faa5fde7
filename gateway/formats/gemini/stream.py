"""Read a stream of Google's streamGenerateContent: each event is an answer as far as it is new.

Words that follow each other are one part; a part with a signature stands alone, because Google wants it
back alone. There is no end marker: a stream has ended when each of its candidates told why it finished.
Errors may come as plain JSON under any content type, and without `alt=sse` the whole stream is an array.

Sources: Gemini API reference, "streamGenerateContent"; Gemini API, "Thought signatures" (checked 2026-11);
recorded streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from gateway.errors import Broken
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_object
from gateway.formats.gemini.answer import (
    block_of,
    created_unix_s,
    decode_logprobs,
    extra_of,
    read_finish,
    rest_of,
)
from gateway.formats.gemini.arrays import ArrayFramer
from gateway.formats.gemini.citations import Span, place, spans_of
from gateway.formats.gemini.parts import CallNames, PartValues, decode_part
from gateway.formats.gemini.types import Answer, Candidate, Chunk, Content, Part, Status
from gateway.formats.gemini.usage import billed_searches, decode_usage
from gateway.formats.neutral.completion import TokenLogprob
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Citation, Reasoning, Text, ToolCall

_chunk = msgspec.json.Decoder(Chunk)
_ABOUT_A_CANDIDATE = tuple(
    name for name in Candidate.__struct_fields__ if name not in {"content", "index", "logprobs_result"}
)
_ABOUT_AN_ANSWER = ("prompt_feedback", "model_status")


class GeminiDecoder:
    """One stream of an upstream."""

    def __init__(self, limit_bytes: int) -> None:
        self._frames = _Frames(limit_bytes)
        self._numbers = _Numbers(limit_bytes)
        self._choices: dict[int, _Choice] = {}
        self._answer: Answer | None = None
        """What of the stream is no choice, the last of each."""
        self._model = ""
        self._searches = 0
        self._grounded = False
        self._faulted = False
        self.skipped = 0

    @property
    def finished(self) -> bool:
        """Every candidate has told why it ended."""
        return bool(self._choices) and all(each.finished for each in self._choices.values())

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say. Raises Broken."""
        return self._read(self._frames.feed(piece))

    def close(self) -> list[Event]:
        """Return what was still to be said, with Ended when each choice has finished. Raises Broken."""
        events = self._read(self._frames.close())
        if self._answer is not None and self.finished and not self._faulted:
            events.append(Ended(extra_of(self._answer)))
        return events

    def _read(self, frames: Iterable[bytes]) -> list[Event]:
        events: list[Event] = []
        for data in frames:
            try:
                self._say(_chunk.decode(data), PartValues(data), events)
            except msgspec.ValidationError as error:
                if is_object(data):
                    raise Broken(
                        f"the upstream sent an event that is not what its format promises: {error}"
                    ) from None
                self.skipped += 1
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.skipped += 1
        return events

    def _say(self, chunk: Chunk, values: PartValues, events: list[Event]) -> None:
        if chunk.error is not None:
            events.append(_faulted(chunk.error))
            return
        if self._answer is None:
            self._answer = Answer()
            self._model = chunk.model_version or ""
            self._numbers.names = CallNames(chunk.response_id or "")
            events.append(_began(chunk))
        for position, candidate in enumerate(chunk.candidates or ()):
            index = position if candidate.index is None else candidate.index
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice(index, self._numbers)
            choice.say(candidate, (values, position), events)
            self._grounded = self._grounded or candidate.grounding_metadata is not None
        self._note(chunk, self._answer, events)
        if not self._choices and (block := block_of(chunk)) is not None:
            self._faulted = True
            events.append(Faulted(block))

    def _note(self, chunk: Chunk, answer: Answer, events: list[Event]) -> None:
        for name in _ABOUT_AN_ANSWER:
            if (value := getattr(chunk, name)) is not None:
                setattr(answer, name, value)
        told, searches = chunk.usage_metadata, self._searches
        if self._grounded:  # which may be said after the last tokens were counted
            self._grounded = False
            queries = [choice.queries for choice in self._choices.values()]
            self._searches = billed_searches(queries, self._model)
            told = told or answer.usage_metadata
        if told is None or (told == answer.usage_metadata and searches == self._searches):
            return
        usage = decode_usage(told, self._searches)
        if usage is not None:
            events.append(Metered(usage))
        if usage is not None or answer.usage_metadata is None:
            answer.usage_metadata = told


def _began(chunk: Chunk) -> Began:
    extra = {} if chunk.create_time is None else {"createTime": chunk.create_time}
    return Began(chunk.response_id or "", chunk.model_version or "", created_unix_s(chunk), extra=extra)


def _faulted(error: Status) -> Faulted:
    code = error.status or (str(error.code) if error.code else "")
    return Faulted(fault(code, error.message or "", error.code or 0))


class _Numbers:
    """Numbers the parts of all choices, and names the calls that have no id."""

    __slots__ = ("limit_bytes", "names", "parts")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.names = CallNames("")
        self.parts = 0

    def next_part(self) -> int:
        self.parts += 1
        return self.parts - 1


class _Choice:
    """One choice under way: at most one of its parts is open, words or thoughts."""

    __slots__ = (
        "_calls",
        "_cited",
        "_index",
        "_numbers",
        "_open",
        "_said",
        "_spans",
        "_thinks",
        "_words",
        "finished",
    )

    def __init__(self, index: int, numbers: _Numbers, *, finished: bool = False) -> None:
        self._index = index
        self._numbers = numbers
        self._open: int | None = None
        self._thinks = False
        self._words = _Words(numbers.limit_bytes)
        self._spans: list[Span] = []
        self._cited: set[Span] = set()
        self._calls = False
        self._said = Candidate()
        self.finished = finished

    @property
    def queries(self) -> list[str]:
        """What it searched the web for, as far as it was told."""
        grounds = self._said.grounding_metadata
        return (grounds and grounds.web_search_queries) or []

    def say(self, candidate: Candidate, where: tuple[PartValues, int], events: list[Event]) -> None:
        """Add what a chunk says of this choice. `where` finds its parts that only Google knows."""
        for name in _ABOUT_A_CANDIDATE:
            if (value := getattr(candidate, name)) is not None:
                setattr(self._said, name, value)
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._spans = [span for span in spans_of(candidate) if span not in self._cited]
        logprobs = decode_logprobs(candidate) if candidate.logprobs_result is not None else None
        for j, part in enumerate((candidate.content or Content()).parts or ()):
            if part.text is not None and part.thought_signature is None and part.function_call is None:
                if part.text or logprobs:
                    self._say_words(part.text, (bool(part.thought), logprobs), events)
                    logprobs = None
            else:
                self._say_part(part, (*where, j), events)
        self._cite(events)
        if candidate.finish_reason is not None and not self.finished:
            self._finish(candidate.finish_reason, events)

    def _say_words(
        self, text: str, how: tuple[bool, tuple[TokenLogprob, ...] | None], events: list[Event]
    ) -> None:
        thinks, logprobs = how
        if self._open is None or thinks != self._thinks:
            self._close(events)
            self._open, self._thinks = self._numbers.next_part(), thinks
            begun = "" if logprobs else text
            content = Reasoning(begun, origin="gemini") if thinks else Text(begun)
            events.append(Opened(self._open, content, self._index))
            if logprobs:
                events.append(Grew(self._open, text, logprobs=logprobs, choice=self._index))
        else:
            events.append(Grew(self._open, text, logprobs=logprobs, choice=self._index))
        if not thinks:
            self._words.add(text)

    def _say_part(self, part: Part, where: tuple[PartValues, int, int], events: list[Event]) -> None:
        values, candidate, j = where
        self._close(events)
        content = decode_part(part, self._numbers.names) or values.opaque(candidate, j)
        self._calls = self._calls or isinstance(content, ToolCall)
        number = self._numbers.next_part()
        events += [Opened(number, content, self._index), Closed(number, self._index)]

    def _cite(self, events: list[Event]) -> None:
        """Say the sources of the open words: before they are closed, after the last words of a chunk."""
        if not self._spans or self._open is None or self._thinks:
            return
        part = self._open
        events += [Cited(part, citation, self._index) for citation in self._words.place(self._spans)]
        self._cited.update(self._spans)
        self._spans = []

    def _close(self, events: list[Event]) -> None:
        if self._open is None:
            return
        self._cite(events)
        events.append(Closed(self._open, self._index))
        self._open = None
        self._words = _Words(self._numbers.limit_bytes)

    def _finish(self, told: str | int, events: list[Event]) -> None:
        self._close(events)
        finish, raw = read_finish(told, calls=self._calls)
        self.finished = True
        events.append(Finished(finish, raw, choice=self._index, raw=rest_of(self._said)))


class _Words:
    """The words of a part so far, for counting characters where Google counts bytes; up to a limit."""

    __slots__ = ("_left", "_texts")

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Add what was said."""
        self._left -= len(text)
        if self._left >= 0:
            self._texts.append(text)

    def place(self, spans: Sequence[Span]) -> list[Citation]:
        """Give citations their positions, or none beyond the limit."""
        if self._left < 0:
            return [span.citation for span in spans]
        return place(spans, "".join(self._texts))


class _Frames:
    """Finds out how a stream is cut into events, and cuts it."""

    __slots__ = ("_array", "_events", "_limit_bytes", "_whole")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._events: Framer | None = None
        self._array: ArrayFramer | None = None
        self._whole: bytearray | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes, return the JSON of the events that are whole."""
        if self._events is not None:
            return _data_of_all(self._events.feed(piece))
        if self._array is not None:
            return self._array.feed(piece)
        if self._whole is None:
            piece = piece.lstrip()
            return self._begin(piece) if piece else []
        self._whole += piece
        if len(self._whole) > self._limit_bytes:
            raise Broken(f"the upstream sent one event of more than {self._limit_bytes} bytes")
        return []

    def _begin(self, piece: bytes) -> list[bytes]:
        if piece.startswith(b"["):
            self._array = ArrayFramer(self._limit_bytes)
        elif piece.startswith(b"{"):
            self._whole = bytearray()
        else:
            self._events = Framer(self._limit_bytes)
        return self.feed(piece)

    def close(self) -> list[bytes]:
        """Return what only lacked its end. Raises Broken for half an object."""
        if self._array is not None and self._array.inside:
            raise Broken("the upstream ended its stream inside of an event")
        if self._events is not None:
            return _data_of_all(self._events.rest())
        return [bytes(self._whole)] if self._whole is not None else []


def _data_of_all(events: bytes) -> list[bytes]:
    found = [data_of(event) for event in split_events(events)]
    return [data for data in found if data and data != b"[DONE]"]

"""Relay a stream of OpenAI's dialect: pass its events on, see its beginning, its usage and its end.

Bytes in, bytes out, event by event; an event is never changed but for the model's name where a route
renames it, and never held back once it is whole. What does not pass: an event that no client can read;
all that follows `[DONE]`, and that itself after an error; what a choice says again after its end; and the
usage chunk (empty `choices`) that the gateway asked for and the client did not.

A damaged event costs a word, or nothing. Amid a call it costs half of the arguments: there it ends the stream
with an error.

Must not know routes, sockets or clocks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import Broken, GatewayError, UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.answer import read_finish
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.chat.response import CALLED, Spoken, deeds_of, rename_model, repeats, says, speaks
from gateway.formats.chat.transcript import ERROR, USAGE, Transcript, first_finish, last_fault, start_of_event
from gateway.formats.chat.types import ChunkChoice
from gateway.formats.chat.usage import decode_usage
from gateway.formats.errors.told import fault_in
from gateway.formats.framing.sse import Framer, data_of, each_event, split_events
from gateway.formats.framing.whole import decode_events, is_damaged, is_object, is_whole_event
from gateway.formats.neutral.completion import MOST_CHARS, About, in_tier
from gateway.formats.neutral.parts import Part
from gateway.formats.neutral.reading import value_in

_DONE = b"[DONE]"
_END = b"data: [DONE]\n\n"


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _LateChoice(ChunkChoice):
    text: str | None = None
    """In place of `delta`, in the stream of an old completion."""


class _Late(msgspec.Struct):
    choices: list[_LateChoice] | None = None
    error: Any = None


class _First(msgspec.Struct):
    choices: list[Spoken] | None = None
    model: msgspec.Raw = msgspec.Raw(b"null")


class _Ending(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: Any = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Passing(msgspec.Struct, gc=False):
    """What every chunk is looked at for."""

    choices: list[_Ending] | None = None


_decoder = msgspec.json.Decoder(_Chunk)
_first = msgspec.json.Decoder(_First)
_late = msgspec.json.Decoder(_Late)
_passing = msgspec.json.Decoder(_Passing).decode


class RelayedStream:
    """One stream on its way through.

    `begun`: something was said, or an end that says enough was told. `done`: the stream said `[DONE]`, and no
    error before it. `fault`: the error of the upstream that it carried. `skipped`: so many events were left
    out because nobody could have read them. `choices`: so many were asked for.
    """

    __slots__ = (
        "_again",
        "_asked",
        "_calls",
        "_deeds",
        "_end",
        "_ended",
        "_framer",
        "_model",
        "_over",
        "_rename",
        "_reopened",
        "_seen",
        "_transcript",
        "_withheld",
        "_withhold_usage",
        "begun",
        "done",
        "fault",
        "skipped",
    )

    def __init__(
        self,
        *,
        withhold_usage: bool,
        rename: str | None,
        limit_bytes: int,
        calls: bool = True,
        choices: int = 1,
    ) -> None:
        self._framer = Framer(limit_bytes)
        self._withhold_usage = withhold_usage
        self._rename = rename
        self._transcript = Transcript()
        self._withheld: Usage | None = None
        self._asked = choices
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        """The choices that told their end, and of these the ones that speak again."""
        self._again: set[int] = set()
        self._reopened: set[int] = set()
        """Those that called once more after their end, and have yet to tell it anew."""
        self._end: _Ending | ChunkChoice | None = None
        """How the first choice ended."""
        self._deeds: frozenset[type[Part]] = frozenset()
        """What it began with."""
        self._model = ""
        self._calls = calls
        self._over = False
        self.begun = self.done = False
        self.fault: UpstreamError | None = None
        self.skipped = 0

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        if self._withheld is None:
            return self._transcript.usage()
        return in_tier(self._withheld, self._transcript.tier())

    @property
    def finished(self) -> bool:
        """Every choice has told its end: those that were asked for, and those that came."""
        return len(self._ended) >= self._asked and not self._reopened and self._seen <= self._ended

    @property
    def about(self) -> About:
        """What the answer tells of itself."""
        end, stopped_by = self._end, ""
        if end is None:
            word = "" if self.done else None
        else:
            word = end.finish_reason if type(end.finish_reason) is str else None
            stopped_by = next((stop for stop in (end.stop_reason, end.matched_stop) if type(stop) is str), "")
        deeds = CALLED if self._calls and self._transcript.holds_calls() else self._deeds
        return About(self._model, read_finish(word, deeds, stopped_by) or "", self._transcript.tier())

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty).

        Raises Broken when a single event outgrows the limit.
        """
        events = self._framer.feed(piece)
        return self._pass(events) if events else b""

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended: an event that only lacks its blank line.

        Half an event is dropped: it would swallow whatever is said after it. An error may come as it is, with
        nothing of an event around it. Some hosts give one choice, however many were asked for.
        """
        self._asked = 1
        rest = self._framer.rest()
        if is_object(rest):
            self.fault = self.fault or fault_in(rest)
            return b""
        data = data_of(rest)
        if data != _DONE and not is_object(data):
            return b""
        passed = self._pass(rest)
        return passed + b"\n\n" if passed else b""

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client. No `[DONE]` follows it: the stream is not whole."""
        return encode_error_event(error)

    def mend(self) -> bytes:
        """Write the `[DONE]` that was not said; nothing that comes later passes."""
        end = b"" if self.done else _END
        self._over = self.done = True
        return end

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._transcript.text()

    def _pass(self, events: bytes) -> bytes:
        if self._over:
            return b""
        # One walk over its JSON is what nearly every piece costs, and a search for errors.
        words = events.removesuffix(_END)
        chunks = decode_events(words, _passing)
        if chunks is None:
            events = self._without_repetitions(self._sorted(events))
        else:
            passed = words if self._are_new(chunks) else self._without_repetitions(words)
            events = passed if words == events else passed + self._looked_into(_END, passed)
        if not self.begun:
            self.begun = any(self._begins(data_of(event)) for event in each_event(events))
        if events.rfind(ERROR) >= 0:
            self.fault = self.fault or last_fault(events)
        self._transcript.add(events)
        if self._rename is not None:
            return b"".join([self._changed(event) for event in split_events(events)])
        # And one search, for a member that only a usage has.
        if not self._withhold_usage or (at := events.find(USAGE)) < 0:
            return events
        start = start_of_event(events, at)
        return events[:start] + b"".join([self._changed(event) for event in split_events(events[start:])])

    def _sorted(self, events: bytes) -> bytes:
        """Leave out what nobody can read, and what follows the end or an error that its name tells."""
        kept = b""
        for event in split_events(events):
            kept += event if is_whole_event(event, 0) else self._looked_into(event, kept)
            if self._over:
                break
        return kept

    def _looked_into(self, event: bytes, before: bytes) -> bytes:
        """Return what passes of an event that may be damaged, the last, or an error."""
        data = data_of(event)
        if is_damaged(event, data):
            if not data:  # it keeps the line alive, and cannot be a piece of anything
                return b""
            self.skipped += 1
            return self._break(before, data)
        if data.strip() == _DONE:
            self._over = True
            self.done = self.fault is None and last_fault(before) is None
            return event if self.done else b""
        if event.startswith(b"event: error"):
            self.fault = self.fault or fault_in(data, named=True)
            self._over = self.fault is not None
        return event

    def _break(self, before: bytes, damaged: bytes) -> bytes:
        """Say that the answer is broken, if what was damaged is, or may be, a piece of a call."""
        if b"_call" not in damaged and (self._is_finished(before) or not self._transcript.called(before)):
            return b""
        self._over = True
        self.fault = self.fault or Broken("the upstream's stream was damaged in the middle of a call")
        return encode_error_event(self.fault)

    def _is_finished(self, before: bytes) -> bool:
        alone = self._asked <= 1 and len(self._seen) <= 1 and not self._reopened
        return self.finished or (alone and first_finish(before) >= 0)

    def _are_new(self, chunks: list[_Passing]) -> bool:
        """Write down which choices end; False, and nothing written: one goes on where one has ended."""
        ended: _Ending | None = None
        for chunk in chunks:
            for choice in chunk.choices or ():
                if ended is not None or self._ended:
                    return False
                self._seen.add(choice.index)
                if choice.finish_reason:
                    ended = choice
        if ended is not None:
            self._note_end(ended)
        return True

    def _note_end(self, choice: _Ending | ChunkChoice) -> None:
        self._ended.add(choice.index)
        self._reopened.discard(choice.index)
        if not choice.index or self._end is None:
            self._end = choice

    def _without_repetitions(self, events: bytes) -> bytes:
        at = first_finish(events)
        if at < 0 and not self._ended:
            return events
        start = 0 if self._ended else start_of_event(events, at)
        late = [event for event in split_events(events[start:]) if self._is_new(data_of(event))]
        return events[:start] + b"".join(late)

    def _is_new(self, data: bytes) -> bool:
        """Tell whether any choice of a chunk that speaks had not said all of it before; errors pass."""
        try:
            chunk = _late.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if first_finish(data) >= 0:  # of a choice that cannot be told from the first
                self._ended.add(0)
            return True
        choices = chunk.choices or ()
        self._seen.update(choice.index for choice in choices)
        spoken = [choice for choice in choices if choice.text or speaks(choice)]
        ended = [choice for choice in spoken if choice.index in self._ended]
        self._again.update(choice.index for choice in ended if choice.text or repeats(choice))
        self._reopened.update(choice.index for choice in ended if choice.index not in self._again)
        for choice in choices:
            if choice.finish_reason:
                self._note_end(choice)
        return bool(chunk.error) or not spoken or any(choice.index not in self._again for choice in spoken)

    def _begins(self, data: bytes) -> bool:
        """Tell whether a chunk says something, the first that does; before that, who speaks."""
        try:
            first = _first.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        self._model = self._model or (value_in(first.model) or "")[:MOST_CHARS]
        choices = first.choices or []
        if not says(choices):
            return False
        self._deeds = deeds_of(choices[0])
        return True

    def _changed(self, event: bytes) -> bytes:
        if self._withhold_usage and USAGE in event and (usage := _only_usage(event)) is not None:
            self._withheld = usage
            return b""
        return event if self._rename is None else _rename_in(event, self._rename)


def _only_usage(event: bytes) -> Usage | None:
    """Read the usage of an event that says nothing else; None for any other event."""
    try:
        chunk = _decoder.decode(data_of(event))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decode_usage(chunk.usage) if chunk.choices == [] else None


def _rename_in(event: bytes, name: str) -> bytes:
    data = data_of(event)
    renamed = rename_model(data, name)
    if renamed == data:
        return event
    if b"\n" not in data:
        start = event.rfind(data)  # the last one: a comment before it may say the same
        return event[:start] + renamed + event[start + len(data) :]
    fields = [line for line in event.splitlines() if line and not line.startswith(b"data:")]
    return b"\n".join([*fields, *(b"data: " + line for line in renamed.split(b"\n"))]) + b"\n\n"

"""Read the stream of a chat completion: its framing, its chunks, what they say.

A choice may tell its end before all was said (Together after each call, OpenRouter again with the usage),
so `Finished` comes when the stream ends. An error ends everything: nothing that looks like a regular end
follows it.

Must not know clients, routes or sockets.
Sources: OpenAI API reference, "The chat completion chunk object" (checked 2026-11); recorded streams of 22
hosts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest, Broken
from gateway.exchange import Usage
from gateway.formats.chat import answer as whole
from gateway.formats.chat.content import read_content
from gateway.formats.chat.message import OpenCall, read_annotation, read_call, read_listed
from gateway.formats.chat.response import bare_error, piece_of, repeats
from gateway.formats.chat.thoughts import growths, same_thought
from gateway.formats.chat.types import (
    Annotation,
    Audio,
    Chunk,
    ChunkChoice,
    ContentPart,
    Delta,
    HostsOfAnswer,
    HostsOfMessage,
    Logprobs,
    ReasoningDetail,
)
from gateway.formats.chat.types import ToolCall as WireCall
from gateway.formats.chat.usage import decode_usage
from gateway.formats.errors.told import read_error
from gateway.formats.errors.verdicts import fault
from gateway.formats.framing.sse import Framer, data_of, split_events
from gateway.formats.framing.whole import is_object
from gateway.formats.neutral.completion import in_tier, tier_of
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Growth,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Text

Kind = Literal["", "text", "reasoning", "refusal", "audio", "call", "other"]
"""Which kind of part of a choice is open; "" for none."""

_decoder = msgspec.json.Decoder(Chunk)
_NULL = b"null"
_PASSED_ON = HostsOfMessage.__struct_fields__
_LEGACY_ID = "function_call_0"
_NO_CHOICES: tuple[ChunkChoice, ...] = ()


class StreamReader:
    """One stream. The events are the same whatever pieces its bytes come in."""

    __slots__ = (
        *("_began", "_choices", "_extra", "_framer", "_late", "_numbers", "_over", "_tier", "_usage"),
        "skipped",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._framer = Framer(limit_bytes)
        self._numbers = itertools.count()
        self._choices: dict[int, _Voice] = {}
        self._began = self._over = False
        self._extra: dict[str, Any] = {}
        self._late: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._tier = ""
        self.skipped = 0

    @property
    def finished(self) -> bool:
        """Every choice has told why it ended."""
        return bool(self._choices) and all(voice.finish_raw for voice in self._choices.values())

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes, return what they say. Raises Broken."""
        events: list[Event] = []
        ready = self._framer.feed(piece)
        if ready:
            for event in split_events(ready):
                data = data_of(event) or bare_error(event)
                if data and not self._over:
                    self._read(data, events)
        return events

    def close(self) -> list[Event]:
        """Return what was still to be said: the end, where every choice told its own and no marker came.

        Half an event at the end is dropped: the stream has not ended then, unless all was said before.
        """
        events: list[Event] = []
        rest = self._framer.rest()
        data = data_of(rest) or bare_error(rest)
        if data and not self._over:
            try:
                self._read(data, events)
            except Broken:
                events.clear()
        if not self._over and self.finished:
            self._end(events)
        return events

    def _read(self, data: bytes, events: list[Event]) -> None:
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if data.strip() == b"[DONE]":
                self._end(events)
                return
            if isinstance(error, msgspec.ValidationError) and is_object(data):
                raise Broken(
                    f"the upstream sent an event that is no chat completion chunk: {error}"
                ) from None
            self.skipped += 1
            return
        try:
            self._heed(chunk, events)
        except (BadRequest, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Broken(f"the upstream sent a malformed chunk: {error}") from None

    def _heed(self, chunk: Chunk, events: list[Event]) -> None:
        choices = chunk.choices or _NO_CHOICES
        if not self._began or not choices or bytes(chunk.usage) != _NULL or choices[0].finish_reason:
            self._read_edges(chunk, events)
        if chunk.error or chunk.object == "error":
            self._over = True
            told = chunk.error or {"code": chunk.code or chunk.type, "message": chunk.message}
            events.append(Faulted(fault(*read_error(told))))
            return
        for choice in choices:
            voice = self._choices.get(choice.index)
            if voice is None:
                voice = self._choices[choice.index] = _Voice(choice.index, self._numbers)
            voice.hear(choice, events)

    def _read_edges(self, chunk: Chunk, events: list[Event]) -> None:
        """Read what only the first and the last chunks tell: who answers, the usage, what hosts add."""
        extra = whole.read_extra(chunk)
        if not self._began:
            self._extra |= extra
            if chunk.id or chunk.choices:  # Azure begins with a chunk that names nobody
                self._begin(chunk, events)
        elif extra:
            self._late |= {name: value for name, value in extra.items() if self._extra.get(name) != value}
        raw = chunk.usage
        if bytes(raw) == _NULL and isinstance(chunk.x_groq, dict) and chunk.x_groq.get("usage"):
            raw = msgspec.Raw(msgspec.json.encode(chunk.x_groq["usage"]))
        self._tier = tier_of(chunk.service_tier) or self._tier
        usage = in_tier(decode_usage(raw), self._tier) if bytes(raw) != _NULL else None
        if usage is not None:
            self._late["usage"] = msgspec.json.decode(raw)
            if usage != self._usage:
                self._usage = usage
                events.append(Metered(usage))

    def _begin(self, chunk: Chunk, events: list[Event]) -> None:
        self._began = True
        created, tier = int(chunk.created or 0), chunk.service_tier or ""
        events.append(Began(chunk.id or "", chunk.model or "", created, tier, self._extra))

    def _end(self, events: list[Event]) -> None:
        self._over = True
        if not self._began:
            self._begin(Chunk(), events)
        listed = read_listed(msgspec.convert(self._extra | self._late, HostsOfAnswer))
        for voice in self._choices.values():
            voice.end(events, listed)
        events.append(Ended(self._late))


class _Voice:
    """One choice: which of its parts is open, its calls, how it ended; nothing that is said twice."""

    __slots__ = (
        *("_again", "_calls", "_calls_open", "_choice", "_cited", "_detail", "_kind", "_kinds", "_last_call"),
        *("_late", "_numbers", "_part", "_raw", "_spoken", "_stopped_by", "finish_raw"),
    )

    def __init__(self, choice: int, numbers: Iterator[int]) -> None:
        self._choice = choice
        self._numbers = numbers
        self._kind: Kind = ""
        self._part = -1
        self._detail: ReasoningDetail | None = None
        self._calls: dict[int, OpenCall] = {}
        self._calls_open: dict[int, OpenCall] = {}
        self._last_call: OpenCall | None = None
        self._kinds: set[type[Part]] = set()
        self._raw: dict[str, Any] = {}
        self._stopped_by = ""
        self._cited = self._spoken = self._again = False
        self._late: list[Citation] = []
        """Sources that came where no text was open: they go to the next one."""
        self.finish_raw = ""

    def hear(self, choice: ChunkChoice, events: list[Event]) -> None:
        """Take what a chunk says of this choice. Raises BadRequest for a malformed part."""
        delta = choice.delta
        if self.finish_raw and not self._again:
            self._again = repeats(choice)
        if delta is not None and not self._again:
            if delta.reasoning_details or delta.reasoning_content or delta.reasoning:
                self._think(delta, events)
            if delta.content or delta.refusal or choice.logprobs is not None:
                self._speak(delta, choice.logprobs, events)
            for call in delta.tool_calls or ():
                self._hear_call(call, events)
            self._hear_rarities(delta, events)
        if choice.finish_reason:
            self.finish_raw = choice.finish_reason
            self._stopped_by = whole.read_stop(choice)
            self._raw |= whole.read_choice_raw(choice)

    def end(self, events: list[Event], listed: Sequence[Citation]) -> None:
        """Say that the choice has ended, if it told so, and what it rests on, if the text did not."""
        if self._late and self._spoken:  # no format but this one says a source without a text
            self._open("text", Text(""), events)
        for source in self._late:
            self._open("other", Opaque("chat", "annotation", source.raw), events)
        if self._kind == "text" and not self._cited:
            events += [Cited(self._part, source, self._choice) for source in listed]
        self._close(events)
        events += [Closed(part, self._choice) for part in self._calls_open]
        finish = whole.read_finish(self.finish_raw, frozenset(self._kinds), self._stopped_by)
        if finish is not None:
            raw = self._raw or None
            events.append(Finished(finish, self.finish_raw, self._stopped_by, self._choice, raw))

    def _open(self, kind: Kind, content: Part, events: list[Event]) -> None:
        self._close(events)
        self._kind, self._part = kind, next(self._numbers)
        self._kinds.add(type(content))
        events.append(Opened(self._part, content, self._choice))
        if kind == "text":
            self._spoken = True
            events += [Cited(self._part, source, self._choice) for source in self._late]
            self._late.clear()

    def _close(self, events: list[Event]) -> None:
        """Close the open part; but a call that is not whole, since hosts may mix the pieces of several."""
        if self._kind and (self._kind != "call" or self._calls_open[self._part].is_whole()):
            events.append(Closed(self._part, self._choice))
            self._calls_open.pop(self._part, None)
        self._kind = ""

    def _speak(self, delta: Delta, logprobs: Logprobs | None, events: list[Event]) -> None:
        """Go on with the text or the refusal; Opened has no place for the tokens' chances, Grew has."""
        tokens = whole.read_logprobs(logprobs) if logprobs is not None else None
        content = delta.content
        if isinstance(content, list):
            self._hear_parts(content, events)
            return
        if not content and not delta.refusal and tokens is None:
            return
        kind: Kind = "refusal" if delta.refusal and not content else "text"
        text = content or delta.refusal or ""
        if self._kind != kind:
            first = "" if tokens is not None else text
            self._open(kind, Text(first) if kind == "text" else Refusal(first), events)
            if tokens is None:
                return
        events.append(Grew(self._part, text, logprobs=tokens, choice=self._choice))

    def _hear_parts(self, content: Sequence[ContentPart], events: list[Event]) -> None:
        """Read Mistral's way: a list of parts, each of which goes on with the open one of its kind."""
        values = msgspec.to_builtins(content)
        for part in read_content(content, "content", values.__getitem__):
            if isinstance(part, Text):
                self._go_on("text", part, "text", part.text, events)
            elif not isinstance(part, Reasoning):
                self._open("other", part, events)
            elif part.text:
                self._go_on("reasoning", part, "text", part.text, events)

    def _go_on(self, kind: Kind, first: Part, what: Growth, text: str, events: list[Event]) -> None:
        if self._kind == kind:
            events.append(Grew(self._part, text, what, choice=self._choice))
        else:
            self._open(kind, first, events)

    def _think(self, delta: Delta, events: list[Event]) -> None:
        """Go on with the thoughts; the plain text counts only where the details have no words."""
        details = delta.reasoning_details or ()
        said = delta.reasoning_content or delta.reasoning
        if said and not any(detail.text or detail.summary for detail in details):
            if self._kind != "reasoning":
                self._detail = None
            self._go_on("reasoning", Reasoning(said, origin="chat"), "text", said, events)
        for detail in details:
            if detail.text or detail.summary or detail.signature or detail.data:
                self._hear_detail(detail, events)

    def _hear_detail(self, detail: ReasoningDetail, events: list[Event]) -> None:
        known, self._detail = self._detail, detail
        if self._kind == "reasoning" and same_thought(known, detail):
            for what, text in growths(detail):
                events.append(Grew(self._part, text, what, choice=self._choice))
            return
        text, signature, encrypted = detail.text or "", detail.signature or "", detail.data or ""
        thought = Reasoning(text, (), signature, encrypted, detail.id or "", "chat")
        self._open("reasoning", thought, events)
        if detail.summary:  # said after the opening, so that what follows goes on with it
            events.append(Grew(self._part, detail.summary, "summary", choice=self._choice))

    def _hear_call(self, wire: WireCall, events: list[Event]) -> None:
        """Go on with a call, or open one.

        The same index under another id is another call; without an index each id is one (Mistral), and
        what has neither goes on with the last.
        """
        index = wire.index
        if index is not None:
            known = self._calls.get(index)
        elif wire.id:
            known = None
        else:
            known = self._last_call
        if known is None or (wire.id and known.id and wire.id != known.id):
            call = read_call(wire)
            self._open("call", call, events)
            known = self._last_call = self._calls_open[self._part] = OpenCall(
                call.id, self._part, [call.arguments]
            )
            if index is not None:
                self._calls[index] = known
        else:
            self._go_on_calling(known, wire, events)

    def _go_on_calling(self, known: OpenCall, wire: WireCall, events: list[Event]) -> None:
        """Say more of a call; to one that was closed nothing but white space may be added."""
        said, signature = piece_of(wire)
        closed = known.part not in self._calls_open
        if closed and (signature or said.strip()):
            raise Broken("the upstream went on with a call that was whole")
        if said and not closed:
            known.said.append(said)
            events.append(Grew(known.part, said, "arguments", choice=self._choice))
        if signature:
            events.append(Grew(known.part, signature, "signature", choice=self._choice))

    def _hear_rarities(self, delta: Delta, events: list[Event]) -> None:
        legacy = delta.function_call
        if legacy is not None and (legacy.name or self._last_call is not None):
            self._hear_call(WireCall(id=_LEGACY_ID, function=legacy, index=0), events)
        if delta.audio is not None:
            self._hear_audio(delta.audio, events)
        for image in read_content(delta.images, "images", lambda _: None):
            self._open("other", image, events)
        for annotation in delta.annotations or ():
            self._hear_source(annotation, events)
        for name in _PASSED_ON:
            if (value := getattr(delta, name)) is not None:
                self._raw.setdefault("message", {})[name] = value

    def _hear_source(self, annotation: Annotation, events: list[Event]) -> None:
        source = read_annotation(annotation)
        if isinstance(source, Opaque):
            self._open("other", source, events)
            return
        self._cited = True
        if self._kind == "text":
            events.append(Cited(self._part, source, self._choice))
        else:  # its place was counted in what was said before, not in what is to come
            unplaced = msgspec.structs.replace(source, start=None, end=None) if self._spoken else source
            self._late.append(unplaced)

    def _hear_audio(self, audio: Audio, events: list[Event]) -> None:
        if self._kind != "audio":
            raw = {"id": audio.id or "", "expires_at": audio.expires_at or 0}
            sound = Media("audio", data=audio.data or "", transcript=audio.transcript or "", raw=raw)
            self._open("audio", sound, events)
            return
        if audio.data:
            events.append(Grew(self._part, audio.data, "data", choice=self._choice))
        if audio.transcript:
            events.append(Grew(self._part, audio.transcript, "transcript", choice=self._choice))

"""Write a stream of Google's streamGenerateContent, as server-sent events.

Two things are held back, because the format cannot say them in pieces. Calls and media are whole in Google's
streams: they are written once their part is closed. And the reason of the end is written with the usage in
the last event: nothing else marks the end, so a stream that breaks after it would look whole.

Source: Gemini API reference, "streamGenerateContent" (checked 2026-11); Google's SDK for Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Usage
from gateway.formats.gemini.answer import (
    encode_logprobs,
    head_of,
    is_unanswered,
    own_members,
    said_of,
    word_of,
)
from gateway.formats.gemini.citations import encode_citations
from gateway.formats.gemini.errors import encode_error_event
from gateway.formats.gemini.parts import encode_part, show_arguments, signature_of
from gateway.formats.gemini.types import Candidate, Content, Part
from gateway.formats.gemini.usage import encode_usage
from gateway.formats.neutral import parts as neutral
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Joined,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Citation, Media, Reasoning, Refusal, Text, ToolCall

_json = msgspec.json.Encoder().encode
_PLACE_OF_TEXT = "\x00"
_IN_PIECES = (Text, Reasoning, Refusal)


class GeminiEncoder:
    """One stream for a client."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._head = head_of("", "", heading)
        self._frames: dict[tuple[int, bool], tuple[bytes, bytes]] = {}
        self._open: dict[int, _OpenPart] = {}
        self._calling: set[int] = set()
        self._cited: dict[int, list[Text]] = {}
        self._ends: dict[int, Finished] = {}
        self._usage: Usage | None = None
        self._silent = True
        self._over = False

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing yet, and after an error."""
        return b"".join([_WRITERS[type(event)](self, event) for event in events if not self._over])

    def fail(self, error: GatewayError) -> bytes:
        """Write an error; nothing follows it."""
        if self._over:
            return b""
        self._over = True
        return encode_error_event(error)

    def began(self, event: Began) -> bytes:
        """Remember who answers: each event says it."""
        self._head = head_of(event.id, event.model, self._heading)
        self._head.create_time = event.extra.get("createTime")
        return b""

    def opened(self, event: Opened) -> bytes:
        """Begin a part; words are written at once."""
        content = event.content
        part = self._open[event.part] = _OpenPart(event)
        if isinstance(content, ToolCall):
            self._calling.add(event.choice)
        if not part.in_pieces:
            return b""
        said = encode_part(content, show_arguments)
        if not said.text and said.thought_signature is None:
            return b""
        part.signed = said.thought_signature is not None
        return self._write_part(said, event.choice)

    def grew(self, event: Grew) -> bytes:
        """Write more words, or keep what cannot be written in pieces."""
        part = self._open.get(event.part)
        if part is None:
            return b""
        text = part.words_of(event)
        if text is None:
            part.grown.add(event)
            return b""
        if event.logprobs:
            said = Part(text=text, thought=part.thinks or None)
            content = Content(parts=[said], role="model")
            return self._write(
                [
                    Candidate(
                        content=content, index=event.choice, logprobs_result=encode_logprobs(event.logprobs)
                    )
                ]
            )
        before, after = self._frame(event.choice, thinks=part.thinks)
        return before + _json(text) + after

    def cited(self, event: Cited) -> bytes:
        """Keep a source: all are said at the end."""
        part = self._open.get(event.part)
        if part is not None:
            part.citations.append(event.citation)
        return b""

    def closed(self, event: Closed) -> bytes:
        """End a part: what could not be said in pieces is said now."""
        part = self._open.pop(event.part, None)
        if part is None:
            return b""
        whole = part.whole(event)
        if not part.in_pieces:
            said: list[neutral.Part] = [whole]
            if isinstance(whole, Media) and whole.transcript:
                said.append(Text(whole.transcript))
            return b"".join(
                self._write_part(encoded, event.choice)
                for each in said
                if (encoded := encode_part(each, show_arguments)) is not None
            )
        if isinstance(whole, Text) and whole.citations:
            self._cited.setdefault(event.choice, []).append(whole)
        if isinstance(whole, Reasoning) and not part.signed and (signature := signature_of(whole)):
            return self._write_part(Part(text="", thought=True, thought_signature=signature), event.choice)
        return b""

    def finished(self, event: Finished) -> bytes:
        """Keep the reason of a choice's end."""
        self._ends[event.choice] = event
        return b""

    def metered(self, event: Metered) -> bytes:
        """Keep the usage."""
        self._usage = event.usage
        return b""

    def faulted(self, event: Faulted) -> bytes:
        """Write what the upstream failed of."""
        return self.fail(event.error)

    def ended(self, event: Ended) -> bytes:
        """Write the last event: why each choice ended, and the usage."""
        self._over = True
        last = msgspec.to_builtins(self._head)
        if self._usage is not None:
            last["usageMetadata"] = encode_usage(self._usage)
        last |= own_members(event.extra)
        if not (self._silent and is_unanswered(event.extra)):
            last["candidates"] = [self._end_of(end) for _, end in sorted(self._ends.items())]
        return b"data: " + _json(last) + b"\r\n\r\n"

    def _end_of(self, end: Finished) -> Candidate:
        candidate = said_of(end.raw, end.choice)
        candidate.index = end.choice
        candidate.content = Content(parts=[Part(text="")], role="model")
        if candidate.finish_reason is None:
            calls = end.choice in self._calling
            candidate.finish_reason = word_of(end.finish, end.finish_raw, calls=calls)
        if candidate.grounding_metadata is None and candidate.citation_metadata is None:
            cited = self._cited.get(end.choice, [])
            candidate.grounding_metadata = encode_citations([(0, text) for text in cited])
        return candidate

    def _write_part(self, part: Any, choice: int) -> bytes:
        return self._write([Candidate(content=Content(parts=[part], role="model"), index=choice)])

    def _write(self, candidates: list[Candidate]) -> bytes:
        self._silent = False
        answer = msgspec.structs.replace(self._head, candidates=candidates)
        return b"data: " + _json(answer) + b"\r\n\r\n"

    def _frame(self, choice: int, *, thinks: bool) -> tuple[bytes, bytes]:
        """Return what stands around a text: the same for each of a choice's, and written once."""
        frame = self._frames.get((choice, thinks))
        if frame is None:
            said = self._write_part(Part(text=_PLACE_OF_TEXT, thought=thinks or None), choice)
            before, _, after = said.partition(_json(_PLACE_OF_TEXT))
            frame = self._frames[choice, thinks] = (before, after)
        return frame


_WRITERS: dict[type, Callable[[GeminiEncoder, Any], bytes]] = {
    Grew: GeminiEncoder.grew,
    Opened: GeminiEncoder.opened,
    Closed: GeminiEncoder.closed,
    Cited: GeminiEncoder.cited,
    Finished: GeminiEncoder.finished,
    Metered: GeminiEncoder.metered,
    Faulted: GeminiEncoder.faulted,
    Began: GeminiEncoder.began,
    Ended: GeminiEncoder.ended,
}


class _OpenPart:
    """A part that the client has not got all of."""

    __slots__ = ("_content", "_summaries", "_words", "citations", "grown", "in_pieces", "signed", "thinks")

    def __init__(self, event: Opened) -> None:
        content = event.content
        self._content = content
        self._words: list[str] = []
        self._summaries = len(content.summary) if isinstance(content, Reasoning) else 0
        self.citations: list[Citation] = []
        self.grown = Joined()
        self.grown.add(event)
        self.in_pieces = isinstance(content, _IN_PIECES)
        self.thinks = isinstance(content, Reasoning)
        self.signed = False

    def words_of(self, event: Grew) -> str | None:
        """Return what can be written of a growth now; None for what has to wait."""
        if not self.in_pieces:
            return None
        if event.what == "text":
            if not self.thinks:
                self._words.append(event.text)  # positions of citations are counted in them
            return event.text
        if event.what != "summary":
            return None
        new = event.new_summary and self._summaries > 0
        self._summaries += event.new_summary or not self._summaries
        return "\n\n" + event.text if new else event.text

    def whole(self, event: Closed) -> neutral.Part:
        """Return the part as far as it was kept, or as the wire repeated it."""
        if event.content is not None:
            return event.content
        if isinstance(self._content, Text) and (self.citations or self._content.citations):
            text = self._content.text + "".join(self._words)
            return Text(text, citations=(*self._content.citations, *self.citations))
        part = self.grown.completion().choices[0].parts[0]
        if isinstance(part, Reasoning) and self._summaries and not part.summary:
            return msgspec.structs.replace(part, summary=("",))
        return part

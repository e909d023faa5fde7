"""Go on with a stream that broke: another upstream is given what was said, and its words come after it.

The client's stream stays one: the same encoder writes on, what begins an answer is not said again, and the
first text of the new upstream makes the open one longer. What it says of its own failure is for the caller:
the client is told why the first stream broke. Its thoughts are left out, for the words that they would
stand before have gone out already.

Must not know routes, sockets or clocks.
Sources: Anthropic, "Prefill Claude's response": the last message must not end with whitespace, and goes with
neither extended thinking nor structured outputs; WHATWG HTML, "Server-sent events": comments (checked
2026-11); Google's SDK for Python 3.4 takes each line of a stream that is not `data:` for JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.errors import BadAnswer, Empty, Unsupported
from gateway.exchange import Call, Format
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.crossing import crossing_request
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import Text
from gateway.formats.passage.continued.continuation import Continuation, Told
from gateway.formats.passage.seam import AnswerStream, Passage, Terms, Whole
from gateway.formats.passage.translated import TranslatedPassage, TranslatedStream, translated
from gateway.formats.passage.whole import refused

_NO_THINKING_BESIDE: frozenset[Format] = frozenset({"messages", "converse"})
_BYTES_PER_TOKEN = 4
_LEAST_TOKENS = 16
"""OpenAI's Responses API takes no lower limit."""


def can_continue(stream: AnswerStream) -> bool:
    """Tell whether another upstream can go on with a stream that broke, without the client's noticing.

    Only where its passage's terms had it rewritten. Words must be all that it said, beside thoughts that
    are whole, and it must not have told its end.
    """
    told = _told_by(stream)
    return told is not None and not stream.finished and told.can_go_on()


def said(stream: AnswerStream) -> str:
    """Return the text of the answer so far, all attempts at it together; no thoughts."""
    told = _told_by(stream)
    return "" if told is None else told.text()


def _told_by(stream: AnswerStream) -> Told | None:
    encoder = stream.encoder if isinstance(stream, TranslatedStream) else None
    if isinstance(encoder, Continuation):
        return encoder.told
    return encoder if isinstance(encoder, Told) else None


def seam_note(format_: Format, backend: str, after_chars: int) -> bytes:
    """Mark in the client's stream where `backend` goes on: a comment, where its SDKs take comments."""
    if format_ == "gemini":
        return b""
    return b": forebay continued by %b after %d characters\n\n" % (backend.encode(), after_chars)


def continuing_passage(call: Call, wire: Format, model: str, terms: Terms, broken: AnswerStream) -> Passage:
    """Open the passage on which an upstream goes on with `broken`, which `can_continue`.

    The stream that it begins writes into the client's, which `broken` must not do any more. Raises BadRequest
    or Unsupported.
    """
    told = _told_by(broken)
    fresh = translated(call, wire, model, terms)
    if told is None or not isinstance(fresh, TranslatedPassage):
        raise Unsupported("this answer cannot be gone on with")
    asked = fresh.heading.request
    if asked.choices not in {None, 1}:
        raise Unsupported("several choices cannot be gone on with", param="n")
    own = wire == call.format
    fitting = _going_on(fit(asked, call.format, wire)[0], told.text(), wire)
    members = fresh.upstream.encode_request(fitting if own else crossing_request(fitting))
    if own:
        members |= {name: call.members[name] for name in ("model", "stream") if name in call.members}
    sent = msgspec.structs.replace(fresh.call, members=members, translated=not own)
    return ContinuingPassage(sent, fresh, told)


def _going_on(asked: Conversation, words: str, wire: Format) -> Conversation:
    """Ask for the rest: the words are the last turn, and the limit is what they left of it."""
    changes: dict[str, Any] = {"turns": (*asked.turns[:-1], *_with_words(asked.turns[-1], words))}
    if wire in _NO_THINKING_BESIDE:
        changes["thinking"] = None
        if asked.output is not None:
            raise Unsupported(f"a begun answer in JSON cannot be gone on with in the {wire} format")
    if (limit := asked.max_tokens) is not None:
        rest = limit - len(words) // _BYTES_PER_TOKEN
        changes["max_tokens"] = min(limit, max(rest, _LEAST_TOKENS))
    return msgspec.structs.replace(asked, **changes)


def _with_words(last: Turn, words: str) -> tuple[Turn, ...]:
    """Add the words to the conversation; a client may have begun the answer itself."""
    begun = last.parts[-1] if last.role == "assistant" and last.parts else None
    if not isinstance(begun, Text):
        return (last, Turn("assistant", (Text(words.rstrip()),)))
    longer = Text((begun.text + words).rstrip())
    return (msgspec.structs.replace(last, parts=(*last.parts[:-1], longer), raw=None),)


class ContinuingPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of an attempt that goes on with a broken stream."""

    call: Call
    fresh: TranslatedPassage
    """The way of an attempt that would begin anew."""
    told: Told
    unframed: bool = False

    @property
    def dropped(self) -> tuple[str, ...]:
        """The client's fields that were left out."""
        return self.fresh.dropped

    @property
    def content_type(self) -> bytes:
        """What the client was told of the answer's type."""
        return self.fresh.content_type

    def read(self, body: bytes) -> Whole:
        """Refuse a whole answer: its client is amid a stream. Raises BadAnswer where it tells no usage."""
        told = "the upstream answered with no stream where it was to go on with one"
        return refused(BadAnswer(told, detail=f"{len(body)} bytes"), body, self.call.format)

    @property
    def stream(self) -> Callable[[int], AnswerStream]:
        """Begins the stream that goes on."""
        return self._begin

    def _begin(self, limit_bytes: int) -> AnswerStream:
        return ContinuedStream(self.fresh.upstream.stream_decoder(limit_bytes), Continuation(self.told))


class ContinuedStream(TranslatedStream):
    """The stream of an upstream that goes on: its usage and its text are those of this attempt alone."""

    __slots__ = ("_continuation",)

    def __init__(self, decoder: StreamDecoder, continuation: Continuation) -> None:
        super().__init__(decoder, continuation, tells_faults=False)
        self._continuation = continuation

    @property
    def begun(self) -> bool:
        """Something was said that goes on: thoughts do not."""
        return self._continuation.begun

    def close(self) -> bytes:
        """Return the last bytes. Raises Empty where nothing was said: the answer is as broken as before."""
        written = super().close()
        if not self.begun and self.finished:
            raise Empty("the upstream had nothing to say after what was said before it")
        return written

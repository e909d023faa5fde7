"""One streamed answer from several upstreams: what its client was told, and what comes after that.

Both classes stand where an encoder does and hand on to the client's: `Told` remembers the words as they
pass, `Continuation` makes another upstream's events fit behind them.

Must not know formats or passages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.formats.neutral.codec import StreamEncoder
from gateway.formats.neutral.completion import MUTE, TokenLogprob
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
from gateway.formats.neutral.parts import Citation, Reasoning, Text

_MOST_PIECES = 4096
"""So many words are kept apart: a string of its own costs 50 bytes beside its letters."""


class Told:
    """An encoder that remembers what it was given.

    `text_part` is the number of the text that is open, None for none; `parts` the first number that no part
    has yet; `finished` tells that a choice said why it ended.
    """

    __slots__ = (
        "_begins_at",
        "_encoder",
        "_plain",
        "_sealed",
        "_thinking",
        "_words",
        "finished",
        "parts",
        "text_part",
    )

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self._words: list[str] = []
        self._begins_at = 0
        """Where in the words the last text begins."""
        self._thinking: set[int] = set()
        self._plain = True
        """One choice, and nothing but words and thoughts."""
        self._sealed = False
        """The open text has sources or a signature: they hold for what was said until then."""
        self.text_part: int | None = None
        self.parts = 0
        self.finished = False

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events."""
        for event in events:
            if isinstance(event, Grew):
                self._grew(event)
            elif isinstance(event, Opened):
                self._opened(event)
            elif isinstance(event, Closed):
                self._closed(event)
            elif isinstance(event, Cited):
                self._sealed = True
            elif isinstance(event, Finished | Ended):
                self.finished = True
        return self._encoder.encode(events)

    def fail(self, error: GatewayError) -> bytes:
        """Write an error."""
        return self._encoder.fail(error)

    def text(self) -> str:
        """Return the words of the answer: no thoughts."""
        if len(self._words) > 1:
            self._words = ["".join(self._words)]
        return self._words[0] if self._words else ""

    def can_go_on(self) -> bool:
        """Tell whether words are all that a continuation would have to match."""
        settled = self._plain and not self.finished and not self._thinking
        sealed = self._sealed and self.text_part is not None
        return settled and not sealed and bool(self.text().strip())

    def _grew(self, event: Grew) -> None:
        if event.part != self.text_part:
            return
        if event.what != "text":
            self._sealed = True
            return
        self._words.append(event.text)
        if len(self._words) > _MOST_PIECES:
            self.text()

    def _opened(self, event: Opened) -> None:
        content = event.content
        self.parts = max(self.parts, event.part + 1)
        if isinstance(content, Text) and not event.choice:
            self.text_part = event.part
            self._sealed = bool(content.citations or content.signature)
            self._begins_at = len(self.text())
            self._words.append(content.text)
        elif isinstance(content, Reasoning):
            self._thinking.add(event.part)
        else:
            self._plain = False

    def _closed(self, event: Closed) -> None:
        """End a part; where the wire repeats it whole, the encoder says what of it was not said yet."""
        self._thinking.discard(event.part)
        if event.part != self.text_part:
            return
        self.text_part = None
        said = self.text()[self._begins_at :]
        if isinstance(event.content, Text) and event.content.text.startswith(said):
            self._words.append(event.content.text[len(said) :])


class Continuation:
    """Encodes the events of another upstream as what comes after all that the client was told.

    An upstream that says again what it was given has that left out: its words are held back as long as they
    are those of the answer so far, from its beginning. (A true continuation that begins with the whole answer
    so far loses that much: only a short answer that repeats itself has one.) The whitespace at the end of
    what was said, which upstreams are not given, is left out where the continuation begins with it.

    A signature of its first text is left out, for it would be one on words of others too.

    `begun` tells that there is one. Where there is none, no end is written either: who says nothing
    has not made a part of an answer whole, and the client can still be told what broke it.
    """

    def __init__(self, told: Told) -> None:
        words = told.text()
        self.told = told
        self.begun = False
        self._sent = words.rstrip()
        self._tail = words[len(self._sent) :]
        self._matched = 0
        self._repeats: bool | None = None
        """Whether it says again what was said; None: that is not known yet."""
        self._waiting: list[Event] = []
        self._shift = len(words)
        """How many characters of the client's text stand before the first of this upstream's."""
        self._excess = 0
        self._base = told.parts
        self._text = told.text_part
        """The client's number of the text that goes on; None: there is none."""
        self._own_text: int | None = None
        """The upstream's number of it; None: it has said none yet."""
        self._heard: list[str] = []
        self._cited = 0
        self._silenced: set[int] = set()

    def encode(self, events: Sequence[Event]) -> bytes:
        """Write events; b"" when they say nothing that the client does not have."""
        out: list[Event] = []
        for event in events:
            if getattr(event, "choice", 0) == 0:
                _TAKEN[type(event)](self, event, out)
        return self.told.encode(out) if out else b""

    def fail(self, error: GatewayError) -> bytes:
        """Write an error, in the client's stream."""
        return self.told.fail(error)

    def passed(self, event: Event, out: list[Event]) -> None:
        """Pass on what is said of the whole answer."""
        out.append(event)

    def unsaid(self, event: Event, out: list[Event]) -> None:
        """Leave out what the client was told already, or is not to be told."""

    def opened(self, event: Opened, out: list[Event]) -> None:
        """Begin a part; the first text goes on with the client's."""
        content = event.content
        if isinstance(content, Reasoning):
            self._silenced.add(event.part)
        elif isinstance(content, Text) and self._own_text is None:
            self._own_text = event.part
            if self._text is None:
                self._text = self._base + event.part
                out.append(Opened(self._text, Text("")))
            self.grew(Grew(event.part, content.text), out)
            for citation in content.citations:
                self.cited(Cited(event.part, citation), out)
        else:
            self.begun = True
            self._conclude(out, repeats=False)
            if self._own_text is None:
                self._shut(out)
            out.append(msgspec.structs.replace(event, part=self._base + event.part))

    def grew(self, event: Grew, out: list[Event]) -> None:
        """Go on with a part."""
        if event.part in self._silenced:
            return
        if event.part != self._own_text:
            out.append(msgspec.structs.replace(event, part=self._base + event.part))
        elif event.what == "text":
            self.begun = self.begun or bool(event.text)
            self._heard.append(event.text)
            self._compare(event, out)

    def _waits(self, event: Event) -> bool:
        """Keep the event if what comes before it is kept."""
        waits = self._repeats is None and bool(self._waiting)
        if waits:
            self._waiting.append(event)
        return waits

    def _compare(self, event: Grew, out: list[Event]) -> None:
        """Say the words, unless they may be a repetition."""
        if self._repeats is not None:
            self._say(event, out)
            return
        if not event.text and event.logprobs is None:
            return
        at, self._matched = self._matched, self._matched + len(event.text)
        self._waiting.append(event)
        if self._matched >= len(self._sent):
            self._decide(out, repeats=event.text.startswith(self._sent[at:]))
        elif not self._sent.startswith(event.text, at):
            self._decide(out, repeats=False)

    def _conclude(self, out: list[Event], *, repeats: bool) -> None:
        """Nothing comes any more that would tell."""
        if self._repeats is None:
            self._sent = self._sent[: self._matched]
            self._decide(out, repeats=repeats)

    def _decide(self, out: list[Event], *, repeats: bool) -> None:
        self._repeats = repeats
        self._excess = len(self._sent) if repeats else 0
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            if isinstance(event, Grew) and event.what == "text":
                self._say(event, out)
            else:
                _TAKEN[type(event)](self, event, out)

    def _say(self, event: Grew, out: list[Event]) -> None:
        """Say words but for those that the client has."""
        chars = min(self._excess, len(event.text))
        self._excess -= chars
        if self._tail and chars < len(event.text):
            same = _same_chars(event.text[chars:], self._tail)
            chars += same
            self._tail = self._tail[same:] if chars == len(event.text) else ""
        self._shift -= chars
        event = _without(event, chars)
        if self._text is not None and (event.text or event.logprobs):
            out.append(msgspec.structs.replace(event, part=self._text))

    def cited(self, event: Cited, out: list[Event]) -> None:
        """Name a source, at its place in the whole text."""
        if event.part != self._own_text:
            out.append(msgspec.structs.replace(event, part=self._base + event.part))
        elif not self._waits(event) and self._text is not None:
            self._cited += 1
            out.append(Cited(self._text, _shifted(event.citation, self._shift)))

    def closed(self, event: Closed, out: list[Event]) -> None:
        """End a part; what of its text was not said before is said now."""
        if event.part in self._silenced:
            return
        if event.part != self._own_text:
            out.append(msgspec.structs.replace(event, part=self._base + event.part))
        elif not self._waits(event):
            self._complete(event, out)
            self._shut(out)

    def _complete(self, event: Closed, out: list[Event]) -> None:
        whole_text, heard = event.content, "".join(self._heard)
        if isinstance(whole_text, Text) and whole_text.text.startswith(heard):
            self.grew(Grew(event.part, whole_text.text[len(heard) :]), out)
            for citation in whole_text.citations[self._cited :]:
                self.cited(Cited(event.part, citation), out)

    def _shut(self, out: list[Event]) -> None:
        if self._text is not None:
            out.append(Closed(self._text))
            self._text = None

    def finished(self, event: Finished, out: list[Event]) -> None:
        """Tell why the answer ended. One that was cut while it might still repeat, did."""
        self.begun = self.begun or event.finish not in MUTE
        self._conclude(out, repeats=event.finish == "length")
        if self.begun:
            out.append(event)

    def ended(self, event: Ended, out: list[Event]) -> None:
        """End the client's stream."""
        self._conclude(out, repeats=False)
        if self.begun:
            self._shut(out)
            out.append(event)


_TAKEN: Mapping[type, Callable[[Continuation, Any, list[Event]], None]] = {
    Grew: Continuation.grew,
    Opened: Continuation.opened,
    Closed: Continuation.closed,
    Cited: Continuation.cited,
    Finished: Continuation.finished,
    Ended: Continuation.ended,
    Metered: Continuation.passed,
    Began: Continuation.unsaid,
    Faulted: Continuation.unsaid,
}


def _same_chars(one: str, other: str) -> int:
    """Return how long a beginning two texts share."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))


def _without(event: Grew, chars: int) -> Grew:
    """Take characters off the beginning of a growth, and the tokens that they are of."""
    if not chars:
        return event
    tokens = None if event.logprobs is None else tuple(_tokens_after(event.logprobs, chars))
    return msgspec.structs.replace(event, text=event.text[chars:], logprobs=tokens)


def _tokens_after(tokens: Sequence[TokenLogprob], chars: int) -> list[TokenLogprob]:
    kept: list[TokenLogprob] = []
    for token in tokens:
        cut = min(chars, len(token.token))
        chars -= cut
        if cut == 0:
            kept.append(token)
        elif cut < len(token.token):
            kept.append(msgspec.structs.replace(token, token=token.token[cut:], bytes=None))
    return kept


def _shifted(citation: Citation, chars: int) -> Citation:
    """Move what a source supports; its own format's words would tell the old place."""
    if citation.start is None or citation.end is None or not chars:
        return citation
    start, end = max(citation.start + chars, 0), max(citation.end + chars, 0)
    return msgspec.structs.replace(citation, start=start, end=end, raw=None, origin="")

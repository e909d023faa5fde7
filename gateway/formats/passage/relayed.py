"""Relay a call: the client's own members go up, the upstream's own bytes come back, watched as they pass.

Nothing is decoded that need not be: what a stream used and how it ended is read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.errors import Filtered, UpstreamError
from gateway.exchange import Call
from gateway.formats.chat.stream import RelayedStream
from gateway.formats.framing.sse import begins_as_events
from gateway.formats.neutral.check import TURNS_IN
from gateway.formats.neutral.completion import about_of
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.seals import may_hold
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.heard import says_nothing
from gateway.formats.passage.media import MediaEvents, RawStream
from gateway.formats.passage.recast import EVENTS, JSON, read_whole, write_as_stream, write_at_once
from gateway.formats.passage.seam import AnswerStream, Terms, Whole
from gateway.formats.passage.watched import DecodedStream
from gateway.formats.passage.watching import WATCHES
from gateway.formats.passage.whole import read_refusal, refused
from gateway.formats.request.output_limit import choices_of

_RECAST = frozenset({*CODECS, "completions"})
"""Formats of which a whole answer can be said as a stream."""


def relayed(call: Call, terms: Terms) -> RelayedPassage:
    """Relay `call` as it is, but for what other providers sealed in earlier turns.

    A conversation that was translated until now may come to an upstream of the client's own format, which
    would refuse signatures that are not its own.
    """
    turns = call.members.get(TURNS_IN.get(call.format, ""), b"")
    if not may_hold(bytes(turns), call.format):
        return RelayedPassage(call, terms)
    codec = CODECS[call.format]
    fitting, dropped = fit(codec.decode_request(call.members), call.format, call.format)
    named = {name: call.members[name] for name in ("model", "stream") if name in call.members}
    members = codec.encode_request(fitting) | named
    return RelayedPassage(msgspec.structs.replace(call, members=members), terms, dropped)


class RelayedPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of an attempt at an upstream that speaks the client's format."""

    call: Call
    terms: Terms
    dropped: tuple[str, ...] = ()
    content_type: bytes | None = None

    @property
    def unframed(self) -> bool:
        """Whether the answer is passed on as it comes: sound is to be heard while it is made."""
        return self.call.format == "speech"

    def read(self, body: bytes) -> Whole:
        """Check a whole answer and read its usage; changes nothing in it but the model's name.

        An answer in the other shape than was asked for is written anew in that one. Raises UpstreamError when
        it is none and tells no usage.
        """
        try:
            return self._read(body)
        except UpstreamError as error:
            return refused(error, body, self.call.format)

    def _read(self, body: bytes) -> Whole:
        call, terms = self.call, self.terms
        watch = WATCHES[call.format]
        if call.format in CODECS and begins_as_events(body):
            completion = read_whole(CODECS[call.format], body)
            written = write_at_once(call, terms, completion)
            about = about_of(completion)
            return Whole(written, completion.usage, says_nothing(completion), JSON, about=about)
        try:
            usage, empty, about = watch.read(body)
        except Filtered as refusal:
            usage, about = read_refusal(body, call.format, "content_filter")
            written = b"" if call.envelope.stream else self._named(body)
            return Whole(written, usage, refusal=refusal, about=about)
        if call.envelope.stream and call.format in _RECAST:
            return Whole(write_as_stream(call, terms, body), usage, empty, EVENTS, about=about)
        return Whole(self._named(body), usage, empty, about=about)

    def _named(self, body: bytes) -> bytes:
        """Put the name in that the client is to see."""
        name = self.terms.rename
        return body if name is None else WATCHES[self.call.format].rename(body, name)

    @property
    def stream(self) -> Callable[[int], AnswerStream] | None:
        """Begins a streamed answer. None where words come at once: then a stream is to be read whole.

        Whether sound and images come as a stream is for the upstream to say.
        """
        streams = self.call.envelope.stream or self.unframed or WATCHES[self.call.format].media
        return self._begin if streams else None

    def _begin(self, limit_bytes: int) -> AnswerStream:
        format_, rename, members = self.call.format, self.terms.rename, self.call.members
        watch, choices = WATCHES[format_], choices_of(self.call)
        if watch.decoder is not None:
            return DecodedStream(watch, watch.decoder(limit_bytes), rename, limit_bytes, choices)
        if self.unframed:
            return RawStream(members)
        if watch.media:
            return MediaEvents(limit_bytes, choices)
        return RelayedStream(
            withhold_usage=not self.call.envelope.wants_usage,
            rename=rename,
            limit_bytes=limit_bytes,
            calls="tools" in members or "functions" in members,
            choices=choices,
        )

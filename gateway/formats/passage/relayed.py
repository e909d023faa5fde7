"""Relay a call: the client's own members go up, the upstream's own bytes come back, watched as they pass.

Nothing is decoded that need not be: what a stream used and how it ended is read when somebody asks.
"""

from __future__ import annotations

import msgspec

from gateway.exchange import Call, Usage
from gateway.formats.chat.stream import RelayedStream
from gateway.formats.neutral.check import TURNS_IN
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.seals import may_hold
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.media import MediaEvents, RawStream
from gateway.formats.passage.seam import AnswerStream, Terms
from gateway.formats.passage.watched import DecodedStream
from gateway.formats.passage.watching import WATCHES


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

    def read(self, body: bytes) -> tuple[bytes, Usage | None]:
        """Check a whole answer and read its usage; changes nothing in it but the model's name."""
        watch = WATCHES[self.call.format]
        usage = watch.read(body)
        rename = self.terms.rename
        return (body if rename is None else watch.rename(body, rename)), usage

    def stream(self, limit_bytes: int) -> AnswerStream:
        """Begin a streamed answer."""
        format_, rename = self.call.format, self.terms.rename
        watch = WATCHES[format_]
        if watch.decoder is not None:
            return DecodedStream(watch, watch.decoder(limit_bytes), rename, limit_bytes)
        if self.unframed:
            return RawStream(self.call.members)
        if watch.media:
            return MediaEvents(limit_bytes)
        return RelayedStream(
            withhold_usage=not self.call.envelope.wants_usage, rename=rename, limit_bytes=limit_bytes
        )

"""Translate a call: through the neutral types up to the upstream's format, and its answer back down."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Call, Format, Usage
from gateway.formats.neutral.check import check
from gateway.formats.neutral.codec import Codec, Heading, StreamDecoder, StreamEncoder
from gateway.formats.neutral.crossing import crossing_answer, crossing_event, crossing_request
from gateway.formats.neutral.events import Event, Faulted, whole
from gateway.formats.neutral.losses import fit
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.counts import COUNTED_IN, decode_count, encode_count, encode_counted
from gateway.formats.passage.heard import Heard
from gateway.formats.passage.seam import AnswerStream, Passage, Terms
from gateway.formats.vectors.embeddings import decode_embedding_answer, encode_embedding_request
from gateway.formats.vectors.rerank import decode_rerank_answer, encode_rerank_request

_JSON, _EVENTS = b"application/json", b"text/event-stream"


def translated(call: Call, wire: Format, model: str, terms: Terms) -> Passage:
    """Translate `call` for an upstream that speaks `wire`. Raises BadRequest or Unsupported."""
    if call.format == "count_tokens":
        return _counting(call, wire, model)
    if call.format in _VECTORS:
        return _vectors(call, wire, model)
    client, upstream = CODECS[call.format], CODECS[wire]
    asked = client.decode_request(call.members)
    check(asked, call.format)
    fitting, dropped = fit(asked, call.format, wire)
    heading = Heading(
        id=terms.call_id.removeprefix("call_"),
        model=terms.rename or model,
        created_unix_s=terms.created_unix_s,
        request=asked,
        rename=terms.rename is not None,
        wants_usage=call.envelope.wants_usage,
    )
    members = upstream.encode_request(crossing_request(fitting))
    sent = msgspec.structs.replace(call, format=wire, members=members, translated=True)
    return TranslatedPassage(sent, dropped, client, upstream, heading)


class TranslatedPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of an attempt at a generative upstream that speaks another format."""

    call: Call
    dropped: tuple[str, ...]
    client: Codec
    upstream: Codec
    heading: Heading
    unframed: bool = False

    @property
    def content_type(self) -> bytes:
        """What the client is told of the answer's type."""
        return _EVENTS if self.call.envelope.stream else _JSON

    def read(self, body: bytes) -> tuple[bytes, Usage | None]:
        """Translate a whole answer; raises UpstreamError when it is none.

        A client that asked for a stream gets one, also from an upstream that had none to give.
        """
        completion = crossing_answer(self.upstream.decode_answer(body))
        if self.call.envelope.stream:
            return self.client.stream_encoder(self.heading).encode(whole(completion)), completion.usage
        return self.client.encode_answer(completion, self.heading), completion.usage

    @property
    def stream(self) -> Callable[[int], AnswerStream] | None:
        """Begins a streamed answer. None where none was asked for: what comes all the same is no answer."""
        return self._begin if self.call.envelope.stream else None

    def _begin(self, limit_bytes: int) -> AnswerStream:
        decoder, encoder = self.upstream.stream_decoder(limit_bytes), self.client.stream_encoder(self.heading)
        return TranslatedStream(decoder, encoder)


class TranslatedStream:
    """One stream, decoded from the upstream's format and encoded in the client's, event by event."""

    __slots__ = ("_decoder", "_encoder", "_heard")

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._heard = Heard()

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        return self._heard.usage

    @property
    def finished(self) -> bool:
        """The stream told a finish reason."""
        return self._heard.finished

    @property
    def done(self) -> bool:
        """The stream said that this was all."""
        return self._heard.done

    @property
    def failed(self) -> bool:
        """The stream carried an error of the upstream."""
        return self._heard.failed

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty)."""
        return self._pass(self._decoder.feed(piece))

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended its body."""
        return self._pass(self._decoder.close())

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return self._encoder.fail(error)

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._heard.text()

    def _pass(self, events: list[Event]) -> bytes:
        if not events or self._heard.failed:  # after an error nothing may look like a regular end
            return b""
        events = [crossing_event(event) for event in events]
        self._heard.add(events)
        fault = next((event for event in events if isinstance(event, Faulted)), None)
        if fault is None:
            return self._encoder.encode(events)
        return self._encoder.encode(events[: events.index(fault)]) + self._encoder.fail(fault.error)


Decode = Callable[[bytes], tuple[bytes, Usage | None]]


class ConvertedPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of a call that has one small answer: numbers for texts."""

    call: Call
    dropped: tuple[str, ...]
    decode: Decode
    content_type: bytes = _JSON
    unframed: bool = False
    stream: None = None

    def read(self, body: bytes) -> tuple[bytes, Usage | None]:
        """Translate the answer; raises UpstreamError when it is none."""
        return self.decode(body)


def _counting(call: Call, wire: Format, model: str) -> Passage:
    """Ask another provider how many tokens a request has."""
    asked = CODECS["messages"].decode_request(call.members)
    fitting, dropped = fit(asked, "messages", COUNTED_IN[wire])
    members = encode_count(crossing_request(fitting), wire, model)
    sent = msgspec.structs.replace(call, format=wire, members=members, translated=True)

    def decode(body: bytes) -> tuple[bytes, Usage | None]:
        return encode_counted(decode_count(body, wire)), Usage()

    return ConvertedPassage(sent, dropped, decode)


def _vectors(call: Call, wire: Format, model: str) -> Passage:
    encode, decode_answer = _VECTORS[call.format]
    members, dropped = encode(call.members, wire)

    def decode(body: bytes) -> tuple[bytes, Usage | None]:
        return decode_answer(body, wire, call.members, model)

    return ConvertedPassage(
        msgspec.structs.replace(call, format=wire, members=members, translated=True), dropped, decode
    )


_Encode = Callable[[Mapping[str, msgspec.Raw], Format], tuple[dict[str, object], tuple[str, ...]]]
_DecodeAnswer = Callable[[bytes, Format, Mapping[str, msgspec.Raw], str], tuple[bytes, Usage | None]]

_VECTORS: Mapping[Format, tuple[_Encode, _DecodeAnswer]] = {
    "embeddings": (encode_embedding_request, decode_embedding_answer),
    "rerank": (encode_rerank_request, decode_rerank_answer),
}

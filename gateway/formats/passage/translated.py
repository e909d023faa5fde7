"""Translate a call: through the neutral types up to the upstream's format, and its answer back down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.errors import Broken, Failed, GatewayError, UpstreamError
from gateway.exchange import Call, Format, Usage
from gateway.formats.gemini.answer import block_in
from gateway.formats.neutral.check import check
from gateway.formats.neutral.codec import Codec, Heading, StreamDecoder, StreamEncoder
from gateway.formats.neutral.completion import About, about_of
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.crossing import crossing_answer, crossing_event, crossing_request
from gateway.formats.neutral.events import Ended, Event, Faulted, Finished, Opened, whole
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import ToolCall
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.continued.continuation import Told
from gateway.formats.passage.counts import COUNTED_IN, decode_count, encode_count, encode_counted
from gateway.formats.passage.heard import Heard, says_nothing
from gateway.formats.passage.recast import EVENTS, JSON, read_whole
from gateway.formats.passage.relayed import RelayedPassage
from gateway.formats.passage.seam import AnswerStream, Passage, Terms, Whole
from gateway.formats.passage.whole import refused
from gateway.formats.vectors.embeddings import decode_embedding_answer, encode_embedding_request
from gateway.formats.vectors.rerank import decode_rerank_answer, encode_rerank_request


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
    heading = _heading(call, asked, model, terms)
    members = upstream.encode_request(crossing_request(fitting))
    sent = msgspec.structs.replace(call, format=wire, members=members, translated=True)
    return TranslatedPassage(sent, dropped, client, upstream, heading, rewritten=terms.rewritten)


def rewritten(passage: RelayedPassage, model: str) -> TranslatedPassage:
    """Relay the request of `passage`, but decode its answer and write it anew. Raises BadRequest."""
    call = passage.call
    own = CODECS[call.format]
    heading = _heading(call, own.decode_request(call.members), model, passage.terms)
    return TranslatedPassage(call, passage.dropped, own, own, heading, rewritten=True)


def _heading(call: Call, asked: Conversation, model: str, terms: Terms) -> Heading:
    return Heading(
        id=terms.call_id.removeprefix("call_"),
        model=terms.rename or model,
        created_unix_s=terms.created_unix_s,
        request=asked,
        rename=terms.rename is not None,
        wants_usage=call.envelope.wants_usage,
    )


class TranslatedPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of an attempt at a generative upstream that speaks another format, or is written anew."""

    call: Call
    dropped: tuple[str, ...]
    client: Codec
    upstream: Codec
    heading: Heading
    unframed: bool = False
    rewritten: bool = False

    @property
    def content_type(self) -> bytes:
        """What the client is told of the answer's type."""
        return EVENTS if self.call.envelope.stream else JSON

    @property
    def own(self) -> bool:
        """Whether the answer stays in its format: then it keeps what only that format says."""
        return self.client is self.upstream

    def read(self, body: bytes) -> Whole:
        """Translate a whole answer; raises UpstreamError when it is none and tells no usage.

        A client gets a stream or none as it asked, whichever of them the upstream gave.
        """
        try:
            return self._read(body)
        except UpstreamError as error:
            return refused(error, body, self.call.format)

    def _read(self, body: bytes) -> Whole:
        completion = read_whole(self.upstream, body)
        about = about_of(completion)
        if (block := block_in(completion.extra)) is not None:
            return Whole(b"", completion.usage, refusal=block, about=about)
        if not self.own:
            completion = crossing_answer(completion)
        if self.call.envelope.stream:
            written = self.client.stream_encoder(self.heading).encode(whole(completion))
        else:
            written = self.client.encode_answer(completion, self.heading)
        return Whole(written, completion.usage, says_nothing(completion), about=about)

    @property
    def stream(self) -> Callable[[int], AnswerStream] | None:
        """Begins a streamed answer. None where none was asked for: what comes all the same is read whole."""
        return self._begin if self.call.envelope.stream else None

    def _begin(self, limit_bytes: int) -> AnswerStream:
        decoder, encoder = self.upstream.stream_decoder(limit_bytes), self.client.stream_encoder(self.heading)
        choices = self.heading.request.choices or 1
        if self.rewritten:
            told = Told(encoder)
            return TranslatedStream(decoder, told, tells_faults=False, own=self.own, choices=choices)
        return TranslatedStream(decoder, encoder, choices=choices)


class TranslatedStream:
    """One stream, decoded from the upstream's format and encoded in the client's, event by event.

    With `tells_faults` an error of the upstream passes on to the client; without, whoever reads the stream
    finds it as its `fault` and decides. `own`: both formats are the same one. `choices`: so many were asked
    for.
    """

    __slots__ = ("_decoder", "_heard", "_own", "_skipped", "_tells_faults", "encoder")

    def __init__(
        self,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        *,
        tells_faults: bool = True,
        own: bool = False,
        choices: int = 1,
    ) -> None:
        self._decoder = decoder
        self.encoder = encoder
        self._tells_faults = tells_faults
        self._own = own
        self._skipped = 0
        self._heard = Heard(choices)

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, the last one where there were several; None until then."""
        return self._heard.usage

    @property
    def about(self) -> About:
        """What the answer tells of itself."""
        return self._heard.about()

    @property
    def finished(self) -> bool:
        """Every choice told why it ended; the decoder may know it before it can say so.

        Some hosts tell it before their last calls: amid one of these more has to follow.
        """
        heard = self._heard
        return heard.finished or (self._decoder.finished and heard.has_all and not heard.amid_call)

    @property
    def done(self) -> bool:
        """The stream said that this was all, and no error before it."""
        return self._heard.done and self._heard.fault is None

    @property
    def begun(self) -> bool:
        """Something was said."""
        return self._heard.begun

    @property
    def fault(self) -> UpstreamError | None:
        """The error of the upstream that the stream carried."""
        return self._heard.fault

    @property
    def skipped(self) -> int:
        """How many events were left out because nobody could have read them."""
        return self._decoder.skipped

    def feed(self, piece: bytes) -> bytes:
        """Take a piece of the upstream's bytes, return what the client gets now (may be empty)."""
        return self._pass(self._decoder.feed(piece))

    def close(self) -> bytes:
        """Return the last bytes once the upstream has ended its body. It may have given fewer choices."""
        self._heard.asked = 1
        return self._pass(self._decoder.close())

    def fail(self, error: GatewayError) -> bytes:
        """Write an error for the client."""
        return self.encoder.fail(error)

    def mend(self) -> bytes:
        """Write the end that was not said; nothing that comes later passes."""
        if self._heard.done:
            return b""
        try:
            written = self.close()
        except UpstreamError:  # half an event: the answer was whole before it
            written = b""
        if self.done or self.fault is not None:
            return written
        end = [Ended()]
        self._heard.add(end)
        return written + self.encoder.encode(end)

    def text(self) -> str:
        """Return what was generated so far, for counting."""
        return self._heard.text()

    def _pass(self, events: list[Event]) -> bytes:
        heard = self._heard
        if self._decoder.skipped and not heard.done and self._lacks_a_piece(events):
            return self._break(events)
        if not events or heard.fault is not None or heard.done:  # after an error nothing may look like an end
            return b""
        if not self._own:
            events = [crossing_event(event) for event in events]
        heard.add(events)
        if heard.failed and self._has_failed():
            heard.fault = heard.fault or Failed("the upstream ended its answer with an error")
        if (fault := self.fault) is None:
            return self.encoder.encode(events)
        at = next(at for at, event in enumerate(events) if _tells_failure(event))
        passed = self.encoder.encode(events[:at])
        return passed + self.encoder.fail(fault) if self._tells_faults else passed

    def _has_failed(self) -> bool:
        """Tell whether the answer's end in an error is an error: not every format has a word for that.

        Of several choices the others may be good, and formats that have several have the word.
        """
        return not self._own and len(self._heard.choices) == 1

    def _lacks_a_piece(self, events: Sequence[Event]) -> bool:
        """Tell whether a damaged event was, or may have been, a piece of a call, as of one without a name.

        A call that begins in the same piece of the network is taken for one that had begun.
        """
        new, self._skipped = self._decoder.skipped > self._skipped, self._decoder.skipped
        opened = [event.content for event in events if isinstance(event, Opened)]
        calls = [content for content in opened if isinstance(content, ToolCall)]
        return not all(call.name for call in calls) or (new and (self._heard.calling or bool(calls)))

    def _break(self, events: Sequence[Event]) -> bytes:
        heard = self._heard
        heard.add(event for event in events if not isinstance(event, Finished | Ended))
        heard.fault = heard.fault or Broken("the upstream's stream was damaged in the middle of a call")
        return self.encoder.fail(heard.fault) if self._tells_faults else b""


def _tells_failure(event: Event) -> bool:
    return isinstance(event, Faulted) or (isinstance(event, Finished) and event.finish == "error")


Decode = Callable[[bytes], tuple[bytes, Usage | None, str]]
"""Gives the client's answer, what it used, and the name that it gives the model."""


class ConvertedPassage(msgspec.Struct, frozen=True, gc=False):
    """The way of a call that has one small answer: numbers for texts."""

    call: Call
    dropped: tuple[str, ...]
    decode: Decode
    content_type: bytes = JSON
    unframed: bool = False
    stream: None = None

    def read(self, body: bytes) -> Whole:
        """Translate the answer; raises UpstreamError when it is none and tells no usage."""
        try:
            written, usage, model = self.decode(body)
        except UpstreamError as error:
            return refused(error, body, self.call.format)
        return Whole(written, usage, about=About(model))


def _counting(call: Call, wire: Format, model: str) -> Passage:
    """Ask another provider how many tokens a request has."""
    asked = CODECS["messages"].decode_request(call.members)
    fitting, dropped = fit(asked, "messages", COUNTED_IN[wire])
    members = encode_count(crossing_request(fitting), wire, model)
    sent = msgspec.structs.replace(call, format=wire, members=members, translated=True)

    def decode(body: bytes) -> tuple[bytes, Usage | None, str]:
        return encode_counted(decode_count(body, wire)), Usage(), ""

    return ConvertedPassage(sent, dropped, decode)


def _vectors(call: Call, wire: Format, model: str) -> Passage:
    encode, decode_answer = _VECTORS[call.format]
    members, dropped = encode(call.members, wire)

    def decode(body: bytes) -> tuple[bytes, Usage | None, str]:
        return decode_answer(body, wire, call.members, model)

    return ConvertedPassage(
        msgspec.structs.replace(call, format=wire, members=members, translated=True), dropped, decode
    )


_Encode = Callable[[Mapping[str, msgspec.Raw], Format], tuple[dict[str, object], tuple[str, ...]]]
_DecodeAnswer = Callable[[bytes, Format, Mapping[str, msgspec.Raw], str], tuple[bytes, Usage | None, str]]

_VECTORS: Mapping[Format, tuple[_Encode, _DecodeAnswer]] = {
    "embeddings": (encode_embedding_request, decode_embedding_answer),
    "rerank": (encode_rerank_request, decode_rerank_answer),
}

"""Turn a whole answer into the stream that was asked for, and a stream into the whole answer.

Some hosts leave `stream` unheeded, either way. What they say is complete all the same, and an SDK that waits
for the other shape would find nothing in it and raise nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.errors import BadAnswer, Broken, ClientError
from gateway.exchange import Call
from gateway.formats.framing.sse import begins_as_events
from gateway.formats.neutral.codec import Codec, Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Ended, Event, Faulted, join, whole
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.seam import Terms

JSON, EVENTS = b"application/json", b"text/event-stream"


def read_whole(codec: Codec, body: bytes) -> Completion:
    """Read a whole answer that came at once or as a stream.

    Raises BadAnswer when it is none, and the error that it tells.
    """
    return _join(codec, body) if begins_as_events(body) else codec.decode_answer(body)


def _join(codec: Codec, body: bytes) -> Completion:
    """Put a stream together; nothing of it has gone out, so one with a damaged event is as bad as one cut."""
    decoder = codec.stream_decoder(len(body))
    try:
        events: Sequence[Event] = [*decoder.feed(body), *decoder.close()]
    except Broken as error:
        raise BadAnswer(error.message) from None
    for event in events:
        if isinstance(event, Faulted):
            raise event.error
    ended = decoder.finished or any(isinstance(event, Ended) for event in events)
    if decoder.skipped or not ended:
        raise BadAnswer("the upstream sent a stream where none was asked for, and it is not whole")
    return join(events)


def write_at_once(call: Call, terms: Terms, completion: Completion) -> bytes:
    """Write an answer that came as a stream for a client that asked for none."""
    return CODECS[call.format].encode_answer(completion, _heading(call, terms))


def write_as_stream(call: Call, terms: Terms, body: bytes) -> bytes:
    """Write a whole answer in the call's own format as a stream. Raises BadAnswer."""
    if call.format == "completions":  # its chunks are answers
        return b"data: %b\n\ndata: [DONE]\n\n" % msgspec.json.format(body, indent=-1)
    codec = CODECS[call.format]
    return codec.stream_encoder(_heading(call, terms)).encode(whole(codec.decode_answer(body)))


def _heading(call: Call, terms: Terms) -> Heading:
    try:
        asked = CODECS[call.format].decode_request(call.members)
    except ClientError:  # it was relayed unread
        asked = Conversation(())
    return Heading(
        id=terms.call_id.removeprefix("call_"),
        model=terms.rename or call.envelope.model,
        created_unix_s=terms.created_unix_s,
        request=asked,
        rename=terms.rename is not None,
        wants_usage=call.envelope.wants_usage,
    )

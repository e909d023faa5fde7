"""The Messages API as a codec."""

from __future__ import annotations

from gateway.formats.messages.answer import decode_answer, encode_answer
from gateway.formats.messages.request import decode_request, encode_request
from gateway.formats.messages.stream import MessagesDecoder
from gateway.formats.messages.stream_encoder import MessagesEncoder
from gateway.formats.neutral.codec import Codec

CODEC = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_answer=decode_answer,
    encode_answer=encode_answer,
    stream_decoder=MessagesDecoder,
    stream_encoder=MessagesEncoder,
)

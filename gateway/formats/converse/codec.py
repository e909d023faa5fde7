"""Amazon Bedrock's Converse format in both directions."""

from __future__ import annotations

from gateway.formats.converse.answer import decode_answer, encode_answer
from gateway.formats.converse.request import decode_request, encode_request
from gateway.formats.converse.stream_decoder import ConverseStreamDecoder
from gateway.formats.converse.stream_encoder import ConverseStreamEncoder
from gateway.formats.neutral.codec import Codec

CODEC = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_answer=decode_answer,
    encode_answer=encode_answer,
    stream_decoder=ConverseStreamDecoder,
    stream_encoder=ConverseStreamEncoder,
)

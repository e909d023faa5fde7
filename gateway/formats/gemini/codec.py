"""Google's generateContent as a format that calls are translated from and to."""

from __future__ import annotations

from gateway.formats.gemini.answer import decode_answer, encode_answer
from gateway.formats.gemini.request import decode_request, encode_request
from gateway.formats.gemini.stream import GeminiDecoder
from gateway.formats.gemini.stream_encoder import GeminiEncoder
from gateway.formats.neutral.codec import Codec

CODEC = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_answer=decode_answer,
    encode_answer=encode_answer,
    stream_decoder=GeminiDecoder,
    stream_encoder=GeminiEncoder,
)

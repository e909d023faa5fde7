"""The Responses API as a format to translate from and to."""

from __future__ import annotations

from gateway.formats.neutral.codec import Codec
from gateway.formats.responses.answer import decode_answer, encode_answer
from gateway.formats.responses.request import decode_request, encode_request
from gateway.formats.responses.stream import StreamReader
from gateway.formats.responses.writer import StreamWriter

CODEC = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_answer=decode_answer,
    encode_answer=encode_answer,
    stream_decoder=StreamReader,
    stream_encoder=StreamWriter,
)

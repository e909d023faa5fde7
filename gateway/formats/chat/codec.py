"""Chat completions, as they take part in translation."""

from __future__ import annotations

from gateway.formats.chat.answer import decode_answer, encode_answer
from gateway.formats.chat.events import StreamReader
from gateway.formats.chat.request import decode_request, encode_request
from gateway.formats.chat.writer import StreamWriter
from gateway.formats.neutral.codec import Codec

CODEC = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_answer=decode_answer,
    encode_answer=encode_answer,
    stream_decoder=StreamReader,
    stream_encoder=StreamWriter,
)

"""Ollama's chat format, as the translator uses it."""

from __future__ import annotations

from gateway.formats.neutral.codec import Codec
from gateway.formats.ollama.answer import decode_answer, encode_answer
from gateway.formats.ollama.request import decode_request, encode_request
from gateway.formats.ollama.stream import LineReader, LineWriter

CODEC = Codec(decode_request, encode_request, decode_answer, encode_answer, LineReader, LineWriter)

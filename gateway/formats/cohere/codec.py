"""Cohere's chat format, as the translator uses it."""

from __future__ import annotations

from gateway.formats.cohere.answer import decode_answer, encode_answer
from gateway.formats.cohere.request import decode_request, encode_request
from gateway.formats.cohere.stream import EventReader
from gateway.formats.cohere.writer import EventWriter
from gateway.formats.neutral.codec import Codec

CODEC = Codec(decode_request, encode_request, decode_answer, encode_answer, EventReader, EventWriter)

"""The codec of each generative format."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.exchange import Format
from gateway.formats.chat.codec import CODEC as CHAT
from gateway.formats.cohere.codec import CODEC as COHERE
from gateway.formats.converse.codec import CODEC as CONVERSE
from gateway.formats.gemini.codec import CODEC as GEMINI
from gateway.formats.messages.codec import CODEC as MESSAGES
from gateway.formats.neutral.codec import Codec
from gateway.formats.ollama.codec import CODEC as OLLAMA
from gateway.formats.responses.codec import CODEC as RESPONSES

CODECS: Mapping[Format, Codec] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "gemini": GEMINI,
    "converse": CONVERSE,
    "cohere": COHERE,
    "ollama": OLLAMA,
}

"""Which recorded interfaces are which of our formats, and the formats' codecs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.formats.neutral.codec import Codec, Heading
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.events import Event, Faulted
from gateway.formats.neutral.parts import Text
from rig.recordings import Recording

APIS = {
    "openai.chat": "chat",
    "mistral.chat": "chat",
    "openai.responses": "responses",
    "anthropic.messages": "messages",
    "gemini.generate": "gemini",
    "bedrock.converse": "converse",
    "cohere.chat.v2": "cohere",
    "ollama.chat": "ollama",
}
"""The recorded interfaces that are translated, and the format of each."""

NOT_TRANSLATED = {
    "anthropic.count_tokens": "counts tokens",
    "anthropic.models": "lists models",
    "bedrock.count_tokens": "counts tokens",
    "bedrock.invoke": "carries each model's own format; Bedrock's Converse serves the same models",
    "cohere.chat.v1": "replaced by version 2 for every model",
    "cohere.embed": "gives vectors",
    "cohere.rerank": "ranks",
    "gemini.count_tokens": "counts tokens",
    "gemini.embed": "gives vectors",
    "gemini.interactions": "an experimental interface; generateContent serves the same models",
    "gemini.models": "lists models",
    "ollama.embed": "gives vectors",
    "ollama.generate": "completes a bare prompt; chat serves the same models",
    "openai.completions": "completes a bare prompt: has a format of its own, which is relayed",
    "openai.embeddings": "gives vectors",
    "openai.input_tokens": "counts tokens",
    "openai.models": "lists models",
    "openai.moderations": "judges, generates nothing",
    "openai.responses_compact": "shortens a stored conversation, generates nothing",
    "vertex.predict": "gives vectors",
    "voyage.embeddings": "gives vectors",
    "voyage.rerank": "ranks",
}
"""The recorded interfaces that are no conversation in one of the formats, each with the reason."""

FORMATS = tuple(dict.fromkeys(APIS.values()))
CLIENTS = ("chat", "responses", "messages", "gemini")
"""The formats that clients speak; the others are an upstream's only."""

LIMIT_BYTES = 4 * 1024 * 1024


def codec(format_: str) -> Codec:
    """The codec of a format."""
    found = importlib.import_module(f"gateway.formats.{format_}.codec").CODEC
    assert isinstance(found, Codec)
    return found


def root(format_: str, side: str) -> Any:
    """The type that a whole request, answer or chunk of a stream is decoded as."""
    return getattr(importlib.import_module(f"gateway.formats.{format_}.types"), side.capitalize())


def members(body: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """A request's body the way the gateway hands it to a codec: its members, not decoded."""
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}


def streamed(recording: Recording) -> bytes:
    """The bytes of a recorded stream, as the gateway would have got them.

    Gemini writes a stream as one JSON array unless it is asked for events, which the gateway always does.
    """
    if APIS[recording.api] != "gemini" or not recording.body.lstrip().startswith(b"["):
        return recording.body
    chunks = msgspec.json.decode(recording.body)
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\r\n\r\n" for chunk in chunks)


def events_of(format_: str, pieces: Iterable[bytes], limit_bytes: int = LIMIT_BYTES) -> list[Event]:
    """Decode a stream that comes in these pieces."""
    decoder = codec(format_).stream_decoder(limit_bytes)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def stream_of(format_: str, events: Iterable[Event], about: Heading) -> bytes:
    """Encode a stream event by event; a fault ends it the way the gateway ends it."""
    encoder = codec(format_).stream_encoder(about)
    written = []
    for event in events:
        if isinstance(event, Faulted):
            return b"".join([*written, encoder.fail(event.error)])
        written.append(encoder.encode([event]))
    return b"".join(written)


def heading(request: Conversation | None = None, model: str = "model-1") -> Heading:
    """What an answer carries beside what was generated."""
    asked = request or Conversation((Turn("user", (Text("hi"),)),))
    return Heading("0123456789abcdef", model, 1_700_000_000, asked)

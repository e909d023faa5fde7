"""What the gateway looks at in relayed answers, for each format that clients speak: data and its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Format
from gateway.formats.chat.errors import encode_error_event as encode_openai_event
from gateway.formats.chat.response import decode_answer, rename_model
from gateway.formats.framing.sse import data_of
from gateway.formats.gemini.errors import encode_error_event as encode_google_event
from gateway.formats.messages.errors import encode_error_event as encode_anthropic_event
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.media import read_images, read_media
from gateway.formats.passage.whole import (
    Read,
    read_free,
    read_gemini,
    read_messages,
    read_ranks,
    read_responses,
    read_vectors,
)
from gateway.formats.responses.errors import encode_error_event as encode_responses_event


class Watch(msgspec.Struct, frozen=True):
    """How answers of a format are looked at.

    `read` checks a whole answer: see `whole`. `model` is the path of the model's name in an event of a
    stream, and its last member in a whole answer. `decoder` reads what a stream said; without one the stream
    is looked at in its own way. `end` is written where a stream lacks it; an event without `end_sign` is not
    the last.
    """

    read: Callable[[bytes], Read]
    model: tuple[str, ...] = ("model",)
    decoder: Callable[[int], StreamDecoder] | None = None
    encode_error_event: Callable[[GatewayError], bytes] = encode_openai_event
    media: bool = False
    end: bytes = b""
    end_sign: bytes | None = None

    def rename(self, body: bytes, name: str) -> bytes:
        """Put `name` in place of the model's in a whole answer; every other value stays."""
        if self.model[-1] == "model":
            return rename_model(body, name)
        return _replaced(body, self.model[-1:], name)

    def rename_event(self, event: bytes, name: str) -> bytes:
        """Put `name` in place of the model's in an event of a stream."""
        if f'"{self.model[-1]}"'.encode() not in event:
            return event
        data = data_of(event)
        return event.replace(data, _replaced(data, self.model, name)) if data else event


def _replaced(data: bytes, path: tuple[str, ...], name: str) -> bytes:
    """Write a JSON object anew with the text at `path` replaced; one that has none there stays as it is."""
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if path[0] not in members:
            return data
        inner = bytes(members[path[0]])
        new = _replaced(inner, path[1:], name) if path[1:] else msgspec.json.encode(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    return msgspec.json.encode(members | {path[0]: msgspec.Raw(new)})


WATCHES: Mapping[Format, Watch] = {
    "chat": Watch(decode_answer),
    "completions": Watch(decode_answer),
    "responses": Watch(
        read_responses,
        ("response", "model"),
        CODECS["responses"].stream_decoder,
        encode_responses_event,
        end_sign=b'"response"',
    ),
    "messages": Watch(
        read_messages,
        ("message", "model"),
        CODECS["messages"].stream_decoder,
        encode_anthropic_event,
        end=b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        end_sign=b"message_stop",
    ),
    "gemini": Watch(read_gemini, ("modelVersion",), CODECS["gemini"].stream_decoder, encode_google_event),
    "count_tokens": Watch(read_free),
    "gemini_count": Watch(read_free),
    "embeddings": Watch(read_vectors),
    "rerank": Watch(read_ranks),
    "moderations": Watch(read_free),
    "images": Watch(read_images, media=True),
    "image_edits": Watch(read_images, media=True),
    "speech": Watch(read_media),
    "transcriptions": Watch(read_media, media=True),
    "translations": Watch(read_media, media=True),
}

"""What the gateway looks at in relayed answers, for each format that clients speak: data and its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from gateway.errors import Failed, GatewayError
from gateway.exchange import Format, Usage
from gateway.formats.chat.errors import encode_error_event as encode_openai_event
from gateway.formats.chat.response import decode_answer, rename_model
from gateway.formats.framing.sse import data_of
from gateway.formats.gemini import types as gemini
from gateway.formats.gemini.errors import encode_error_event as encode_google_event
from gateway.formats.gemini.usage import decode_usage as decode_google_usage
from gateway.formats.messages import types as messages
from gateway.formats.messages.errors import encode_error_event as encode_anthropic_event
from gateway.formats.messages.usage import decode_usage as decode_anthropic_usage
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.media import read_image_usage, read_media_usage
from gateway.formats.responses import types as responses
from gateway.formats.responses.errors import encode_error_event as encode_responses_event
from gateway.formats.responses.usage import read_usage as read_responses_usage
from gateway.formats.vectors.usage import read_vector_usage

T = TypeVar("T")


class Watch(msgspec.Struct, frozen=True):
    """How answers of a format are looked at.

    `read` checks a whole answer and gives its usage (None: it does not tell; raises Failed: it is no whole
    JSON object). `model` is the path of the model's name in an event of a stream, and its last member in a
    whole answer. `decoder` reads what a stream said; without one the stream is looked at in its own way.
    """

    read: Callable[[bytes], Usage | None]
    model: tuple[str, ...] = ("model",)
    decoder: Callable[[int], StreamDecoder] | None = None
    encode_error_event: Callable[[GatewayError], bytes] = encode_openai_event
    media: bool = False

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


class _Messages(msgspec.Struct):
    usage: messages.Usage | None = None


class _Responses(msgspec.Struct):
    usage: responses.UsageObject | None = None


class _Gemini(msgspec.Struct, rename="camel"):
    usage_metadata: gemini.UsageMetadata | None = None


class _Whole(msgspec.Struct):
    """Any JSON object."""


def _read_messages(body: bytes) -> Usage | None:
    usage = _decoded(body, _Messages).usage
    return None if usage is None else decode_anthropic_usage(usage)


def _read_responses(body: bytes) -> Usage | None:
    return read_responses_usage(_decoded(body, _Responses).usage)


def _read_gemini(body: bytes) -> Usage | None:
    usage = _decoded(body, _Gemini).usage_metadata
    return None if usage is None else decode_google_usage(usage)


def _read_free(body: bytes) -> Usage:
    """Check an answer that costs no tokens."""
    _decoded(body, _Whole)
    return Usage()


def _read_vectors(body: bytes) -> Usage | None:
    _decoded(body, _Whole)
    return read_vector_usage(body, "embeddings")


def _read_ranks(body: bytes) -> Usage | None:
    _decoded(body, _Whole)
    return read_vector_usage(body, "rerank")


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"the upstream's answer is not whole JSON: {error}"
        raise Failed(message, code="upstream_bad_answer") from None


WATCHES: Mapping[Format, Watch] = {
    "chat": Watch(decode_answer),
    "completions": Watch(decode_answer),
    "responses": Watch(
        _read_responses,
        ("response", "model"),
        CODECS["responses"].stream_decoder,
        encode_responses_event,
    ),
    "messages": Watch(
        _read_messages, ("message", "model"), CODECS["messages"].stream_decoder, encode_anthropic_event
    ),
    "gemini": Watch(_read_gemini, ("modelVersion",), CODECS["gemini"].stream_decoder, encode_google_event),
    "count_tokens": Watch(_read_free),
    "gemini_count": Watch(_read_free),
    "embeddings": Watch(_read_vectors),
    "rerank": Watch(_read_ranks),
    "moderations": Watch(_read_free),
    "images": Watch(read_image_usage, media=True),
    "image_edits": Watch(read_image_usage, media=True),
    "speech": Watch(read_media_usage),
    "transcriptions": Watch(read_media_usage, media=True),
    "translations": Watch(read_media_usage, media=True),
}

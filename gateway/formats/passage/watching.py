"""What the gateway looks at in relayed answers, for each format that clients speak: data and its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Format
from gateway.formats.chat.errors import encode_error_event as encode_openai_event
from gateway.formats.chat.response import decode_answer, rename_model
from gateway.formats.framing.sse import data_of, with_data
from gateway.formats.gemini.errors import encode_error_event as encode_google_event
from gateway.formats.messages.errors import encode_error_event as encode_anthropic_event
from gateway.formats.neutral.codec import StreamDecoder
from gateway.formats.neutral.reading import count_in, lenient
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

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
        renamed = _replaced(data, self.model, name)
        return event if renamed == data else with_data(event, renamed)


def _replaced(data: bytes, path: tuple[str, ...], name: str) -> bytes:
    """Write a JSON object anew with the text at `path` replaced; one that has none there stays as it is."""
    try:
        members = lenient(_members.decode, data)
        if path[0] not in members:
            return data
        inner = bytes(members[path[0]])
        new = _replaced(inner, path[1:], name) if path[1:] else msgspec.json.encode(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    return msgspec.json.encode(members | {path[0]: msgspec.Raw(new)})


_ESSENTIAL: Mapping[str, tuple[type, ...]] = {
    # what sort of event it is, and whether it is the last
    **dict.fromkeys(("type", "status", "reason", "stop_reason", "stop_sequence"), (str,)),
    **dict.fromkeys(("response", "incomplete_details", "delta"), (dict,)),
    "candidates": (list,),
    "index": (int,),
    "finishReason": (str, int),
    # what was used
    **dict.fromkeys(("usage", "usageMetadata", "cache_creation", "server_tool_use"), (dict,)),
    **dict.fromkeys(("input_tokens_details", "output_tokens_details"), (dict,)),
    **dict.fromkeys(
        ("promptTokensDetails", "candidatesTokensDetails", "toolUsePromptTokensDetails"), (list,)
    ),
    **dict.fromkeys(("modality", "service_tier", "serviceTier", "trafficType", "speed"), (str,)),
    # what went wrong
    "error": (dict,),
    "code": (str, int),
    "message": (str,),
}
"""The members that `essence` keeps, if they are of a type that they have in some format."""
_COUNTS = ("tokens", "okenCount", "requests")
"""How the names of all numbers in a usage end."""


def essence(data: bytes) -> bytes:
    """Write of an event that its decoder does not take what it says of end, usage and failure, or nothing.

    All else is left out, and with it what is not as its format has it.
    """
    try:
        return msgspec.json.encode(_essential(msgspec.json.decode(data, type=dict[str, Any])))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def _essential(value: Any) -> Any:
    if isinstance(value, list):
        return [_essential(each) for each in value if isinstance(each, dict)]
    if isinstance(value, dict):
        return {name: _essential(member) for name, member in value.items() if _is_essential(name, member)}
    return count_in(value) if isinstance(value, float) else value


def _is_essential(name: str, member: Any) -> bool:
    return type(member) in ((int, float) if name.endswith(_COUNTS) else _ESSENTIAL.get(name, ()))


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

"""The parts of Google's contents, both ways: words, thoughts, media, calls.

Two conventions of ours:

- Older models give their calls no id, but everyone else wants one. Such a call gets a name of ours, which
  begins with "made_" and is left out again when it comes back: only ids that somebody gave are echoed.
- A signature that another provider made travels in `thoughtSignature`, which must be base64: what stands
  there is a small JSON object with all that the provider needs back, sealed with the provider's format.

Sources: Gemini API reference, "Part"; Gemini API, "Thought signatures", "Function calling" (checked 2026-11).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.exchange import Format
from gateway.formats.gemini.types import Blob, FileData, FunctionCall, MediaWords, Part, ResultPart
from gateway.formats.neutral import parts as neutral
from gateway.formats.neutral.parts import Media, MediaKind, Opaque, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import lenient
from gateway.formats.neutral.seals import seal, unseal

_MADE = "made_"
_SEALED = "Zm9yZWJheS"
"""How each base64 text of what `seal` writes begins."""

_KINDS: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"}
"""Google wants a type with all data: what to say where nobody said one."""

_ENDINGS = {
    **dict.fromkeys(("jpg", "jpeg"), "image/jpeg"),
    **{ending: f"image/{ending}" for ending in ("png", "webp", "gif", "heic", "heif")},
    **{ending: f"audio/{ending}" for ending in ("wav", "mp3", "aac", "ogg", "flac")},
    **{ending: f"video/{ending}" for ending in ("mp4", "mov", "webm")},
    "pdf": "application/pdf",
    "txt": "text/plain",
}
"""What the ends of URLs say of types: Vertex wants one, other clients name none."""

_DETAILS = {"LOW": "low", "MEDIUM": "auto", "HIGH": "high", "ULTRA_HIGH": "high"}
"""Google's words for the resolution of one part, and what others call it."""

_FILES_OF_GOOGLE = ("gs://", "https://generativelanguage.googleapis.com/")
_ABOUT_A_PART = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_MOST_OF_A_STEM = 24
"""Ids of calls may have 40 characters at some providers."""


class CallNames:
    """Makes names for the calls of one answer, or of one request, that have none: always the same ones.

    `stem` is the answer's id: calls of several answers meet again in the next request. Without one the
    name of the function stands in.
    """

    __slots__ = ("_number", "_stem")

    def __init__(self, stem: str) -> None:
        self._stem = stem
        self._number = 0

    def next(self, function: str) -> str:
        """Return a name for the next call."""
        self._number += 1
        stem = _NOT_IN_IDS.sub("", self._stem or function)[:_MOST_OF_A_STEM]
        return f"{_MADE}{stem}_{self._number}"


def given_id(call_id: str) -> str | None:
    """Return the id of a call for Google; None for one that was made here."""
    return None if call_id.startswith(_MADE) else call_id or None


def decode_part(part: Part, names: CallNames) -> neutral.Part | None:
    """Read a part; None for one that only Google knows, and for results of functions."""
    signature = part.thought_signature or ""
    call = part.function_call
    if call is not None:
        name = call.name or ""
        arguments = "" if call.args is None else msgspec.json.encode(call.args).decode()
        return ToolCall(call.id or names.next(name), name, arguments, signature=signature, origin="gemini")
    if part.text is not None:
        return decode_thought(part.text, signature) if part.thought else Text(part.text, signature=signature)
    return None if part.thought else decode_media(part, signature)


def decode_media(part: Part | ResultPart, signature: str = "") -> Media | None:
    """Read inline data, or the place of data; None where a part has neither."""
    blob, file = part.inline_data, part.file_data
    holder = blob or file
    if holder is None:
        return None
    media_type = holder.mime_type or ""
    data = (blob.data or "") if blob else ""
    uri = (file.file_uri or "") if file and not blob else ""
    theirs = uri.startswith(_FILES_OF_GOOGLE)
    url_safe = "-" in data or "_" in data
    resolution = part.media_resolution if isinstance(part, Part) else None
    words = MediaWords(resolution, url_safe=url_safe)
    return Media(
        kind=_kind(media_type, uri),
        media_type=media_type,
        url="" if theirs else uri,
        data=_standard(data) if url_safe else data,
        file_id=uri if theirs else "",
        name=holder.display_name or "",
        detail=_detail(resolution),
        signature=signature,
        raw=None if words == MediaWords() else words,
    )


def _detail(resolution: Any) -> str:
    level = resolution.get("level") if isinstance(resolution, dict) else None
    return _DETAILS.get(level.removeprefix("MEDIA_RESOLUTION_"), "") if isinstance(level, str) else ""


def _kind(media_type: str, uri: str) -> MediaKind:
    if not media_type and "youtu" in uri:  # YouTube's films may be named by their pages
        return "video"
    return _KINDS.get(media_type.partition("/")[0], "file")


def _standard(data: str) -> str:
    return data.translate({45: 43, 95: 47}) + "=" * (-len(data) % 4)


def decode_thought(text: str, signature: str) -> Reasoning:
    """Read a thought; one that another provider signed is given back as that provider wrote it."""
    kept = _open(signature) if signature.startswith(_SEALED) else None
    if kept is None:
        return Reasoning(text, signature=signature, origin="gemini")
    value, origin = kept
    summary = (text,) if value.summary else ()
    return Reasoning(
        "" if value.summary else text, summary, value.signature, value.encrypted, value.id, origin=origin
    )


class _Kept(msgspec.Struct, omit_defaults=True):
    """What of a thought has no place in a part of Google's. `summary`: the text is one."""

    signature: str = ""
    encrypted: str = ""
    id: str = ""
    summary: bool = False


def _open(signature: str) -> tuple[_Kept, Format] | None:
    try:
        text, origin = unseal(base64.b64decode(_standard(signature.rstrip("="))).decode(), "gemini")
        return msgspec.json.decode(text, type=_Kept), origin
    except (binascii.Error, ValueError):
        return None


def signature_of(thought: Reasoning) -> str | None:
    """Return what is to stand in `thoughtSignature` beside a thought."""
    if thought.origin in {"gemini", ""}:
        return thought.signature or thought.encrypted or None
    if not thought.signature and not thought.encrypted:
        return None
    kept = _Kept(thought.signature, thought.encrypted, thought.id, summary=bool(thought.summary))
    sealed = seal(msgspec.json.encode(kept).decode(), thought.origin, "gemini")
    return base64.b64encode(sealed.encode()).decode()


def encode_part(part: neutral.Part, arguments_of: Callable[[ToolCall], Any]) -> Any:
    """Write a part; None for one that Google has no words for. `arguments_of` reads a call's arguments."""
    if isinstance(part, Text):
        return Part(text=part.text, thought_signature=part.signature or None)
    if isinstance(part, Refusal):
        return Part(text=part.text)
    if isinstance(part, ToolCall):
        call = FunctionCall(id=given_id(part.id), name=part.name, args=arguments_of(part))
        return Part(function_call=call, thought_signature=part.signature or None)
    if isinstance(part, Reasoning):
        text = part.text or "\n\n".join(part.summary)
        return Part(text=text, thought=True, thought_signature=signature_of(part))
    if isinstance(part, Media):
        return encode_media(part)
    return part.value if isinstance(part, Opaque) and part.format == "gemini" else None


def encode_media(media: Media) -> Part:
    """Write media: their data, or the place where they are."""
    words = media.raw if isinstance(media.raw, MediaWords) else MediaWords()
    part = Part(thought_signature=media.signature or None, media_resolution=words.media_resolution)
    if media.url or media.file_id:
        part.file_data = FileData(
            file_uri=media.url or media.file_id,
            mime_type=media.media_type or _type_by_ending(media.url),
            display_name=media.name or None,
        )
        return part
    data, media_type = media.data, media.media_type or _TYPES[media.kind]
    if media.text:
        data, media_type = base64.b64encode(media.text.encode()).decode(), "text/plain"
    if words.url_safe:
        data = data.translate({43: 45, 47: 95})
    part.inline_data = Blob(mime_type=media_type, data=data, display_name=media.name or None)
    return part


def _type_by_ending(url: str) -> str | None:
    path = url.partition("#")[0].partition("?")[0]
    return _ENDINGS.get(path.rpartition("/")[2].rpartition(".")[2].lower())


class PartValues:
    """The parts of an answer's JSON as plain values: for those that only Google knows."""

    __slots__ = ("_body", "_value")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._value: Any = None

    def opaque(self, candidate: int, part: int) -> Opaque:
        """Return a part as it stands there. The body is decoded again once somebody asks."""
        if self._value is None:
            self._value = lenient(msgspec.json.decode, self._body)
        value = self._value["candidates"][candidate]["content"]["parts"][part]
        return Opaque("gemini", kind_of(value), value)


def kind_of(value: dict[str, Any]) -> str:
    """Return the name of the payload of a part that only Google knows; "" where there is none."""
    return next((name for name in value if name not in _ABOUT_A_PART), "")


def read_arguments(call: ToolCall) -> Any:
    """Read the arguments of a call in a request. Raises BadRequest when they are no JSON object."""
    if call.custom:
        raise Unsupported(f"the call of {call.name!r} has free text for arguments", param="messages")
    if not call.arguments.strip():
        return None
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"the arguments of the call of {call.name!r} are not valid JSON: {error}", param="messages"
        ) from None
    if not isinstance(value, dict):
        raise BadRequest(f"the arguments of the call of {call.name!r} are no JSON object", param="messages")
    return value


def show_arguments(call: ToolCall) -> Any:
    """Read the arguments of a call in an answer; what is no JSON object is kept as a text, `input`.

    No arguments are an empty object: Google's SDK does not make a call that has none.
    """
    try:
        return read_arguments(call) or {}
    except (BadRequest, Unsupported):
        return {"input": call.arguments}

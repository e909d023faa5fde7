"""The parts of a message's content, in both directions.

Must not know messages, requests or streams.
Sources: OpenAI API reference, "Chat Completions: messages"; Mistral API reference, "Chat: content chunks";
OpenRouter, "Multimodal" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.chat.types import CacheControl, ContentPart, ImageUrl
from gateway.formats.neutral.parts import CacheMark, Media, MediaKind, Opaque, Part, Reasoning, Refusal, Text
from gateway.formats.neutral.reading import check_base64, split_data_url

_AUDIO_TYPES = {"mp3": "audio/mpeg", "pcm16": "audio/pcm"}
"""Formats of sounds whose IANA type is not `audio/` and their name."""

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}
_LIFETIMES = frozenset({"5m", "1h"})
_NO_TYPE = "application/octet-stream"

T = TypeVar("T")
ValueAt = Callable[[int], Any]
"""Gives the JSON value of the n-th part, all of it: asked for where a kind is unknown."""


def read_content(content: str | Sequence[ContentPart] | None, where: str, value_at: ValueAt) -> list[Part]:
    """Read a message's content; a kind that is unknown gives an Opaque part.

    Raises BadRequest naming the place of a part that lacks what its kind needs, or has it malformed.
    """
    if not content:
        return []
    if isinstance(content, str):
        return [Text(content)]
    parts: list[Part] = []
    for j, part in enumerate(content):
        reader = _READERS.get(part.type)
        parts.append(reader(part, f"{where}[{j}]") if reader else Opaque("chat", part.type, value_at(j)))
    return parts


def write_content(parts: Sequence[Part]) -> str | list[dict[str, Any]] | None:
    """Write parts: as a text where there is only one and nothing more to say of it; None for none.

    Raises Unsupported for a part that no message can hold.
    """
    if not parts:
        return None
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].cache:
        return parts[0].text
    return [write_part(part) for part in parts]


def write_part(part: Part) -> dict[str, Any]:
    """Write one part; raises Unsupported for one that no message can hold."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text, **write_cache(part.cache)}
    if isinstance(part, Media):
        return {**_write_media(part), **write_cache(part.cache)}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Opaque) and part.format == "chat":
        return cast("dict[str, Any]", part.value)
    raise Unsupported(f"a message cannot hold a part of the kind {type(part).__name__}", param="messages")


def read_cache(control: CacheControl | None) -> CacheMark:
    """Read how long to cache: "default" where it is not said, or is a time that nobody offers."""
    if control is None:
        return ""
    return cast("CacheMark", control.ttl) if control.ttl in _LIFETIMES else "default"


def write_cache(mark: CacheMark) -> dict[str, Any]:
    """Write the mark as a member; nothing where there is none."""
    if not mark:
        return {}
    lifetime = {} if mark == "default" else {"ttl": mark}
    return {"cache_control": {"type": "ephemeral", **lifetime}}


def _missing(where: str) -> BadRequest:
    return BadRequest(f"{where} is missing", param=where, code="missing_required_parameter")


def _text(part: ContentPart, where: str) -> Text:
    if part.text is None:
        raise _missing(f"{where}.text")
    return Text(part.text, read_cache(part.cache_control))


def _refusal(part: ContentPart, where: str) -> Refusal:
    if part.refusal is None:
        raise _missing(f"{where}.refusal")
    return Refusal(part.refusal)


def _thinking(part: ContentPart, where: str) -> Reasoning:
    """Read Mistral's thinking part, whose thoughts are text parts or a text."""
    if part.thinking is None:
        raise _missing(f"{where}.thinking")
    thinking = part.thinking
    text = thinking if isinstance(thinking, str) else "".join([inner.text or "" for inner in thinking])
    return Reasoning(text, signature=part.signature or "", origin="chat")


def _image(part: ContentPart, where: str) -> Media:
    return _linked("image", part.image_url, f"{where}.image_url", part)


def _video(part: ContentPart, where: str) -> Media:
    return _linked("video", part.video_url, f"{where}.video_url", part)


def _audio_url(part: ContentPart, where: str) -> Media:
    return _linked("audio", part.audio_url, f"{where}.audio_url", part)


def _document(part: ContentPart, where: str) -> Media:
    return _linked("file", part.document_url, f"{where}.document_url", part)


def _linked(kind: MediaKind, link: ImageUrl | str | None, where: str, part: ContentPart) -> Media:
    """Read a medium by its address or data URL; `raw` keeps how it was put where there are several ways."""
    if not link:
        raise _missing(where)
    link = ImageUrl(link) if isinstance(link, str) else link
    inline = split_data_url(link.url, f"{where}.url")
    return Media(
        kind,
        media_type=inline[0] if inline else "",
        url="" if inline else link.url,
        data=inline[1] if inline else "",
        name=part.document_name or "",
        detail=link.detail or "",
        cache=read_cache(part.cache_control),
        raw=part.type if part.type in {"audio_url", "document_url"} else None,
    )


def _sound(part: ContentPart, where: str) -> Media:
    sound, place = part.input_audio, f"{where}.input_audio"
    if not sound:
        raise _missing(place)
    cache = read_cache(part.cache_control)
    if isinstance(sound, str):  # Mistral: an address, or bare base64
        if sound.startswith(("http://", "https://")):
            return Media("audio", url=sound, cache=cache, raw="input_audio")
        return Media("audio", data=check_base64(sound, place), cache=cache, raw="input_audio")
    type_ = _AUDIO_TYPES.get(sound.format) or (f"audio/{sound.format}" if sound.format else "")
    return Media("audio", type_, data=check_base64(sound.data, f"{place}.data"), cache=cache)


def _file(part: ContentPart, where: str) -> Media:
    file, place = part.file, f"{where}.file"
    if file is None or not (file.file_id or file.file_data):
        raise _missing(place)
    cache, name = read_cache(part.cache_control), file.filename or ""
    if not file.file_data:
        return Media("file", file_id=file.file_id or "", name=name, cache=cache)
    if file.file_data.startswith(("http://", "https://")):
        return Media("file", url=file.file_data, name=name, cache=cache)
    place = f"{place}.file_data"
    inline = split_data_url(file.file_data, place) or ("", check_base64(file.file_data, place))
    return Media("file", inline[0], data=inline[1], name=name, cache=cache)


_READERS: dict[str, Callable[[ContentPart, str], Part]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _sound,
    "file": _file,
    "video_url": _video,
    "audio_url": _audio_url,
    "document_url": _document,
    "refusal": _refusal,
    "thinking": _thinking,
}


def _write_media(media: Media) -> dict[str, Any]:
    if media.text:  # no host takes a plain text as a document; its words are what counts
        return {"type": "text", "text": f"{media.name}\n{media.text}" if media.name else media.text}
    if media.kind == "file":
        return _write_file(media)
    if media.file_id:
        raise Unsupported(f"a message cannot hold an {media.kind} by its id", param="messages")
    if media.kind == "audio" and media.raw != "audio_url" and (media.data or media.raw == "input_audio"):
        return {"type": "input_audio", "input_audio": _sound_value(media)}
    kind = f"{media.kind}_url"
    detail = {"detail": media.detail} if media.detail else {}
    return {"type": kind, kind: {"url": address_of(media), **detail}}


def _sound_value(media: Media) -> str | dict[str, str]:
    if media.raw == "input_audio":
        return media.url or media.data
    name = media.media_type.partition("/")[2].partition(";")[0]
    formats = {type_: format_ for format_, type_ in _AUDIO_TYPES.items()}
    return {
        "data": media.data,
        "format": formats.get(media.media_type) or _AUDIO_FORMATS.get(name) or name or "wav",
    }


def _write_file(media: Media) -> dict[str, Any]:
    name = {"filename": media.name} if media.name else {}
    if media.raw == "document_url":
        named = {"document_name": media.name} if media.name else {}
        return {"type": "document_url", "document_url": address_of(media), **named}
    if media.file_id:
        return {"type": "file", "file": {"file_id": media.file_id, **name}}
    return {"type": "file", "file": {"file_data": address_of(media), **name}}


def address_of(media: Media) -> str:
    """Return where a medium is: its address, or a data URL that holds it."""
    return media.url or f"data:{media.media_type or _NO_TYPE};base64,{media.data}"


def converted(value: Any, kind: type[T]) -> T | None:
    """Return a JSON value as `kind`; None when it is something else, such as another format's."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None

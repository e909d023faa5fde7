"""Images, documents, films and sounds: their formats, and the names that documents must have.

Knows nothing of messages. What only Converse says of a medium is kept in `Media.raw` under "converse".
Source: Amazon Bedrock API reference, ImageBlock, DocumentBlock, VideoBlock and AudioBlock (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import Unsupported
from gateway.formats.converse.types import MediaBlock, Source
from gateway.formats.neutral.parts import Media, MediaKind

KINDS: Mapping[str, MediaKind] = {"image": "image", "document": "file", "video": "video", "audio": "audio"}
"""The members of a block that are media."""
_MEMBERS = {kind: member for member, kind in KINDS.items()}

_OFFICE = "application/vnd.openxmlformats-officedocument"
MEDIA_TYPES: Mapping[MediaKind, Mapping[str, str]] = {
    "image": {word: f"image/{word}" for word in ("png", "jpeg", "gif", "webp")},
    "file": {
        "pdf": "application/pdf",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": f"{_OFFICE}.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        "html": "text/html",
        "txt": "text/plain",
        "md": "text/markdown",
    },
    "video": {
        "mp4": "video/mp4",
        "mov": "video/quicktime",
        "mkv": "video/x-matroska",
        "webm": "video/webm",
        "flv": "video/x-flv",
        "mpg": "video/mpeg",
        "mpeg": "video/mpeg",
        "wmv": "video/x-ms-wmv",
        "three_gp": "video/3gpp",
    },
    "audio": {
        "mpeg": "audio/mpeg",
        "mpga": "audio/mpeg",
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "opus": "audio/opus",
        "x-aac": "audio/aac",
        "aac": "audio/aac",
        "mp4": "audio/mp4",
        "m4a": "audio/mp4",
        "webm": "audio/webm",
        "mkv": "audio/x-matroska",
        "mka": "audio/x-matroska",
        "pcm": "audio/pcm",
    },
}
"""The format words of each kind and the media types they stand for; the last word of a type is written."""

_ALSO = {
    "image/jpg": "jpeg",
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "application/csv": "csv",
    "video/mpg": "mpeg",
    "video/3gp": "three_gp",
    "text/x-markdown": "md",
}
"""Other names of media types that clients write."""
_FORMATS: Mapping[MediaKind, Mapping[str, str]] = {
    kind: {type_: word for word, type_ in words.items()} for kind, words in MEDIA_TYPES.items()
}

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
_SAYS_SOMETHING = re.compile(r"[A-Za-z0-9]")
_SPACES = re.compile(r"\s+")
_LONGEST_NAME = 200
_UNNAMED = "document"


def decode_media(member: str, block: MediaBlock) -> Media:
    """Read the block that stands in a member of `KINDS`."""
    kind, source = KINDS[member], block.source or Source()
    # Some clients write the media type itself, and some models take it.
    media_type = MEDIA_TYPES[kind].get(block.format, block.format if "/" in block.format else "")
    text = source.text
    raw: dict[str, Any] = {}
    if _FORMATS[kind].get(media_type) != block.format:
        raw["format"] = block.format
    if source.content is not None:
        text = "\n".join(piece.text for piece in source.content)
        raw["content"] = msgspec.to_builtins(source.content)
    if source.s3_location is not None and source.s3_location.bucket_owner:
        raw["bucketOwner"] = source.s3_location.bucket_owner
    raw |= {"context": block.context, "error": block.error}
    raw = {name: value for name, value in raw.items() if value}
    return Media(
        kind,
        media_type,
        url=source.s3_location.uri if source.s3_location else "",
        data=source.bytes or "",
        name=block.name,
        text=text or "",
        cite=block.citations.enabled if block.citations else None,
        raw={"converse": raw} if raw else None,
    )


class MediaWriter:
    """Writes the media of one request: no two of its documents may have the same name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def encode(self, media: Media, place: str) -> dict[str, Any]:
        """Write a block; raises Unsupported, with `place` as its param, for what Converse does not take."""
        raw = _own(media)
        block: dict[str, Any] = {}
        if format_ := raw.get("format") or format_of(media, place):
            block["format"] = format_
        if media.kind == "file":
            block["name"] = self._name(media)
            if media.cite is not None:
                block["citations"] = {"enabled": media.cite}
        block["source"] = _source(media, raw, place)
        block |= {name: raw[name] for name in ("context", "error") if name in raw}
        return {_MEMBERS[media.kind]: block}

    def _name(self, media: Media) -> str:
        """Make a name of the allowed characters, that tells no two documents of a request alike.

        Without its extension: a dot is not allowed, and the format says it already.
        """
        stem, dot, extension = media.name.rpartition(".")
        name = stem if dot and extension.lower() in MEDIA_TYPES["file"] else media.name
        name = _SPACES.sub(" ", _NOT_IN_A_NAME.sub("-", name)).strip()[:_LONGEST_NAME].rstrip()
        if not _SAYS_SOMETHING.search(name):
            name = _UNNAMED
        unique, count = name, 1
        while unique in self._names:
            count += 1
            mark = f" ({count})"
            unique = name[: _LONGEST_NAME - len(mark)].rstrip() + mark
        self._names.add(unique)
        return unique


def format_of(media: Media, place: str) -> str:
    """Choose the format's word; raises Unsupported for a media type that has none."""
    if media.text and not media.media_type:
        return "txt"
    type_ = media.media_type.partition(";")[0].strip().lower()
    word = _FORMATS[media.kind].get(type_) or _ALSO.get(type_, "")
    if not word and not type_:
        extension = media.name.rpartition(".")[2].lower()
        word = extension if extension in MEDIA_TYPES[media.kind] else ""
    if not word:
        what = f"the media type {type_!r}" if type_ else "a medium without a media type"
        raise Unsupported(f"{what} cannot be sent to this model", param=place)
    return word


def _own(media: Media) -> dict[str, Any]:
    own = media.raw.get("converse") if isinstance(media.raw, dict) else None
    return own if isinstance(own, dict) else {}


def _source(media: Media, raw: dict[str, Any], place: str) -> dict[str, Any]:
    if "content" in raw:
        return {"content": raw["content"]}
    if media.text:
        return {"text": media.text}
    if not media.url:
        return {"bytes": media.data}
    if not media.url.startswith("s3://"):
        raise Unsupported("this model takes media inline or from Amazon S3, but not by URL", param=place)
    owner = {"bucketOwner": raw["bucketOwner"]} if "bucketOwner" in raw else {}
    return {"s3Location": {"uri": media.url, **owner}}

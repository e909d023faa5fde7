"""Images and documents of the Messages API, from and to neutral media.

What only this format says of them is kept in `raw`, under the name of the format.
Source: Anthropic API reference, "Vision", "PDF support", "Citations" (checked 2026-11).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from gateway.errors import BadRequest, Unsupported
from gateway.formats.messages.blocks import OWN, Place, decode_mark, encode_mark, opaque
from gateway.formats.messages.types import Block, Citation, Source
from gateway.formats.neutral.parts import Media, Part
from gateway.formats.neutral.reading import check_base64

_PDF = "application/pdf"


def decode_image(block: Block, place: Place) -> Part:
    """Read an image. Raises BadRequest for base64 that is none."""
    source = block.source
    if not isinstance(source, Source) or source.type not in {"base64", "url", "file"}:
        return opaque(block, place)
    raw = {OWN: {"transformations": block.transformations}} if block.transformations else None
    return Media(
        "image",
        media_type=source.media_type or "",
        url=source.url or "",
        data=check_base64(source.data, f"{place}.source.data") if source.data else "",
        file_id=source.file_id or "",
        cache=decode_mark(block.cache_control),
        raw=raw,
    )


def decode_document(block: Block, place: Place) -> Part:
    """Read a document. Raises BadRequest for base64 that is none."""
    source = block.source
    text = _document_text(source) if isinstance(source, Source) else None
    if not isinstance(source, Source) or text is None:
        return opaque(block, place)
    own: dict[str, Any] = {"context": block.context} if block.context else {}
    if source.type == "content":
        own["source"] = place.value()["source"]
    is_base64 = source.type == "base64" and source.data
    return Media(
        "file",
        media_type=source.media_type or ("text/plain" if text else ""),
        url=source.url or "",
        data=check_base64(source.data or "", f"{place}.source.data") if is_base64 else "",
        file_id=source.file_id or "",
        name=block.title or "",
        text=text,
        cite=block.citations.enabled if isinstance(block.citations, Citation) else None,
        cache=decode_mark(block.cache_control),
        raw={OWN: own} if own else None,
    )


def _document_text(source: Source) -> str | None:
    """Return the text of a document that is one, "" for other documents, None where it cannot be said."""
    if source.type == "text":
        return source.data or ""
    if source.type in {"base64", "url", "file"}:
        return ""
    if source.type != "content" or source.content is None:
        return None
    if isinstance(source.content, str):
        return source.content
    texts = [block.text for block in source.content if block.type == "text" and block.text is not None]
    return "\n".join(texts) if len(texts) == len(source.content) else None


def encode_media(part: Media, place: str) -> Block:
    """Write an image or a document. Raises Unsupported for sound and film, BadRequest for what is neither."""
    own = part.raw.get(OWN, {}) if isinstance(part.raw, dict) else {}
    cache = encode_mark(part.cache)
    if part.kind == "image":
        return Block(
            "image",
            source=_image_source(part, place),
            transformations=own.get("transformations"),
            cache_control=cache,
        )
    if part.kind != "file":
        raise Unsupported(f"{place}: the messages format has no place for {part.kind}", param=place)
    source: Any = own.get("source") or _document_source(part, place)
    return Block(
        "document",
        source=source,
        title=part.name or None,
        context=own.get("context"),
        citations=None if part.cite is None else Citation(enabled=part.cite),
        cache_control=cache,
    )


def _image_source(part: Media, place: str) -> Source:
    if part.data and not part.media_type:
        raise BadRequest(f"{place}: an image needs its media type", param=place)
    return _reference(part) or Source("base64", media_type=part.media_type, data=part.data)


def _reference(part: Media) -> Source | None:
    if part.url:
        return Source("url", url=part.url)
    return Source("file", file_id=part.file_id) if part.file_id else None


def _document_source(part: Media, place: str) -> Source:
    """Inline documents are PDF or plain text: nothing else is read there."""
    if reference := _reference(part):
        return reference
    if part.media_type in {"", _PDF} and part.data:
        return Source("base64", media_type=_PDF, data=part.data)
    if part.data and not part.media_type.startswith("text/"):
        raise Unsupported(
            f"{place}: the messages format takes PDF and plain text, not {part.media_type}", param=place
        )
    return Source("text", media_type="text/plain", data=part.text or _decoded(part.data, place))


def _decoded(data: str, place: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadRequest(f"{place} is not text in UTF-8", param=place, code="invalid_base64") from None

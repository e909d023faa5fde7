"""The content of an item, part by part, into neutral parts and back.

Must not know items or streams. Source: as in `types`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.errors import Unsupported
from gateway.formats.neutral.completion import TokenLogprob, TopLogprob
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Refusal, Text
from gateway.formats.neutral.reading import check_base64, split_data_url
from gateway.formats.responses.types import Annotation, Content, Logprob

_CARRIED = {
    "input_text": frozenset({"text"}),
    "output_text": frozenset({"text", "annotations"}),
    "text": frozenset({"text"}),
    "refusal": frozenset({"refusal"}),
    "input_image": frozenset({"image_url", "file_id", "detail"}),
    "input_file": frozenset({"file_data", "file_url", "file_id", "filename"}),
}
"""The kinds that have a neutral counterpart, and the members it holds."""

_EXTENSIONS = {"text/plain": "txt", "text/markdown": "md", "text/csv": "csv", "text/html": "html"}


def read_content(value: Any, place: str) -> tuple[Text | Media | Refusal | Opaque, dict[str, Any]]:
    """Read one part; returns it with the members it has no field for.

    Raises msgspec.ValidationError for a part that is none, BadRequest for data that is not base64.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise msgspec.ValidationError("Expected an object with a `type`")
    carried = _CARRIED.get(kind)
    if carried is None:
        return Opaque("responses", kind, value), {}
    content = msgspec.convert(value, Content)
    rest = {name: member for name, member in value.items() if name not in carried and member is not None}
    return _read(kind, content, place), rest


def _read(kind: str, content: Content, place: str) -> Text | Media | Refusal:
    if kind == "refusal":
        return Refusal(content.refusal or "")
    if kind == "input_image":
        return _read_image(content, place)
    if kind == "input_file":
        return _read_file(content, place)
    return Text(content.text or "", citations=tuple(map(read_citation, content.annotations or ())))


def read_citation(value: Any) -> Citation:
    """Read an annotation. Raises msgspec.ValidationError when it is none."""
    seen = msgspec.convert(value, Annotation)
    return Citation(
        url=seen.url or "",
        title=seen.title or seen.filename or "",
        start=seen.start_index,
        end=seen.end_index,
        origin="responses",
        raw=value,
    )


def read_logprobs(seen: Sequence[Logprob] | None) -> tuple[TokenLogprob, ...]:
    """Read the tokens of a text."""
    return tuple(
        TokenLogprob(
            token.token,
            token.logprob,
            token.bytes,
            tuple(TopLogprob(top.token, top.logprob, top.bytes) for top in token.top_logprobs or ()),
        )
        for token in seen or ()
    )


def _read_image(content: Content, place: str) -> Media:
    detail, url = content.detail or "", content.image_url or ""
    inline = split_data_url(url, f"{place}.image_url")
    if inline is not None:
        return Media("image", inline[0], data=inline[1], detail=detail)
    if url:
        return Media("image", url=url, detail=detail)
    return Media("image", file_id=content.file_id or "", detail=detail)


def _read_file(content: Content, place: str) -> Media:
    name, data = content.filename or "", content.file_data or ""
    if data:
        inline = split_data_url(data, f"{place}.file_data")
        kind, data = inline or ("", check_base64(data, f"{place}.file_data"))
        return Media("file", kind, data=data, name=name)
    if content.file_url:
        return Media("file", url=content.file_url, name=name)
    return Media("file", file_id=content.file_id or "", name=name)


def write_content(part: Part, text_kind: str) -> dict[str, Any]:
    """Write one part; `text_kind` is the type of a text: "input_text" or "output_text".

    Raises Unsupported for what cannot stand in a message.
    """
    if isinstance(part, Text):
        written: dict[str, Any] = {"type": text_kind, "text": part.text}
        if part.citations:
            written["annotations"] = [write_citation(citation) for citation in part.citations]
        return written
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Media) and part.kind == "image":
        return _write_image(part)
    if isinstance(part, Media) and part.kind == "file":
        return _write_file(part)
    if isinstance(part, Opaque) and part.format == "responses" and isinstance(part.value, dict):
        return part.value
    what = part.kind if isinstance(part, Media | Opaque) else type(part).__name__
    raise Unsupported(f"{what!r} cannot be a part of a message in the responses format", param="input")


def _write_image(part: Media) -> dict[str, Any]:
    written: dict[str, Any] = {"type": "input_image"}
    if part.data:
        written["image_url"] = _data_url(part.media_type, part.data)
    elif part.url:
        written["image_url"] = part.url
    else:
        written["file_id"] = part.file_id
    if part.detail:
        written["detail"] = part.detail
    return written


def _write_file(part: Media) -> dict[str, Any]:
    written: dict[str, Any] = {"type": "input_file"}
    if part.file_id:
        written["file_id"] = part.file_id
    elif part.url:
        written["file_url"] = part.url
    elif part.data and not part.media_type:
        written["file_data"] = part.data
    else:
        media_type = part.media_type or "text/plain"
        data = part.data or base64.b64encode(part.text.encode()).decode()
        # Inline data without a name is refused.
        written |= {"filename": _file_name(media_type), "file_data": _data_url(media_type, data)}
    if part.name:
        written["filename"] = part.name
    return written


def _data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def _file_name(media_type: str) -> str:
    return f"document.{_EXTENSIONS.get(media_type) or media_type.rpartition('/')[2]}"


def write_citation(citation: Citation) -> dict[str, Any]:
    """Write an annotation: its own words where it was one, else a URL's or (without URL) a file's."""
    if citation.origin == "responses" and isinstance(citation.raw, dict):
        return citation.raw
    if citation.url:
        return {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title,
            "start_index": citation.start or 0,
            "end_index": citation.end or 0,
        }
    return {"type": "file_citation", "file_id": "", "filename": citation.title, "index": citation.end or 0}


def write_logprobs(tokens: Sequence[TokenLogprob] | None) -> list[dict[str, Any]]:
    """Write the tokens of a text."""
    return [
        {
            "token": token.token,
            "bytes": list(token.bytes or ()),
            "logprob": token.logprob,
            "top_logprobs": [
                {"token": top.token, "bytes": list(top.bytes or ()), "logprob": top.logprob}
                for top in token.top
            ],
        }
        for token in tokens or ()
    ]

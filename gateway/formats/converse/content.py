"""The blocks of messages and the neutral parts they stand for, as far as requests and answers agree.

Knows nothing of roles, tools or streams.
Source: Amazon Bedrock API reference, ContentBlock (checked 2026-11); recorded traffic.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from gateway.formats.converse import types
from gateway.formats.converse.media import KINDS, decode_media
from gateway.formats.neutral.parts import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.formats.neutral.seals import unseal

OWN: Final = "converse"

_MARKS: Mapping[str, CacheMark] = {"5m": "5m", "1h": "1h"}
_NOT_TEXT = "base64:"
"""Stands before encrypted thinking that is no text. No base64 has a colon."""


class Unread:
    """JSON that is decoded a second time, without types, when a part of a kind nobody knows is met."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._value: Any = None

    def at(self, *path: str | int) -> Any:
        """Return the value at a place. That it is there is known from the first reading."""
        if self._value is None:
            self._value = self._load()
        value = self._value
        for step in path:
            value = value[step]
        return value


def decode_parts(
    blocks: Sequence[types.Block], unread: Unread, *path: str | int, generated: bool = False
) -> list[Part]:
    """Read the blocks of a message, which stand at `path`; a cache point marks the part before it.

    Results of tools in what was `generated` are of tools that Bedrock runs: opaque.
    """
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        if block.cache_point is not None:
            _mark(parts, block.cache_point)
        else:
            parts.append(_part(block, unread, (*path, index), generated=generated))
    return parts


def _part(block: types.Block, unread: Unread, path: tuple[str | int, ...], *, generated: bool) -> Part:
    if block.text is not None:
        return Text(block.text)
    if block.tool_result is not None and not generated:
        return _tool_result(block.tool_result, unread, path)
    for member, read in _READERS.items():
        value = getattr(block, member)
        if value is not None:
            return read(value)
    return _unknown(unread, path)


def _unknown(unread: Unread, path: tuple[str | int, ...]) -> Opaque:
    value = unread.at(*path)
    return Opaque(OWN, next(iter(value), ""), value)


def _mark(parts: list[Part], point: types.CachePoint) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Text | Media | ToolCall | ToolResult) and not last.cache:
        parts[-1] = msgspec.structs.replace(last, cache=decode_mark(point))
    else:
        parts.append(Opaque(OWN, "cachePoint", {"cachePoint": msgspec.to_builtins(point)}))


def decode_mark(point: types.CachePoint) -> CacheMark:
    """Read how long a cache is to live."""
    return _MARKS.get(point.ttl, "default")


def encode_mark(mark: CacheMark) -> dict[str, Any]:
    """Write the cache point that follows a marked part."""
    ttl = {"ttl": mark} if mark in _MARKS else {}
    return {"cachePoint": {"type": "default", **ttl}}


def decode_tool_use(block: types.ToolUse) -> ToolCall | Opaque:
    """Read a call; one that Bedrock itself has run is opaque."""
    if block.type == "server_tool_use":
        return Opaque(OWN, "toolUse", {"toolUse": msgspec.to_builtins(block)})
    text = "" if block.input is None else msgspec.json.encode(block.input).decode()
    return ToolCall(block.tool_use_id, block.name, text, origin=OWN)


def _tool_result(block: types.ToolResult, unread: Unread, path: tuple[str | int, ...]) -> ToolResult:
    pieces = block.content
    is_json = len(pieces) == 1 and pieces[0].json is not msgspec.UNSET
    parts: list[Text | Media | Opaque] = (
        [Text(msgspec.json.encode(pieces[0].json).decode())]
        if is_json
        else [_piece(piece, unread, (*path, "toolResult", "content", i)) for i, piece in enumerate(pieces)]
    )
    return ToolResult(block.tool_use_id, tuple(parts), is_error=block.status == "error", json=is_json)


def _piece(piece: types.ResultBlock, unread: Unread, path: tuple[str | int, ...]) -> Text | Media | Opaque:
    if piece.text is not None:
        return Text(piece.text)
    for member in ("image", "document", "video"):
        if (block := getattr(piece, member)) is not None:
            return decode_media(member, block)
    return _unknown(unread, path)


def decode_reasoning(block: types.ReasoningContent) -> Reasoning:
    """Read thinking, and whose it is."""
    if block.redacted_content is not None:
        encrypted, origin = unseal(decode_redacted(block.redacted_content), OWN)
        return Reasoning(encrypted=encrypted, origin=origin)
    told = block.reasoning_text or types.ReasoningText()
    signature, origin = unseal(told.signature, OWN)
    return Reasoning(told.text, signature=signature, origin=origin)


def encode_reasoning(part: Reasoning, seal: Callable[[str], str]) -> list[dict[str, Any]]:
    """Write thinking: what can be read, what cannot, or both; `seal` is put to its proofs."""
    blocks: list[dict[str, Any]] = []
    text = part.text or "\n\n".join(part.summary)
    if text or part.signature:
        signature = {"signature": seal(part.signature)} if part.signature else {}
        blocks.append({"reasoningContent": {"reasoningText": {"text": text, **signature}}})
    if part.encrypted:
        blocks.append(redacted_block(seal(part.encrypted)))
    return blocks


def redacted_block(value: str) -> dict[str, Any]:
    """Write a block of thinking that only its maker can read."""
    return {"reasoningContent": {"redactedContent": encode_redacted(value)}}


def decode_redacted(blob: str) -> str:
    """Take the base64 off that Bedrock puts around what is text already: Claude's encrypted thinking.

    Without it, the value is the one that Anthropic's own API gives and takes.
    """
    try:
        text = base64.b64decode(blob, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return _NOT_TEXT + blob
    return text if encode_redacted(text) == blob else _NOT_TEXT + blob


def encode_redacted(value: str) -> str:
    """Put the base64 back on."""
    if value.startswith(_NOT_TEXT):
        return value.removeprefix(_NOT_TEXT)
    return base64.b64encode(value.encode()).decode()


def _cited(block: types.CitationsContent) -> Text:
    text = "".join(piece.text for piece in block.content)
    return Text(text, citations=tuple(map(decode_citation, block.citations)))


def decode_citation(block: types.Citation) -> Citation:
    """Read a source. Where it says nothing of the web, its URL is empty."""
    location = block.location if isinstance(block.location, dict) else {}
    web = location.get("web")
    web = web if isinstance(web, dict) else {}
    url = web.get("url") or (block.source if block.source.startswith(("https://", "http://")) else "")
    return Citation(
        url=str(url),
        title=block.title or str(web.get("domain") or ""),
        text="".join(piece.text for piece in block.source_content),
        origin=OWN,
        raw=msgspec.to_builtins(block),
    )


def encode_citation(citation: Citation) -> dict[str, Any]:
    """Write a source: as it came, or what Converse has a place for."""
    if citation.origin == OWN and isinstance(citation.raw, dict):
        return citation.raw
    block: dict[str, Any] = {"title": citation.title} if citation.title else {}
    if citation.text:
        block["sourceContent"] = [{"text": citation.text}]
    if citation.url:
        block["location"] = {"web": {"url": citation.url}}
    return block


def encode_text(text: str, citations: Sequence[Citation]) -> dict[str, Any]:
    """Write text, with its sources where it has some."""
    if not citations:
        return {"text": text}
    content = {"content": [{"text": text}]} if text else {}
    return {"citationsContent": {**content, "citations": list(map(encode_citation, citations))}}


def _opaque(member: str, value: Any) -> Opaque:
    return Opaque(OWN, member, {member: value})


_READERS: Mapping[str, Callable[[Any], Part]] = {
    "tool_use": decode_tool_use,
    "reasoning_content": decode_reasoning,
    "citations_content": _cited,
    **{member: partial(decode_media, member) for member in KINDS},
    "guard_content": partial(_opaque, "guardContent"),
    "search_result": partial(_opaque, "searchResult"),
    "tool_addition": partial(_opaque, "toolAddition"),
    "tool_removal": partial(_opaque, "toolRemoval"),
}
"""The members of a block that say what it is, in the order they are looked for."""

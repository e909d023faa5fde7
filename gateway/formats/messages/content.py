"""Content blocks of the Messages API from and to neutral parts, as requests and answers share them.

Must not know turns, roles or what comes before and after a block.
A kind that is not in `_DECODERS` (tools that Anthropic runs, their results, search results) is Opaque.
Source: Anthropic API reference, "Messages", "Citations" (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gateway.formats.messages.blocks import OWN, Place, decode_mark, encode_mark, opaque
from gateway.formats.messages.media import decode_document, decode_image, encode_media
from gateway.formats.messages.types import Block, Citation
from gateway.formats.neutral import parts
from gateway.formats.neutral.conversation import Turn
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.neutral.seals import seal, unseal

_UNSIGNED = "unsigned"
"""Sealed in place of a signature, so that thoughts which have none still come back to who made them: some
providers want to see them again while tools are called."""

INNER_MEMBERS = ("messages.content.citations", "document.context", "image.transformations")
"""What blocks of a request may say that no other format has a word for: names in a conversation's `extra`."""

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def decode_blocks(content: str | list[Block], place: Place) -> tuple[Part, ...]:
    """Read the content of a message. Raises BadRequest for base64 that is none."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(decode_block(block, place.inner(i)) for i, block in enumerate(content))


def decode_block(block: Block, place: Place) -> Part:
    """Read one block. Raises BadRequest for base64 that is none."""
    decode = _DECODERS.get(block.type)
    return decode(block, place) if decode else opaque(block, place)


def _text(block: Block, _: Place) -> Part:
    cited = block.citations
    citations = tuple(map(decode_citation, cited)) if isinstance(cited, list) else ()
    return Text(block.text or "", decode_mark(block.cache_control), citations)


def decode_citation(cited: Citation) -> parts.Citation:
    """Read a citation; all of it stays in `raw`."""
    return parts.Citation(
        url=cited.url or cited.source or "",
        title=cited.title or cited.document_title or "",
        text=cited.cited_text or "",
        origin=OWN,
        raw=cited,
    )


def _thinking(block: Block, _: Place) -> Part:
    return decode_thinking_block(block)


def decode_thinking_block(block: Block) -> Reasoning:
    """Read thinking and whose it is."""
    signature, origin = unseal(block.signature or "", OWN)
    if origin != OWN and signature == _UNSIGNED:
        signature = ""
    return Reasoning(block.thinking or "", signature=signature, origin=origin)


def _redacted(block: Block, _: Place) -> Part:
    encrypted, origin = unseal(block.data or "", OWN)
    return Reasoning(encrypted=encrypted, origin=origin)


def _call(block: Block, _: Place) -> Part:
    return ToolCall(
        block.id or "",
        block.name or "",
        text_of_input(block.input),
        origin=OWN,
        cache=decode_mark(block.cache_control),
    )


def text_of_input(value: msgspec.Raw) -> str:
    """Return the arguments of a call as the JSON text they were written in; "" for none."""
    text = bytes(value).decode(errors="replace")
    return "" if text == "null" else text


_IN_RESULTS = frozenset({"text", "image", "document"})


def _result(block: Block, place: Place) -> Part:
    content = block.content
    if isinstance(content, dict):
        return opaque(block, place)
    if isinstance(content, list):
        inner = place.inner("content")
        given = tuple(
            decode_block(one, inner.inner(i)) if one.type in _IN_RESULTS else _reference(one, inner.inner(i))
            for i, one in enumerate(content)
        )
    else:
        given = (Text(content),) if content else ()
    return ToolResult(
        block.tool_use_id or "",
        tuple(part for part in given if isinstance(part, Text | Media | Opaque)),
        is_error=bool(block.is_error),
        cache=decode_mark(block.cache_control),
    )


def _reference(block: Block, place: Place) -> Opaque:
    """Keep a block, and say in words what a search of the client's own has found among its tools."""
    found = block.tool_name if block.type == "tool_reference" else None
    words = f"The tool {found} is available now." if found else ""
    return msgspec.structs.replace(opaque(block, place), words=words)


_DECODERS: Mapping[str, Callable[[Block, Place], Part]] = {
    "text": _text,
    "image": decode_image,
    "document": decode_document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "tool_result": _result,
}


def own_members(turns: Iterable[Turn]) -> dict[str, bool]:
    """Name those of `INNER_MEMBERS` that a conversation uses, so that they are not lost unnamed elsewhere."""
    said = [part for turn in turns for part in turn.parts]
    said += [inner for part in said if isinstance(part, ToolResult) for inner in part.parts]
    cited = any(isinstance(part, Text) and part.citations for part in said)
    media = [part.raw[OWN] for part in said if isinstance(part, Media) and isinstance(part.raw, dict)]
    used = (cited, any("context" in own for own in media), any("transformations" in own for own in media))
    return {name: True for name, is_used in zip(INNER_MEMBERS, used, strict=True) if is_used}


def encode_text(part: Text) -> Block:
    """Write words with those citations that this format made."""
    own = [cited.raw for cited in part.citations if cited.origin == OWN and cited.raw]
    return Block("text", text=part.text, citations=own or None, cache_control=encode_mark(part.cache))


def encode_citation(citation: parts.Citation) -> Citation | dict[str, Any]:
    """Write a source for a client; another provider's becomes a search result's, whatever it was.

    Its `encrypted_index` is empty: only Anthropic's own search makes one.
    """
    if citation.origin == OWN and citation.raw:
        own: Citation | dict[str, Any] = citation.raw
        return own
    return {
        "type": "web_search_result_location",
        "cited_text": citation.text,
        "url": citation.url,
        "title": citation.title or None,
        "encrypted_index": "",
    }


def encode_reasoning(part: Reasoning) -> list[Block]:
    """Write thinking, sealed where another provider made it.

    Readable and unreadable thoughts of one part become a block each: only then do both come back as
    what they were.
    """
    blocks = []
    text = part.text or "\n\n".join(part.summary)
    if text or part.signature:
        signature = encode_signature(part.signature, part.origin)
        blocks.append(Block("thinking", thinking=text, signature=signature))
    if part.encrypted:
        blocks.append(encode_sealed(part.encrypted, part.origin))
    return blocks


def encode_signature(signature: str, origin: str) -> str:
    """Write the signature of thinking, sealed where another provider made it."""
    if not signature and origin not in {"", OWN}:
        signature = _UNSIGNED
    return seal(signature, origin, OWN)


def encode_sealed(value: str, origin: str) -> Block:
    """Write what only its provider can read."""
    return Block("redacted_thinking", data=seal(value, origin, OWN))


def encode_id(call_id: str) -> str:
    """Write the id of a call in the letters that the API takes: other makers use dots and colons too."""
    return _NOT_IN_IDS.sub("_", call_id)


def encode_call(part: ToolCall, arguments: str) -> Block:
    """Write a call; `arguments` is the text of a JSON object, or ""."""
    return Block(
        "tool_use",
        id=encode_id(part.id),
        name=part.name,
        input=msgspec.Raw((arguments or "{}").encode()),
        cache_control=encode_mark(part.cache),
    )


def is_object(arguments: str) -> bool:
    """Tell whether arguments are the text of a JSON object, or none at all."""
    try:
        return not arguments or isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def encode_result(part: ToolResult, place: str) -> Block:
    """Write what a tool gave back. Raises Unsupported as `encode_media`."""
    inner = [_in_result(one, f"{place}.content[{i}]") for i, one in enumerate(part.parts) if _says(one)]
    return Block(
        "tool_result",
        tool_use_id=encode_id(part.call_id),
        content=lone_text(inner) or None,
        is_error=part.is_error or None,
        cache_control=encode_mark(part.cache),
    )


def _says(part: Text | Media | Opaque) -> bool:
    return not isinstance(part, Text) or bool(part.text)


def _in_result(part: Text | Media | Opaque, place: str) -> Any:
    if isinstance(part, Opaque):
        return part.value
    return encode_text(part) if isinstance(part, Text) else encode_media(part, place)


def lone_text(blocks: list[Any]) -> Any:
    """Return the string that stands for a lone plain text, as most clients write it; else the blocks."""
    if len(blocks) == 1 and isinstance(blocks[0], Block) and blocks[0].type == "text":
        only = blocks[0]
        if only.text is not None and only.cache_control is None and only.citations is None:
            return only.text
    return blocks

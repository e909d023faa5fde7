"""Items, of requests and answers alike, into neutral parts and back.

Reasoning that another format made has its maker's name in its id and in its encrypted content, so that it
is known when the client sends it back: by `seals`. What such a maker calls the signature of a thought and
what it calls an encrypted thought both stand in `encrypted_content`; with a text beside it, it is the
former.

Must not know requests, answers or streams. Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.exchange import Format
from gateway.formats.neutral.conversation import Role
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.neutral.seals import seal, unseal
from gateway.formats.responses.content import read_content, write_content
from gateway.formats.responses.types import Content, Frame, Item, Layout

_CARRIED: Mapping[str, frozenset[str]] = {
    "message": frozenset({"content"}),
    "function_call": frozenset({"id", "call_id", "name", "arguments"}),
    "custom_tool_call": frozenset({"id", "call_id", "name", "input"}),
    "function_call_output": frozenset({"id", "call_id", "output"}),
    "custom_tool_call_output": frozenset({"id", "call_id", "output"}),
    "reasoning": frozenset({"id", "summary", "content", "encrypted_content"}),
}
"""The kinds that have a neutral counterpart, and the members it holds."""

_ROLES: dict[str, Role] = {
    "user": "user",
    "system": "system",
    "developer": "developer",
    "assistant": "assistant",
}
TEXT_KINDS: Mapping[str, str] = {"assistant": "output_text"}
"""What a text is called in a message of this role; "input_text" in all others."""

NO_ARGUMENTS = "{}"


def kind_of(value: Any) -> str:
    """Return the kind of an item; a message needs no `type`. Raises msgspec.ValidationError."""
    if not isinstance(value, dict):
        raise msgspec.ValidationError("Expected an object")
    kind = value.get("type")
    if kind is None and "role" in value:
        return "message"
    if not kind or not isinstance(kind, str):
        raise msgspec.ValidationError("Expected an object with a `type`")
    return kind


def read_item(value: Any, place: str) -> tuple[Role, tuple[Part, ...], Frame]:
    """Read an item: whose it is, its parts, and what they do not hold.

    Raises msgspec.ValidationError for an item that is none, BadRequest for data that is not base64.
    """
    kind = kind_of(value)
    carried = _CARRIED.get(kind)
    if carried is None:
        return "assistant", (Opaque("responses", kind, value),), Frame(1, {})
    item = msgspec.convert(value, Item)
    rest = {name: member for name, member in value.items() if name not in carried and member is not None}
    if kind == "message":
        role = _ROLES.get(item.role or "")
        if role is None:
            raise msgspec.ValidationError("Expected `role` to be user, assistant, system or developer")
        parts, contents = _read_contents(item.content, place)
        return role, parts, Frame(len(parts), rest, contents)
    if kind == "reasoning":
        return "assistant", (_read_reasoning(item),), Frame(1, rest)
    if not item.call_id:
        raise msgspec.ValidationError("Object missing required field `call_id`")
    if kind.endswith("_output"):
        return _read_output(item, rest, place)
    return "assistant", (_read_call(item, kind),), Frame(1, rest)


def _read_contents(
    content: str | list[Any] | None, place: str
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...] | None]:
    if isinstance(content, str):
        return (Text(content),), None
    read = [read_content(part, f"{place}.content[{i}]") for i, part in enumerate(content or ())]
    return tuple(part for part, _ in read), tuple(rest for _, rest in read)


def _read_output(item: Item, rest: dict[str, Any], place: str) -> tuple[Role, tuple[Part, ...], Frame]:
    parts, contents = _read_contents(item.output, place)
    result = ToolResult(
        item.call_id or "",
        parts,
        custom=rest.get("type") == "custom_tool_call_output",
        item_id=item.id or "",
    )
    return "tool", (result,), Frame(1, rest, contents)


def _read_call(item: Item, kind: str) -> ToolCall:
    if not item.name:
        raise msgspec.ValidationError("Object missing required field `name`")
    custom = kind == "custom_tool_call"
    arguments = item.input if custom else item.arguments
    return ToolCall(item.call_id or "", item.name, arguments or "", custom=custom, item_id=item.id or "")


def _read_reasoning(item: Item) -> Reasoning:
    contents = item.content if isinstance(item.content, list) else []
    text = item.content if isinstance(item.content, str) else "".join(map(_text_in, contents))
    summary = tuple(part.text or "" for part in item.summary or ())
    id_, origin = unseal(item.id or "", "responses")
    encrypted, maker = unseal(item.encrypted_content or "", "responses")
    origin = maker if encrypted else origin
    if origin != "responses" and (text or summary):
        return Reasoning(text, summary, signature=encrypted, id=id_, origin=origin)
    return Reasoning(text, summary, encrypted=encrypted, id=id_, origin=origin)


def _text_in(content: Any) -> str:
    return msgspec.convert(content, Content).text or ""


def framed(parts: Sequence[Part], raw: Any) -> Iterator[tuple[Frame, Sequence[Part]]] | None:
    """Put parts back into the items they were read from; None where `raw` does not tell of them."""
    if not isinstance(raw, Layout) or sum(frame.parts for frame in raw.frames) != len(parts):
        return None
    return _framed(parts, raw)


def _framed(parts: Sequence[Part], layout: Layout) -> Iterator[tuple[Frame, Sequence[Part]]]:
    start = 0
    for frame in layout.frames:
        yield frame, parts[start : start + frame.parts]
        start += frame.parts


def write_framed(frame: Frame, parts: Sequence[Part]) -> dict[str, Any]:
    """Write the item that `frame` was read from."""
    if frame.members.get("type", "message") == "message" and "role" in frame.members:
        text_kind = TEXT_KINDS.get(frame.members["role"], "input_text")
        return frame.members | {"content": write_contents(parts, text_kind, frame)}
    written = frame.members | write_item(parts[0], frame)
    if isinstance(parts[0], ToolCall) and not parts[0].custom:
        written["arguments"] = parts[0].arguments  # as they were said, even where nothing was
    return written


def write_contents(
    parts: Sequence[Part], text_kind: str, frame: Frame | None = None
) -> str | list[dict[str, Any]]:
    """Write the content of a message or of a tool's output."""
    if frame is not None and frame.contents is None and len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    written = [write_content(part, text_kind) for part in parts]
    rests = frame.contents if frame is not None else None
    if rests is None or len(rests) != len(written):
        return written
    return [part | rest for part, rest in zip(written, rests, strict=True)]


def write_item(part: Part, frame: Frame | None = None) -> dict[str, Any]:
    """Write an item that is no message. Raises Unsupported for a part that can be none."""
    if isinstance(part, Opaque) and part.format == "responses" and isinstance(part.value, dict):
        return part.value
    if isinstance(part, ToolCall):
        return write_call(part)
    if isinstance(part, ToolResult):
        return _write_output(part, frame)
    if isinstance(part, Reasoning):
        return write_reasoning(part)
    return {"type": "message", "role": "assistant", "content": [write_content(part, "output_text")]}


def write_call(part: ToolCall, item_id: str = "") -> dict[str, Any]:
    """Write a call. Arguments are JSON here even where there are none: clients parse them unseen."""
    kind = "custom_tool_call" if part.custom else "function_call"
    said = {"input": part.arguments} if part.custom else {"arguments": part.arguments or NO_ARGUMENTS}
    written = {"type": kind, "call_id": part.id, "name": part.name, **said}
    item_id = item_id or part.item_id
    return {"id": item_id, **written} if item_id else written


def _write_output(part: ToolResult, frame: Frame | None) -> dict[str, Any]:
    lone = len(part.parts) == 1 and isinstance(part.parts[0], Text)
    if frame is None and (lone or not part.parts):
        frame = Frame(1, {})
    written = {
        "type": "custom_tool_call_output" if part.custom else "function_call_output",
        "call_id": part.call_id,
        "output": write_contents(part.parts, "input_text", frame) or "",
    }
    return {"id": part.item_id, **written} if part.item_id else written


def write_reasoning(part: Reasoning, item_id: str = "") -> dict[str, Any]:
    """Write a reasoning item, sealed where another format made it."""
    origin: Format = part.origin or "responses"
    written: dict[str, Any] = {"type": "reasoning"}
    if item_id or part.id:
        written["id"] = seal(item_id or part.id, origin, "responses")
    written["summary"] = [{"type": "summary_text", "text": text} for text in part.summary]
    if part.text:
        written["content"] = [{"type": "reasoning_text", "text": part.text}]
    if part.encrypted or part.signature:
        written["encrypted_content"] = seal(part.encrypted or part.signature, origin, "responses")
    return written

"""Requests of Google's generateContent, read and written: its contents are turns.

Google knows two roles. Results of functions come in contents of the user; a content that mixes them with
words becomes two turns. Turns of others that follow each other in the same role become one content: all
results of parallel calls must stand together.

Sources: Gemini API reference, "Generating content"; Gemini API, "Thought signatures" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.formats.gemini.names import canonical, members_of
from gateway.formats.gemini.parts import (
    CallNames,
    decode_media,
    decode_part,
    encode_media,
    encode_part,
    given_id,
    kind_of,
    read_arguments,
)
from gateway.formats.gemini.settings import add_extras, decode_settings, encode_settings
from gateway.formats.gemini.types import (
    Content,
    FunctionCall,
    FunctionResponse,
    Part,
    Request,
    ResultPart,
    Seam,
)
from gateway.formats.neutral import parts as neutral
from gateway.formats.neutral.check import tool_names
from gateway.formats.neutral.conversation import Conversation, Role, Turn
from gateway.formats.neutral.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.neutral.reading import check_base64, read_members, read_request
from gateway.formats.neutral.seals import accepts

SKIP_VALIDATION = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Base64 of "skip_thought_signature_validator": what Google wants as the signature of a call that one of
its models did not make. Without any, Gemini 3 turns the request away. The first of parallel calls has one.
"""

_ROLES: Mapping[str | None, Role] = {
    None: "user",
    "": "user",
    "user": "user",
    "function": "user",
    "model": "assistant",
}
_PART_NAMES = members_of(Part) - {"videoMetadata"}
_CALL_NAMES = {"functionCall": members_of(FunctionCall), "functionResponse": members_of(FunctionResponse)}
"""What is understood of a part and of the calls in it. Of a film that is cut, no other format can say how."""


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read a client's request; raises BadRequest with the place at fault.

    `stream` counts and `model` does not: the gateway put both there, from the URL.
    """
    try:
        values = canonical(read_members(members, dict), Request)
        request = read_request(msgspec.json.encode(values), Request)
        turns = [*_system_turns(request.system_instruction), *_Reader().turns(request, values)]
        return Conversation(tuple(turns), stream=bool(request.stream), **decode_settings(request, values))
    except RecursionError:
        raise BadRequest("the request body is nested too deeply", code="invalid_json") from None


def _system_turns(content: Content | None) -> Iterator[Turn]:
    if content is None:
        return
    for i, part in enumerate(content.parts or []):
        if part.text is None:
            place = f"systemInstruction.parts[{i}]"
            raise BadRequest(f"{place} is no text", param=place)
    texts = tuple(Text(part.text or "") for part in content.parts or [])
    yield Turn("system", texts, raw=Seam(content.role))


class _Reader:
    """Reads contents; knows which calls still wait for their results."""

    def __init__(self) -> None:
        self._names = CallNames("")
        self._waiting: dict[str, str] = {}
        """The function of each call, by its id, in the order of the calls."""

    def turns(self, request: Request, values: Mapping[str, Any]) -> Iterator[Turn]:
        """Give the turns; `values` is the request as a JSON value, for parts that only Google knows."""
        raw_contents = values.get("contents") or []
        for i, (content, raw) in enumerate(zip(request.contents or [], raw_contents, strict=True)):
            yield from self._turns_of(content, raw.get("parts") or [], f"contents[{i}]")

    def _turns_of(self, content: Content, raw_parts: list[Any], place: str) -> Iterator[Turn]:
        if content.role not in _ROLES:
            raise BadRequest(f'{place}.role must be "user" or "model"', param=f"{place}.role")
        role = _ROLES[content.role]
        parts = list[neutral.Part]()
        for j, (part, raw) in enumerate(zip(content.parts or [], raw_parts, strict=True)):
            self._add(parts, part, (raw, f"{place}.parts[{j}]"))
        begins = True
        for is_result, group in groupby(parts, lambda part: isinstance(part, ToolResult)):
            yield Turn("tool" if is_result else role, tuple(group), raw=Seam(content.role, begins))
            begins = False

    def _add(self, parts: list[neutral.Part], part: Part, where: tuple[Any, str]) -> None:
        raw, place = where
        if not _is_understood(raw):
            parts.append(Opaque("gemini", "videoMetadata" if "videoMetadata" in raw else kind_of(raw), raw))
            return
        if part.function_response is not None:
            parts.append(self._result(part.function_response, raw["functionResponse"], place))
            return
        found = decode_part(part, self._names) or Opaque("gemini", kind_of(raw), raw)
        if isinstance(found, ToolCall):
            self._waiting[found.id] = found.name
        elif isinstance(found, Media):
            check_base64(found.data, f"{place}.inlineData.data")
        elif isinstance(found, Reasoning) and parts:
            found = _with_words(found, parts)
        parts.append(found)

    def _result(self, result: FunctionResponse, raw: Mapping[str, Any], place: str) -> ToolResult:
        name = result.name or ""
        call_id = result.id or next((id_ for id_, of in self._waiting.items() if of == name), "")
        self._waiting.pop(call_id, None)
        read = _read_response(result.response)
        media = tuple(
            decode_media(part) or Opaque("gemini", kind_of(value), value)
            for part, value in zip(result.parts or [], raw.get("parts") or [], strict=True)
        )
        for part in media:
            if isinstance(part, Media):
                check_base64(part.data, f"{place}.functionResponse.parts")
        return msgspec.structs.replace(read, call_id=call_id, name=name, parts=(*read.parts, *media))


def _is_understood(raw: Mapping[str, Any]) -> bool:
    return _PART_NAMES.issuperset(raw) and all(
        names.issuperset(raw.get(call) or ()) for call, names in _CALL_NAMES.items()
    )


def _with_words(thought: Reasoning, parts: list[neutral.Part]) -> Reasoning:
    """Put the signature of another provider on the thought before it.

    In a stream such a signature comes after the words, in a part of its own.
    """
    before = parts[-1]
    alone = thought.origin != "gemini" and not thought.text and not any(thought.summary)
    if not alone or not isinstance(before, Reasoning) or before.signature or before.encrypted:
        return thought
    parts.pop()
    if thought.summary:
        return msgspec.structs.replace(thought, summary=(before.text,))
    return msgspec.structs.replace(thought, text=before.text)


def _read_response(response: Any) -> ToolResult:
    """Read a result: `output` and `error` are Google's names for what a function gave, or how it failed."""
    if response is None:
        return ToolResult("")
    if isinstance(response, dict) and len(response) == 1:
        (name, value), *_ = response.items()
        if name == "error":
            text = value if isinstance(value, str) else _json(value)
            return ToolResult("", (Text(text),), is_error=True, json=not isinstance(value, str))
        if name == "output" and isinstance(value, str):
            return ToolResult("", (Text(value),))
    return ToolResult("", (Text(_json(response)),), json=True)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write a request for Google. Raises BadRequest for calls whose arguments are no JSON object."""
    request = encode_settings(conversation)
    instructions = [turn for turn in conversation.turns if turn.role in {"system", "developer"}]
    system = list(_encode_system(instructions))
    contents = _encode_contents(conversation)
    if system and not contents and instructions[0].raw is None:
        contents, system = [{"role": "user", "parts": system}], []  # Google wants something to answer
    members: dict[str, Any] = {"contents": contents}
    if system:
        members["systemInstruction"] = {"parts": system, **_role_of(instructions[0])}
    members |= msgspec.to_builtins(request)
    add_extras(members, conversation.extra)
    plain: dict[str, Any] = msgspec.to_builtins(members)
    return plain


def _encode_system(turns: list[Turn]) -> Iterator[Any]:
    for turn in turns:
        for part in turn.parts:
            if (encoded := encode_part(part, read_arguments)) is not None:
                yield encoded


def _role_of(turn: Turn) -> dict[str, str]:
    return {"role": turn.raw.role} if isinstance(turn.raw, Seam) and turn.raw.role else {}


def _encode_contents(conversation: Conversation) -> list[dict[str, Any]]:
    functions = tool_names(conversation)
    contents = list[dict[str, Any]]()
    last: Role | None = None
    for turn in _with_results_in_order(conversation.turns, list(functions)):
        if turn.role in {"system", "developer"}:
            continue
        parts = _encode_assistant(turn) if turn.role == "assistant" else _encode_user(turn, functions)
        parts = parts if isinstance(turn.raw, Seam) else _without_blanks(parts)
        if not parts:
            continue
        joins = not turn.raw.begins if isinstance(turn.raw, Seam) else turn.role == last
        if contents and joins:
            contents[-1]["parts"] += parts
        else:
            role = "model" if turn.role == "assistant" else "user"
            said = turn.raw.role if isinstance(turn.raw, Seam) else role
            contents.append({"role": said, "parts": parts} if said else {"parts": parts})
        last = turn.role
    return contents


def _with_results_in_order(turns: Sequence[Turn], call_ids: Sequence[str]) -> Iterator[Turn]:
    """Put results that follow each other into one turn, in the order of their calls.

    Where calls have no ids, nothing else tells the results of one function apart.
    """
    place = {call_id: i for i, call_id in enumerate(call_ids)}
    for are_results, group in groupby(turns, lambda turn: turn.role == "tool" and turn.raw is None):
        if not are_results:
            yield from group
            continue
        results = [part for turn in group for part in turn.parts if isinstance(part, ToolResult)]
        results.sort(key=lambda result: place.get(result.call_id, len(place)))
        yield Turn("tool", tuple(results))


def _without_blanks(parts: list[Any]) -> list[Any]:
    """Leave out empty texts, which Google turns away: other clients send them beside calls."""
    return [part for part in parts if part != Part(text="")] or parts


def _encode_user(turn: Turn, functions: Mapping[str, str]) -> list[Any]:
    encoded = [
        _encode_result(part, functions) if isinstance(part, ToolResult) else encode_part(part, read_arguments)
        for part in turn.parts
    ]
    return [part for part in encoded if part is not None]


def _encode_assistant(turn: Turn) -> list[Any]:
    """Write what the model said; thoughts of other providers are left out, for Google cannot read them.

    A client of another format gives Google's signatures back as thoughts: each goes to the part after it.
    """
    parts = list[Any]()
    held = ""
    for part in turn.parts:
        if isinstance(part, Reasoning):
            if not accepts("gemini", part.origin):
                continue
            if part.encrypted and not part.text:
                parts += _alone(held)
                held = part.encrypted
                continue
        encoded = encode_part(part, read_arguments)
        if held and isinstance(encoded, Part) and not encoded.thought_signature:
            encoded.thought_signature, held = held, ""
        parts.append(encoded)
    parts += _alone(held)
    _sign_first_call(turn, parts)
    return [part for part in parts if part is not None]


def _alone(signature: str) -> list[Part]:
    """Write a signature that no part is left for."""
    return [Part(text="", thought_signature=signature)] if signature else []


def _sign_first_call(turn: Turn, parts: list[Any]) -> None:
    call = next((part for part in turn.parts if isinstance(part, ToolCall)), None)
    if call is not None and call.origin != "gemini":
        encoded = next(part for part in parts if isinstance(part, Part) and part.function_call is not None)
        encoded.thought_signature = encoded.thought_signature or SKIP_VALIDATION


def _encode_result(result: ToolResult, functions: Mapping[str, str]) -> Part:
    name = result.name or functions.get(result.call_id) or result.call_id
    media: list[Any] = [
        ResultPart(inline_data=part.inline_data, file_data=part.file_data)
        for part in (encode_media(inner) for inner in result.parts if isinstance(inner, Media))
    ]
    media += [part.value for part in result.parts if isinstance(part, Opaque) and part.format == "gemini"]
    response = _write_response(result, media)
    return Part(
        function_response=FunctionResponse(
            id=given_id(result.call_id), name=name, response=response, parts=media or None
        )
    )


def _write_response(result: ToolResult, media: list[Any]) -> Any:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    value: Any = "\n".join(texts)
    if result.json and len(texts) == 1:
        try:
            value = msgspec.json.decode(texts[0])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = texts[0]
    if result.is_error:
        return {"error": value}
    if isinstance(value, dict):
        return value
    return {} if media and not texts else {"output": value}

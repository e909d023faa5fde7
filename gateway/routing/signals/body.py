"""Read from a request's members what decisions ask for, whatever its format, and as little as possible.

Formats name the same thing differently but hardly ever two things alike, so that names are looked up in
turn and no format is asked for. Nothing raises here: what is not as expected counts as not there, since
whoever sends or translates the call will say what is wrong with it.

Sources: the API references named in `gateway.formats.*.types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from gateway.exchange import Feature

T = TypeVar("T")
ABSENT = msgspec.Raw(b"")
INSTRUCTIONS = ("system", "instructions", "systemInstruction", "system_instruction")
TURNS = ("messages", "contents", "input", "prompt", "query", "texts", "documents", "content", "requests")
METADATA = ("metadata", "labels", "requestMetadata")
_INSTRUCTED = frozenset(INSTRUCTIONS)
_LIST, _OBJECT, _STRING = b'[{"'
"""How values begin in JSON."""
_DEEPEST = 4
"""How far content holds content: results of tools, documents in them."""
_SHORT_BYTES = 1 << 14
"""What is longer is not read twice."""


class Turn(msgspec.Struct, gc=False):
    """One message: who says it."""

    role: Any = None


class PlainPart(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A part without media: a text, a call of a tool, or its result in words."""

    type: Literal["text", "input_text", "output_text", "tool_use", "tool_result"] | None = None
    text: msgspec.Raw = ABSENT
    content: str | None = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = ABSENT
    tool_use_id: Any = None
    is_error: Any = None
    cache_control: msgspec.Raw = ABSENT


class PlainTurn(Turn, gc=False, forbid_unknown_fields=True):
    """A message without media. What else it may have says nothing of what is in it."""

    content: str | list[PlainPart] | None = None
    name: Any = None
    tool_calls: msgspec.Raw = ABSENT
    tool_call_id: Any = None


class UnreadTurn(Turn, gc=False):
    """A message whose content is looked at only where it is more than a string."""

    content: msgspec.Raw = ABSENT
    parts: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    images: msgspec.Raw = ABSENT
    encrypted_content: msgspec.Raw = ABSENT
    reasoning_details: msgspec.Raw = ABSENT

    @property
    def held(self) -> msgspec.Raw:
        """What it says, under the name that its format has for that."""
        return self.content or self.parts or self.output


class Part(
    msgspec.Struct,
    gc=False,
    rename={
        "file_uri": "fileData",
        "blob": "inlineData",
        "tool_result": "toolResult",
        "response": "functionResponse",
        "thought": "thoughtSignature",
    },
):
    """One part of a content, of any format."""

    type: Any = None
    text: Any = None
    content: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    tool_result: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    image_url: msgspec.Raw = ABSENT
    image: msgspec.Raw = ABSENT
    input_audio: msgspec.Raw = ABSENT
    audio_url: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    file: msgspec.Raw = ABSENT
    video: msgspec.Raw = ABSENT
    video_url: msgspec.Raw = ABSENT
    document: msgspec.Raw = ABSENT
    document_url: msgspec.Raw = ABSENT
    source: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT
    file_uri: msgspec.Raw = ABSENT
    blob: msgspec.Raw = ABSENT
    inline_data: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT
    signature: msgspec.Raw = ABSENT
    thought: msgspec.Raw = ABSENT
    encrypted_content: msgspec.Raw = ABSENT


class _Nested(msgspec.Struct, gc=False):
    content: msgspec.Raw = ABSENT
    parts: msgspec.Raw = ABSENT


class _Media(msgspec.Struct, gc=False, rename={"camel": "mimeType"}):
    type: Any = None
    media_type: Any = None
    mime_type: Any = None
    camel: Any = None


_BY_MEMBER: Mapping[str, Feature] = {
    "image_url": "images",
    "image": "images",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio": "audio",
    "file": "files",
    "video": "files",
    "video_url": "files",
    "document": "files",
    "document_url": "files",
}
_BY_TYPE: Mapping[str, Feature] = {
    "input_image": "images",
    "image_url": "images",
    "image": "images",
    "input_audio": "audio",
    "input_file": "files",
    "file": "files",
    "document": "files",
}
_BY_MIME = ("source", "file_data", "file_uri", "blob", "inline_data")
"""Members whose kind only the type of their content tells."""


class Contents(msgspec.Struct):
    """What the parts of a request are: media of which kinds, how many, and how many bytes of it they are."""

    media: list[Feature]
    media_bytes: int = 0
    parts: int = 0


_SEALED = ("data", "signature", "thought", "encrypted_content")
"""Members that only their provider can read, and that count as little."""

_plain_turns = msgspec.json.Decoder(list[PlainTurn])
_turns = msgspec.json.Decoder(list[UnreadTurn | str])
_turn = msgspec.json.Decoder(UnreadTurn)
_parts = msgspec.json.Decoder(list[Part | str])
_part = msgspec.json.Decoder(Part)
_nested = msgspec.json.Decoder(_Nested)
_media = msgspec.json.Decoder(_Media)
_anything = msgspec.json.Decoder(Any)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(dict[str, str])


def read(raw: msgspec.Raw | bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Decode a value; None where it is not of that shape."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def value_of(members: Mapping[str, msgspec.Raw], *names: str) -> Any:
    """Return the first of these members that is there and not null, decoded; None: none is."""
    for name in names:
        if name in members and (value := read(members[name], _anything)) is not None:
            return value
    return None


def inner_of(members: Mapping[str, msgspec.Raw], *names: str) -> dict[str, msgspec.Raw]:
    """Return the members of the first of these that is an object."""
    for name in names:
        if name in members and (inner := read(members[name], _members)) is not None:
            return inner
    return {}


def texts_of(members: Mapping[str, msgspec.Raw], *names: str) -> dict[str, str]:
    """Return the entries of the first of these members that is an object: texts, or what else in JSON."""
    for name in names:
        if name not in members:
            continue
        if (texts := read(members[name], _texts)) is not None:
            return texts
        if (inner := read(members[name], _members)) is not None:
            return {entry: _text(value) for entry, value in inner.items()}
    return {}


def _text(raw: msgspec.Raw) -> str:
    value = read(raw, _anything) if _head(raw) == _STRING else None
    return value if isinstance(value, str) else bytes(raw).decode(errors="replace")


def plain_turns_of(members: Mapping[str, msgspec.Raw]) -> list[PlainTurn] | None:
    """Return the turns where they are short and without media, as most are; None: look at them.

    Cost: 0.5 us for two, a third of what looking at them takes.
    """
    raw = members.get("messages")
    if raw is None or len(raw) > _SHORT_BYTES:
        return None
    if not (_INSTRUCTED.isdisjoint(members) or _all_strings(members, INSTRUCTIONS)):
        return None
    try:
        return _plain_turns.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def plain_contents_of(turns: Sequence[PlainTurn]) -> Contents:
    """Count the parts of turns without media."""
    return Contents([], parts=sum([len(turn.content) for turn in turns if isinstance(turn.content, list)]))


def _all_strings(members: Mapping[str, msgspec.Raw], names: Iterable[str]) -> bool:
    return all(_head(members[name]) == _STRING for name in names if name in members)


def turns_of(members: Mapping[str, msgspec.Raw]) -> list[UnreadTurn]:
    """Return the turns; a lone string is one of the user."""
    for name in TURNS:
        if name not in members:
            continue
        raw = members[name]
        head = _head(raw)
        if head == _LIST:
            items = read(raw, _turns) or ()
            return [item if type(item) is UnreadTurn else _as_turn(item) for item in items]
        if head == _OBJECT and (turn := read(raw, _turn)) is not None:
            return [turn]
        if head == _STRING:
            return [UnreadTurn(content=raw)]
    return []


def _as_turn(item: UnreadTurn | str) -> UnreadTurn:
    return UnreadTurn(content=msgspec.Raw(msgspec.json.encode(item))) if isinstance(item, str) else item


def contents_of(members: Mapping[str, msgspec.Raw], turns: Sequence[UnreadTurn]) -> Contents:
    """Look at the parts of all turns and instructions."""
    seen = Contents([])
    for turn in turns:
        if turn.images or turn.encrypted_content or turn.reasoning_details:
            _look_beside(turn, seen)
        held = turn.content or turn.parts or turn.output
        if held and memoryview(held)[0] != _STRING:
            _look(held, seen, 0)
    if _INSTRUCTED.isdisjoint(members):
        return seen
    for name in INSTRUCTIONS:
        if name in members and _head(members[name]) != _STRING:
            _look(members[name], seen, 0)
    return seen


def _look_beside(turn: UnreadTurn, seen: Contents) -> None:
    """Look at what a turn has beside its content."""
    seen.media_bytes += len(turn.encrypted_content) + len(turn.reasoning_details)
    if turn.images:  # of ollama: a list of base64
        images = read(turn.images, _anything)
        seen.media += ["images"] * len(images) if isinstance(images, list) else []
        seen.media_bytes += len(turn.images)


def _look(raw: msgspec.Raw, seen: Contents, depth: int) -> None:
    for part in _parts_of(raw):
        seen.parts += 1
        found = _look_at_members(part, seen)
        if not found and isinstance(part.type, str) and part.type in _BY_TYPE:
            seen.media.append(_BY_TYPE[part.type])  # by an id, with nothing of it here
        seen.media_bytes += sum(len(getattr(part, name)) for name in _SEALED)
        held = part.content or part.output or _result_of(part)
        if held and depth < _DEEPEST and _head(held) != _STRING:
            _look(held, seen, depth + 1)


def _look_at_members(part: Part, seen: Contents) -> bool:
    found = False
    for name, feature in _BY_MEMBER.items():
        if raw := getattr(part, name):
            seen.media.append(feature)
            seen.media_bytes += len(raw)
            found = True
    for name in _BY_MIME:
        if raw := getattr(part, name):
            _look_at_source(part, raw, seen)
            found = True
    return found


def _look_at_source(part: Part, raw: msgspec.Raw, seen: Contents) -> None:
    source = read(raw, _media) if _head(raw) == _OBJECT else None
    seen.media.append(_kind(part, source))
    if source is None or source.type not in ("text", "content"):
        seen.media_bytes += len(raw)


def _kind(part: Part, source: _Media | None) -> Feature:
    if part.type == "image":
        return "images"
    mime = (source.media_type or source.mime_type or source.camel) if source is not None else None
    if isinstance(mime, str) and mime.startswith("image/"):
        return "images"
    return "audio" if isinstance(mime, str) and mime.startswith("audio/") else "files"


def _parts_of(raw: msgspec.Raw) -> Iterator[Part]:
    if _head(raw) == _LIST:
        for item in read(raw, _parts) or ():
            yield Part(text=item) if isinstance(item, str) else item
        return
    turn = read(raw, _turn)  # an object: content with its parts, or a lone part
    if turn is not None and turn.parts:
        yield from _parts_of(turn.parts)
    elif (part := read(raw, _part)) is not None:
        yield part


def _result_of(part: Part) -> msgspec.Raw:
    raw = part.tool_result or part.response
    result = read(raw, _nested) if raw else None
    return ABSENT if result is None else result.content or result.parts


def words_of(raw: msgspec.Raw) -> str:
    """Return the text of a content: the string that it is, or that of its parts."""
    if _head(raw) == _STRING:
        return str(read(raw, _anything) or "")
    return "\n".join(part.text for part in _parts_of(raw) if isinstance(part.text, str))


def is_users(turn: UnreadTurn) -> bool:
    """Whether the user says it; completions and the like have no roles."""
    return turn.role == "user" or (turn.role is None and not turn.output)


def instructions_of(members: Mapping[str, msgspec.Raw], turns: Sequence[UnreadTurn]) -> list[msgspec.Raw]:
    """Return all that is said to the model before and beside the conversation, unread."""
    own = [members[name] for name in INSTRUCTIONS if name in members]
    return own + [turn.held for turn in turns if turn.role in ("system", "developer")]


def _head(raw: msgspec.Raw) -> int:
    return memoryview(raw)[0] if raw else 0

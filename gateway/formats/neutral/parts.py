"""The parts that turns and answers are made of, whatever the wire format calls them.

Data only. A part holds what at least two formats can say; what one format alone knows is an `Opaque`
part, or the `raw` of a citation, and goes back into that format unchanged.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.exchange import Format

MediaKind = Literal["image", "audio", "file", "video"]
CacheMark = Literal["", "default", "5m", "1h"]
"""A request to cache the prompt up to and including this part; how long it lives, where that is said."""


class Citation(msgspec.Struct, frozen=True, gc=False):
    """Where a statement of an answer comes from.

    `start` and `end` are the characters of the answer's text it supports (None: not said), `text` the
    words of the source. `raw` is the citation as `origin` wrote it, for going back into that format.
    """

    url: str = ""
    title: str = ""
    text: str = ""
    start: int | None = None
    end: int | None = None
    origin: Format | Literal[""] = ""
    raw: Any = None


class Text(msgspec.Struct, frozen=True, gc=False):
    """Written words. `signature` is a provider's seal on them (Gemini), to be sent back as it came."""

    text: str
    cache: CacheMark = ""
    citations: tuple[Citation, ...] = ()
    signature: str = ""


class Media(msgspec.Struct, frozen=True, gc=False):
    """An image, a sound, a document or a film: by URL, inline as base64, or by a provider's file id.

    Exactly one of `url`, `data` and `file_id` is set. `media_type` is an IANA type, empty when not said;
    `detail` the resolution asked for ("low", "high", "auto"). `text` is a document given as plain text
    (then `data` is empty). `transcript` is what an audio part of an answer says in words.
    """

    kind: MediaKind
    media_type: str = ""
    url: str = ""
    data: str = ""
    file_id: str = ""
    name: str = ""
    detail: str = ""
    text: str = ""
    transcript: str = ""
    cite: bool | None = None
    """Whether the answer is to cite this document."""
    cache: CacheMark = ""
    signature: str = ""
    raw: Any = None
    """What only the format it came from says of it (a document's `context`, a frame rate)."""


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """What a model thought before it answered.

    `text` is the thinking itself, `summary` its summaries where the provider gives those instead.
    `signature` proves that the provider wrote `text`; `encrypted` is thinking that only the provider can
    read (redacted, or encrypted content). Both are worthless to any other provider: `origin` is the
    format they came in. `id` is the provider's name of the item.
    """

    text: str = ""
    summary: tuple[str, ...] = ()
    signature: str = ""
    encrypted: str = ""
    id: str = ""
    origin: Format | Literal[""] = ""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """The model calls a tool of the client.

    `arguments` is the JSON text as the model wrote it ("" where it wrote none), or free text for a custom
    tool. `id` names the call for its result, `item_id` the item that holds it (responses). `signature` is
    the provider's seal on the call (Gemini's thought signature), of the format `origin`.
    """

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    item_id: str = ""
    signature: str = ""
    origin: Format | Literal[""] = ""
    cache: CacheMark = ""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The model says, as such, that it will not answer."""

    text: str


class Opaque(msgspec.Struct, frozen=True, gc=False):
    """A part that only one format knows: a tool the provider runs, its result, an item reference.

    `value` is its JSON value. It goes back into `format` as it is and can go nowhere else, unless `words`
    say the same to any other model.
    """

    format: Format
    kind: str
    value: Any
    words: str = ""


class ToolResult(msgspec.Struct, frozen=True, gc=False):
    """What a tool of the client gave back for the call `call_id`.

    `name` is the tool's where the format says it. `json` tells that the one text part is a JSON value that
    the format carried as a value and not as text (Gemini's response, Bedrock's json block).
    """

    call_id: str
    parts: tuple[Text | Media | Opaque, ...] = ()
    name: str = ""
    is_error: bool = False
    json: bool = False
    custom: bool = False
    cache: CacheMark = ""
    item_id: str = ""


Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Opaque

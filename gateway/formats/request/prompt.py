"""The text of a request, for counting when the upstream never told its size.

Walks whatever the body holds where any format has its text, so that parts of any kind count by it.
Images and audio by URL or base64 are not text and are left out, and so is what a provider sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

_TEXT_MEMBERS = (
    *("messages", "prompt", "input", "tools"),
    *("system", "instructions", "contents", "systemInstruction", "query", "documents"),
)
_NOT_TEXT = frozenset({"url", "data", "image_url", "file_data", "b64_json", "type", "role", "id"})
_NO_WORDS = frozenset(
    {
        *("bytes", "signature", "thoughtSignature", "thought_signature"),
        *("encrypted_content", "encryptedContent", "redactedContent"),
    }
)
"""Left out where they are texts: a tool's parameter may have such a name, and is described in words."""


def decode_prompt(members: Mapping[str, msgspec.Raw]) -> tuple[str, int]:
    """Return all text of the request and the number of its messages."""
    texts: list[str] = []
    messages = 0
    for name in _TEXT_MEMBERS:
        if name in members:
            value = _decoded(members[name])
            messages += len(value) if name == "messages" and isinstance(value, list) else 0
            texts.extend(_walk(value))
    return "\n".join(texts), messages


def _decoded(member: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(member)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(member).decode(errors="replace")  # it was sent all the same, so it counts as a text


def _walk(value: object) -> Iterator[str]:
    pending = [value]
    while pending:  # a loop: the depth of a request is the client's choice
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            pending.extend(inner for name, inner in reversed(item.items()) if _may_have_words(name, inner))


def _may_have_words(name: str, inner: object) -> bool:
    return name not in _NOT_TEXT and not (name in _NO_WORDS and isinstance(inner, str))

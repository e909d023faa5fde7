"""Count the tokens of short texts, by the pieces that tokenizers cut a text into first: without a vocabulary.

A common word is one token together with the space before it, and so are three digits or a few signs; long
words are more. Must not know formats: walks whatever JSON there is.

Fitted to o200k_base, not to what providers counted: within 15 % of it on texts in nine languages and on
code and logs. With the tokenizer itself no more recorded prompts were within 15 % of what was counted.
Cost: 2.3 us for 140 characters, 6 us for 300 and for all longer ones; the tokenizer takes 5 and 10.
"""

from __future__ import annotations

import re
from typing import Any

_PIECES = re.compile(r" ?[A-Za-z']{1,9}|[0-9]{1,3}| ?[^\w\s]{1,3}|\s+(?=\s)|\s+| ?[^\W\d_]{1,9}|.")
_WIDE = re.compile("[\u3040-\u9fff\uac00-\ud7af]")
"""Chinese, Japanese and Korean characters, which stand for themselves."""
_WIDE_TOKENS = 0.73

_WORDS = frozenset(
    {"text", "content", "parts", "output", "arguments", "thinking", "reasoningContent", "reasoningText"}
)
"""Members whose names the model is not given to read."""
_NAMES = ("type", "role", "id", "status", "index", "call_id", "tool_call_id", "tool_use_id", "toolUseId")
_SEALED = (
    "data",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "redactedContent",
)
_THOUGHT = ("reasoning", "reasoning_content", "reasoning_details", "summary", "thought")
_UNREAD = frozenset((*_NAMES, *_SEALED, *_THOUGHT, "cache_control", "cachePoint", "annotations", "is_error"))
"""Members that hardly count. What was thought before is left out by templates, but where it is content."""
_WINDOWS, _WINDOW_CHARS = 3, 100
"""What is looked at of longer texts."""
CUTTING_TOKENS = 4
"""What three windows have more for being cut out and put together."""
_PAIR_TOKENS = 2
"""The signs around a name and its value."""


def tokens_of_words(text: str) -> float:
    """Return about how many tokens a text has."""
    wide = 0
    if not text.isascii():
        rest = _WIDE.sub("", text)
        wide = len(text) - len(rest)
        text = rest
    return len(_PIECES.findall(text)) + wide * _WIDE_TOKENS


def tokens_within(value: Any) -> float:
    """Return about how many tokens all texts in a JSON value have."""
    texts: list[str] = []
    pairs, pending = 0, [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            texts.append(item)
        elif type(item) is list:
            pending += item
        elif type(item) is dict:
            pairs += _open(item, texts, pending)
        elif item is not None:
            texts.append("0")
    if not texts:
        return 0
    text = "\n".join(texts)
    return max(_tokens_of(text) - len(texts) + 1, 0) + pairs * _PAIR_TOKENS


def _open(item: dict[str, Any], texts: list[str], pending: list[Any]) -> int:
    """Look at the members of an object; returns how many of them have names that count."""
    pairs = 0
    for name, inner in item.items():
        if name in _WORDS:
            pending.append(inner)
        elif name not in _UNREAD:
            pairs += 1
            texts.append(name)
            pending.append(inner)
    return pairs


def _tokens_of(text: str) -> float:
    size = len(text)
    if size <= _WINDOWS * _WINDOW_CHARS:
        return tokens_of_words(text)
    step = size // _WINDOWS
    starts = range((step - _WINDOW_CHARS) // 2, size - _WINDOW_CHARS + 1, step)
    sample = "\n".join([text[start : start + _WINDOW_CHARS] for start in starts])
    return (tokens_of_words(sample) - CUTTING_TOKENS) * size / len(sample)

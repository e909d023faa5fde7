"""Estimate how many tokens a request has: without a tokenizer, and of long ones without decoding text.

What is short is counted by its words. Of what is long, a sample of the bytes says what kind of text it is;
each kind has its bytes per token. Media count a fixed number each, whatever their size. Must not know what
formats are like.

Fitted to o200k_base on a few texts (9 languages, code, logs, JSON), where it is within 25 %; what stands
around turns, to recorded answers. What a provider adds beside is learnt (`gateway.quotas.estimates`).
Cost: 6 us for 140 characters, at most 11 us for any length, beside reading the turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from gateway.exchange import Feature, Format
from gateway.quotas.estimates import Prompt
from gateway.routing.signals.body import INSTRUCTIONS, TURNS, Contents, Turn
from gateway.routing.signals.pieces import CUTTING_TOKENS, tokens_of_words, tokens_within

_SAID = frozenset({*INSTRUCTIONS, *TURNS, "suffix"})
_TOOLS = frozenset({"tools", "functions", "toolConfig"})
_DECLARED = _TOOLS | {"response_format", "text", "output_format", "output_config"}
"""Members that the model is given to read beside: also schemas, which most providers put into the prompt."""
_LEAST_BYTES = 4
"""What is not longer is null, or empty."""
_COUNTED_BYTES, _COUNTED_TURNS = 2048, 4
"""What is said in more is estimated from samples of its bytes."""
_MEDIA_TOKENS: Mapping[Feature, int] = {"images": 1000, "audio": 500, "files": 2000}
"""Rough: providers differ by a factor of six, and what counts (pixels, seconds, pages) is not looked at."""
_TURN_BYTES, _PART_BYTES, _BARE_PART_BYTES = 30, 24, 11
"""What JSON puts around a turn, and around a part of one, with its type or without."""
_TURN_TOKENS, _CALL_TOKENS = 3, 3
"""What most providers count around a turn and around all of them; where turns are `contents`, nothing is."""
_BARE_TURNS = "contents"
_TURN_BESIDE = "instructions"
"""Instructions that are put before the turns as one of them."""
_TURN_FROM_STRING: frozenset[Format] = frozenset({"responses"})
"""Where a lone string is put into the template like a turn."""
_anything = msgspec.json.Decoder(Any)

_WINDOWS, _WINDOW_BYTES = 3, 100
_SHORT_BYTES = 1 << 14
_LETTERS = b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "{}[]:\\'
"""With the signs of JSON, of which several are one token."""
_ASCII, _NOT_ASCII = bytes(range(128)), bytes(range(128, 256))
_TRAILING, _WIDE = bytes(range(0x80, 0xC0)), bytes(range(0x80, 0xE3))
"""Bytes that do not begin a character; and those that do not begin one of Chinese, Japanese or Korean."""
_ESCAPED = re.compile(rb"\\u[0-9a-fA-F]{4}|^u?[0-9a-fA-F]{1,4}(?=\\)|\\(?:u[0-9a-fA-F]{0,3})?$", re.MULTILINE)
"""Also what is left of one at the edges of the windows."""
_LETTER_TOKENS, _SIGN_TOKENS, _WIDE_TOKENS, _NARROW_TOKENS = 0.19, 0.62, 0.73, 0.25
"""Tokens by character: of Latin letters and spaces; digits and signs; ideographs; other letters."""


def tokens_of(members: Mapping[str, msgspec.Raw], turns: Sequence[Turn], contents: Contents) -> int:
    """Estimate the tokens of all that the model is given to read, whatever the model."""
    return tokens_with_turns(prompt_of(members, turns, contents), members)


def tokens_with_turns(prompt: Prompt, members: Mapping[str, msgspec.Raw]) -> int:
    """Return the tokens of a prompt with what most models put around turns."""
    if prompt.turns and _BARE_TURNS not in members:
        return prompt.tokens + _TURN_TOKENS * prompt.turns + _CALL_TOKENS
    return prompt.tokens


def tokens_roughly(members: Mapping[str, msgspec.Raw], turns: Sequence[Turn], contents: Contents) -> int:
    """Estimate the tokens of a prompt by samples of its bytes alone: good for routing, and 7 us faster."""
    return tokens_with_turns(prompt_of(members, turns, contents, roughly=True), members)


def prompt_of(
    members: Mapping[str, msgspec.Raw],
    turns: Sequence[Turn],
    contents: Contents,
    *,
    roughly: bool = False,
) -> Prompt:
    """Return what is there to be counted, without what a model's template puts around its turns."""
    said, declared, has_tools = [], [], False
    for name, raw in members.items():
        if name in _SAID:
            said.append(raw)
        elif name in _DECLARED and len(raw) > _LEAST_BYTES:
            declared.append(raw)
            has_tools = has_tools or name in _TOOLS
    taken = len([turn for turn in turns if turn.role is not None])  # a lone string has nothing around it
    tokens = sum(map(len, declared)) * _tokens_per_byte(max(declared, key=len)) if declared else 0.0
    if said:
        by_bytes = has_tools or roughly
        is_short = len(turns) <= _COUNTED_TURNS and sum(map(len, said)) <= _COUNTED_BYTES
        if is_short and not has_tools and not contents.media and not roughly:
            tokens += sum(map(_tokens_counted, said))
        else:
            # What stands in JSON around calls of tools is about what providers put around them.
            longest = max(said, key=len)
            per_byte = _tokens_per_byte(longest) if by_bytes else _words_per_byte(longest)
            tokens += _size_bytes(said, taken, contents) * per_byte
    media = sum(map(_MEDIA_TOKENS.__getitem__, contents.media)) if contents.media else 0
    return Prompt(int(tokens) + media, taken + (_TURN_BESIDE in members))


def as_asked(prompt: Prompt, format_: Format, features: AbstractSet[Feature]) -> Prompt:
    """Return a prompt with what else changes how it is counted."""
    turns = prompt.turns or int(format_ in _TURN_FROM_STRING)
    has_tools, has_schema = "tools" in features, "json_schema" in features
    return Prompt(prompt.tokens, turns, has_tools, has_schema, "reasoning" in features)


def _tokens_counted(raw: msgspec.Raw) -> float:
    try:
        return tokens_within(_anything.decode(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return len(raw) * _tokens_per_byte(raw)  # whoever sends it will say what is wrong with it


def _size_bytes(texts: Sequence[msgspec.Raw], turns: int, contents: Contents) -> int:
    size_bytes = sum(map(len, texts)) - contents.media_bytes - _TURN_BYTES * turns
    if contents.parts:
        size_bytes -= contents.parts * (_PART_BYTES if _has_types(max(texts, key=len)) else _BARE_PART_BYTES)
    return max(size_bytes, 1)


def tokens_of_text(text: bytes) -> int:
    """Estimate the tokens of a text."""
    return int(len(text) * _tokens_per_byte(text)) if text else 0


def _has_types(raw: msgspec.Raw) -> bool:
    # Around long texts, it does not matter.
    return len(raw) > _SHORT_BYTES or b'"type"' in bytes(raw)


def _words_per_byte(raw: msgspec.Raw) -> float:
    sample = _sample(bytes(raw) if len(raw) <= _SHORT_BYTES else memoryview(raw))
    if b"\\u" in sample:
        return _tokens_per_byte(raw)
    text = sample.decode(errors="ignore")
    if "\\" in text:
        text = text.replace("\\n", "\n").replace('\\"', '"')
    return max(tokens_of_words(text) - CUTTING_TOKENS, 1) / len(sample)


def _tokens_per_byte(raw: msgspec.Raw | bytes) -> float:
    # A copy of what is short is cheaper to look at.
    sample = _sample(bytes(raw) if len(raw) <= _SHORT_BYTES else memoryview(raw))
    tokens, rest = 0.0, sample
    if b"\\" in sample and b"\\u" in sample:
        rest = _ESCAPED.sub(b"", sample)
        narrow = sample.count(b"\\u0")
        tokens = narrow * _NARROW_TOKENS + (sample.count(b"\\u") - narrow) * _WIDE_TOKENS
    if not rest.isascii():
        beginnings = rest.translate(None, _ASCII + _TRAILING)
        wide = len(beginnings.translate(None, _WIDE))
        tokens += wide * _WIDE_TOKENS + (len(beginnings) - wide) * _NARROW_TOKENS
        rest = rest.translate(None, _NOT_ASCII)
    signs = len(rest.translate(None, _LETTERS))
    tokens += (len(rest) - signs) * _LETTER_TOKENS + signs * _SIGN_TOKENS
    return tokens / len(sample)


def _sample(raw: bytes | memoryview) -> bytes:
    whole = len(raw)
    if whole <= _WINDOWS * _WINDOW_BYTES:
        return bytes(raw)
    step = whole // _WINDOWS  # not from the very beginning, which is like nothing else
    starts = range((step - _WINDOW_BYTES) // 2, whole - _WINDOW_BYTES + 1, step)
    return b"\n".join([raw[start : start + _WINDOW_BYTES] for start in starts])

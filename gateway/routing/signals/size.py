"""Estimate how many tokens a request has, from bytes: without a tokenizer, and without decoding text.

A sample of the bytes says what kind of text it is; each kind has its bytes per token. Media count a fixed
number each, whatever their size. Must not know formats.

Fitted to o200k_base on a few texts (9 languages, code, logs, JSON), where it is within 25 %. Cost (4 KiB):
4 us, beside reading the turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from gateway.exchange import Feature
from gateway.routing.signals.body import INSTRUCTIONS, TURNS, Contents, Turn

_TEXTS = frozenset({*INSTRUCTIONS, *TURNS, "tools", "functions", "toolConfig", "suffix"})
_MEDIA_TOKENS: Mapping[Feature, int] = {"images": 1000, "audio": 500, "files": 2000}
"""Rough: providers differ by a factor of six, and what counts (pixels, seconds, pages) is not looked at."""
_TURN_BYTES, _PART_BYTES, _TURN_TOKENS = 30, 24, 4
"""What JSON puts around a turn or a part of it, and what a provider counts for that."""

_WINDOWS, _WINDOW_BYTES = 3, 160
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
    """Estimate the tokens of all that the model is given to read."""
    texts = [raw for name, raw in members.items() if name in _TEXTS]
    if not texts:
        return 0
    size_bytes = sum(map(len, texts)) - contents.media_bytes
    said = len([turn for turn in turns if turn.role is not None])  # a lone string has nothing around it
    size_bytes -= _TURN_BYTES * said + _PART_BYTES * contents.parts
    tokens = max(size_bytes, 1) * _tokens_per_byte(max(texts, key=len))
    tokens += _TURN_TOKENS * said
    media = contents.media
    return int(tokens) + (sum(map(_MEDIA_TOKENS.__getitem__, media)) if media else 0)


def tokens_of_text(text: bytes) -> int:
    """Estimate the tokens of a text."""
    return int(len(text) * _tokens_per_byte(text)) if text else 0


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
    step = (whole - _WINDOW_BYTES) // (_WINDOWS - 1)
    return b"\n".join([raw[at * step : at * step + _WINDOW_BYTES] for at in range(_WINDOWS)])

"""The names that bills and providers give models and kinds of tokens, made alike. Pure.

Dated snapshots, versions, regions and vendors in front are left out:
`us.anthropic.claude-3-5-sonnet-20241022-v2:0`, `Claude 3.5 Sonnet` and
`USE1-Claude3.5Sonnet-input-tokens` are all `claude-sonnet-3-5`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Kind = Literal["input", "cached", "cache_write", "output", "other", ""]
"""As far as bills tell kinds apart; empty: it does not say."""

_AHEAD = re.compile(
    r"^(?:models/|publishers/[^/]+/models/|[a-z0-9_-]+/|"
    r"(?:us|eu|apac|global|us-gov|au|jp)\.(?=[a-z])|"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|google)\.)"
)
_BEHIND = re.compile(
    r"(?:-v\d+)?:\d+$|:[a-z0-9_-]*:.*$|@(?:\d{8}|default|latest)$|-20\d\d-?[01]\d-?[0-3]\d$|-v\d+$|"
    r"-(?:latest|preview-\d\d-\d\d(?:-20\d\d)?|0\d\d|[01]\d[0-3]\d)$"
)
_SEPARATORS = re.compile(r"[\s._:@]+")
_GAP = r"[\s._-]?"
_VERSION = rf"(\d{{1,2}}(?:{_GAP}\d)?(?!\d))"
_CLAUDE = re.compile(rf"(claude){_GAP}{_VERSION}{_GAP}(opus|sonnet|haiku)")
"""Later its version went behind."""
_FAMILIES = (
    re.compile(rf"(gpt){_GAP}(\d(?:\.\d|o)?)(?:{_GAP}(mini|nano|turbo|pro|codex)(?![a-z]))?"),
    _CLAUDE,
    re.compile(rf"(claude){_GAP}(opus|sonnet|haiku){_GAP}{_VERSION}"),
    re.compile(
        rf"(gemini){_GAP}{_VERSION}{_GAP}(pro|flash{_GAP}lite|flash|ultra|nano)(?:{_GAP}(image|tts|live))?"
    ),
    re.compile(rf"(nova){_GAP}(?:{_VERSION}{_GAP})?(micro|lite|pro|premier|canvas|reel|sonic)"),
    re.compile(rf"(llama){_GAP}{_VERSION}{_GAP}(\d+b)"),
    re.compile(rf"(mistral|mixtral){_GAP}(large|small|medium|7b|8x7b)"),
    re.compile(rf"(titan){_GAP}(embeddings?|text)"),
    re.compile(rf"(command){_GAP}(r{_GAP}plus|r|a|light)"),
)


@lru_cache(4096)
def canonical(name: str) -> str:
    """Return a model's name as it is compared."""
    name = name.strip().lower()
    if name.startswith("ft:"):
        # Fine-tuned models have prices of their own.
        return "ft-" + canonical(name.split(":")[1])
    while (shorter := _AHEAD.sub("", name)) != name:
        name = shorter
    while (shorter := _BEHIND.sub("", name)) and shorter != name:
        name = shorter
    return _CLAUDE.sub(_turned, _SEPARATORS.sub("-", name).strip("-"))


@lru_cache(4096)
def model_in(text: str) -> str:
    """Return the model that a description tells of, as it is compared; else the description."""
    lower = text.lower()
    for family in _FAMILIES:
        if found := family.search(lower):
            if family is _CLAUDE:
                return _turned(found)
            return "-".join(map(_hyphened, filter(None, found.groups())))
    return canonical(text)


def _turned(found: re.Match[str]) -> str:
    name, version, size = found.groups()
    return f"{name}-{size}-{_hyphened(version)}"


def _hyphened(part: str) -> str:
    return re.sub(r"[\s._-]+", "-", part)


@lru_cache(1024)
def kind_in(text: str) -> Kind:
    """Return the kind of tokens that a description tells of."""
    lower = text.lower()
    fresh = any(sign in lower for sign in ("no_cache", "uncached", "non-cached", "noncached"))
    if "cach" in lower and not fresh:
        return "cache_write" if "writ" in lower or "creat" in lower or "storage" in lower else "cached"
    for kind, signs in _SIGNS:
        if any(sign in lower for sign in signs):
            return kind
    return ""


_SIGNS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("other", ("search", "code_execution", "character", "request", "second")),
    ("output", ("output", "completion", "candidate", "response", "reasoning", "thinking")),
    ("input", ("input", "prompt", "embedding")),
)

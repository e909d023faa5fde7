"""Read what embeddings and rankings used, and of which model they are, out of any provider's answer.

The vectors are skipped, not decoded. Sources: API references of OpenAI, Cohere, Voyage, Jina, Google,
AWS and Ollama (checked 2026-11); recorded answers of 9 hosts.
"""

from __future__ import annotations

import msgspec

from gateway.exchange import Format, Usage
from gateway.formats.neutral.completion import MOST_CHARS
from gateway.formats.neutral.reading import believed, value_in

VECTORS: tuple[Format, ...] = (
    *("embeddings", "gemini_embeddings", "cohere_embeddings", "titan_embeddings", "ollama_embeddings"),
    *("rerank", "voyage_rerank"),
)
"""The formats whose usage is read here."""

Number = int | float
_NULL = msgspec.Raw(b"null")


class _Tokens(msgspec.Struct):
    prompt_tokens: Number | None = None
    total_tokens: Number | None = None
    search_units: Number | None = None


class _Units(msgspec.Struct):
    input_tokens: Number | None = None
    image_tokens: Number | None = None
    search_units: Number | None = None


class _Meta(msgspec.Struct):
    billed_units: _Units | None = None
    tokens: _Units | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    prompt_token_count: Number | None = None


class _OpenAI(msgspec.Struct):
    """OpenAI's `usage`, which Voyage and Jina fill with a total only; Cohere has `meta` in its place."""

    usage: _Tokens | None = None
    meta: _Meta | None = None
    model: msgspec.Raw = _NULL


class _Google(msgspec.Struct, rename="camel"):
    usage_metadata: _Metadata | None = None


class _Titan(msgspec.Struct):
    count: Number | None = msgspec.field(default=None, name="inputTextTokenCount")


class _Ollama(msgspec.Struct):
    prompt_eval_count: Number | None = None
    model: msgspec.Raw = _NULL


_openai = msgspec.json.Decoder(_OpenAI)
_google = msgspec.json.Decoder(_Google)
_titan = msgspec.json.Decoder(_Titan)
_ollama = msgspec.json.Decoder(_Ollama)


def read_vector_usage(body: bytes, wire: Format) -> tuple[Usage | None, str]:
    """Read the usage of an answer in the format `wire`, None when it tells none; and the model's name.

    Nobody tells of output tokens here. Units of search are counted as `searches`.
    """
    try:
        if wire == "gemini_embeddings":
            metadata = _google.decode(body).usage_metadata
            return _usage(metadata.prompt_token_count if metadata else None), ""
        if wire == "titan_embeddings":
            return _usage(_titan.decode(body).count), ""
        if wire == "ollama_embeddings":
            local = _ollama.decode(body)
            return _usage(local.prompt_eval_count), _name(local.model)
        seen = _openai.decode(body)
        return _openai_usage(seen), _name(seen.model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, ""


def _name(told: msgspec.Raw) -> str:
    return (value_in(told) or "")[:MOST_CHARS]


def _openai_usage(seen: _OpenAI) -> Usage | None:
    told = seen.usage or _Tokens()
    meta = seen.meta or _Meta()
    billed, counted = meta.billed_units or _Units(), meta.tokens or _Units()
    tokens = told.prompt_tokens if told.prompt_tokens is not None else told.total_tokens
    if tokens is None:
        tokens = billed.input_tokens if billed.input_tokens is not None else counted.input_tokens
    searches = told.search_units if billed.search_units is None else billed.search_units
    return _usage(tokens, billed.image_tokens, searches)


def _usage(
    tokens: Number | None, images: Number | None = None, searches: Number | None = None
) -> Usage | None:
    if tokens is None and images is None and searches is None:
        return None
    seen = int(images or 0)
    usage = Usage(int(tokens or 0) + seen, image_input_tokens=seen, searches=int(searches or 0))
    return believed(usage, tokens)

"""Embeddings for clients that speak OpenAI's API, from providers that have an API of their own.

The upstream is always asked for floats: base64, which OpenAI's SDK asks for by default, is made here.
Token ids cannot be sent, because no two providers have the same tokens.

Sources: OpenAI "Embeddings", Google "batchEmbedContents", Cohere "Embed v2" (Bedrock's Cohere Embed has
the same body), AWS "Amazon Titan Text Embeddings", Ollama "Generate embeddings" (checked 2026-11).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping

import msgspec

from gateway.errors import BadAnswer, BadRequest, Unsupported
from gateway.exchange import Format, Usage
from gateway.formats.neutral.reading import read_answer, read_members
from gateway.formats.vectors.neutral import Texts, Truncation, Vectors
from gateway.formats.vectors.usage import read_vector_usage

INPUT_TYPES: Mapping[str, Mapping[Format, str]] = {
    "search_document": {"cohere_embeddings": "search_document", "gemini_embeddings": "RETRIEVAL_DOCUMENT"},
    "search_query": {"cohere_embeddings": "search_query", "gemini_embeddings": "RETRIEVAL_QUERY"},
    "classification": {"cohere_embeddings": "classification", "gemini_embeddings": "CLASSIFICATION"},
    "clustering": {"cohere_embeddings": "clustering", "gemini_embeddings": "CLUSTERING"},
    "semantic_similarity": {"gemini_embeddings": "SEMANTIC_SIMILARITY"},
}
"""What a text is embedded for, in Cohere's words, with the word of each format that has one."""

_SYNONYMS = {"document": "search_document", "passage": "search_document", "query": "search_query"}
"""The words of Voyage and NVIDIA."""

_TRUNCATIONS: Mapping[str, Truncation] = {"none": "none", "start": "start", "end": "end"}
"""Cohere's words; a flag means the end, as with Ollama."""

_DROPPED = ("user",)
"""Members that only steer: no provider here has a name for them."""


class _Request(msgspec.Struct):
    input: str | list[str | int | list[int]] | None = None
    dimensions: int | None = None
    encoding_format: str | None = None
    input_type: str | None = None
    truncate: str | bool | None = None


class _ByType(msgspec.Struct):
    floats: list[list[float]] | None = msgspec.field(default=None, name="float")


class _Cohere(msgspec.Struct):
    embeddings: _ByType | list[list[float]] | None = None
    """By type, or the plain list of an answer where no type was asked for."""


class _Values(msgspec.Struct):
    values: list[float]


class _Google(msgspec.Struct):
    embeddings: list[_Values]


class _Titan(msgspec.Struct):
    embedding: list[float]


class _Ollama(msgspec.Struct):
    embeddings: list[list[float]]


def encode_embedding_request(
    members: Mapping[str, msgspec.Raw], wire: Format
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Write the members of the upstream's request but its model; second, what it has no place for.

    Raises BadRequest naming the place at fault, Unsupported for what would give other vectors. Google
    wants the model's name in each of `requests` too: that is its backend's to add.
    """
    texts = read_texts(members)
    _refuse_unknown(members)
    if texts.tokens:
        raise Unsupported("token ids mean something to their own provider only: send texts", param="input")
    written, lost = _ENCODERS[wire](texts)
    dropped = [name for name in _DROPPED if _is_said(members, name)]
    return written, (*dropped, *(name for name in lost if _is_said(members, name)))


def read_texts(members: Mapping[str, msgspec.Raw]) -> Texts:
    """Read an OpenAI embeddings request. Raises BadRequest naming the place at fault."""
    seen = read_members(members, _Request)
    given = [seen.input] if isinstance(seen.input, str) else seen.input
    if not given or "" in given:
        raise BadRequest("there is no input to embed", param="input", code="missing_required_parameter")
    if len({type(item) for item in given}) > 1:
        raise BadRequest("input is neither all texts nor all token ids", param="input", code="invalid_type")
    if seen.encoding_format not in {None, "float", "base64"}:
        raise BadRequest("encoding_format is neither float nor base64", param="encoding_format")
    if seen.dimensions is not None and seen.dimensions < 1:
        raise BadRequest("dimensions must be at least 1", param="dimensions")
    strings = tuple(item for item in given if isinstance(item, str))
    numbers = tuple(item for item in given if isinstance(item, int))
    lists = tuple(tuple(item) for item in given if isinstance(item, list))
    return Texts(
        strings,
        (numbers,) if numbers else lists,
        dimensions=seen.dimensions,
        encoding="base64" if seen.encoding_format == "base64" else "float",
        input_type=_read_input_type(seen.input_type),
        truncate=_read_truncate(seen),
    )


def _read_input_type(word: str | None) -> str:
    known = _SYNONYMS.get(word or "", word or "")
    if known and known not in INPUT_TYPES:
        raise BadRequest(f"input_type is not one of {', '.join(INPUT_TYPES)}", param="input_type")
    return known


def _read_truncate(seen: _Request) -> Truncation:
    said = seen.truncate
    if said is None or isinstance(said, bool):
        return "" if said is None else "end" if said else "none"
    if said.lower() not in _TRUNCATIONS:
        raise BadRequest("truncate is none of NONE, START, END", param="truncate")
    return _TRUNCATIONS[said.lower()]


def _is_said(members: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in members and bytes(members[name]) != b"null"


def _refuse_unknown(members: Mapping[str, msgspec.Raw]) -> None:
    known = {*_Request.__struct_fields__, *_DROPPED, "model"}
    for name in members:
        if name not in known and _is_said(members, name):
            raise Unsupported(f"{name} cannot be expressed in the format that the target speaks", param=name)


Written = tuple[dict[str, object], tuple[str, ...]]
"""The members of a request, and the names of what they do not say."""


def _encode_cohere(texts: Texts) -> Written:
    """Cohere's models want to know what for: what is not said is taken to be stored and searched."""
    members: dict[str, object] = {
        "texts": texts.texts,
        "input_type": _word_for(texts, "cohere_embeddings") or "search_document",
        "embedding_types": ["float"],
    }
    if texts.dimensions is not None:
        members["output_dimension"] = texts.dimensions
    if texts.truncate:
        members["truncate"] = texts.truncate.upper()
    return members, ()


def _encode_google(texts: Texts) -> Written:
    said: dict[str, object] = {}
    if word := _word_for(texts, "gemini_embeddings"):
        said["taskType"] = word
    if texts.dimensions is not None:
        said["outputDimensionality"] = texts.dimensions
    requests = [{"content": {"parts": [{"text": text}]}, **said} for text in texts.texts]
    return {"requests": requests}, ("truncate",)


def _encode_titan(texts: Texts) -> Written:
    if len(texts.texts) != 1:
        raise Unsupported("Titan embeds one text per call: send one input", param="input")
    members: dict[str, object] = {"inputText": texts.texts[0]}
    if texts.dimensions is not None:
        members["dimensions"] = texts.dimensions
    return members, ("input_type", "truncate")


def _encode_ollama(texts: Texts) -> Written:
    members: dict[str, object] = {"input": texts.texts}
    if texts.dimensions is not None:
        members["dimensions"] = texts.dimensions
    if texts.truncate == "start":
        raise Unsupported("Ollama truncates texts at their end only", param="truncate")
    if texts.truncate:
        members["truncate"] = texts.truncate == "end"
    return members, ("input_type",)


def _word_for(texts: Texts, wire: Format) -> str:
    if not texts.input_type:
        return ""
    word = INPUT_TYPES[texts.input_type].get(wire)
    if word is None:
        raise Unsupported(f"the target has no input_type {texts.input_type}", param="input_type")
    return word


_ENCODERS: Mapping[Format, Callable[[Texts], Written]] = {
    "cohere_embeddings": _encode_cohere,
    "gemini_embeddings": _encode_google,
    "titan_embeddings": _encode_titan,
    "ollama_embeddings": _encode_ollama,
}


def decode_embedding_answer(
    body: bytes, wire: Format, members: Mapping[str, msgspec.Raw], model: str
) -> tuple[bytes, Usage | None, str]:
    """Write an upstream's answer as OpenAI's; `members` are the client's request, `model` the name to show.

    Returns it with its usage, and the upstream's name of the model.
    Raises Failed when it is not an answer, or has not one vector for each input. A usage that was not
    told is None, and 0 in the answer, because OpenAI's clients look for it.
    """
    texts = read_texts(members)
    found = read_vectors(body, wire)
    if len(found.vectors) != len(texts.texts):
        raise BadAnswer(f"the upstream gave {len(found.vectors)} vectors for {len(texts.texts)} texts")
    tokens = found.usage.input_tokens if found.usage else 0
    packed = texts.encoding == "base64"
    answer = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": pack(vector) if packed else vector}
            for i, vector in enumerate(found.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return msgspec.json.encode(answer), found.usage, found.model


def read_vectors(body: bytes, wire: Format) -> Vectors:
    """Read the vectors of an answer in the format `wire`. Raises Failed."""
    return Vectors(_READERS[wire](body), *read_vector_usage(body, wire))


def pack(vector: list[float]) -> str:
    """Write a vector as OpenAI does: base64 of its 32-bit floats, little-endian. Raises Failed."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise BadAnswer("the upstream gave a vector beyond 32-bit floats") from None


def _read_cohere(body: bytes) -> list[list[float]]:
    found = read_answer(body, _Cohere).embeddings
    return (found.floats or []) if isinstance(found, _ByType) else found or []


def _read_google(body: bytes) -> list[list[float]]:
    return [embedding.values for embedding in read_answer(body, _Google).embeddings]


def _read_titan(body: bytes) -> list[list[float]]:
    return [read_answer(body, _Titan).embedding]


def _read_ollama(body: bytes) -> list[list[float]]:
    return read_answer(body, _Ollama).embeddings


_READERS: Mapping[Format, Callable[[bytes], list[list[float]]]] = {
    "cohere_embeddings": _read_cohere,
    "gemini_embeddings": _read_google,
    "titan_embeddings": _read_titan,
    "ollama_embeddings": _read_ollama,
}

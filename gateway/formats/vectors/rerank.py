"""Rankings for clients that speak Cohere's rerank API (Jina's and OpenRouter's too), from Voyage.

Sources: Cohere "Rerank v2", Jina "Reranker API", Voyage "Rerankers" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import BadAnswer, BadRequest, Unsupported
from gateway.exchange import Format, Usage
from gateway.formats.neutral.reading import read_answer, read_members
from gateway.formats.vectors.usage import read_vector_usage

_DROPPED = ("max_tokens_per_doc", "max_chunks_per_doc", "priority")
"""Members that only steer how it is done: Voyage has no name for them."""


class _Request(msgspec.Struct):
    query: str | None = None
    documents: list[str | dict[str, Any]] | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    truncation: bool | None = None


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float


class _Voyage(msgspec.Struct):
    data: list[_Ranked]


def encode_rerank_request(
    members: Mapping[str, msgspec.Raw], wire: Format
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Write the members of the upstream's request but its model; second, what it has no place for.

    Raises BadRequest naming the place at fault, Unsupported for what would give another ranking.
    """
    if wire != "voyage_rerank":
        raise Unsupported(f"a ranking cannot be asked for in the {wire} format")
    seen = _read(members)
    known = {*_Request.__struct_fields__, *_DROPPED, "model"}
    said = [name for name, raw in members.items() if bytes(raw) != b"null"]
    if unknown := next((name for name in said if name not in known), None):
        raise Unsupported(f"{unknown} cannot be expressed in the {wire} format", param=unknown)
    written: dict[str, object] = {"query": seen.query, "documents": _texts_of(seen)}
    if seen.top_n is not None:
        written["top_k"] = seen.top_n
    if seen.truncation is not None:
        written["truncation"] = seen.truncation
    return written, tuple(name for name in _DROPPED if name in said)


def _read(members: Mapping[str, msgspec.Raw]) -> _Request:
    seen = read_members(members, _Request)
    for name, value in (("query", seen.query), ("documents", seen.documents)):
        if not value:
            raise BadRequest(f"there is no {name}", param=name, code="missing_required_parameter")
    if seen.top_n is not None and seen.top_n < 1:
        raise BadRequest("top_n must be at least 1", param="top_n")
    return seen


def _texts_of(seen: _Request) -> list[str]:
    """Return the texts that are ranked: of a document with other members too, its `text`."""
    texts = []
    for i, document in enumerate(seen.documents or ()):
        text = document if isinstance(document, str) else document.get("text")
        if not isinstance(text, str):
            raise BadRequest(f"documents[{i}] is neither a text nor has one", param=f"documents[{i}]")
        texts.append(text)
    return texts


def decode_rerank_answer(
    body: bytes, wire: Format, members: Mapping[str, msgspec.Raw], model: str
) -> tuple[bytes, Usage | None, str]:
    """Write an upstream's answer in Cohere's shape, with the documents out of the client's own request.

    `meta` has the tokens where Cohere's clients look, `usage` where Jina's do. Returns it with its usage, and
    the upstream's name of the model. Raises Failed.
    """
    seen = _read(members)
    documents = seen.documents or []
    ranked = read_answer(body, _Voyage).data
    results: list[dict[str, object]] = []
    for item in ranked:
        if not 0 <= item.index < len(documents):
            raise BadAnswer("the upstream ranked a document that was not sent")
        result: dict[str, object] = {"index": item.index, "relevance_score": item.relevance_score}
        if seen.return_documents:
            given = documents[item.index]
            result["document"] = {"text": given} if isinstance(given, str) else given
        results.append(result)
    usage, told = read_vector_usage(body, wire)
    answer: dict[str, object] = {"model": model, "results": results}
    if usage is not None:
        answer["meta"] = {"api_version": {"version": "2"}, "tokens": {"input_tokens": usage.input_tokens}}
        answer["usage"] = {"total_tokens": usage.input_tokens}
    return msgspec.json.encode(answer), usage, told

"""What embeddings and rankings used, out of any provider's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.recordings import Recording, load, parameters

from gateway.exchange import Format, Usage
from gateway.formats.vectors.usage import read_vector_usage


@pytest.mark.parametrize(
    ("wire", "value", "expected"),
    [
        ("embeddings", {"usage": {"prompt_tokens": 13, "total_tokens": 13}}, Usage(13)),
        ("embeddings", {"usage": {"total_tokens": 3}}, Usage(3)),
        ("embeddings", {"usage": {"prompt_tokens": 0}}, Usage()),
        ("embeddings", {"usage": {}}, None),
        ("embeddings", {"usage": None}, None),
        ("embeddings", {"data": []}, None),
        ("embeddings", {"usage": {"prompt_tokens": -1}}, None),
        ("embeddings", {"usage": {"prompt_tokens": 1e300}}, None),
        ("rerank", {"meta": {"billed_units": {"search_units": 2}}}, Usage(searches=2)),
        ("rerank", {"usage": {"total_tokens": 17, "search_units": 1}}, Usage(17, searches=1)),
        ("rerank", {"meta": {"tokens": {"input_tokens": 9}}}, Usage(9)),
        (
            "cohere_embeddings",
            {"meta": {"billed_units": {"input_tokens": 7, "image_tokens": 5}}},
            Usage(12, image_input_tokens=5),
        ),
        ("voyage_rerank", {"usage": {"total_tokens": 43}}, Usage(43)),
        ("gemini_embeddings", {"usageMetadata": {"promptTokenCount": 4}}, Usage(4)),
        ("gemini_embeddings", {"embeddings": []}, None),
        ("titan_embeddings", {"inputTextTokenCount": 6}, Usage(6)),
        ("ollama_embeddings", {"prompt_eval_count": 9}, Usage(9)),
    ],
)
def test_each_provider_tells_it_in_its_own_way(wire: Format, value: Any, expected: Usage | None) -> None:
    assert read_vector_usage(json.dumps(value).encode(), wire) == (expected, "")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"usage": 1}', b'"\xff"', b'{"a":' * 100_000])
@pytest.mark.parametrize("wire", ["embeddings", "gemini_embeddings", "titan_embeddings", "ollama_embeddings"])
def test_what_is_no_answer_tells_nothing(body: bytes, wire: Format) -> None:
    assert read_vector_usage(body, wire) == (None, "")


APIS = ("openai.embeddings", "cohere.embed", "cohere.rerank", "voyage.embeddings", "voyage.rerank")


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load(*APIS) if r.status == 200))
def test_recorded_answers_tell_it(recording: Recording) -> None:
    usage, model = read_vector_usage(recording.body, "rerank" if "rerank" in recording.api else "embeddings")
    value = json.loads(recording.body)
    assert model == value.get("model", "")
    told = value.get("usage") or value["meta"]["billed_units"]
    assert usage is not None
    assert usage.input_tokens == told.get("total_tokens", told.get("input_tokens", 0))
    assert usage.searches == told.get("search_units", 0)

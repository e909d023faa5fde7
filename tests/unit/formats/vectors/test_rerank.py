"""Cohere's rerank API in front of Voyage."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from gateway.errors import BadRequest, Failed, Unsupported
from gateway.exchange import Usage
from gateway.formats.vectors.rerank import decode_rerank_answer, encode_rerank_request

DOCUMENTS = ["a", {"text": "b", "id": 7}, {"text": "c"}]
RANKED = {"data": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}


def raw(**members: Any) -> dict[str, msgspec.Raw]:
    asked = {"model": "m", "query": "q", "documents": DOCUMENTS, **members}
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in asked.items()}


def test_voyage_is_asked_in_its_own_words() -> None:
    written, dropped = encode_rerank_request(
        raw(top_n=2, return_documents=True, max_tokens_per_doc=9, priority=None), "voyage_rerank"
    )
    assert written == {"query": "q", "documents": ["a", "b", "c"], "top_k": 2}
    assert dropped == ("max_tokens_per_doc",)
    assert encode_rerank_request(raw(truncation=False), "voyage_rerank")[0]["truncation"] is False


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": 1}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": [{"title": "t"}]}, "documents[0]"),
        ({"documents": ["a", {"text": 1}]}, "documents[1]"),
        ({"documents": ["a", 1]}, "documents[...]"),
        ({"top_n": 0}, "top_n"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        encode_rerank_request(raw(**members), "voyage_rerank")
    assert (refusal.value.param or "").split("[")[0] == param.split("[", maxsplit=1)[0]


def test_what_would_give_another_ranking_is_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        encode_rerank_request(raw(rank_fields=["title"]), "voyage_rerank")
    assert refusal.value.param == "rank_fields"
    with pytest.raises(Unsupported):
        encode_rerank_request(raw(), "chat")


@pytest.mark.parametrize("wanted", [False, True])
def test_the_answer_has_coheres_shape_and_the_clients_documents(wanted: bool) -> None:
    body = json.dumps({**RANKED, "usage": {"total_tokens": 43}}).encode()
    answer, usage, _ = decode_rerank_answer(body, "voyage_rerank", raw(return_documents=wanted), "shown")
    value = json.loads(answer)
    assert usage == Usage(43)
    assert [(item["index"], item["relevance_score"]) for item in value["results"]] == [(1, 0.9), (0, 0.1)]
    documents = [item.get("document") for item in value["results"]]
    assert documents == ([{"text": "b", "id": 7}, {"text": "a"}] if wanted else [None, None])
    assert (value["model"], value["usage"], value["meta"]["tokens"]) == (
        "shown",
        {"total_tokens": 43},
        {"input_tokens": 43},
    )


def test_a_usage_that_was_not_told_is_not_made_up() -> None:
    answer, usage, _ = decode_rerank_answer(json.dumps(RANKED).encode(), "voyage_rerank", raw(), "m")
    assert usage is None
    assert set(json.loads(answer)) == {"model", "results"}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"<html>", b"[" * 100_000, b'"\xff"'),
        b'{"data":[{"index":3,"relevance_score":1}]}',
        b'{"data":[{"index":-1,"relevance_score":1}]}',
    ],
)
def test_what_is_no_ranking_has_failed(body: bytes) -> None:
    with pytest.raises(Failed):
        decode_rerank_answer(body, "voyage_rerank", raw(), "m")


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(load("voyage.rerank")))
def test_a_recorded_exchange_with_voyage_is_translated(recording: Recording) -> None:
    assert recording.request is not None
    asked = dict(recording.request)
    members = raw(
        query=asked["query"],
        documents=asked["documents"],
        top_n=asked["top_k"],
        truncation=asked["truncation"],
    )
    assert encode_rerank_request(members, "voyage_rerank")[0] | {"model": asked["model"]} == asked
    answer, usage, model = decode_rerank_answer(recording.body, "voyage_rerank", members, "m")
    assert json.loads(answer)["results"] == [
        {"index": 0, "relevance_score": 0.69140625},
        {"index": 2, "relevance_score": 0.494140625},
    ]
    assert (usage, model) == (Usage(43), asked["model"])

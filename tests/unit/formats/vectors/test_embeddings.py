"""OpenAI's embeddings API in front of providers that have their own."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from rig.recordings import Recording, load, parameters

from gateway.errors import BadRequest, ClientError, Failed, Unsupported
from gateway.exchange import Format, Usage
from gateway.formats.vectors.embeddings import (
    decode_embedding_answer,
    encode_embedding_request,
    pack,
    read_vectors,
)

WIRES: tuple[Format, ...] = (
    *("cohere_embeddings", "gemini_embeddings", "titan_embeddings", "ollama_embeddings"),
)
VECTORS = [[0.5, -0.25], [1.0, 0.0]]
ANSWERS: dict[Format, Any] = {
    "cohere_embeddings": {"embeddings": {"float": VECTORS}, "meta": {"billed_units": {"input_tokens": 7}}},
    "gemini_embeddings": {
        "embeddings": [{"values": vector} for vector in VECTORS],
        "usageMetadata": {"promptTokenCount": 7},
    },
    "titan_embeddings": {"embedding": VECTORS[0], "inputTextTokenCount": 7},
    "ollama_embeddings": {"embeddings": VECTORS, "prompt_eval_count": 7},
}


def raw(**members: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in members.items()}


def encoded(wire: Format, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    written, dropped = encode_embedding_request(raw(**{"model": "m", "input": "a", **members}), wire)
    return json.loads(msgspec.json.encode(written)), dropped


def inputs_for(wire: Format) -> list[str]:
    return ["a"] if wire == "titan_embeddings" else ["a", "b"]


SAID = {"cohere_embeddings": {"texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]}}
SAID |= {"gemini_embeddings": {"requests": [{"content": {"parts": [{"text": "a"}]}}]}}
SAID |= {"titan_embeddings": {"inputText": "a"}, "ollama_embeddings": {"input": ["a"]}}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("given_as", ["a", ["a"]])
def test_a_text_is_asked_for_in_each_format(wire: Format, given_as: Any) -> None:
    assert encoded(wire, input=given_as, encoding_format="base64") == (SAID[wire], ())


def test_several_texts_are_several_requests_to_google() -> None:
    written, _ = encoded("gemini_embeddings", input=["a", "b"], dimensions=5, input_type="query")
    said = {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 5}
    assert written["requests"] == [{"content": {"parts": [{"text": text}]}, **said} for text in ("a", "b")]


def test_titan_takes_one_text() -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded("titan_embeddings", input=["a", "b"])
    assert refusal.value.param == "input"


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("cohere_embeddings", "output_dimension"),
        ("titan_embeddings", "dimensions"),
        ("ollama_embeddings", "dimensions"),
    ],
)
def test_dimensions_are_asked_for(wire: Format, name: str) -> None:
    assert encoded(wire, dimensions=256)[0][name] == 256


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_token_ids_go_nowhere_else(wire: Format, tokens: Any) -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(wire, input=tokens)
    assert refusal.value.param == "input"


@pytest.mark.parametrize(
    ("wire", "said", "expected"),
    [
        ("cohere_embeddings", "START", {"truncate": "START"}),
        ("cohere_embeddings", True, {"truncate": "END"}),
        ("cohere_embeddings", False, {"truncate": "NONE"}),
        ("ollama_embeddings", "END", {"truncate": True}),
        ("ollama_embeddings", "none", {"truncate": False}),
    ],
)
def test_truncation_is_asked_for(wire: Format, said: Any, expected: dict[str, Any]) -> None:
    written, dropped = encoded(wire, truncate=said)
    assert written.items() >= expected.items()
    assert dropped == ()


@pytest.mark.parametrize(
    ("wire", "members", "dropped"),
    [
        ("cohere_embeddings", {"user": "u"}, ("user",)),
        ("cohere_embeddings", {"user": None}, ()),
        ("gemini_embeddings", {"user": "u", "truncate": "END"}, ("user", "truncate")),
        ("titan_embeddings", {"input_type": "query", "truncate": True}, ("input_type", "truncate")),
        ("ollama_embeddings", {"input_type": "passage"}, ("input_type",)),
    ],
)
def test_what_only_steers_is_dropped_and_named(
    wire: Format, members: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert encoded(wire, **members)[1] == dropped


@pytest.mark.parametrize(
    ("wire", "members", "param"),
    [
        ("cohere_embeddings", {"input_type": "semantic_similarity"}, "input_type"),
        ("ollama_embeddings", {"truncate": "START"}, "truncate"),
        ("cohere_embeddings", {"output_dtype": "int8"}, "output_dtype"),
    ],
)
def test_what_would_give_other_vectors_is_refused(wire: Format, members: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(wire, **members)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"input_type": "joke"}, "input_type"),
        ({"truncate": "MIDDLE"}, "truncate"),
    ],
)
@pytest.mark.parametrize("wire", WIRES)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str, wire: Format) -> None:
    with pytest.raises(BadRequest) as refusal:
        encoded(wire, **members)
    assert (refusal.value.param or "").split("[")[0] == param


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openais_sdk_reads_the_answer(wire: Format, encoding: str) -> None:
    texts = inputs_for(wire)
    members = raw(model="m", input=texts, encoding_format=encoding)
    body, usage, _ = decode_embedding_answer(json.dumps(ANSWERS[wire]).encode(), wire, members, "shown")
    assert usage == Usage(7)
    value = json.loads(body)
    for item in value["data"] if encoding == "base64" else ():
        item["embedding"] = list(struct.unpack("<2f", base64.b64decode(item["embedding"])))
    seen = CreateEmbeddingResponse.model_validate(value)
    assert [item.embedding for item in seen.data] == VECTORS[: len(texts)]
    assert [item.index for item in seen.data] == list(range(len(texts)))
    assert (seen.model, seen.usage.prompt_tokens, seen.usage.total_tokens) == ("shown", 7, 7)


def test_cohere_on_bedrock_tells_no_usage_and_may_answer_a_list() -> None:
    for embeddings in (VECTORS, {"float": VECTORS}):
        body = json.dumps(
            {"id": "x", "embeddings": embeddings, "response_type": "embeddings_floats"}
        ).encode()
        answer, usage, _ = decode_embedding_answer(body, "cohere_embeddings", raw(input=["a", "b"]), "m")
        assert usage is None
        assert json.loads(answer)["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"<html>", b"[" * 100_000, b'"\xff"'])
def test_what_is_no_answer_has_failed(wire: Format, body: bytes) -> None:
    with pytest.raises(Failed):
        decode_embedding_answer(body, wire, raw(input="a"), "m")


@pytest.mark.parametrize("wire", WIRES)
def test_vectors_that_are_too_few_or_too_many_have_failed(wire: Format) -> None:
    with pytest.raises(Failed):
        decode_embedding_answer(json.dumps(ANSWERS[wire]).encode(), wire, raw(input=["a", "b", "c"]), "m")


def test_a_number_beyond_32_bits_has_failed() -> None:
    with pytest.raises(Failed):
        pack([1e300])


@given(
    members=st.dictionaries(
        st.sampled_from(["input", "dimensions", "encoding_format", "input_type", "truncate", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
    ),
    wire=st.sampled_from(WIRES),
)
def test_any_json_is_read_or_refused(members: dict[str, Any], wire: Format) -> None:
    with contextlib.suppress(ClientError):
        assert isinstance(encoded(wire, **members)[0], dict)


RECORDED: dict[str, Format] = {"cohere.embed": "cohere_embeddings", "ollama.embed": "ollama_embeddings"}


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(load(*RECORDED)))
def test_recorded_answers_are_read(recording: Recording) -> None:
    assert recording.request is not None
    value = json.loads(recording.body)
    found = read_vectors(recording.body, RECORDED[recording.api])
    embeddings = value["embeddings"]
    assert found.vectors == (embeddings["float"] if isinstance(embeddings, dict) else embeddings)
    assert found.usage is not None
    assert found.usage.input_tokens in {2, 7, 9}
    assert found.model == value.get("model", "")


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load("cohere.embed") if "basic" in r.name))
def test_a_recorded_request_to_cohere_is_written(recording: Recording) -> None:
    assert recording.request is not None
    asked = recording.request
    written, _ = encoded(
        "cohere_embeddings", input=asked["texts"], dimensions=1024, input_type="search_document"
    )
    assert written | {"model": asked["model"]} == asked


@pytest.mark.wire
@pytest.mark.parametrize("recording", parameters(r for r in load("gemini.embed") if r.status != 200))
def test_a_recorded_request_to_google_is_written_but_for_its_model(recording: Recording) -> None:
    assert recording.request is not None
    written, _ = encoded("gemini_embeddings", input="Hello, world!", input_type="query")
    (request,) = recording.request["requests"]
    assert written["requests"] == [{name: request[name] for name in ("content", "taskType")}]

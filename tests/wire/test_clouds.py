"""Clouds end to end: tokens fetched, requests signed, embeddings in each provider's own way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rig.gateway import CREDENTIALS, KEY, Gateway, eventually, running_gateway
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream

VECTORS = [[0.5, -1.0, 0.25], [1.0, 0.0, 2.0]]


def key_file(token_uri: str) -> str:
    """A Google service account's key file whose tokens come from `token_uri`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "forebay@example.com",
            "private_key_id": "k1",
            "private_key": pem.decode(),
            "token_uri": token_uri,
        }
    )


@pytest.fixture(scope="module")
def clouds(
    shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Upstream]]:
    root = shared_upstream.base_url.removesuffix("/v1")
    shared_upstream.answer_with(give_token)
    keyed = {"base_url": root, "credentials": CREDENTIALS}
    backends: dict[str, Any] = {
        "vertex": {
            "provider": "vertex",
            "base_url": f"{root}/v1/projects/p/locations/l",
            "auth": {"kind": "service_account", "service_account": "${VERTEX_KEY}"},
        },
        "bedrock": {
            "provider": "bedrock",
            "region": "eu-central-1",
            "base_url": root,
            "auth": {"kind": "aws"},
        },
        "gemini": {"provider": "gemini", **keyed},
        "cohere": {"provider": "cohere", **keyed},
        "ollama": {"provider": "ollama", "base_url": root},
        "mistral": {"provider": "mistral", "base_url": f"{root}/v1", "credentials": CREDENTIALS},
    }
    models = {"vertex": "gemini-3-flash", "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0"}
    routes = {
        name: {"targets": [{"backend": name, "model": models.get(name, "embed-1")}]} for name in backends
    } | {
        "titan": {"targets": [{"backend": "bedrock", "model": "amazon.titan-embed-text-v2:0"}]},
        "cohere-on-bedrock": {"targets": [{"backend": "bedrock", "model": "cohere.embed-english-v3"}]},
    }
    environment = {
        "VERTEX_KEY": key_file(f"{root}/token"),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("clouds")
        with running_gateway(folder, {"backends": backends, "routes": routes}) as gateway:
            yield gateway, shared_upstream


@pytest.fixture
def gateway(clouds: tuple[Gateway, Upstream]) -> Gateway:
    return clouds[0]


def give_token(_seen: Seen) -> Answer:
    return plain({"access_token": "ya29.fresh", "expires_in": 3600, "token_type": "Bearer"})


GEMINI = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Paris."}]}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Paris."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}


def ask(gateway: Gateway, model: str) -> httpx.Response:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json={"model": model, "messages": messages})


def test_vertex_is_shown_a_token_that_was_got_for_the_service_account(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.answer_with(lambda seen: give_token(seen) if seen.path == "/token" else plain(GEMINI))
    assert eventually(lambda: ask(gateway, "vertex").status_code == 200)
    seen = upstream.seen[-1]
    assert seen.path == "/v1/projects/p/locations/l/publishers/google/models/gemini-3-flash:generateContent"
    assert seen.headers["authorization"] == "Bearer ya29.fresh"
    assert "PRIVATE KEY" not in "\n".join(gateway.lines)


def test_bedrock_gets_signed_requests(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer_with(plain(CONVERSE))
    assert eventually(lambda: ask(gateway, "bedrock").status_code == 200)
    answer = ask(gateway, "bedrock").json()
    assert answer["choices"][0]["message"]["content"] == "Paris."
    assert answer["usage"]["total_tokens"] == 5
    seen = upstream.seen[-1]
    assert seen.path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    signature = seen.headers["authorization"]
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock/aws4_request" in signature
    assert seen.headers["x-amz-date"]
    assert "wJalrXUtnFEMI" not in str(seen.headers) + "\n".join(gateway.lines)


def openai_answer(_asked: Any) -> Any:
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(VECTORS)]
    return {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


EMBEDDERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "mistral": ("/v1/embeddings", openai_answer),
    "gemini": (
        "/v1beta/models/embed-1:batchEmbedContents",
        lambda _: {"embeddings": [{"values": vector} for vector in VECTORS]},
    ),
    "cohere": (
        "/v2/embed",
        lambda _: {
            "id": "x",
            "embeddings": {"float": VECTORS},
            "texts": ["a", "b"],
            "meta": {"billed_units": {"input_tokens": 4}},
        },
    ),
    "cohere-on-bedrock": (
        "/model/cohere.embed-english-v3/invoke",
        lambda _: {"id": "x", "embeddings": {"float": VECTORS}, "texts": ["a", "b"]},
    ),
    "ollama": (
        "/api/embed",
        lambda _: {"model": "m", "embeddings": VECTORS, "prompt_eval_count": 4},
    ),
}


@pytest.mark.parametrize("model", EMBEDDERS)
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings_come_from_every_provider(
    model: str, encoding: Any, gateway: Gateway, upstream: Upstream
) -> None:
    path, answer = EMBEDDERS[model]
    upstream.answer_with(lambda seen: plain(answer(seen.json())))
    asked = {"encoding_format": encoding} if encoding else {}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=3) as client:
        got = client.embeddings.create(model=model, input=["a", "b"], **asked)
    assert upstream.seen[-1].path == path
    assert [one.index for one in got.data] == [0, 1]
    if encoding != "base64" or model == "mistral":  # the fake Mistral has one way to answer
        assert [one.embedding for one in got.data] == VECTORS
    else:
        assert all(isinstance(one.embedding, str) for one in got.data)
    assert "a" in upstream.seen[-1].body.decode()
    assert "b" in upstream.seen[-1].body.decode()


def test_titan_embeds_one_text_and_refuses_two_by_name(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer_with(plain({"embedding": VECTORS[0], "inputTextTokenCount": 3}))
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=3) as client:
        got = client.embeddings.create(model="titan", input="a")
        assert got.data[0].embedding == VECTORS[0]
        assert got.usage.prompt_tokens == 3
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model="titan", input=["a", "b"])
    assert refused.value.param == "input"
    assert upstream.only_request().path == "/model/amazon.titan-embed-text-v2%3A0/invoke"

"""LangChain's ChatOpenAI as the client: whole and streamed, with usage and tools."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from rig import chat
from rig.gateway import KEY, Gateway
from rig.script import events, plain, sse
from rig.upstream import Upstream

USAGE = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}


@pytest.fixture
def model(gateway: Gateway) -> ChatOpenAI:
    return ChatOpenAI(
        model="fast", base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, stream_usage=True
    )


def test_invoke_returns_the_text_and_the_usage(model: ChatOpenAI, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion()))
    message = model.invoke("Say hello.")
    assert message.text == "Hello, world"
    assert message.usage_metadata is not None
    assert {name: message.usage_metadata[name] for name in USAGE} == USAGE
    assert message.response_metadata["model_name"] == chat.UPSTREAM_MODEL


def test_stream_returns_the_same_text_and_usage(model: ChatOpenAI, upstream: Upstream) -> None:
    upstream.answer_with(events(sse(*chat.chunks())))
    parts = list(model.stream("Say hello."))
    assert "".join(part.text for part in parts) == "Hello, world"
    counted: list[Any] = [part.usage_metadata for part in parts if part.usage_metadata]
    assert len(counted) == 1
    assert {name: counted[0][name] for name in USAGE} == USAGE


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_bound_tools_are_called(model: ChatOpenAI, upstream: Upstream, *, stream: bool) -> None:
    arguments = '{"a": 2, "b": 3}'
    whole = plain(chat.completion(content=None, tool_calls=[chat.tool_call("add", arguments)]))
    upstream.answer_with(events(sse(*chat.tool_chunks("add", arguments))) if stream else whole)

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    bound = model.bind_tools([add])
    if stream:
        first, *rest = bound.stream("2 + 3?")
        message: Any = sum(rest, start=first)
    else:
        message = bound.invoke("2 + 3?")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("add", {"a": 2, "b": 3})]
    assert upstream.only_request().json()["tools"][0]["function"]["name"] == "add"


def test_token_ids_can_be_embedded(gateway: Gateway, upstream: Upstream) -> None:
    """LangChain sends lists of token numbers instead of text."""
    item = {"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    upstream.answer_with(plain({"object": "list", "data": [item], "model": "e", "usage": usage}))
    embedder = OpenAIEmbeddings(
        model="fast",
        base_url=f"{gateway.url}/v1",
        api_key=KEY,
        tiktoken_enabled=False,
        check_embedding_ctx_length=False,
    )
    assert embedder.embed_query("hello") == [0.5, 0.5]

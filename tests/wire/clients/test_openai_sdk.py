"""The official OpenAI SDK, sync and async, as the client: what a developer who changes `base_url` gets."""

from __future__ import annotations

import asyncio
import base64
import inspect
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel
from rig import chat
from rig.gateway import KEY, SECRETS, Gateway, eventually
from rig.script import Gate, events, plain, sse
from rig.upstream import Seen, Upstream

MESSAGES = [{"role": "user", "content": "Say hello."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather somewhere",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
            "strict": True,
        },
    }
]
VECTOR = [0.25, -1.5, 3.0]


class Sdk:
    """Runs one expression on the sync or the async client, so that a test is written once for both."""

    def __init__(self, kind: str, gateway: Gateway, key: str) -> None:
        settings: dict[str, Any] = {
            "base_url": f"{gateway.url}/v1",
            "api_key": key,
            "max_retries": 0,
            "timeout": 20,
        }
        self._runner = asyncio.Runner()
        self._client: Any
        if kind == "sync":
            self._client = openai.OpenAI(**settings, http_client=httpx.Client(trust_env=False))
        else:
            self._client = openai.AsyncOpenAI(**settings, http_client=httpx.AsyncClient(trust_env=False))

    def run(self, call: Callable[[Any], Any]) -> Any:
        """The result of `call(client)`, awaited where it has to be."""
        return self._runner.run(self._awaited(call(self._client)))

    def collect(self, call: Callable[[Any], Any]) -> list[Any]:
        """All items of the stream or page that `call(client)` opens."""
        return self._runner.run(self._all(call(self._client)))

    def take_one_and_leave(self, call: Callable[[Any], Any]) -> Any:
        """The first item of a stream, which is then closed."""
        return self._runner.run(self._first(call(self._client)))

    def close(self) -> None:
        self._runner.run(self._awaited(self._client.close()))
        self._runner.close()

    async def _awaited(self, result: Any) -> Any:
        return await result if inspect.isawaitable(result) else result

    async def _open(self, result: Any) -> Any:
        # The async client's page is both awaitable and an async iterator.
        return result if isinstance(result, AsyncIterator) else await self._awaited(result)

    async def _all(self, result: Any) -> list[Any]:
        stream = await self._open(result)
        return [item async for item in stream] if hasattr(stream, "__aiter__") else list(stream)

    async def _first(self, result: Any) -> Any:
        stream = await self._open(result)
        first = await anext(aiter(stream)) if hasattr(stream, "__aiter__") else next(iter(stream))
        await self._awaited(stream.close())
        return first


@pytest.fixture(params=["sync", "async"])
def sdk(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[Sdk]:
    one = Sdk(request.param, gateway, KEY)
    yield one
    one.close()


def chat_script(seen: Seen) -> Any:
    """Answer chat calls as OpenAI does: streamed or whole, with usage where it is asked for."""
    body = seen.json()
    if not body.get("stream"):
        return plain(chat.completion())
    return events(sse(*chat.chunks(usage=bool((body.get("stream_options") or {}).get("include_usage")))))


def chat_text(sdk: Sdk, *, stream: bool, **arguments: Any) -> str:
    """What the assistant said, streamed or not."""
    arguments = {"model": "fast", "messages": MESSAGES} | arguments
    if not stream:
        return sdk.run(lambda c: c.chat.completions.create(**arguments)).choices[0].message.content
    parts = sdk.collect(lambda c: c.chat.completions.create(**arguments, stream=True))
    return "".join(part.choices[0].delta.content or "" for part in parts)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_chat_answer_arrives(sdk: Sdk, upstream: Upstream, *, stream: bool) -> None:
    upstream.answer_with(chat_script)
    assert chat_text(sdk, stream=stream, temperature=0.5, user="u-1") == "Hello, world"
    sent = upstream.only_request()
    assert sent.path == "/v1/chat/completions"
    assert sent.model == "gpt-4o-mini"
    assert (sent.json()["temperature"], sent.json()["user"]) == (0.5, "u-1")
    assert sent.headers["authorization"].removeprefix("Bearer ") in SECRETS.values()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("route", "named"), [("fast", chat.UPSTREAM_MODEL), ("renamed", "renamed")])
def test_an_answer_names_the_upstreams_model_or_the_route(
    sdk: Sdk, upstream: Upstream, *, route: str, named: str, stream: bool
) -> None:
    upstream.answer_with(chat_script)
    if stream:
        answers = sdk.collect(
            lambda c: c.chat.completions.create(model=route, messages=MESSAGES, stream=True)
        )
    else:
        answers = [sdk.run(lambda c: c.chat.completions.create(model=route, messages=MESSAGES))]
    assert {answer.model for answer in answers} == {named}


def test_a_stream_has_a_usage_chunk_only_for_those_who_ask(sdk: Sdk, upstream: Upstream) -> None:
    upstream.answer_with(chat_script)
    create: dict[str, Any] = {"model": "fast", "messages": MESSAGES, "stream": True}
    silent = sdk.collect(lambda c: c.chat.completions.create(**create))
    assert [chunk.usage for chunk in silent] == [None] * 5
    assert all(chunk.choices for chunk in silent)
    asked = sdk.collect(lambda c: c.chat.completions.create(**create, stream_options={"include_usage": True}))
    assert asked[-1].choices == []
    assert asked[-1].usage.total_tokens == 12
    assert len(asked) == len(silent) + 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_older_completions_work(sdk: Sdk, upstream: Upstream, *, stream: bool) -> None:
    pieces = sse(*(chat.text_completion(word, None) for word in chat.WORDS), chat.text_completion(""))
    upstream.answer_with(events(pieces) if stream else plain(chat.text_completion()))
    if stream:
        answers = sdk.collect(lambda c: c.completions.create(model="fast", prompt="Say hello", stream=True))
    else:
        answers = [sdk.run(lambda c: c.completions.create(model="fast", prompt="Say hello"))]
    assert "".join(answer.choices[0].text for answer in answers) == "Hello, world"
    assert upstream.only_request().path == "/v1/completions"


@pytest.mark.parametrize("encoding", [None, "base64", "float"])
def test_embeddings_arrive_in_the_encoding_that_was_asked_for(
    sdk: Sdk, upstream: Upstream, encoding: str | None
) -> None:
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    vector = VECTOR if encoding == "float" else packed
    item = {"object": "embedding", "index": 0, "embedding": vector}
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    upstream.answer_with(
        plain({"object": "list", "data": [item], "model": "text-embedding-3-small", "usage": usage})
    )
    arguments = {} if encoding is None else {"encoding_format": encoding}
    answer = sdk.run(lambda c: c.embeddings.create(model="fast", input=["hello"], **arguments))
    assert answer.data[0].embedding == (packed if encoding == "base64" else VECTOR)
    # The SDK asks for base64 unless told otherwise, and decodes it itself.
    assert upstream.only_request().json()["encoding_format"] == (encoding or "base64")


def test_models_are_listed_and_retrieved(sdk: Sdk, upstream: Upstream) -> None:
    listed = sdk.collect(lambda c: c.models.list())
    assert {"fast", "renamed"} <= {model.id for model in listed}
    assert all(model.object == "model" for model in listed)
    one = sdk.run(lambda c: c.models.retrieve("fast"))
    assert (one.id, one.object) == ("fast", "model")
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.run(lambda c: c.models.retrieve("no-such-model"))
    assert caught.value.code == "model_not_found"
    assert upstream.seen == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tool_calls_arrive(sdk: Sdk, upstream: Upstream, *, stream: bool) -> None:
    arguments = '{"city": "Zürich"}'
    whole = plain(chat.completion(content=None, tool_calls=[chat.tool_call("get_weather", arguments)]))
    upstream.answer_with(events(sse(*chat.tool_chunks("get_weather", arguments))) if stream else whole)
    create: dict[str, Any] = {
        "model": "fast",
        "messages": MESSAGES,
        "tools": TOOLS,
        "tool_choice": "required",
    }
    if stream:
        parts = sdk.collect(lambda c: c.chat.completions.create(**create, stream=True))
        calls = [call for part in parts for call in part.choices[0].delta.tool_calls or []]
        assert calls[0].function.name == "get_weather"
        assert "".join(call.function.arguments for call in calls) == arguments
        assert parts[-1].choices[0].finish_reason == "tool_calls"
    else:
        answer = sdk.run(lambda c: c.chat.completions.create(**create))
        assert answer.choices[0].message.tool_calls[0].function.arguments == arguments
    assert upstream.only_request().json()["tools"] == TOOLS


class City(BaseModel):
    name: str
    people: int


def test_structured_output_is_parsed(sdk: Sdk, upstream: Upstream) -> None:
    upstream.answer_with(plain(chat.completion(content='{"name": "Zürich", "people": 436000}')))
    answer = sdk.run(
        lambda c: c.chat.completions.parse(model="fast", messages=MESSAGES, response_format=City)
    )
    assert answer.choices[0].message.parsed == City(name="Zürich", people=436000)
    schema = upstream.only_request().json()["response_format"]
    assert schema["json_schema"]["schema"]["properties"]["people"]["type"] == "integer"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_error_of_the_upstream_raises_its_class(
    sdk: Sdk, upstream: Upstream, *, status: int, expected: type[openai.APIStatusError], stream: bool
) -> None:
    upstream.answer_with(plain(chat.error("it went wrong", "some_type", "some_code"), status))
    with pytest.raises(expected) as caught:
        chat_text(sdk, stream=stream, model=f"any/sdk-{status}")
    assert caught.value.status_code == status
    assert (caught.value.code, caught.value.type) == ("some_code", "some_type")
    assert caught.value.body == chat.error("it went wrong", "some_type", "some_code")["error"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_unknown_model_is_not_found(sdk: Sdk, upstream: Upstream, *, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat_text(sdk, stream=stream, model="no-such-model")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.request_id
    assert upstream.seen == []


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wrong_key_is_an_authentication_error(kind: str, gateway: Gateway, upstream: Upstream) -> None:
    stranger = Sdk(kind, gateway, "fb-not-a-key")
    with pytest.raises(openai.AuthenticationError) as caught:
        chat_text(stranger, stream=False)
    stranger.close()
    assert caught.value.code == "invalid_api_key"
    assert "fb-not-a-key" not in str(caught.value)
    assert upstream.seen == []


def test_the_raw_response_shows_the_upstreams_headers(sdk: Sdk, upstream: Upstream) -> None:
    sent = [
        ("x-request-id", "req_77"),
        ("openai-processing-ms", "31"),
        ("x-ratelimit-remaining-requests", "8"),
    ]
    upstream.answer_with(plain(chat.completion(), headers=[*sent, ("set-cookie", "__cf_bm=x")]))
    raw = sdk.run(lambda c: c.chat.completions.with_raw_response.create(model="fast", messages=MESSAGES))
    assert raw.headers["x-request-id"] == "req_77"
    assert raw.headers["openai-processing-ms"] == "31"
    assert raw.headers["x-upstream-ratelimit-remaining-requests"] == "8"
    assert not {"x-ratelimit-remaining-requests", "set-cookie"} & set(raw.headers)
    assert raw.parse().choices[0].message.content == "Hello, world"


def test_closing_a_stream_midway_ends_the_upstreams_work(sdk: Sdk, upstream: Upstream) -> None:
    gate = Gate()
    begun, rest = sse(*chat.chunks())[:2], sse(*chat.chunks())[2:]
    upstream.answer_with(events([*begun, gate, *rest]))
    first = sdk.take_one_and_leave(
        lambda c: c.chat.completions.create(model="fast", messages=MESSAGES, stream=True)
    )
    assert first.choices[0].delta.role == "assistant"
    # Where nobody tells the gateway, it gives up the silent upstream after ten.
    assert eventually(upstream.only_request().lost.is_set, 8)


def test_an_error_in_mid_stream_is_raised(sdk: Sdk, upstream: Upstream) -> None:
    upstream.answer_with(
        events([*sse(*chat.chunks(), done=False)[:3], *sse(chat.error("overheated"), done=False)])
    )
    with pytest.raises(openai.APIError, match="overheated"):
        chat_text(sdk, stream=True)


def test_a_stream_that_the_upstream_cuts_raises(sdk: Sdk, upstream: Upstream) -> None:
    upstream.answer_with(events(sse(*chat.chunks(), done=False)[:3]))
    with pytest.raises(openai.APIError) as caught:
        chat_text(sdk, stream=True)
    assert caught.value.code == "stream_broken"

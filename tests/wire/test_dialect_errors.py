"""Errors as each SDK raises them: its class, its words, its request id, and when to try again.

Each happens twice: where the call is relayed, and where it is translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types
from rig import chat, messages
from rig.gateway import CREDENTIALS, KEY, ONCE, PATIENT, Gateway, running_gateway
from rig.script import Answer, Cut, events, plain, sse
from rig.upstream import Seen, Upstream

DIALECTS = ("chat", "responses", "messages", "gemini")
PATHS = {
    "/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "Content": "gemini",
}
ELSEWHERE = {"chat": "messages", "responses": "messages", "messages": "chat", "gemini": "chat"}
"""Where a client's calls go when they are translated."""


@pytest.fixture(scope="module")
def erring(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = shared_upstream.base_url.removesuffix("/v1")
    providers = {
        "chat": {"base_url": f"{root}/v1", "formats": ["chat"]},
        "responses": {"base_url": f"{root}/v1", "formats": ["responses"]},
        "messages": {"provider": "anthropic", "base_url": root},
        "gemini": {"provider": "gemini", "base_url": root},
    }
    routing = {
        "backends": {name: {**one, "credentials": CREDENTIALS[:1]} for name, one in providers.items()},
        # A model of its own for each test: one that asked to be left alone would not be asked by the next.
        "routes": {f"to-{name}*": {"targets": [{"backend": name}], "retry": ONCE} for name in providers},
        "breaker": PATIENT,
    }
    with running_gateway(tmp_path_factory.mktemp("erring"), routing) as gateway:
        yield gateway


@dataclass
class Raised:
    """What an SDK raised, in words that all have."""

    error: Exception
    kind: type[Exception]
    status: int
    message: str
    request_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Sdk:
    """One SDK: asks once, whole or as a stream, and tells what it raised."""

    def __init__(self, dialect: str, url: str, key: str = KEY) -> None:
        self.dialect = dialect
        if dialect == "messages":
            self.client: Any = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
        elif dialect == "gemini":
            options = google_types.HttpOptions(base_url=url, timeout=20_000)
            self.client = genai.Client(api_key=key, http_options=options)
        else:
            self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def ask(self, model: str, *, stream: bool = False, **more: Any) -> list[Any]:
        """Ask, and take all of the answer."""
        client, extra = self.client, {"extra_body": more} if more else {}
        if self.dialect == "gemini":
            config = google_types.GenerateContentConfig(http_options={"extra_body": more} if more else None)
            ask = client.models.generate_content_stream if stream else client.models.generate_content
            answer = ask(model=model, contents="hi", config=config)
        elif self.dialect == "responses":
            answer = client.responses.create(model=model, input="hi", stream=stream, **extra)
        else:
            said = [{"role": "user", "content": "hi"}]
            create = client.messages.create if self.dialect == "messages" else client.chat.completions.create
            limit = {"max_tokens": 99} if self.dialect == "messages" else {}
            answer = create(model=model, messages=said, stream=stream, **limit, **extra)
        return list(answer) if stream else [answer]

    def raised(self, model: str, *, stream: bool = False, **more: Any) -> Raised:
        """What the user gets to catch. Fails where nothing is raised."""
        try:
            answer = self.ask(model, stream=stream, **more)
        except google_errors.APIError as error:
            headers = dict(getattr(error.response, "headers", None) or {})
            return Raised(
                error, type(error), error.code, str(error), headers.get("x-request-id", ""), headers
            )
        except (openai.APIError, anthropic.APIError) as error:
            response = getattr(error, "response", None)
            return Raised(
                error,
                type(error),
                getattr(error, "status_code", 0),
                str(error),
                getattr(error, "request_id", None) or "",
                {} if response is None else dict(response.headers),
            )
        raise AssertionError(f"nothing was raised: {answer}")


KINDS: dict[int, dict[str, type[Exception]]] = {
    400: {
        "openai": openai.BadRequestError,
        "messages": anthropic.BadRequestError,
        "gemini": google_errors.ClientError,
    },
    401: {
        "openai": openai.AuthenticationError,
        "messages": anthropic.AuthenticationError,
        "gemini": google_errors.ClientError,
    },
    404: {
        "openai": openai.NotFoundError,
        "messages": anthropic.NotFoundError,
        "gemini": google_errors.ClientError,
    },
    429: {
        "openai": openai.RateLimitError,
        "messages": anthropic.RateLimitError,
        "gemini": google_errors.ClientError,
    },
    529: {
        "openai": openai.InternalServerError,
        "messages": anthropic.OverloadedError,
        "gemini": google_errors.ServerError,
    },
}
"""The class that each SDK has for a status."""


def kind_for(dialect: str, status: int) -> type[Exception]:
    kinds = KINDS[status]
    return kinds.get(dialect, kinds["openai"])


@pytest.fixture(params=DIALECTS)
def sdk(request: pytest.FixtureRequest, erring: Gateway) -> Sdk:
    return Sdk(request.param, erring.url)


@pytest.fixture(params=["relayed", "translated"])
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def route(sdk: Sdk, way: str) -> str:
    return f"to-{sdk.dialect if way == 'relayed' else ELSEWHERE[sdk.dialect]}"


def format_of(seen: Seen) -> str:
    path = seen.path.partition("?")[0]
    return next(format_ for end, format_ in PATHS.items() if path.endswith(end))


def refusing(status: int, words: str, *headers: tuple[str, str]) -> Callable[[Seen], Answer]:
    """Refuse in the upstream's own shape."""

    def refuse(seen: Seen) -> Answer:
        bodies: dict[str, Any] = {
            "messages": messages.error("overloaded_error" if status == 529 else "rate_limit_error", words),
            "gemini": {"error": {"code": status, "message": words, "status": "RESOURCE_EXHAUSTED"}},
        }
        return plain(bodies.get(format_of(seen), chat.error(words)), status, headers=headers)

    return refuse


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_field_that_cannot_be_translated(sdk: Sdk, upstream: Upstream, *, stream: bool) -> None:
    raised = sdk.raised(route(sdk, "translated"), stream=stream, tomorrows=1)
    assert (raised.status, raised.kind) == (400, kind_for(sdk.dialect, 400))
    assert "tomorrows cannot be expressed" in raised.message
    assert raised.request_id.startswith("call_")
    assert upstream.seen == []


def test_a_wrong_key(sdk: Sdk, erring: Gateway, upstream: Upstream) -> None:
    stranger = Sdk(sdk.dialect, erring.url, "wrong")
    raised = stranger.raised("to-chat")
    assert (raised.status, raised.kind) == (401, kind_for(sdk.dialect, 401))
    assert "credentials" in raised.message
    assert raised.request_id.startswith("call_")
    assert upstream.seen == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_unknown_model(sdk: Sdk, *, stream: bool) -> None:
    raised = sdk.raised("nobody", stream=stream)
    assert (raised.status, raised.kind) == (404, kind_for(sdk.dialect, 404))
    assert "no route serves the model 'nobody'; GET /v1" in raised.message
    assert raised.request_id.startswith("call_")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_that_wants_a_pause(sdk: Sdk, upstream: Upstream, way: str, *, stream: bool) -> None:
    upstream.answer_with(refusing(429, "slow down, please", ("retry-after", "17")))
    raised = sdk.raised(f"{route(sdk, way)}-for-{sdk.dialect}-{stream}", stream=stream)
    assert (raised.status, raised.kind) == (429, kind_for(sdk.dialect, 429))
    assert "slow down, please" in raised.message
    assert raised.headers["retry-after"] == "17"
    assert raised.request_id.startswith("call_")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_that_is_overloaded(sdk: Sdk, upstream: Upstream, way: str, *, stream: bool) -> None:
    upstream.answer_with(refusing(529, "too many ponds"))
    raised = sdk.raised(route(sdk, way), stream=stream)
    assert "too many ponds" in raised.message
    assert (raised.status, raised.kind) == (529, kind_for(sdk.dialect, 529))
    assert raised.request_id.startswith("call_")


def begun(seen: Seen) -> list[bytes]:
    """The beginning of a stream in the upstream's format, with its first words."""
    if (format_ := format_of(seen)) == "messages":
        return messages.streamed()[:3]
    if format_ == "gemini":
        part = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "index": 0}]}
        return sse(part, done=False)
    if format_ == "responses":
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "model": "m"}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        values: list[dict[str, Any]] = [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "Hello"}
            | {"content_index": 0, "logprobs": []},
        ]
        numbered = [value | {"sequence_number": i} for i, value in enumerate(values)]
        return [messages.event(value) for value in numbered]
    return sse(*chat.chunks(), done=False)[:2]


def fault(seen: Seen) -> bytes:
    """An error inside a stream, as the upstream's API writes it."""
    if (format_ := format_of(seen)) == "messages":
        return messages.event(messages.error("overloaded_error", "the pond froze"))
    if format_ == "gemini":
        return sse(
            {"error": {"code": 503, "message": "the pond froze", "status": "UNAVAILABLE"}}, done=False
        )[0]
    if format_ == "responses":
        error = chat.error("the pond froze", "server_error")
        return messages.event({"type": "error", "sequence_number": 3, **error})
    return sse(chat.error("the pond froze", "server_error"), done=False)[0]


BROKEN = {
    "chat": openai.APIError,
    "responses": openai.APIError,
    "messages": anthropic.APIStatusError,
    "gemini": google_errors.APIError,
}
"""The class that each SDK has for an error inside a stream, or one that it comes from."""


def test_an_error_in_the_middle_of_a_stream(sdk: Sdk, upstream: Upstream, way: str) -> None:
    upstream.answer_with(lambda seen: events([*begun(seen), fault(seen)]))
    raised = sdk.raised(route(sdk, way), stream=True)
    assert isinstance(raised.error, BROKEN[sdk.dialect])
    assert "the pond froze" in raised.message


def test_an_upstream_that_is_cut(sdk: Sdk, upstream: Upstream, way: str) -> None:
    upstream.answer_with(lambda seen: events([*begun(seen), Cut.RESET]))
    raised = sdk.raised(route(sdk, way), stream=True)
    assert isinstance(raised.error, BROKEN[sdk.dialect])
    assert "upstream" in raised.message


def test_an_upstream_that_ends_too_early(sdk: Sdk, upstream: Upstream, way: str) -> None:
    upstream.answer_with(lambda seen: events(begun(seen)))
    raised = sdk.raised(route(sdk, way), stream=True)
    assert isinstance(raised.error, BROKEN[sdk.dialect])
    assert "whole" in raised.message

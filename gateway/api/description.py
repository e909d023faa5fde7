"""The OpenAPI document and the page to read it: /openapi.json and /docs.

The hot paths are bare ASGI handlers, which Litestar does not describe, so they are described here. The
page is one small HTML file of our own: it loads nothing from anywhere else.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

from litestar import Response, get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.serialization import encode_json

_TEXT = Schema(type=OpenAPIType.STRING)
_NUMBER = Schema(type=OpenAPIType.INTEGER)
_FLAG = Schema(type=OpenAPIType.BOOLEAN)
_LIST = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT))
_MODEL = Schema(type=OpenAPIType.STRING, description="A route's name, or a name that a route's glob matches.")
_ANY = Schema(description="A text, or a list as OpenAI's API takes it.")

Properties = dict[str, Reference | Schema]
_FILE = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)


class _Hot(NamedTuple):
    """A hot path: what it does, the members that its callers need to know, which of them it must have."""

    summary: str
    properties: Properties
    required: list[str]
    form: bool = False


_HOT: dict[str, _Hot] = {
    "/v1/chat/completions": _Hot(
        "Answer a conversation (OpenAI Chat Completions)",
        {"model": _MODEL, "messages": _LIST, "stream": _FLAG},
        ["model", "messages"],
    ),
    "/v1/responses": _Hot(
        "Answer a conversation (OpenAI Responses, stateless)",
        {"model": _MODEL, "input": _ANY, "stream": _FLAG},
        ["model", "input"],
    ),
    "/v1/messages": _Hot(
        "Answer a conversation (Anthropic Messages)",
        {"model": _MODEL, "max_tokens": _NUMBER, "messages": _LIST, "stream": _FLAG},
        ["model", "max_tokens", "messages"],
    ),
    "/v1/messages/count_tokens": _Hot(
        "Count the tokens of a conversation (Anthropic)",
        {"model": _MODEL, "messages": _LIST},
        ["model", "messages"],
    ),
    "/v1beta/models/{model}:generateContent": _Hot(
        "Answer a conversation (Gemini)", {"contents": _LIST}, ["contents"]
    ),
    "/v1beta/models/{model}:streamGenerateContent": _Hot(
        "Answer a conversation as a stream (Gemini, with ?alt=sse)", {"contents": _LIST}, ["contents"]
    ),
    "/v1beta/models/{model}:countTokens": _Hot(
        "Count the tokens of a conversation (Gemini)", {"contents": _LIST}, []
    ),
    "/v1/completions": _Hot(
        "Continue a text, whole or as a stream",
        {"model": _MODEL, "prompt": _ANY, "stream": _FLAG},
        ["model", "prompt"],
    ),
    "/v1/embeddings": _Hot("Embed texts", {"model": _MODEL, "input": _ANY}, ["model", "input"]),
    "/v1/rerank": _Hot(
        "Rank documents by how well they answer a query (Cohere, Jina)",
        {"model": _MODEL, "query": _TEXT, "documents": _LIST, "top_n": _NUMBER},
        ["model", "query", "documents"],
    ),
    "/v1/moderations": _Hot(
        "Classify texts and images", {"model": _MODEL, "input": _ANY}, ["model", "input"]
    ),
    "/v1/images/generations": _Hot("Make images", {"model": _MODEL, "prompt": _TEXT}, ["model", "prompt"]),
    "/v1/images/edits": _Hot(
        "Change images", {"model": _MODEL, "prompt": _TEXT, "image": _FILE}, ["model", "prompt"], form=True
    ),
    "/v1/audio/speech": _Hot(
        "Speak a text", {"model": _MODEL, "input": _TEXT, "voice": _TEXT}, ["model", "input", "voice"]
    ),
    "/v1/audio/transcriptions": _Hot(
        "Write down what is said", {"model": _MODEL, "file": _FILE}, ["model", "file"], form=True
    ),
    "/v1/audio/translations": _Hot(
        "Write down in English what is said", {"model": _MODEL, "file": _FILE}, ["model", "file"], form=True
    ),
}
_ERROR = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "error": Schema(
            type=OpenAPIType.OBJECT,
            properties={"message": _TEXT, "type": _TEXT, "param": _TEXT, "code": _TEXT},
        )
    },
)


class _Page(OpenAPIRenderPlugin):
    """The page that shows the document; it fetches it itself."""

    def render(self, _request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        return (files("gateway.api") / "docs.html").read_bytes()


def describe() -> OpenAPIConfig:
    """Configure the document, its page, and how callers authenticate."""
    return OpenAPIConfig(
        title="Forebay",
        version="1",
        description="One OpenAI-compatible endpoint in front of every model.",
        path="/docs",  # not "/": Litestar answers what it does not know below that path with HTML
        render_plugins=[_Page(path="/")],
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"key": []}],
    )


def description_handlers() -> list[HTTPRouteHandler]:
    """Build the handler of /openapi.json.

    The document tells of endpoints, which no configuration changes, and costs tens of milliseconds to make:
    it is made once for an app. Whoever asks needs no key.
    """
    made: list[bytes] = []

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def document(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not made:
            made.append(_document(request.app.openapi_schema))
        return Response(made[0], media_type="application/json")

    return [document]


def _document(described: OpenAPI) -> bytes:
    if described.paths is not None:
        described.paths.update({path: _item(path, hot) for path, hot in _HOT.items()})
    return encode_json(described.to_schema())


def _item(path: str, hot: _Hot) -> PathItem:
    named: list[Parameter | Reference] = []
    if "{model}" in path:
        named.append(Parameter("model", "path", required=True, schema=_MODEL))
    return PathItem(post=_operation(hot), parameters=named or None)


def _operation(hot: _Hot) -> Operation:
    body = Schema(
        type=OpenAPIType.OBJECT, properties=hot.properties, required=hot.required, additional_properties=True
    )
    json = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    streams = "stream" in hot.properties or "stream" in hot.summary
    answer = OpenAPIResponse(
        description="The upstream's answer; server-sent events when a stream was asked for.",
        content={**json, "text/event-stream": OpenAPIMediaType(schema=_TEXT)} if streams else json,
    )
    error = OpenAPIResponse(
        description="An error, in the shape of the API that was called",
        content={"application/json": OpenAPIMediaType(schema=_ERROR)},
    )
    media = "multipart/form-data" if hot.form else "application/json"
    return Operation(
        summary=hot.summary,
        tags=["calls"],
        description="Fields that are not listed reach an upstream of the same API unchanged; for one of "
        "another they are translated, or refused by name.",
        request_body=RequestBody(required=True, content={media: OpenAPIMediaType(schema=body)}),
        responses={"200": answer, "4XX": error, "5XX": error},
    )

"""The OpenAPI document and the page to read it: /openapi.json and /docs.

The hot paths are bare ASGI handlers, which Litestar does not describe, so they are described here. The
page is one small HTML file of our own: it loads nothing from anywhere else.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIType

_TEXT = Schema(type=OpenAPIType.STRING)
_FLAG = Schema(type=OpenAPIType.BOOLEAN)
_LIST = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT))
_MODEL = Schema(type=OpenAPIType.STRING, description="A route's name, or a name that a route's glob matches.")
_ANY = Schema(description="A text, or a list as OpenAI's API takes it.")

Properties = dict[str, Reference | Schema]
_HOT: dict[str, tuple[str, Properties, list[str]]] = {
    "/v1/chat/completions": (
        "Answer a conversation, whole or as a stream",
        {"model": _MODEL, "messages": _LIST, "stream": _FLAG},
        ["model", "messages"],
    ),
    "/v1/completions": (
        "Continue a text, whole or as a stream",
        {"model": _MODEL, "prompt": _ANY, "stream": _FLAG},
        ["model", "prompt"],
    ),
    "/v1/embeddings": ("Embed texts", {"model": _MODEL, "input": _ANY}, ["model", "input"]),
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
    """Build the handler of /openapi.json."""

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def document(request: Request[Any, Any, Any]) -> dict[str, Any]:
        paths = request.app.openapi_schema.paths
        if paths is not None and "/v1/embeddings" not in paths:
            paths.update({path: PathItem(post=_operation(*what)) for path, what in _HOT.items()})
        return request.app.openapi_schema.to_schema()

    return [document]


def _operation(summary: str, properties: Properties, required: list[str]) -> Operation:
    body = Schema(
        type=OpenAPIType.OBJECT, properties=properties, required=required, additional_properties=True
    )
    json = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    answer = OpenAPIResponse(
        description="The upstream's answer; server-sent events when stream is true.",
        content={**json, "text/event-stream": OpenAPIMediaType(schema=_TEXT)}
        if "stream" in properties
        else json,
    )
    error = OpenAPIResponse(
        description="An error", content={"application/json": OpenAPIMediaType(schema=_ERROR)}
    )
    return Operation(
        summary=summary,
        tags=["calls"],
        description="Fields that are not listed reach the upstream unchanged.",
        request_body=RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=body)}),
        responses={"200": answer, "4XX": error, "5XX": error},
    )

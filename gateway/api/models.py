"""GET /v1/models and /v1beta/models: the routes a caller may name as models, as its SDK reads them.

OpenAI's and Anthropic's lists have the same path: who asks is told by the headers.
Sources: API references of OpenAI, Anthropic and Google, "Models" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from gateway.api.callers import caller_of
from gateway.errors import UnknownRoute
from gateway.exchange import Format
from gateway.formats.http.dialect import dialect_of
from gateway.formats.passage.wires import wires_for
from gateway.routing.matching.globs import is_glob
from gateway.routing.routes import Route
from gateway.routing.table import allows
from gateway.runtime import Runtime


class Model(msgspec.Struct):
    """A model as OpenAI's SDKs read it."""

    id: str
    owned_by: str
    """The backend that is asked first."""
    description: str = ""
    object: str = "model"
    created: int = 0
    """Unix seconds; a route has no birthday that would mean anything to a client."""


class Models(msgspec.Struct):
    """A list of models."""

    data: list[Model]
    object: str = "list"


class AnthropicModel(msgspec.Struct):
    """A model as Anthropic's SDKs read it."""

    id: str
    display_name: str
    type: Literal["model"] = "model"
    created_at: str = "1970-01-01T00:00:00Z"
    """The epoch is what Anthropic itself writes where it does not know."""
    lifecycle: Literal["active"] = "active"


class AnthropicModels(msgspec.Struct):
    """A page of models, which is always the only one."""

    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


class GoogleModel(msgspec.Struct, rename="camel"):
    """A model as Google's SDKs read it; `name` begins with "models/"."""

    name: str
    display_name: str
    description: str
    supported_generation_methods: list[str]
    version: str = "1"


class GoogleModels(msgspec.Struct):
    """A page of models, which is always the only one."""

    models: list[GoogleModel]


_METHODS: tuple[tuple[str, Format], ...] = (("generateContent", "gemini"), ("countTokens", "gemini_count"))
"""What Google's clients can do with a model here, and the format of such a call."""


def model_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handlers of the lists of models."""

    @get("/v1/models", summary="List the models this key may use", tags=["models"])
    async def list_models(request: Request[Any, Any, Any]) -> Models | AnthropicModels | GoogleModels:
        routes = await _allowed(request, current())
        dialect = dialect_of(request.url.path, request.headers)
        if dialect == "gemini":
            return GoogleModels([_google_model(route, name) for name, route in routes])
        if dialect == "messages":
            models = [AnthropicModel(name, name) for name, _ in routes]
            first, last = (models[0].id, models[-1].id) if models else (None, None)
            return AnthropicModels(models, first, last)
        return Models([_model(route, name) for name, route in routes])

    @get("/v1/models/{model:path}", summary="Look up one model", tags=["models"])
    async def retrieve_model(
        request: Request[Any, Any, Any], model: Annotated[str, PathParameter()]
    ) -> Model | AnthropicModel | GoogleModel:
        name = model.removeprefix("/")
        route = await _find(request, current(), name)
        dialect = dialect_of(request.url.path, request.headers)
        if dialect == "gemini":
            return _google_model(route, name)
        return AnthropicModel(name, name) if dialect == "messages" else _model(route, name)

    @get("/v1beta/models", summary="List the models this key may use (Google)", tags=["models"])
    async def list_google_models(request: Request[Any, Any, Any]) -> GoogleModels:
        routes = await _allowed(request, current())
        return GoogleModels([_google_model(route, name) for name, route in routes])

    @get("/v1beta/models/{model:path}", summary="Look up one model (Google)", tags=["models"])
    async def retrieve_google_model(
        request: Request[Any, Any, Any], model: Annotated[str, PathParameter()]
    ) -> GoogleModel:
        name = model.removeprefix("/")
        return _google_model(await _find(request, current(), name), name)

    return [list_models, retrieve_model, list_google_models, retrieve_google_model]


async def _allowed(request: Request[Any, Any, Any], runtime: Runtime) -> list[tuple[str, Route]]:
    """Return the names that can be asked for with their routes, as far as the caller may use them."""
    caller = await caller_of(request, runtime)
    names = runtime.routing.routes.names()
    return [(name, route) for name, route in names if not is_glob(name) and allows(caller.routes, name)]


async def _find(request: Request[Any, Any, Any], runtime: Runtime, name: str) -> Route:
    caller = await caller_of(request, runtime)
    route = runtime.routing.routes.find(name)
    if route is None or not allows(caller.routes, name):
        raise UnknownRoute(
            f"no route serves the model {name[:100]!r}; GET /v1/models lists those that exist", param="model"
        )
    return route


def _model(route: Route, name: str) -> Model:
    owner = route.targets[0].site.backend.name if route.targets else ""
    return Model(name, owner, route.description)


def _google_model(route: Route, name: str) -> GoogleModel:
    spoken = [target.site.backend.speaks(target.model or name) for target in route.targets]
    methods = [method for method, format_ in _METHODS if any(wires_for(format_, wires) for wires in spoken)]
    return GoogleModel(f"models/{name}", name, route.description, methods)

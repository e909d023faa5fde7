"""GET /v1/models: the routes a caller may name as models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from gateway.errors import UnknownRoute
from gateway.routing.routes import Route, allows, is_glob
from gateway.runtime import Runtime
from gateway.stages.identify import identify


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


def model_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handlers of /v1/models."""

    @get("/v1/models", summary="List the models this key may use", tags=["models"])
    async def list_models(request: Request[Any, Any, Any]) -> Models:
        runtime = current()
        caller = await identify(request.headers, runtime.identity)
        names = (route for route in runtime.routes if not is_glob(route.name))
        return Models([_model(route, route.name) for route in names if allows(caller.routes, route.name)])

    @get("/v1/models/{model:path}", summary="Look up one model", tags=["models"])
    async def retrieve_model(
        request: Request[Any, Any, Any], model: Annotated[str, PathParameter()]
    ) -> Model:
        runtime = current()
        caller = await identify(request.headers, runtime.identity)
        name = model.removeprefix("/")
        route = runtime.routes.find(name)
        if route is None or not allows(caller.routes, name):
            raise UnknownRoute(f"no route serves the model {name[:100]!r}", param="model")
        return _model(route, name)

    return [list_models, retrieve_model]


def _model(route: Route, name: str) -> Model:
    return Model(name, route.targets[0].deployment.backend.name, route.description)

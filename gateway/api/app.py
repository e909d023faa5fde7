"""Build the Litestar app from a runtime; nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from litestar import Litestar, Response
from litestar.connection import Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from gateway.api.backends import backend_handlers
from gateway.api.budgets import budget_handlers
from gateway.api.calls import GOOGLE_METHOD, Application, Receive, Send, call_applications, new_call_id
from gateway.api.dashboard import dashboard_handlers, lead_to_page
from gateway.api.description import describe, description_handlers
from gateway.api.health import health_handlers
from gateway.api.limits import limit_handlers
from gateway.api.models import model_handlers
from gateway.api.statement import statement_handlers
from gateway.api.usage import usage_handlers
from gateway.errors import BadRequest, Bug, GatewayError, MethodNotAllowed, UnknownRoute
from gateway.formats.errors.reply import clean_reply, error_reply
from gateway.formats.http.dialect import dialect_of
from gateway.runtime import Runtime

log = logging.getLogger("forebay")


def build_app(current: Callable[[], Runtime]) -> Application:
    """Build the application; `current` gives the runtime to serve a request with.

    Litestar serves all but the hot paths, which are called past it.
    """
    litestar = Litestar(
        [
            *model_handlers(current),
            *limit_handlers(current),
            *usage_handlers(current),
            *budget_handlers(current),
            *statement_handlers(current),
            *dashboard_handlers(current),
            *backend_handlers(current),
            *health_handlers(current),
            *description_handlers(),
        ],
        openapi_config=describe(),
        exception_handlers={Exception: partial(_answer_error, current)},
        logging_config=None,
    )
    rest = cast("Application", litestar)
    hot = call_applications(current)

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await (hot(scope.get("path", "")) or rest)(scope, receive, send)

    return app


def _answer_error(
    current: Callable[[], Runtime], request: Request[Any, Any, Any], error: Exception
) -> Response[bytes]:
    if isinstance(error, NotFoundException) and (led := lead_to_page(request)) is not None:
        return led
    call_id = new_call_id()
    if not isinstance(error, GatewayError):
        error = _ours(request, error, call_id)
    reply = error_reply(error, call_id, dialect_of(request.url.path, request.headers))
    clean_reply(reply, current().clean)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(
        cast("bytes", reply.body), status_code=reply.status, headers=headers, media_type="application/json"
    )


def _ours(request: Request[Any, Any, Any], error: Exception, call_id: str) -> GatewayError:
    path = request.url.path
    if isinstance(error, NotFoundException) or GOOGLE_METHOD.fullmatch(path):
        return UnknownRoute(f"there is no endpoint {request.method} {path}; see /docs", code="unknown_url")
    if isinstance(error, MethodNotAllowedException):
        refused = MethodNotAllowed(f"{path} does not take {request.method}")
        refused.allowed = (error.headers or {}).get("allow", "GET")
        return refused
    if isinstance(error, HTTPException) and error.status_code < Bug.status:
        return BadRequest(error.detail, status=error.status_code)
    log.error("internal error", exc_info=error, extra={"request_id": call_id, "path": path})
    return Bug(f"internal error; quote the request id {call_id}")

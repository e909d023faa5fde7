"""Build the Litestar app from a runtime; nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from litestar import Litestar, Response, serialization
from litestar.connection import Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from gateway.api.backends import backend_handlers
from gateway.api.budgets import budget_handlers
from gateway.api.calls import (
    GOOGLE_METHOD,
    Application,
    Message,
    Receive,
    Send,
    call_applications,
    new_call_id,
)
from gateway.api.dashboard import dashboard_handlers, lead_to_page
from gateway.api.description import describe, description_handlers
from gateway.api.health import health_handlers
from gateway.api.limits import limit_handlers
from gateway.api.models import model_handlers
from gateway.api.statement import statement_handlers
from gateway.api.usage import usage_handlers
from gateway.errors import (
    BadRequest,
    Bug,
    ClientGone,
    GatewayError,
    MethodNotAllowed,
    ReadTimeout,
    UnknownRoute,
)
from gateway.formats.errors.reply import clean_reply, error_reply
from gateway.formats.http.dialect import dialect_of
from gateway.runtime import Runtime

log = logging.getLogger("forebay")

_BODILESS: Final = ("GET", "HEAD")
"""No handler takes a body with these; that the reader of a stream left, Litestar itself has to hear."""


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
    framework = cast("Application", litestar)
    hot = call_applications(current)

    async def rest(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _BODILESS:
            receive = _in_time(receive, current().intake.body_timeout_s)
        await framework(scope, receive, send)

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await (hot(scope.get("path", "")) or rest)(scope, receive, send)

    return app


def _in_time(receive: Receive, limit_s: float) -> Receive:
    """Have the whole body come within the limit: Litestar would wait for ever. The hot paths see to theirs.

    What it gives raises ReadTimeout, and ClientGone when the client leaves before its body is whole.
    """
    deadline_s = asyncio.get_running_loop().time() + limit_s
    whole = False

    async def take() -> Message:
        nonlocal whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline_s):
                message = await receive()
        except TimeoutError:
            raise ReadTimeout(f"the request's body did not arrive within {limit_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its request was whole")
        whole = not message.get("more_body", False)
        return message

    return take


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
    if isinstance(error, ReadTimeout):
        headers["connection"] = "close"  # what may still come of the body is nothing to wait for
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
    if isinstance(error, (UnicodeDecodeError, RecursionError)) and _decoding(error):
        return BadRequest("the body is not valid JSON: it is not UTF-8, or nested too deeply")
    log.error("internal error", exc_info=error, extra={"request_id": call_id, "path": path})
    return Bug(f"internal error; quote the request id {call_id}")


def _decoding(error: Exception) -> bool:
    """Whether it comes of decoding what was sent: Litestar translates no more than `msgspec.DecodeError`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(
        serialization.__name__
    )

"""GET /v1/usage/statement: what a tenant is charged for a month: its own alone; for an admin anyone's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from typing import Annotated, Any

from litestar import Response, get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.api.callers import caller_of
from gateway.errors import BadRequest
from gateway.finops.statement.composing import Statement
from gateway.finops.statement.paper import as_html
from gateway.finops.statement.sheet import as_csv
from gateway.runtime import Runtime

_LONGEST = 128
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

_MonthName = Annotated[
    str, QueryParameter(max_length=16, description="Like 2026-11; default: the last one that is over.")
]
_FormatName = Annotated[
    str, QueryParameter(name="format", max_length=16, description="csv, or html: to print.")
]
_TenantName = Annotated[str, QueryParameter(max_length=_LONGEST, description="For admins: whose.")]


def statement_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handler of statements."""

    @get("/v1/usage/statement", summary="Tell what a tenant is charged for a month", tags=["usage"])
    async def tell_statement(
        request: Request[Any, Any, Any],
        month: _MonthName = "",
        format_: _FormatName = "csv",
        tenant: _TenantName = "",
    ) -> Response[str]:
        caller = await caller_of(request, current())
        whose = tenant or caller.tenant if caller.admin else caller.tenant
        if format_ not in {"csv", "html"}:
            raise BadRequest(f"`format` is csv or html; not {format_!r}", param="format")
        desk, now_unix_s = current().statements, time()
        try:
            span = desk.month(whose, month, now_unix_s)
        except ValueError as error:
            raise BadRequest(f"`month`: {error}", param="month") from None
        found = await asyncio.to_thread(desk.of, whose, span, now_unix_s)
        return _written(found, format_, now_unix_s)

    return [tell_statement]


def _written(statement: Statement, format_: str, now_unix_s: float) -> Response[str]:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if format_ == "html":
        return Response(
            as_html(statement, now_unix_s),
            media_type="text/html; charset=utf-8",
            headers={**headers, "content-security-policy": _POLICY, "referrer-policy": "no-referrer"},
        )
    name = f"statement-{statement.month.name}.csv"
    headers["content-disposition"] = f'attachment; filename="{name}"'
    return Response(as_csv(statement), media_type="text/csv; charset=utf-8", headers=headers)

"""GET /v1/usage/budgets: what was spent of budgets, and where that leads.

A tenant is told of the budgets that hold for it, an admin of everybody's. Of a budget that several tenants
share, its spending is that of all, as in /v1/usage/limits; the days are the tenant's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.api.callers import caller_of
from gateway.errors import BadRequest
from gateway.runtime import Runtime

_LONGEST, _MOST_TENANTS = 256, 100

_TenantNames = Annotated[
    list[str] | None, QueryParameter(max_items=_MOST_TENANTS, description="For admins: whose.")
]
_Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="So many; those of which most was spent.")]


def budget_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handler of budgets."""

    @get("/v1/usage/budgets", summary="Tell how budgets stand, day by day", tags=["usage"])
    async def tell_budgets(
        request: Request[Any, Any, Any], tenant: _TenantNames = None, limit: _Limit = 100
    ) -> Response[bytes]:
        runtime = current()
        caller = await caller_of(request, runtime)
        whose = tuple(dict.fromkeys(tenant or ())) if caller.admin else (caller.tenant,)
        if any(len(name) > _LONGEST or "\0" in name for name in whose):
            raise BadRequest(f"`tenant` is longer than {_LONGEST} characters, or has a NUL", param="tenant")
        budgets, more = await runtime.budgets.tell(whose, limit)
        told = {"object": "list", "data": budgets, "more": more}
        return Response(
            msgspec.json.encode(told), media_type="application/json", headers={"cache-control": "no-store"}
        )

    return [tell_budgets]

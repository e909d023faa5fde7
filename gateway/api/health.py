"""Alive, ready, and the numbers: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.runtime import Runtime
from gateway.telemetry.metrics import CONTENT_TYPE


class Part(msgspec.Struct):
    """One part of the gateway: whether it works, and what there is to say about it."""

    ok: bool
    detail: str
    since: str
    """When `ok` became what it is: a time in UTC."""
    needed: bool
    """False: calls are served without it too, and it does not count in `ready`."""


class Readiness(msgspec.Struct):
    """Whether calls can be served, part by part."""

    ready: bool
    parts: dict[str, Part]


def health_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handlers for operators; none needs a key."""

    @get("/healthz", summary="The process is alive", tags=["operations"], sync_to_thread=False)
    def alive() -> dict[str, str]:
        return {"status": "alive"}

    @get(
        "/readyz",
        summary="Ready to serve; says which part is not, and why",
        tags=["operations"],
        sync_to_thread=False,
    )
    def ready() -> Response[Readiness]:
        runtime = current()
        found = runtime.standings.look(runtime.parts)
        parts = {
            name: Part(ok, runtime.clean(detail), since, needed=name not in runtime.optional)
            for name, (ok, detail, since) in found.items()
        }
        whole = all(part.ok or not part.needed for part in parts.values())
        return Response(Readiness(whole, parts), status_code=200 if whole else 503)

    @get("/metrics", summary="Prometheus metrics of all workers", tags=["operations"], sync_to_thread=True)
    def metrics() -> Response[bytes]:
        return Response(current().metrics.render(), media_type=CONTENT_TYPE)

    return [alive, ready, metrics]

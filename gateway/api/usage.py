"""GET /v1/usage...: what was used and what it cost. A tenant sees its own alone, an admin everybody's.

What may be asked for is checked in `gateway.finops.terms`; the answers come from `gateway.finops.questions`,
in threads of their own: neither calls nor the tokenizer wait for them.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from time import time
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import parse_qs

import msgspec
from litestar import Response, get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response import Stream

from gateway.api.callers import caller_of
from gateway.errors import BadRequest
from gateway.exchange import Caller
from gateway.finops.panels import PANELS, Panel
from gateway.finops.questions import Questions, Table, panel_of
from gateway.finops.searching import SEARCHES, read_search
from gateway.finops.terms import Query, Terms, exactly, read_terms
from gateway.runtime import Runtime

MOST_AT_ONCE = 4
"""Questions that are asked at a time; the others wait."""

_MOST_FIELDS = 1000
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet reckons."""
_T = TypeVar("_T")
_JSON, _CSV, _PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


def usage_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handlers of /v1/usage."""
    desk = _Desk(current)

    @get("/v1/usage", summary="Tell usage and cost, by dimensions and steps of time", tags=["usage"])
    async def tell_usage(request: Request[Any, Any, Any]) -> Response[Any]:
        return await desk.usage(request)

    @get("/v1/usage/panels", summary="List the panels and their columns", tags=["usage"])
    async def list_panels(request: Request[Any, Any, Any]) -> Response[Any]:
        await caller_of(request, current())
        return _json({"object": "list", "data": [_told(panel) for panel in PANELS.values()]})

    @get("/v1/usage/panels/{panel:str}", summary="Answer one panel's question", tags=["usage"])
    async def tell_panel(
        request: Request[Any, Any, Any], panel: Annotated[str, PathParameter()]
    ) -> Response[Any]:
        return await desk.panel(request, panel)

    @get("/v1/usage/calls", summary="Search calls, the newest first", tags=["usage"])
    async def search_calls(request: Request[Any, Any, Any]) -> Response[Any]:
        return await desk.calls(request)

    @get("/v1/usage/calls/{call:str}", summary="Tell all that was booked of one call", tags=["usage"])
    async def tell_call(
        request: Request[Any, Any, Any], call: Annotated[str, PathParameter(max_length=256)]
    ) -> Response[Any]:
        return await desk.call(request, call)

    return [tell_usage, list_panels, tell_panel, search_calls, tell_call]


class _Desk:
    """Asks in threads, a few questions at a time."""

    def __init__(self, current: Callable[[], Runtime]) -> None:
        self._current = current
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="usage")

    async def usage(self, request: Request[Any, Any, Any]) -> Response[Any]:
        runtime = self._current()
        terms, _ = _read(request, await caller_of(request, runtime))
        if terms.format == "parquet":
            return await self._parquet(runtime.questions, "usage", terms)
        data, total, is_cut = await self._ask(runtime.questions.usage, terms)
        if terms.format == "csv":
            return _csv("usage", data)
        return _json(
            {
                "object": "usage",
                "since": terms.since,
                "until": terms.until,
                "step": terms.step_name if terms.is_stepped else None,
                "by": terms.by,
                "data": _named(data),
                "truncated": is_cut,
                "total": _named(total)[0],
            }
        )

    async def panel(self, request: Request[Any, Any, Any], name: str) -> Response[Any]:
        runtime = self._current()
        terms, query = _read(request, await caller_of(request, runtime))
        if panel_of(name).is_raw:
            terms = exactly(query, terms, time())
        if terms.format == "parquet":
            return await self._parquet(runtime.questions, name, terms)
        table = await self._ask(runtime.questions.panel, name, terms)
        if terms.format == "csv":
            return _csv(name, table)
        told = {"object": "usage.panel", "panel": name, "since": terms.since, "until": terms.until}
        if table.baseline is not None:
            told["baseline"] = table.baseline
        return _json(told | {"step": terms.step_name, "columns": table.columns, "rows": _rows(table)})

    async def calls(self, request: Request[Any, Any, Any]) -> Response[Any]:
        runtime = self._current()
        terms, query = _read(request, await caller_of(request, runtime), SEARCHES)
        if terms.format == "parquet":
            raise BadRequest("calls come as json or csv", param="format")
        terms, search = exactly(query, terms, time()), read_search(query)
        table, following = await self._ask(runtime.questions.calls, terms, search)
        if terms.format == "csv":
            return _csv("calls", table)
        return _json({"object": "list", "data": _named(table), "next": following})

    async def call(self, request: Request[Any, Any, Any], call: str) -> Response[Any]:
        runtime = self._current()
        caller = await caller_of(request, runtime)
        tenants = () if caller.admin else (caller.tenant,)
        found = await self._ask(runtime.questions.call, call, tenants)
        entries = [{name: _value(value) for name, value in entry.items()} for entry in found]
        speaks = max(entries, key=lambda entry: (entry["calls"], entry["attempt"], entry["revision"]))
        return _json(
            {
                "object": "usage.call",
                "call": call,
                "decision": speaks["decision"],
                "entries": entries,
            }
        )

    async def _ask(self, question: Callable[..., _T], *parts: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(question, *parts))

    async def _parquet(self, questions: Questions, name: str, terms: Terms) -> Response[Any]:
        pieces = await self._ask(questions.parquet, name, terms)
        # The first piece now: an answer that has begun can no longer become an error.
        first = await self._ask(next, pieces, b"")
        body = self._rest(first, pieces)
        return cast("Response[Any]", Stream(body, media_type=_PARQUET, headers=_download(name, "parquet")))

    async def _rest(self, piece: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece:
            yield piece
            piece = await self._ask(next, pieces, b"")


def _read(request: Request[Any, Any, Any], caller: Caller, more: Sequence[str] = ()) -> tuple[Terms, Query]:
    try:
        text = request.scope["query_string"].decode("ascii")
        query = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadRequest("the parameters of the URL are not UTF-8, or too many") from None
    return read_terms(query, caller, time(), more), query


def _told(panel: Panel) -> dict[str, Any]:
    return {"panel": panel.name, "title": panel.title, "by": panel.most_by, "columns": panel.columns}


def _named(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in _rows(table)]


def _rows(table: Table) -> list[list[Any]]:
    return [[_value(value) for value in row] for row in table.rows]


def _value(value: Any) -> Any:
    """Return a value as JSON and CSV have it: money as its exact digits, without noughts at the end."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text in {"-0", ""} else text
    return value


def _json(told: Mapping[str, Any]) -> Response[Any]:
    return Response(msgspec.json.encode(told), media_type=_JSON, headers={"cache-control": "no-store"})


def _csv(name: str, table: Table) -> Response[Any]:
    text = io.StringIO()
    written = csv.writer(text)
    written.writerow(column.name for column in table.columns)
    written.writerows([_cell(value) for value in row] for row in table.rows)
    return Response(text.getvalue().encode(), media_type=_CSV, headers=_download(name, "csv"))


def _cell(value: Any) -> Any:
    """Return a cell. What a spreadsheet would take for a formula is told to be a text: names are clients'."""
    if isinstance(value, str) and value.startswith(_FORMULAS):
        return f"'{value}"
    return _value(value)


def _download(name: str, ending: str) -> dict[str, str]:
    return {
        "content-disposition": f'attachment; filename="forebay-{name}.{ending}"',
        "cache-control": "no-store",
    }

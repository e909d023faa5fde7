"""A call's account, closed."""

from __future__ import annotations

import asyncio
import io
import json

from unit.stand_ins import record

from gateway.stages.settle import settle
from gateway.telemetry.books import Books
from gateway.telemetry.logs import AccessLog
from gateway.telemetry.metrics import Metrics


def test_a_call_is_entered_into_the_books() -> None:
    stream = io.StringIO()

    async def scene() -> None:
        books = Books(Metrics(), AccessLog(stream), len)
        settle(record(status=200, ending="finished"), books)
        await books.close()

    asyncio.run(scene())
    assert json.loads(stream.getvalue())["request_id"] == "call_1"

"""A call's account, closed."""

from __future__ import annotations

import asyncio
import io
import json

from unit.stand_ins import books_into, record

from gateway.stages.settle import settle


def test_a_call_is_entered_into_the_books() -> None:
    stream = io.StringIO()

    async def scene() -> None:
        async with books_into(stream) as books:
            settle(record(status=200, ending="finished"), books)

    asyncio.run(scene())
    assert json.loads(stream.getvalue())["request_id"] == "call_1"

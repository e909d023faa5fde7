"""/readyz: what counts for readiness, and since when each part stands as it does."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from unit.stand_ins import routing, runtime

from gateway.api.app import build_app
from gateway.server.standings import Standings
from gateway.telemetry.books import Books

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")


class Scene:
    """A gateway of two parts, one of them optional, whose states and time a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, 0, 0, 250_999, UTC)
        self.keys = (True, "read")
        self.backend = (True, "no deployment rests")
        self.standings = Standings(lambda: self.time)
        self.parts = {"keys": lambda: self.keys, "backend gpu": lambda: self.backend}

    def passes(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def ask(self) -> tuple[int, Any]:
        """Ask an app of its own, as after a reload: what is known of the parts stays."""

        async def asked() -> httpx.Response:
            books = Books(len, ())
            whole = runtime(
                [], routing(), books, parts=self.parts, optional={"backend gpu"}, standings=self.standings
            )
            transport = httpx.ASGITransport(build_app(lambda: whole))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                answer = await client.get("/readyz")
            await books.close()
            return answer

        answer = asyncio.run(asked())
        return answer.status_code, answer.json()


def test_each_part_says_since_when_it_stands_as_it_does() -> None:
    scene = Scene()
    scene.ask()
    scene.passes(60)
    scene.keys = (False, "not read for 11 s")
    scene.ask()
    scene.passes(60)
    scene.keys = (False, "not read for 71 s")
    status, told = scene.ask()
    assert (status, told["ready"]) == (503, False)
    assert told["parts"]["keys"] == {
        "ok": False,
        "detail": "not read for 71 s",
        "since": "2026-11-21T12:01:00.250Z",
        "needed": True,
    }
    assert told["parts"]["backend gpu"]["since"] == "2026-11-21T12:00:00.250Z"


def test_a_part_that_is_not_needed_never_makes_the_gateway_unready() -> None:
    scene = Scene()
    scene.backend = (False, "its probe fails: connection refused")
    status, told = scene.ask()
    assert (status, told["ready"]) == (200, True)
    assert (told["parts"]["backend gpu"]["ok"], told["parts"]["backend gpu"]["needed"]) == (False, False)


def test_the_log_says_when_a_part_goes_down_and_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    for works in (False, False, True, True, False):
        scene.backend = (works, "its probe")
        scene.standings.look(scene.parts)
        scene.passes(1)
    lines = [line for line in caplog.records if line.name == "forebay"]
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("INFO", "a part works again"),
        ("WARNING", "a part does not work"),
    ]
    assert vars(lines[1])["part"] == "backend gpu"


def test_what_is_no_part_any_more_is_forgotten() -> None:
    scene = Scene()
    scene.standings.look(scene.parts)
    scene.passes(5)
    scene.standings.look({"keys": scene.parts["keys"]})
    found = scene.standings.look(scene.parts)
    assert found["keys"].since == "2026-11-21T12:00:00.250Z"
    assert found["backend gpu"].since == "2026-11-21T12:00:05.250Z"

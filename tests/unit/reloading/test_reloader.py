"""Serving under the newest good configuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from unit.stand_ins import routing, runtime
from unit.upstream.skipping import run

from gateway.errors import ConfigError, ConfigErrors
from gateway.reloading.reloader import Reloader
from gateway.reloading.watch import Fingerprint, Watched
from gateway.runtime import Runtime
from gateway.server.flights import Flights
from gateway.telemetry.books import Books
from gateway.telemetry.metrics import Metrics

BAD = ConfigErrors(
    [ConfigError("routing.yaml", 3, "routes", 'unknown field "wieght"', 'did you mean "weight"?')]
)


class Failing(Watched):
    """Files that cannot be looked at while `error` is there."""

    error: Exception | None = None

    def look(self) -> Fingerprint:
        if self.error is not None:
            raise self.error
        return super().look()


class Configurations:
    """A folder whose file says what is wrong with it, and what was opened and closed of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "routing.yaml"
        self.metrics = Metrics()
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.open_s = 0.0
        self.write("one")
        self.watched = Failing(folder)
        self.reloader = Reloader(self.open, self.watched)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    async def open(self, stack: AsyncExitStack) -> Runtime:
        text = self.path.read_text()
        self.opened.append(text)
        stack.callback(self.closed.append, text)
        await asyncio.sleep(self.open_s)
        if text == "bad":
            raise BAD
        if text == "bug":
            raise ZeroDivisionError
        books = Books(len, (self.metrics.observe,))
        return runtime(
            [], routing(), books, metrics=self.metrics, flights=Flights(), parts={"named": text_of(text)}
        )

    @property
    def serving(self) -> str:
        return self.reloader.current().parts["named"]()[1]

    @property
    def state(self) -> str:
        runtime = self.reloader.current()
        assert "configuration" in runtime.optional, "the old configuration serves on"
        works, words = runtime.parts["configuration"]()
        assert works is not bool(list(runtime.troubles())), words
        return words

    def reloads(self, result: str) -> float:
        return self.measured(f'forebay_reloads_total{{result="{result}"}}')

    def measured(self, series: str) -> float:
        lines = self.metrics.render().decode().splitlines()
        found = [line for line in lines if line.startswith(f"{series} ")]
        return float(found[0].split()[1]) if found else 0.0


def text_of(text: str) -> Callable[[], tuple[bool, str]]:
    return lambda: (True, text)


Scene = Callable[[Configurations], Coroutine[Any, Any, None]]


def played(scene: Scene, folder: Path) -> None:
    async def whole() -> None:
        configurations = Configurations(folder)
        await configurations.reloader.start()
        await scene(configurations)
        await configurations.reloader.close()
        assert sorted(configurations.closed) == sorted(configurations.opened)
        assert len(asyncio.all_tasks()) == 1

    run(whole())


async def fly(reloader: Reloader, until: asyncio.Event) -> None:
    """Be a call under the configuration of now."""
    flights = reloader.current().flights
    flight = flights.begin()
    try:
        await until.wait()
    finally:
        flights.end(flight)


def test_an_edit_is_swapped_in_and_what_only_the_old_one_had_is_closed(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.write("two")
        await of.reloader.reload()
        await asyncio.sleep(0.1)
        assert (of.serving, of.closed, of.reloads("applied")) == ("two", ["one"], 1)

    played(scene, tmp_path)


@pytest.mark.parametrize(("text", "reason"), [("bad", "wieght"), ("bug", "ZeroDivisionError")])
def test_a_bad_edit_changes_nothing_and_is_reported_until_a_good_one_comes(
    tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(of: Configurations) -> None:
        before = of.reloader.current()
        of.write(text)
        await of.reloader.reload()
        assert of.reloader.current() is before
        assert reason in of.state
        assert (of.closed, of.reloads("refused")) == ([text], 1)
        of.write("two")
        await of.reloader.reload()
        assert of.serving == "two"
        assert reason not in of.state

    with caplog.at_level(logging.INFO, "forebay"):
        played(scene, tmp_path)
    assert "configuration refused" in [entry.getMessage() for entry in caplog.records]
    assert "configuration applied" in [entry.getMessage() for entry in caplog.records]


def test_a_call_ends_under_the_configuration_it_began_with(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        over = asyncio.Event()
        calls = [asyncio.create_task(fly(of.reloader, over)) for _ in range(2)]
        await asyncio.sleep(0)
        for text in ("two", "three"):
            of.write(text)
            await of.reloader.reload()
        await asyncio.sleep(10.0)
        assert of.closed == ["two"], "nobody called under it"
        assert of.reloader.running() == 2
        over.set()
        await asyncio.wait(calls)
        await asyncio.sleep(0.1)
        assert of.closed == ["two", "one"]
        assert of.reloader.running() == 0

    played(scene, tmp_path)


def test_a_reload_waits_for_the_one_before_it(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.open_s = 1.0
        of.write("two")
        first = asyncio.create_task(of.reloader.reload())
        await asyncio.sleep(0.5)
        of.write("three")
        await asyncio.gather(first, of.reloader.reload())
        assert of.serving == "three"
        assert of.opened == ["one", "two", "three"]

    played(scene, tmp_path)


def test_an_edit_is_noticed_once_whoever_writes_it_is_done(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        following = asyncio.create_task(of.reloader.follow())
        await asyncio.sleep(5.0)
        assert of.opened == ["one"]
        began_s = asyncio.get_running_loop().time()
        for written in ("b", "ba", "bad", "bad "):
            of.write(written)
            await asyncio.sleep(0.2)
        of.write("written whole")
        await asyncio.sleep(0.75)
        assert of.opened == ["one", "written whole"]
        assert asyncio.get_running_loop().time() - began_s < 2.0
        following.cancel()
        await asyncio.wait([following])

    played(scene, tmp_path)


def test_edits_are_followed_also_after_a_bad_one(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        following = asyncio.create_task(of.reloader.follow())
        for text in ("bug", "bad", "two and good"):
            of.write(text)
            await asyncio.sleep(1.0)
        assert of.serving == "two and good"
        assert (of.reloads("refused"), of.reloads("applied")) == (2, 1)
        following.cancel()
        await asyncio.wait([following])

    played(scene, tmp_path)


def test_edits_are_followed_also_after_half_a_file_that_names_what_no_file_can_be_called(
    tmp_path: Path,
) -> None:
    async def scene(of: Configurations) -> None:
        following = asyncio.create_task(of.reloader.follow())
        for text in ("key: ${file:/run/\0\0}", "two and good"):
            of.write(text)
            await asyncio.sleep(1.0)
        assert of.serving == "two and good"
        following.cancel()
        await asyncio.wait([following])

    played(scene, tmp_path)


def test_what_fails_while_edits_are_looked_for_is_told_once_and_stands_until_it_works_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(of: Configurations) -> None:
        following = asyncio.create_task(of.reloader.follow())
        await asyncio.sleep(1.0)
        of.watched.error = RuntimeError("no look")
        await asyncio.sleep(30.0)
        assert "RuntimeError while edits were looked for" in of.state
        assert (of.reloads("refused"), of.measured("forebay_config_reload_ok")) == (1, 0)
        of.write("two")
        of.watched.error = None
        await asyncio.sleep(1.0)
        assert of.serving == "two"
        assert "RuntimeError" not in of.state
        assert (of.reloads("applied"), of.measured("forebay_config_reload_ok")) == (1, 1)
        following.cancel()
        await asyncio.wait([following])

    played(scene, tmp_path)
    (traceback,) = [entry for entry in caplog.records if entry.exc_info]
    assert "no look" in str(traceback.exc_info)


def test_a_demand_to_reload_while_the_files_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.watched.error = RuntimeError("no look")
        await of.reloader.reload()
        assert "RuntimeError" in of.state
        assert of.opened == ["one"]

    played(scene, tmp_path)


def test_what_a_reload_has_opened_is_closed_when_it_is_cut_short(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.open_s = 5.0
        of.write("two")
        reload = asyncio.create_task(of.reloader.reload())
        await asyncio.sleep(1.0)
        reload.cancel()
        await asyncio.wait([reload])
        assert of.closed == ["two"]
        assert of.serving == "one"

    played(scene, tmp_path)


def test_a_worker_that_stops_takes_no_edit_any_more(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.reloader.drain()
        of.write("two")
        await of.reloader.reload()
        assert of.opened == ["one"]
        assert of.reloader.current().flights.state()[0] is False

    played(scene, tmp_path)


def test_to_close_waits_for_a_reload_under_way(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        of.open_s = 1.0
        of.write("two")
        reload = asyncio.create_task(of.reloader.reload())
        await asyncio.sleep(0.5)
        await of.reloader.close()
        await reload
        assert sorted(of.closed) == ["one", "two"]

    played(scene, tmp_path)


def test_the_calls_of_all_configurations_are_interrupted_together(tmp_path: Path) -> None:
    async def scene(of: Configurations) -> None:
        never = asyncio.Event()
        calls = [asyncio.create_task(fly(of.reloader, never))]
        await asyncio.sleep(0)
        of.write("two")
        await of.reloader.reload()
        calls.append(asyncio.create_task(fly(of.reloader, never)))
        await asyncio.sleep(0)
        of.reloader.interrupt_all()
        done, _ = await asyncio.wait(calls, timeout=1.0)
        assert len(done) == 2

    played(scene, tmp_path)

"""Backends stay open from one configuration to the next while their settings stay the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from gateway.compose.lines import Line, Lines
from gateway.config.located import load
from gateway.config.resolve import BackendSettings, load_presets, resolve
from gateway.config.routing import RoutingSpec
from gateway.routing.health.sharing import Alone
from gateway.texts.patterns import pattern_problem

ROUTING = """
backends:
  gpu: {{provider: openai_compatible, base_url: "http://gpu/v1", timeouts: {{total_s: {total_s}}}}}
routes:
  fast: {{targets: [{{backend: gpu, model: m}}]}}
"""


def settings(folder: Path, total_s: int = 60) -> BackendSettings:
    path = folder / "routing.yaml"
    path.write_text(ROUTING.format(total_s=total_s))
    return resolve(load(path, RoutingSpec, {}), load_presets(), {}, pattern_problem).backends["gpu"]


class Generations:
    """Configurations, each with a line to one backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = Lines(lambda _name: Alone(), lambda _name, _state: None)
        self.closed: list[Line] = []

    def begin(self, spec: BackendSettings) -> tuple[Line, AsyncExitStack]:
        stack = AsyncExitStack()
        line = self.lines.take(spec, self.folder, stack)
        closing = line.transport.close

        async def close() -> None:
            self.closed.append(line)
            await closing()

        for one in self.lines._open:
            if one.line is line and one.users == 1:
                one.closing.push_async_callback(close)
        return line, stack


def test_a_line_stays_open_as_long_as_a_configuration_has_it(tmp_path: Path) -> None:
    async def scene() -> None:
        of, spec = Generations(tmp_path), settings(tmp_path)
        first, first_stack = of.begin(spec)
        second, second_stack = of.begin(settings(tmp_path))
        assert second is first
        await first_stack.aclose()
        assert of.closed == []
        await second_stack.aclose()
        assert of.closed == [first]

    asyncio.run(scene())


def test_other_settings_make_another_line_and_each_is_closed_after_its_own_calls(tmp_path: Path) -> None:
    async def scene() -> None:
        of = Generations(tmp_path)
        first, first_stack = of.begin(settings(tmp_path))
        second, second_stack = of.begin(settings(tmp_path, total_s=90))
        assert second is not first
        assert second.health("m") is not first.health("m")
        await first_stack.aclose()
        assert of.closed == [first]
        await second_stack.aclose()
        assert of.closed == [first, second]

    asyncio.run(scene())


def test_what_is_known_of_a_deployment_outlives_an_edit_elsewhere(tmp_path: Path) -> None:
    async def scene() -> None:
        of = Generations(tmp_path)
        first, first_stack = of.begin(settings(tmp_path))
        health = first.health("m")
        health.rest(30.0, 0.0)
        second, second_stack = of.begin(settings(tmp_path))
        await first_stack.aclose()
        assert second.health("m") is health
        assert second.health("m").obstacle(1.0) is not None
        await second_stack.aclose()

    asyncio.run(scene())


def test_an_edit_that_is_given_up_or_taken_back_finds_the_line_that_is_in_use(tmp_path: Path) -> None:
    async def scene() -> None:
        of = Generations(tmp_path)
        first, first_stack = of.begin(settings(tmp_path))
        _, given_up = of.begin(settings(tmp_path, total_s=90))
        await given_up.aclose()
        third, third_stack = of.begin(settings(tmp_path))
        assert third is first
        await first_stack.aclose()
        await third_stack.aclose()

    asyncio.run(scene())


def test_specs_are_compared_by_what_they_say(tmp_path: Path) -> None:
    one, other = settings(tmp_path), settings(tmp_path)
    assert one is not other
    assert one == other
    assert msgspec.structs.replace(one, base_url="http://elsewhere/v1") != one

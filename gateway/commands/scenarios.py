"""`forebay test`: play scenarios of policies/tests/*.yaml through a configuration, and say which do not hold.

Every backend is taken to have its key: so the result does not depend on the machine.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time

import msgspec

from gateway.commands.asking import Asked, Walk, call_of, is_named, names_of
from gateway.compose.reading import Config, load_config, with_all_keys
from gateway.compose.rehearsal import Weather, rehearse
from gateway.compose.scenarios import (
    CallSpec,
    DenialSpec,
    ExpectSpec,
    Scenarios,
    ScenarioSpec,
    WeatherSpec,
    WorldSpec,
)
from gateway.config.files import environment
from gateway.config.located import Located, Where, did_you_mean, load, quoted
from gateway.errors import Cause, ConfigError, ConfigErrors, GatewayError
from gateway.exchange import Moment
from gateway.routing.health.health import Health
from gateway.routing.plans import Considered, nobody
from gateway.routing.routes import Candidate
from gateway.stages.plan import make_plan

_NOW_S = 1e6
"""Of the monotonic clock."""
_BREAKER_S = 10.0
_CALLS_SEEN = 1000


class Result(msgspec.Struct, frozen=True):
    """What came of a scenario: `wrong` is empty where it held."""

    file: str
    line: int
    name: str
    wrong: list[str]


class Course(msgspec.Struct):
    """What became of a call."""

    route: str = ""
    rule: str = ""
    targets: Sequence[str] = ()
    asked: Sequence[str] = ()
    left_out: Mapping[str, str] = {}
    error: GatewayError | None = None


def run(args: argparse.Namespace) -> int:
    """Run the command; 0: all hold, 1: some do not. Raises ConfigErrors."""
    config = load_config(args.config, environ=with_all_keys())
    files = args.files or sorted((args.config / "policies" / "tests").glob("*.yaml"))
    if not files:
        raise ConfigError(str(args.config / "policies" / "tests"), 0, "", "there are no scenarios")
    results = play(config, files)
    if args.junit is not None:
        args.junit.write_text(_junit(results), encoding="utf-8")
    sys.stdout.write(_json(results) if args.json else _text(results))
    return 1 if any(result.wrong for result in results) else 0


def play(config: Config, files: Sequence[Path]) -> list[Result]:
    """Play all scenarios of some files. Raises ConfigErrors with all that cannot be played as written."""
    loaded, errors = list[Located[Scenarios]](), list[ConfigError]()
    for path in files:
        try:
            scenarios = load(path, Scenarios, environment())
        except ConfigErrors as found:
            errors += found.errors
            continue
        loaded.append(scenarios)
        errors += [scenarios.error(*problem) for problem in _problems(scenarios.value, config)]
    if errors:
        raise ConfigErrors(errors)
    return [
        Result(file.path, file.at(i), scenario.name, wrong(scenario, config))
        for file in loaded
        for i, scenario in enumerate(file.value)
    ]


def wrong(scenario: ScenarioSpec, config: Config) -> list[str]:
    """Play one scenario, and say what is otherwise than it expects."""
    return list(_differences(scenario.expect, course(scenario, config)))


def course(scenario: ScenarioSpec, config: Config) -> Course:
    """Play one scenario."""
    world = scenario.world
    routing = rehearse(config, _weather(world))
    moment = Moment(_NOW_S, _unix_s(world.now), lambda: world.draw)
    try:
        plan = make_plan(call_of(_asked(scenario.call), config), routing, moment)
    except GatewayError as error:
        seen = error.considered
        return _seen(seen, error) if isinstance(seen, Considered) else Course(error=error)
    walk = Walk(plan, moment, _failing(scenario), remembered=world.remembered)
    seen = Considered(plan.route, plan.demand.signals, plan.rule, plan.choice)
    course = _seen(seen, None if walk.answered else walk.failure or nobody(plan.route, plan.choice))
    course.asked = walk.asked
    return course


def _seen(seen: Considered, error: GatewayError | None) -> Course:
    left_out = {left.name: left.reason for left in seen.choice.left_out}
    return Course(
        seen.route.name, seen.rule, names_of(seen.choice.candidates), left_out=left_out, error=error
    )


def _asked(call: CallSpec) -> Asked:
    body: dict[str, object] = {"model": call.model}
    if call.prompt:
        body |= _said(call)
    if call.stream:
        body["stream"] = True
    return Asked(
        body=body | call.body, format=call.format, tenant=call.tenant, key=call.key, headers=call.headers
    )


def _said(call: CallSpec) -> dict[str, object]:
    """Put the words where the format has them."""
    turn = {"role": "user", "content": call.prompt}
    if call.format == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": call.prompt}]}]}
    if call.format == "completions":
        return {"prompt": call.prompt}
    return {"messages": [turn]} if call.format in {"chat", "messages", "ollama"} else {"input": call.prompt}


def _failing(scenario: ScenarioSpec) -> Callable[[Candidate], Cause | None]:
    def cause_of(candidate: Candidate) -> Cause | None:
        name = candidate.deployment.name
        return next((fail.cause for fail in scenario.fail if is_named(fail.target, name)), None)

    return cause_of


def _weather(world: WorldSpec) -> Weather:
    def make(name: str, health: Health) -> None:
        backends = world.backends
        if (weather := backends.get(name) or backends.get(name.partition("/")[0])) is not None:
            _put(weather, health)

    return make


def _put(weather: WeatherSpec, health: Health) -> None:
    """Make a deployment's health what the scenario says."""
    health.in_flight = weather.in_flight
    health.first_token_s = None if weather.first_token_ms is None else weather.first_token_ms / 1000
    health.latency_s = None if weather.latency_ms is None else weather.latency_ms / 1000
    health.tokens_per_s = weather.tokens_per_s
    if weather.error_rate:
        window = health.breaker.window
        window.turn(_NOW_S)
        window.calls, window.failures = _CALLS_SEEN, round(weather.error_rate * _CALLS_SEEN)
        health.error_rate = window.rate()
    if weather.down:
        health.probed("the scenario says so")
    if weather.breaker == "open":
        health.breaker.opened_elsewhere(_NOW_S, _BREAKER_S, "the scenario says so")
    if weather.rate_limited_s:
        health.rest(weather.rate_limited_s, _NOW_S)
    if weather.quota_spent:
        health.spent(_NOW_S)


def _differences(expect: ExpectSpec, got: Course) -> Iterator[str]:
    yield from _other_ending(expect.denied, got)
    for name, wanted, found in (("route", expect.route, got.route), ("rule", expect.rule, got.rule)):
        if wanted is not None and wanted != found:
            yield f"expected the {name} {quoted(wanted)}, got {quoted(found) if found else 'none'}"
    yield from _other_targets(expect, got)
    for target, words in expect.left_out.items():
        reasons = [reason for name, reason in got.left_out.items() if is_named(target, name)]
        if not any(words in reason for reason in reasons):
            found = f"it was left out because it {reasons[0]}" if reasons else "it was not left out"
            yield f"expected {target} to be left out with {quoted(words)}: {found}"


def _other_ending(denied: DenialSpec | None, got: Course) -> Iterator[str]:
    error = got.error
    if error is None:
        if denied is not None:
            yield f"expected to be turned away, but {got.asked[-1]} answers"
    elif denied is None:
        yield f"expected an answer, got {error.status} {error.code}: {error.message}"
    elif denied.status not in {None, error.status} or denied.code not in {"", error.code}:
        wanted = " ".join(str(part) for part in (denied.status, denied.code) if part)
        yield f"expected to be turned away with {wanted}, got {error.status} {error.code}: {error.message}"


def _other_targets(expect: ExpectSpec, got: Course) -> Iterator[str]:
    first = got.asked[:1] or got.targets[:1]
    if expect.target is not None and not (first and is_named(expect.target, first[0])):
        why = _why(expect.target, got)
        yield f"expected the target {expect.target}, got {first[0] if first else 'none'}{why}"
    for name, wanted, found in (
        ("targets", expect.targets, got.targets),
        ("fallbacks", expect.fallbacks, got.asked[1:]),
    ):
        if wanted is None:
            continue
        pairs = zip(wanted, found, strict=False)
        if len(wanted) != len(found) or not all(is_named(*pair) for pair in pairs):
            yield f"expected the {name} {_listed(wanted)}, got {_listed(found)}"


def _why(target: str, got: Course) -> str:
    reason = next((reason for name, reason in got.left_out.items() if is_named(target, name)), "")
    return f": {target} was left out, because {reason}" if reason else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _problems(scenarios: Scenarios, config: Config) -> Iterator[tuple[Where, str, str]]:
    """Check names, and times, that one field alone does not show to be wrong."""
    backends, tenants = config.resolved.backends, config.tenants.tenants
    for i, scenario in enumerate(scenarios):
        named: list[tuple[Where, str]] = [((i, "world", "backends", n), n) for n in scenario.world.backends]
        named += [((i, "fail", j, "target"), fail.target) for j, fail in enumerate(scenario.fail)]
        expect = scenario.expect
        named += [((i, "expect", "target"), expect.target)] if expect.target else []
        named += [((i, "expect", "left_out", name), name) for name in expect.left_out]
        for where, name in named:
            backend = name.partition("/")[0]
            if backend not in backends and name not in {"answer", "cached"}:
                yield where, f"there is no backend {quoted(backend)}", did_you_mean(backend, backends)
        tenant = scenario.call.tenant
        if tenant and tenant not in tenants:
            yield (i, "call", "tenant"), f"there is no tenant {quoted(tenant)}", did_you_mean(tenant, tenants)
        try:
            _unix_s(scenario.world.now)
        except ValueError:
            yield (i, "world", "now"), "this is no time", "write 2026-11-21T10:00:00Z"


def _unix_s(text: str) -> float:
    if not text:
        return time()
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(results: Sequence[Result]) -> str:
    lines = list[str]()
    for result in results:
        lines.append(f"{'FAILED' if result.wrong else 'ok    '} {result.file}:{result.line} {result.name}")
        lines += [f"       {text}" for text in result.wrong]
    failed = sum(bool(result.wrong) for result in results)
    lines.append(f"{len(results)} scenarios, {failed} failed")
    return "\n".join(lines) + "\n"


def _json(results: Sequence[Result]) -> str:
    return msgspec.json.encode(results).decode() + "\n"


def _junit(results: Sequence[Result]) -> str:
    failed = sum(bool(result.wrong) for result in results)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuite name="forebay" tests="{len(results)}" failures="{failed}">')
    for result in results:
        lines.append(f'<testcase classname="{_xml(result.file)}" name="{_xml(result.name)}">')
        lines += [f'<failure message="{_xml(text)}"/>' for text in result.wrong]
        lines.append("</testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _xml(text: str) -> str:
    """Escape a text; XML has no way to write what is not printable."""
    return html.escape("".join(sign if sign.isprintable() else "?" for sign in text))

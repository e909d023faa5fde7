"""Scenarios played through a configuration: what holds, what does not, and what cannot be played."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gateway.commands.scenarios import play, run
from gateway.compose.reading import load_config
from gateway.errors import ConfigErrors

ROOT = Path(__file__).resolve().parents[3]


def scenario(expect: dict[str, Any], model: str = "auto", **more: Any) -> dict[str, Any]:
    call = {"model": model, "prompt": "hi"} | more.pop("call", {})
    return {"name": "a scenario", "call": call, "expect": expect, **more}


def played(place: Path, *scenarios: dict[str, Any]) -> list[list[str]]:
    """What is wrong with each."""
    file = place / "policies" / "tests" / "some.yaml"
    file.write_text(yaml.safe_dump(list(scenarios), sort_keys=False))
    return [result.wrong for result in play(load_config(place), [file])]


def test_what_happens_as_expected_holds(place: Path) -> None:
    first = {"route": "auto", "rule": "", "target": "alpha/big", "targets": ["alpha", "beta"]}
    by_header = scenario({"rule": "labs", "target": "own/small"}, call={"headers": {"X-Team": "labs"}})
    by_tag = scenario({"rule": "gold", "targets": ["beta/big"]}, call={"tenant": "rich"})
    assert played(place, scenario(first), by_header, by_tag) == [[], [], []]


@pytest.mark.parametrize(
    ("weather", "words"),
    [
        ({"down": True}, "its probe fails"),
        ({"breaker": "open"}, "breaker is open"),
        ({"rate_limited_s": 30}, "left alone for 30 s"),
        ({"quota_spent": True}, "no quota left"),
    ],
)
def test_who_cannot_take_calls_is_left_out(place: Path, weather: dict[str, Any], words: str) -> None:
    expect = {"targets": ["beta"], "left_out": {"alpha": words}}
    for name in ("alpha", "alpha/big"):
        assert played(place, scenario(expect, world={"backends": {name: weather}})) == [[]]


def test_the_state_of_the_world_decides_where_strategies_look_at_it(place: Path) -> None:
    def world(**beta: Any) -> dict[str, Any]:
        return {"backends": {"alpha": {"latency_ms": 100}, "beta": {"latency_ms": 100} | beta}}

    assert played(
        place,
        scenario({"target": "beta"}, "scored", world=world()),
        scenario({"target": "alpha"}, "scored", world=world(error_rate=0.9)),
        scenario({"target": "alpha"}, "thrifty", call={"stream": True}, world=world(first_token_ms=5000)),
    ) == [[], [], []]


def test_after_failures_the_fallbacks_are_asked_in_their_order(place: Path) -> None:
    both = [{"target": "alpha", "cause": "timeout"}, {"target": "beta", "cause": "overloaded"}]
    long = [{"target": "alpha", "cause": "context_length"}]
    everybody = [*both, {"target": "own"}]
    assert played(
        place,
        scenario({"target": "alpha", "fallbacks": []}),
        scenario({"fallbacks": ["beta", "own/small"]}, fail=both),
        scenario({"fallbacks": ["own/long"]}, fail=long),
        scenario({"fallbacks": ["beta", "own/small", "answer"]}, fail=everybody),
    ) == [[], [], [], []]


def test_who_is_turned_away_is_told_what_is_expected(place: Path) -> None:
    batch = {"headers": {"x-forebay-priority": "batch"}}
    assert played(
        place,
        scenario({"denied": {"status": 403, "code": "denied_by_rule"}, "rule": "no-batches"}, call=batch),
        scenario({"denied": {"status": 404}}, "nowhere"),
        scenario({"denied": {"code": "route_not_allowed"}}, call={"tenant": "narrow"}),
        scenario(
            {"denied": {"status": 504}},
            "thrifty",
            fail=[{"target": n, "cause": "timeout"} for n in ("alpha", "beta")],
        ),
    ) == [[], [], [], []]


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"target": "beta"}, "expected the target beta, got alpha/big"),
        ({"rule": "gold"}, 'expected the rule "gold", got none'),
        ({"route": "other"}, 'expected the route "other", got "auto"'),
        ({"targets": ["alpha"]}, "expected the targets alpha, got alpha/big, beta/big"),
        ({"fallbacks": ["beta"]}, "expected the fallbacks beta, got none"),
        ({"denied": {"status": 403}}, "expected to be turned away, but alpha/big answers"),
        (
            {"left_out": {"alpha": "its probe"}},
            'expected alpha to be left out with "its probe": it was not left out',
        ),
    ],
)
def test_what_is_otherwise_is_said(place: Path, expect: dict[str, Any], words: str) -> None:
    assert played(place, scenario(expect)) == [[words]]


def test_an_error_that_was_not_expected_is_said(place: Path) -> None:
    ((wrong, *_),) = played(
        place, scenario({"rule": "no-batches"}, call={"headers": {"x-forebay-priority": "batch"}})
    )
    assert wrong == "expected an answer, got 403 denied_by_rule: batches are not welcome"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {name: a, call: {modle: auto}, expect: {}}", 'unknown field "modle", did you mean "model"?'),
        (
            "- {name: a, call: {model: auto}, expect: {target: alpah}}",
            'there is no backend "alpah", did you mean "alpha"?',
        ),
        (
            "- {name: a, call: {model: auto, tenant: acne}, expect: {}}",
            'there is no tenant "acne", did you mean "acme"?',
        ),
        ("- {name: a, call: {model: auto}, world: {now: noon}, expect: {}}", "this is no time"),
        ("- {name: a, call: {model: auto}, world: {draw: 1}, expect: {}}", "out of range"),
        (
            "- {name: a, call: {model: auto}, fail: [{target: own, cause: tired}], expect: {}}",
            '"tired" is not a known value',
        ),
    ],
)
def test_what_cannot_be_played_is_located(place: Path, text: str, words: str) -> None:
    file = place / "policies" / "tests" / "odd.yaml"
    file.write_text(f"# a comment\n{text}\n")
    with pytest.raises(ConfigErrors) as caught:
        play(load_config(place), [file])
    assert words in str(caught.value)
    assert f"{file}:2 [0]" in str(caught.value)


def arguments(place: Path, **more: Any) -> Namespace:
    return Namespace(**{"config": place, "files": [], "json": False, "junit": None} | more)


def test_the_command_says_in_its_status_and_its_reports_what_held(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played(place, scenario({"target": "alpha"}), scenario({"target": "beta"}) | {"name": 'a "<&>" name'})
    report = tmp_path / "junit.xml"
    assert run(arguments(place, junit=report)) == 1
    said = capsys.readouterr().out
    assert "2 scenarios, 1 failed" in said
    assert "FAILED" in said
    written = report.read_text()
    assert 'tests="2" failures="1"' in written
    assert "a &quot;&lt;&amp;&gt;&quot; name" in written
    assert run(arguments(place, json=True)) == 1
    held, failed = msgspec.json.decode(capsys.readouterr().out)
    assert (held["wrong"], len(failed["wrong"]), failed["line"]) == ([], 1, 7)


def test_the_scenarios_that_are_shipped_hold_whatever_keys_are_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert run(arguments(ROOT)) == 0
    assert "0 failed" in capsys.readouterr().out

"""Recorded calls under two configurations: which go elsewhere, and what that costs."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unit.commands.conftest import ROUTING

from gateway.commands.asking import Asked, call_of
from gateway.commands.compare import Report, compare, run
from gateway.compose.reading import load_config
from gateway.compose.rehearsal import rehearse
from gateway.errors import ConfigError
from gateway.exchange import Attempt, Moment, Price, Rates, Record, Usage
from gateway.routing.decisions import Decision, decision_of
from gateway.stages.plan import make_plan

BY_TASK = ROUTING.replace("{tags: [gold]}", "{language: [fr]}")
WITHOUT_ALPHA = ROUTING.replace("{backend: alpha, model: big}, ", "")


def recorded(place: Path, model: str = "auto", call_id: str = "call_1", **more: Any) -> Decision:
    """What is kept of a call that was answered, after its way through JSON."""
    config = load_config(place)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    call = call_of(Asked(body=body, **more), config)
    record = Record(call_id, "chat", 0.0, model=model, status=200, ending="finished")
    record.plan = make_plan(call, rehearse(config), Moment(0.0, 0.0, lambda: 0.5))
    record.attempts = [
        Attempt("alpha", "big", 0.0, usage=Usage(1000, 1000), price=Price.flat("p1", Rates.plain(1, 1)))
    ]
    kept = decision_of(record, 1.0, datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    return msgspec.json.decode(msgspec.json.encode(kept), type=Decision)


def compared(place: Path, new: str, *decisions: Decision) -> Report:
    other = place / "new.yaml"
    other.write_text(new)
    old = rehearse(load_config(place))
    return compare(iter(decisions), old, rehearse(load_config(place, other)))


def test_nothing_moves_under_the_same_configuration(place: Path) -> None:
    report = compared(place, ROUTING, recorded(place), recorded(place, "scored"))
    assert {name: (group.calls, group.moved) for name, group in report.routes.items()} == {
        "auto": (1, 0),
        "scored": (1, 0),
    }


def test_calls_that_go_elsewhere_are_named_with_what_they_cost(place: Path) -> None:
    gold = recorded(place, tenant="rich")
    report = compared(place, WITHOUT_ALPHA, recorded(place), recorded(place), gold)
    group = report.routes["auto"]
    assert (group.calls, group.moved) == (3, 2)
    assert group.moves == {"alpha/big -> beta/big": 2}
    # 1,000 tokens in and out: $0.012 at alpha, $0.003 at beta.
    assert (group.old_nanousd, group.new_nanousd) == (27_000_000, 9_000_000)


def test_a_new_denial_and_a_new_rule_are_moves(place: Path) -> None:
    denied = ROUTING.replace("priority: [batch]", "stream: false").replace("{tags: [gold]}", "{tags: [none]}")
    report = compared(place, denied, recorded(place), recorded(place, tenant="rich"))
    assert report.routes["auto"].moves == {
        "alpha/big -> turned away (denied_by_rule) by rule no-batches": 1,
        "beta/big by rule gold -> turned away (denied_by_rule) by rule no-batches": 1,
    }
    assert report.routes["auto"].new_nanousd == 0


def test_what_was_not_recorded_is_counted_and_not_guessed(place: Path) -> None:
    report = compared(place, BY_TASK, recorded(place), msgspec.structs.replace(recorded(place), facts={}))
    assert report.routes == {}
    assert report.unjudged == {"language was not recorded": 1, "it never came to routing": 1}


def test_chance_is_the_same_on_both_sides(place: Path) -> None:
    weighted = ROUTING.replace("strategy: cheapest", "strategy: weighted")
    (place / "routing.yaml").write_text(weighted)
    decisions = [recorded(place, "thrifty", f"call_{i}") for i in range(40)]
    report = compared(place, weighted + "# a comment\n", *decisions)
    assert (report.routes["thrifty"].calls, report.routes["thrifty"].moved) == (40, 0)


def arguments(place: Path, **more: Any) -> Namespace:
    given = {"config": place, "state": place, "old": place, "new": place, "calls": None}
    return Namespace(**given | {"json": False, "all_keys": False} | more)


def test_the_command_reads_the_log_and_sums_up(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = msgspec.structs.replace(recorded(place), purpose="shadow")
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in (recorded(place), own))
    (place / "decisions").mkdir()
    (place / "decisions" / "1-1.jsonl").write_bytes(lines + b'{"call": "half a li')
    other = place / "new.yaml"
    other.write_text(WITHOUT_ALPHA)
    assert run(arguments(place, new=other)) == 0
    said = capsys.readouterr().out
    assert "auto: 1 of 1 calls go elsewhere, $0.012 -> $0.003 (-$0.009)" in said
    assert "1 alpha/big -> beta/big" in said
    assert run(arguments(place, new=other, json=True)) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["routes"]["auto"]["moved"] == 1


def test_a_file_that_is_no_log_is_refused_with_its_line(place: Path) -> None:
    file = place / "calls.jsonl"
    file.write_bytes(msgspec.json.encode(recorded(place)) + b"\n{}\n")
    with pytest.raises(ConfigError, match=r"calls\.jsonl:2: this is no recorded call"):
        run(arguments(place, calls=[file]))

"""Why a call went where it went, from what was kept; and where one would go, from the configuration."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.commands.asking import Asked
from gateway.commands.explain import outlook, run, usd
from gateway.compose.reading import load_config
from gateway.routing.decisions import Decision, Option, Passed, Tried

HI = [{"role": "user", "content": "hi"}]

KEPT = Decision(
    call="call_1",
    time=datetime(2026, 11, 21, 10, tzinfo=UTC),
    status=200,
    ending="finished",
    ms=834.5,
    tenant="acme",
    key="key_1",
    model="auto\x1b[2J",
    route="auto",
    rule="gold",
    candidates=(Option("alpha/big", 528_000, 6.0), Option("beta/big")),
    left_out=(Passed("own/small", "takes no images"),),
    attempts=(
        Tried("alpha", "big", "first", 500.0, "upstream_timeout"),
        Tried("beta", "big", "next", 320.0, input_tokens=20, output_tokens=30, cost_nanousd=80_000),
    ),
    facts={"model": "auto", "task": "code", "features": ["tools"], "max_tokens": None},
)


def asked(tmp_path: Path, **more: Any) -> Namespace:
    given = {
        "call": None,
        "file": None,
        "json": False,
        "all_keys": False,
        "state": tmp_path,
        "config": tmp_path,
    }
    return Namespace(**given | more)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "decisions"
    folder.mkdir()
    other = msgspec.structs.replace(KEPT, call="call_10", rule="")
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in (other, KEPT, other))
    (folder / "1-1.jsonl").write_bytes(lines)
    return tmp_path


def test_a_kept_call_is_explained_for_people(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(asked(state, call="call_1")) == 0
    said = capsys.readouterr().out
    for words in (
        "call_1  2026-11-21 10:00:00 UTC  200 finished in 834.5 ms",
        "rule       gold",
        "alpha/big (first) upstream_timeout after 500 ms",
        "beta/big (next) answered in 320 ms, 20+30 tokens, $0.00008",
        "alpha/big, $0.000528, score 6",
        "own/small: takes no images",
        "task code",
        "features tools",
    ):
        assert words in said
    assert "\x1b" not in said


def test_a_kept_call_is_given_as_json(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(asked(state, call="call_1", json=True)) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Decision) == KEPT


def test_a_call_that_is_not_kept_is_said_to_be_gone(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(asked(state, call="call_2")) == 1
    assert "there is no call call_2" in capsys.readouterr().err


def test_a_call_is_planned_without_being_sent(place: Path) -> None:
    seen = outlook(Asked(body={"model": "auto", "messages": HI}), load_config(place))
    assert [(one.target, one.cost_nanousd) for one in seen.candidates] == [
        ("alpha/big", 536_000),
        ("beta/big", 134_000),
    ]
    assert seen.fallbacks == (
        "after context_length: own/long",
        "after other failures: own/small",
        "after other failures: the answer 'Nobody is here.'",
    )
    assert (seen.route, seen.rule, seen.denied) == ("auto", "", "")
    assert seen.facts["prompt_tokens"] == 6


def test_limits_and_scores_are_shown(place: Path) -> None:
    config = load_config(place)
    thrifty = outlook(Asked(body={"model": "thrifty", "messages": HI}), config)
    assert thrifty.limits == {"max_first_token_ms": 500.0, "max_cost_usd": 0.01}
    scored = outlook(Asked(body={"model": "scored", "messages": HI}), config)
    assert [(one.target, one.score) for one in scored.candidates] == [("beta/big", 3.0), ("alpha/big", 6.0)]


def test_a_call_that_would_be_turned_away_says_by_what(place: Path) -> None:
    body = {"model": "auto", "messages": HI}
    seen = outlook(Asked(body=body, headers={"X-Forebay-Priority": "batch"}), load_config(place))
    assert (seen.rule, seen.denied) == ("no-batches", "403 denied_by_rule: batches are not welcome")


@pytest.mark.parametrize("bare", [True, False])
def test_a_call_is_read_from_standard_input(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, bare: bool
) -> None:
    body = {"model": "auto", "messages": HI}
    text = json.dumps(body if bare else {"body": body, "tenant": "rich"})
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert run(asked(place, file="-", config=place)) == 0
    assert ("rule       none" if bare else "rule       gold") in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", "[]", '{"body": {}}', '{"tenant": "x", "body": {"model": "auto"}}'])
def test_a_call_that_cannot_be_read_is_refused(
    place: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place / "call.json"
    file.write_text(text)
    assert run(asked(place, file=str(file), config=place)) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (1_500_000_000, "$1.50"),
        (-20_000_000, "-$0.02"),
        (10**12, "$1000.00"),
    ],
)
def test_amounts_are_exact_and_short(nanousd: int, text: str) -> None:
    assert usd(nanousd) == text

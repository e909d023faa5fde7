"""What is told of a call that was decided on: all of it for the books, a little of it for its client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from unit.routing import stand_ins
from unit.stand_ins import CALLER, READERS, call

from gateway.errors import Forbidden, NoTarget
from gateway.exchange import Attempt, Price, Rates, Record, Usage
from gateway.routing.choice import Choice, Demand, LeftOut
from gateway.routing.decisions import (
    COMPACT_BYTES,
    Decision,
    Tried,
    compact,
    considered_of,
    decision_header,
    decision_of,
    is_notable,
    line_of,
)
from gateway.routing.plans import Considered, Plan
from gateway.routing.routes import Limits, Route
from gateway.routing.sensitivity import Sensitivity
from gateway.routing.signals.signals import Signals

UNIX_S = 1_795_000_000.0
SECRET_WORDS = "the patient's name is Zaphod"


def planned(candidates: int = 2, left_out: int = 1, rule: str = "", **more: Any) -> Record:
    """A call that was planned, and answered by its second target."""
    signals = Signals(call(), msgspec.structs.replace(READERS, headers=("x-team",)))
    chosen = Choice(
        tuple(stand_ins.candidate(f"b{i}", cost_nanousd=100 * i) for i in range(candidates)),
        tuple(LeftOut(f"left{i}/m", "does not take images") for i in range(left_out)),
    )
    way: Any = None
    record = Record("call_1", "chat", 10.0, status=200, ending="finished", **more)
    record.route, record.rule = "auto", rule
    demand = Demand(signals, Limits(), Sensitivity())
    record.plan = Plan(Route("auto", None), way, demand, chosen, rule)
    record.attempts = [
        Attempt("b0", "m", 10.0, seconds=0.5, cause="upstream_timeout"),
        Attempt("b1", "m", 10.5, "next", 0.25, 0.125, usage=Usage(1000, 10, cached_tokens=5)),
    ]
    record.attempts[1].price = Price.flat("p1", Rates.plain(2_000_000, 4_000_000, 2_000_000, 0))
    return record


def test_a_decision_has_all_that_was_decided() -> None:
    decision = decision_of(planned(rule="code", tenant="acme", key="key_1", model="auto"), 10.9, UNIX_S)
    assert decision == Decision(
        call="call_1",
        time=decision.time,
        status=200,
        ending="finished",
        ms=900.0,
        tenant="acme",
        key="key_1",
        model="auto",
        route="auto",
        rule="code",
        candidates=decision.candidates,
        left_out=decision.left_out,
        attempts=decision.attempts,
        facts=decision.facts,
    )
    assert decision.time.timestamp() == UNIX_S
    assert [(one.target, one.cost_nanousd) for one in decision.candidates] == [("b0/m", 0), ("b1/m", 100)]
    assert [(one.target, one.reason) for one in decision.left_out] == [("left0/m", "does not take images")]
    failed, answered = decision.attempts
    assert (failed.target, failed.why, failed.cause, failed.ms) == (
        "b0/m",
        "first",
        "upstream_timeout",
        500.0,
    )
    assert (answered.why, answered.ms, answered.first_token_ms) == ("next", 250.0, 125.0)
    assert answered.usage == Usage(1000, 10, cached_tokens=5)
    assert answered.cost_nanousd == 2040


def test_the_line_of_a_plain_call() -> None:
    write = line_of("all")
    assert write is not None
    record = planned(1, 0, tenant="acme", key="key_1", model="auto")
    record.attempts = [Attempt("b0", "m", 10.0, seconds=0.2512345, usage=Usage(100, 40))]
    seen = considered_of(record)
    assert seen is not None
    assert write(record, 10.25678, 1_795_000_000.125) == (
        b'{"call":"call_1","time":"2026-11-18T11:06:40.125000Z","status":200,"ending":"finished","ms":256.78,'
        b'"tenant":"acme","key":"key_1","model":"auto","route":"auto",'
        b'"candidates":[{"target":"b0/m","cost_nanousd":0}],'
        b'"attempts":[{"backend":"b0","model":"m","why":"first","ms":251.235,"input_tokens":100,'
        b'"output_tokens":40}],'
        b'"facts":{"model":"fast","format":"chat","stream":false,"caller":%b,'
        b'"headers":{"x-team":null},"max_tokens":null,"prompt_tokens":%d,"size_bytes":41,"features":[],'
        b'"user":""}}\n'
    ) % (msgspec.json.encode(CALLER), seen.signals.prompt_tokens)


def test_every_field_of_a_decision_and_of_an_attempt_has_its_own_value() -> None:
    record = planned(purpose="shadow", made_for="call_0")
    record.attempts[1].usage = Usage(1000, 10, 5, 3)
    record.attempts[1].cause = "stream_broken"
    decision = decision_of(record, 11.0, UNIX_S)
    assert (decision.purpose, decision.made_for) == ("shadow", "call_0")
    assert decision.attempts[1] == Tried(
        backend="b1",
        model="m",
        why="next",
        ms=250.0,
        cause="stream_broken",
        first_token_ms=125.0,
        input_tokens=1000,
        output_tokens=10,
        cached_tokens=5,
        cache_write_tokens=3,
        cost_nanousd=2034,
    )


def test_what_the_call_says_is_not_in_it() -> None:
    record = planned()
    turns = [{"role": "user", "content": SECRET_WORDS}]
    signals = Signals(call(messages=turns, metadata={"user_id": "Zaphod"}), READERS)
    record.error = NoTarget(SECRET_WORDS)
    assert signals.user == "Zaphod"
    assert signals.conversation
    assert signals.turn
    record.plan = msgspec.structs.replace(record.plan, demand=Demand(signals, Limits(), Sensitivity()))
    written = msgspec.json.encode(decision_of(record, 11.0, UNIX_S)) + compact(record)
    assert b"Zaphod" not in written
    assert b"patient" not in written
    assert b"no_target" in written


def test_headers_that_conditions_ask_for_are_kept_and_no_others() -> None:
    record = planned()
    assert decision_of(record, 11.0, UNIX_S).facts["headers"] == {"x-team": None}


def test_a_call_that_routing_turned_away_tells_why() -> None:
    error = Forbidden("no", code="denied_by_rule")
    signals = Signals(call(), READERS)
    error.considered = Considered(
        Route("auto", None), signals, "no-batches", Choice((), (LeftOut("a/m", "is out"),))
    )
    record = Record("call_1", "chat", 10.0, error=error, status=403, ending="refused")
    decision = decision_of(record, 11.0, UNIX_S)
    assert (decision.route, decision.rule, decision.error) == ("auto", "no-batches", "denied_by_rule")
    assert [left.target for left in decision.left_out] == ["a/m"]


def test_a_call_that_never_came_to_routing_has_no_facts() -> None:
    record = Record("call_1", "chat", 10.0, error=Forbidden("no"), status=403, ending="refused")
    assert considered_of(record) is None
    assert decision_of(record, 11.0, UNIX_S).facts == {}


@pytest.mark.parametrize(
    ("record", "notable"),
    [
        (planned(), True),
        (planned(left_out=0), True),
        (planned(rule="code"), True),
        (Record("call_1", "chat", 0.0, attempts=[Attempt("a", "m", 0.0)]), False),
        (Record("call_1", "chat", 0.0, error=NoTarget("nobody")), True),
    ],
)
def test_notable_is_where_not_all_went_as_written(record: Record, *, notable: bool) -> None:
    assert is_notable(record) is notable
    every, some = line_of("all"), line_of("notable")
    assert every is not None
    assert some is not None
    assert bool(some(record, 1.0, UNIX_S)) is notable
    line = every(record, 1.0, UNIX_S)
    assert line.endswith(b"\n")
    assert msgspec.json.encode(msgspec.json.decode(line, type=Decision)) + b"\n" == line


def test_where_nothing_is_kept_nothing_writes() -> None:
    assert line_of("none") is None


@pytest.mark.parametrize(
    ("asked", "given"), [("1", True), ("true", True), ("0", False), ("No ", False), ("", False)]
)
def test_the_header_comes_only_where_it_is_asked_for(asked: str, *, given: bool) -> None:
    lines = decision_header({"x-forebay-decision": asked}, planned())
    assert [name for name, _ in lines] == [b"x-forebay-decision"] * given
    assert decision_header({}, planned()) == []


def test_the_compact_form_says_what_is_decided_so_far() -> None:
    assert json.loads(compact(planned(rule="code"))) == {
        "route": "auto",
        "rule": "code",
        "candidates": ["b0/m", "b1/m"],
        "left_out": ["left0/m: does not take images"],
        "attempts": ["b0/m first upstream_timeout 500 ms", "b1/m next 250 ms"],
    }


@pytest.mark.parametrize(
    ("candidates", "left_out", "rule"), [(500, 0, ""), (3, 200, ""), (90, 90, "r\u00e9gle\n")]
)
def test_the_compact_form_is_short_and_fit_for_a_header(candidates: int, left_out: int, rule: str) -> None:
    text = compact(planned(candidates, left_out, rule))
    assert len(text) <= COMPACT_BYTES
    assert text.isascii()
    assert text.decode().isprintable()
    shown = json.loads(text)
    assert shown["cut"] is True
    assert shown["candidates"][0] == "b0/m"
    assert shown["attempts"]
    assert shown.get("rule", "") == rule


def test_who_is_known_by_an_address_is_not_named_by_it() -> None:
    write = line_of("all", lambda text: text.replace("bob@example.com", "[email]"))
    assert write is not None
    record = planned(tenant="acme", key="sub:bob@example.com", model="auto")
    caller = msgspec.structs.replace(CALLER, key=record.key)
    seen = considered_of(record)
    assert seen is not None
    seen.signals.caller = caller
    told = json.loads(write(record, 11.0, UNIX_S))
    assert told["key"] == told["facts"]["caller"]["key"] == "sub:[email]"
    assert told["call"] == "call_1"
    assert b'"key":"key_1"' in write(planned(key="key_1"), 11.0, UNIX_S)

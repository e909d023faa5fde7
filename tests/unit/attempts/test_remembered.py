"""Answers that are given again: to the same request only, of the same tenant, and not for ever."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from unit.stand_ins import CALLER, call

from gateway.attempts.remembered import Remembered, key_of
from gateway.exchange import Call, FormField, KeptAnswer
from gateway.formats.envelope import decode_members


def answer(body: bytes = b"{}", at_s: float = 0.0, status: int = 200) -> KeptAnswer:
    return KeptAnswer(status, b"application/json", body, at_s)


def kept(store: Remembered, *names: bytes) -> list[bool]:
    return [store.get(name, 1e9, 0.0) is not None for name in names]


def test_an_answer_is_given_again_as_it_was() -> None:
    store, told = Remembered(), answer(b'{"a":1}')
    store.put(b"k", told)
    assert store.get(b"k", 10.0, 5.0) is told
    assert store.get(b"other", 10.0, 5.0) is None


def test_an_answer_is_given_until_its_age_and_no_longer() -> None:
    store = Remembered()
    store.put(b"k", answer(at_s=100.0))
    assert store.get(b"k", 60.0, 160.0) is not None
    assert store.get(b"k", 60.0, 160.1) is None
    assert store.get(b"k", 90.0, 160.1) is not None


def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    store = Remembered(32 * 1024)
    for at_s in range(1000):
        store.put(b"k", answer(b"x" * 1000, at_s))
    found = store.get(b"k", 0.5, 999.0)
    assert found is not None
    assert found.at_s == 999
    store.put(b"other", answer(b"x" * 1000))
    assert kept(store, b"k", b"other") == [True, True]


def test_the_one_unused_for_longest_makes_room() -> None:
    store = Remembered(32 * 1024)
    names = [b"%d" % i for i in range(16)]
    for name in names:
        store.put(name, answer(b"x" * 1792))
    assert all(kept(store, *names))
    store.get(names[0], 1e9, 0.0)
    store.get(names[1], 1e9, 0.0)
    for name in names[2:]:
        store.get(name, 1e9, 0.0)
    store.get(names[0], 1e9, 0.0)
    store.put(b"new", answer(b"x" * 1792))
    assert kept(store, names[1], names[0], b"new") == [False, True, True]


def test_memory_is_bounded_whatever_comes() -> None:
    store = Remembered(64 * 1024)
    for i in range(1000):
        store.put(b"%d" % i, answer(b"x" * (i % 4000)))
    held = [found for i in range(1000) if (found := store.get(b"%d" % i, 1e9, 0.0)) is not None]
    assert len(held) > 10
    assert sum(len(each.body) for each in held) < 64 * 1024


@pytest.mark.parametrize("told", [answer(b"x" * 5000), answer(status=500), answer(b"")])
def test_what_is_too_large_or_no_good_answer_is_not_kept(told: KeptAnswer) -> None:
    store = Remembered(64 * 1024)
    store.put(b"k", answer(b"old"))
    store.put(b"k", told)
    assert kept(store, b"k") == [False]


def key(made: Call, route: str = "fast") -> bytes:
    found = key_of(made, route)
    assert found is not None
    return found


def test_the_same_request_has_the_same_key_in_any_order_of_its_members() -> None:
    made = call(temperature=0.5, seed=7)
    turned = msgspec.structs.replace(made, members=dict(reversed(list(made.members.items()))))
    assert key(made) == key(turned) == key(call(seed=7, temperature=0.5))


OTHERS: list[dict[str, Any]] = [
    {"temperature": 0.6},
    {"seed": 7},
    {"model": "slow"},
    {"stream": True},
    {"messages": [{"role": "user", "content": "hi!"}]},
    {"stream_options": {"include_usage": True}},
    {"format_": "messages"},
    {"headers": {"anthropic-beta": "x"}},
    {"caller": msgspec.structs.replace(CALLER, tenant="other")},
]


@pytest.mark.parametrize("change", OTHERS)
def test_another_request_has_another_key(change: dict[str, Any]) -> None:
    assert key(call(**change)) != key(call())


def test_another_route_has_another_key() -> None:
    assert key(call(), "fast") != key(call(), "slow")


def test_what_stands_in_one_member_is_not_what_stands_in_two() -> None:
    assert key(call(stop="ab", seed=1)) != key(call(stop="a", bseed=1))


@pytest.mark.parametrize(
    "change",
    [
        {"user": "u2"},
        {"metadata": {"call": "2"}},
        {"safety_identifier": "s"},
        {"headers": {"authorization": "Bearer x"}},
        {"caller": msgspec.structs.replace(CALLER, key="key_2")},
    ],
)
def test_who_asks_within_a_tenant_and_the_number_of_the_call_do_not_count(change: dict[str, Any]) -> None:
    assert key(call(**change)) == key(call())


def test_answers_that_repeat_what_they_were_told_are_given_to_the_same_only() -> None:
    one, other = (call("responses", input="hi", metadata={"call": n}) for n in ("1", "2"))
    assert key(one) != key(other)


RESULTS: list[tuple[Any, str, Any]] = [
    ("chat", "messages", [{"role": "tool", "tool_call_id": "c1", "content": "4"}]),
    (
        "messages",
        "messages",
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "4"}]}],
    ),
    ("responses", "input", [{"type": "function_call_output", "call_id": "c1", "output": "4"}]),
    (
        "gemini",
        "contents",
        [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}],
    ),
    (
        "gemini",
        "contents",
        [{"role": "user", "parts": [{"function_response": {"name": "f", "response": {}}}]}],
    ),
]


@pytest.mark.parametrize(("format_", "member", "turns"), RESULTS)
def test_a_request_with_results_of_tools_is_not_remembered(format_: Any, member: str, turns: Any) -> None:
    assert key_of(call(format_, **{member: turns}), "fast") is None


@pytest.mark.parametrize(("format_", "member", "turns"), RESULTS)
def test_a_request_that_speaks_of_such_results_is(format_: Any, member: str, turns: Any) -> None:
    spoken = {"role": "user", "content": json.dumps(turns), "parts": [{"text": json.dumps(turns)}]}
    assert key_of(call(format_, **{member: [spoken]}), "fast") is not None


@pytest.mark.parametrize("member", ["conversation", "previous_response_id", "background"])
def test_an_answer_that_rests_on_more_than_its_request_is_not_remembered(member: str) -> None:
    assert key_of(call("responses", **{member: "x"}), "fast") is None
    assert key_of(call("responses", **{member: None}), "fast") is not None


def test_forms_pictures_and_sound_are_not_remembered() -> None:
    assert key_of(call("images"), "fast") is None
    assert key_of(call("speech"), "fast") is None
    form = (FormField("file", b"", b"x"),)
    assert key_of(msgspec.structs.replace(call(), form=form), "fast") is None


def test_members_that_were_written_anew_count_like_those_that_came() -> None:
    came = call()
    members = {name: msgspec.json.decode(value) for name, value in came.members.items()}
    assert key(msgspec.structs.replace(came, members=members)) == key(
        msgspec.structs.replace(came, members=decode_members(msgspec.json.encode(members)))
    )

"""Conditions on calls: what each looks at, what they cost, and who belongs to a share."""

from __future__ import annotations

import time
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from gateway.config.signals import HoursSpec, RangeSpec, ShareSpec, WhenSpec
from gateway.exchange import Caller, Moment
from gateway.routing.rules import compile_share, compile_when

NOON = Moment(now_s=0.0, unix_s=1_795_176_000.0, draw=lambda: 0.5)  # a Friday in November 2026
CALLER = Caller("acme", "key_1", tags=("gold", "eu"), features=("new_models",))


class Call:
    """Stands in for a call's signals: raises for what a test does not say."""

    caller = CALLER
    model = "auto"
    format = "chat"
    stream = True
    headers = MappingProxyType({"x-team": "search"})
    priority = "interactive"

    def __init__(self, **told: Any) -> None:
        self.__dict__.update(told)


def holds(when: WhenSpec, unless: WhenSpec | None = None, **told: Any) -> bool:
    return compile_when(when, "route/rule", unless)(Call(**told), NOON)


@pytest.mark.parametrize(
    ("when", "told", "expected"),
    [
        ({}, {}, True),
        ({"model": ("auto",)}, {}, True),
        ({"model": ("gpt-*", "o1")}, {"model": "o1"}, True),
        ({"model": ("gpt-*", "o1")}, {}, False),
        ({"tenant": ("ac*",)}, {}, True),
        ({"tenant": ("other",)}, {}, False),
        ({"key": ("key_1",)}, {}, True),
        ({"key": ("sub:*",)}, {}, False),
        ({"tags": ("silver", "gold")}, {}, True),
        ({"tags": ("e?",)}, {}, True),
        ({"tags": ("us",)}, {}, False),
        ({"features": ("new_*",)}, {}, True),
        ({"features": ("old",)}, {}, False),
        ({"headers": {"X-Team": "search"}}, {}, True),
        ({"headers": {"x-team": "*"}}, {}, True),
        ({"headers": {"x-team": "*", "x-other": "*"}}, {}, False),
        ({"headers": {"x-team": "ads"}}, {}, False),
        ({"metadata": {"step": "dra*"}}, {"metadata": {"step": "draft"}}, True),
        ({"metadata": {"step": "draft", "Step": "*"}}, {"metadata": {"step": "draft"}}, False),
        ({"format": ("messages", "chat")}, {}, True),
        ({"format": ("messages",)}, {}, False),
        ({"stream": True}, {}, True),
        ({"stream": False}, {}, False),
        ({"prompt_tokens": RangeSpec(min=10)}, {"prompt_tokens": 10}, True),
        ({"prompt_tokens": RangeSpec(min=10)}, {"prompt_tokens": 9}, False),
        ({"prompt_tokens": RangeSpec(max=10)}, {"prompt_tokens": 10}, True),
        ({"prompt_tokens": RangeSpec(max=10)}, {"prompt_tokens": 11}, False),
        ({"max_tokens": RangeSpec(max=10)}, {"max_tokens": 10}, True),
        ({"max_tokens": RangeSpec(max=10)}, {"max_tokens": 11}, False),
        ({"max_tokens": RangeSpec()}, {"max_tokens": None}, False),
        ({"has": ("tools", "images")}, {"features": frozenset({"tools", "images", "audio"})}, True),
        ({"has": ("tools", "images")}, {"features": frozenset({"tools"})}, False),
        ({"has_not": ("tools", "images")}, {"features": frozenset({"audio"})}, True),
        ({"has_not": ("tools", "images")}, {"features": frozenset({"tools"})}, False),
        ({"language": ("de", "en")}, {"language": "en"}, True),
        ({"language": ("de",)}, {"language": ""}, False),
        ({"task": ("code", "extraction")}, {"task": "code"}, True),
        ({"task": ("code",)}, {"task": ""}, False),
        ({"sensitivity": ("restricted",)}, {"labels": frozenset({"restricted", "pii"})}, True),
        ({"sensitivity": ("restricted",)}, {"labels": frozenset()}, False),
        ({"priority": ("batch",)}, {"priority": "batch"}, True),
        ({"priority": ("batch",)}, {}, False),
        ({"hours": HoursSpec(days=("fri",), start="11:00", end="13:00")}, {}, True),
        ({"hours": HoursSpec(start="13:00")}, {}, False),
        ({"share": ShareSpec(percent=100)}, {}, True),
        ({"share": ShareSpec(percent=0)}, {}, False),
        ({"model": ("auto",), "tenant": ("acme",), "stream": True}, {}, True),
        ({"model": ("auto",), "tenant": ("acme",), "stream": False}, {}, False),
    ],
)
def test_a_condition_asks_for_what_it_names(when: dict, told: dict, *, expected: bool) -> None:
    assert holds(WhenSpec(**when), **told) is expected


def test_where_unless_holds_the_rule_does_not() -> None:
    when, unless = WhenSpec(model=("auto",)), WhenSpec(tags=("gold",), stream=True)
    assert not holds(when, unless)
    assert holds(when, unless, stream=False)
    assert not holds(when, unless, model="other", stream=False)
    assert not holds(WhenSpec(), WhenSpec())


def test_nothing_dear_is_asked_for_where_something_cheap_does_not_hold() -> None:
    everything = WhenSpec(
        model=("other",),
        prompt_tokens=RangeSpec(min=1),
        max_tokens=RangeSpec(min=1),
        has=("tools",),
        metadata={"a": "b"},
        language=("de",),
        task=("code",),
        sensitivity=("restricted",),
        share=ShareSpec(percent=50, by="user"),
    )
    assert not holds(everything)
    with pytest.raises(AttributeError):
        holds(everything, model="other")


def test_text_is_looked_at_last() -> None:
    asked: list[str] = []

    class Watched(Call):
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return {
                "features": frozenset({"tools"}),
                "metadata": {"a": "b"},
                "task": "code",
                "language": "de",
                "labels": frozenset({"restricted"}),
            }.get(name, 5)

    when = WhenSpec(
        prompt_tokens=RangeSpec(min=1),
        max_tokens=RangeSpec(min=1),
        has=("tools",),
        metadata={"a": "b"},
        language=("de",),
        task=("code",),
        sensitivity=("restricted",),
    )
    assert compile_when(when, "r")(Watched(), NOON)
    assert asked == ["max_tokens", "features", "metadata", "prompt_tokens", "language", "task", "labels"]


def side(percent: float, by: Any = "key", salt: str = "route/rule", **told: Any) -> bool:
    return compile_share(ShareSpec(percent=percent, by=by), salt)(Call(**told), NOON)


def with_key(number: int) -> Caller:
    return Caller("acme", f"key_{number}")


def test_an_identity_is_always_on_the_same_side_and_raising_the_share_only_adds_some() -> None:
    inside: set[int] = set()
    for percent in (0, 1, 10, 10.5, 50, 99, 100):
        now = {number for number in range(500) if side(percent, caller=with_key(number))}
        assert inside <= now
        inside = now
    assert len(inside) == 500


@pytest.mark.parametrize("percent", [5, 30, 80])
def test_a_share_is_as_large_as_it_says(percent: int) -> None:
    share = compile_share(ShareSpec(percent=percent), "r")
    count = sum(share(Call(caller=with_key(number)), NOON) for number in range(10_000))
    # Five standard deviations of a binomial distribution.
    assert abs(count - percent * 100) < 5 * (10_000 * percent / 100 * (1 - percent / 100)) ** 0.5


def test_two_places_draw_their_shares_apart() -> None:
    sides = [
        [side(50, salt=salt, caller=with_key(number)) for number in range(200)] for salt in ("a", "b", "a")
    ]
    assert sides[0] == sides[2]
    assert 50 < sum(one != other for one, other in zip(sides[0], sides[1], strict=True)) < 150


@pytest.mark.parametrize(
    ("by", "same"),
    [
        ("key", {"caller": Caller("x", "key_1"), "user": "u", "conversation": "c"}),
        ("tenant", {"caller": Caller("acme", "x"), "user": "u", "conversation": "c"}),
        ("user", {"caller": Caller("x", "x"), "user": "ann", "conversation": "c"}),
        ("conversation", {"caller": Caller("x", "x"), "user": "u", "conversation": "talk"}),
    ],
)
def test_who_is_drawn_is_all_that_counts(by: str, same: dict) -> None:
    call = {"caller": CALLER, "user": "ann", "conversation": "talk"}
    for percent in range(0, 101, 5):
        assert side(percent, by, **call) is side(percent, by, **same)


@pytest.mark.parametrize("by", ["user", "conversation"])
def test_a_call_that_names_nobody_falls_where_its_key_does(by: str) -> None:
    for percent in range(0, 101, 5):
        told = {"user": "", "conversation": ""}
        assert side(percent, by, **told) is side(percent, "key", **told)


def test_a_name_that_is_no_text_has_its_side_too() -> None:
    assert side(100, "user", user="\udc80")
    assert not side(0, "user", user="\udc80")


def best_us(work: Any, rounds: int = 200) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best * 1e6


def test_fifty_rules_none_of_which_holds_cost_little() -> None:
    kinds = [
        {"model": ("gpt-[34]*",), "stream": False},
        {"tenant": ("other", "others-*"), "tags": ("gold",)},
        {"headers": {"x-team": "ads"}, "task": ("code",)},
        {"task": ("code", "extraction"), "share": ShareSpec(percent=10)},
        {"hours": HoursSpec(days=("sat", "sun"), zone="Europe/Berlin"), "has": ("tools",)},
    ]
    rules = [compile_when(WhenSpec(**kinds[i % 5]), f"r/{i}") for i in range(50)]
    signals = SimpleNamespace(
        **{name: getattr(Call, name) for name in ("model", "format", "stream", "headers", "caller")}, task=""
    )
    assert not any(rule(signals, NOON) for rule in rules)
    # 10 us on a quiet machine; the limit is for busy ones.
    assert best_us(lambda: [rule(signals, NOON) for rule in rules]) < 50

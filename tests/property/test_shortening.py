"""Whatever a conversation is like, a shortened one is one that a provider takes, and its newest part."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.formats.neutral.check import check
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.parts import Text, ToolCall, ToolResult
from gateway.formats.neutral.shortening import shorten

INSTRUCTING = {"system", "developer"}


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Turns in any order; results come at some time after their calls, or never."""
    turns: list[Turn] = []
    open_calls: list[str] = []
    for number in range(draw(st.integers(0, 14))):
        words = Text(draw(st.text(max_size=30)))
        role: Any = draw(st.sampled_from(["system", "user", "user", "assistant", "calls", "tool"]))
        if role == "calls":
            ids = [f"c{number}_{i}" for i in range(draw(st.integers(1, 3)))]
            open_calls += ids
            turns.append(Turn("assistant", (words, *(ToolCall(id_, "f", "{}") for id_ in ids))))
        elif role != "tool":
            turns.append(Turn(role, (words,)))
        elif open_calls:
            answered = draw(st.sampled_from(open_calls))
            open_calls.remove(answered)
            turns.append(Turn("tool", (ToolResult(answered, (words,)),)))
    return Conversation(tuple(turns))


def talk(turns: tuple[Turn, ...]) -> list[Turn]:
    return [turn for turn in turns if turn.role not in INSTRUCTING]


def ids(turns: tuple[Turn, ...] | list[Turn], kind: type) -> set[str]:
    parts = [part for turn in turns for part in turn.parts if isinstance(part, kind)]
    return {part.id if isinstance(part, ToolCall) else part.call_id for part in parts}


@settings(max_examples=400, deadline=None)
@given(conversations(), st.none() | st.integers(0, 400), st.floats(0.01, 0.99), st.integers(1, 4))
def test_what_is_left_can_be_sent(
    conversation: Conversation, limit: int | None, share: float, keep: int
) -> None:
    shorter, left_out = shorten(conversation, limit, share, keep, len)
    assert left_out == len(conversation.turns) - len(shorter.turns)
    if not left_out:
        assert shorter is conversation
        return
    check(shorter)
    kept = talk(shorter.turns)
    assert kept[0].role == "user"
    assert kept == talk(conversation.turns)[left_out:], "the newest, without a gap"
    assert [t for t in shorter.turns if t.role in INSTRUCTING] == [
        t for t in conversation.turns if t.role in INSTRUCTING
    ]
    gone = talk(conversation.turns)[:left_out]
    assert not (ids(gone, ToolCall) | ids(gone, ToolResult)) & (ids(kept, ToolCall) | ids(kept, ToolResult))
    users = [turn for turn in conversation.turns if turn.role == "user"]
    assert sum(turn.role == "user" for turn in kept) >= min(keep, len(users))


@settings(max_examples=200, deadline=None)
@given(conversations(), st.integers(0, 300), st.integers(0, 300), st.integers(1, 3))
def test_a_lower_limit_leaves_out_no_less(
    conversation: Conversation, one: int, other: int, keep: int
) -> None:
    low, high = sorted((one, other))
    assert shorten(conversation, low, 0.5, keep, len)[1] >= shorten(conversation, high, 0.5, keep, len)[1]


@settings(max_examples=200, deadline=None)
@given(conversations(), st.integers(0, 300), st.integers(1, 3))
def test_shortening_again_changes_nothing(conversation: Conversation, limit: int, keep: int) -> None:
    shorter, _ = shorten(conversation, limit, 0.5, keep, len)
    assert shorten(shorter, limit, 0.5, keep, len) == (shorter, 0)

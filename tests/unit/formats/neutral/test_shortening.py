"""The oldest turns go, and what they belong to; instructions and the last turns stay."""

from __future__ import annotations

from typing import Any

from gateway.formats.neutral.conversation import Conversation, FunctionTool, Turn
from gateway.formats.neutral.parts import Media, Opaque, Text, ToolCall, ToolResult
from gateway.formats.neutral.shortening import shorten


def said(role: Any, *words: str) -> Turn:
    return Turn(role, tuple(Text(each) for each in words))


def calling(*ids: str) -> Turn:
    return Turn("assistant", tuple(ToolCall(id_, "f", "{}") for id_ in ids))


def result(*ids: str) -> Turn:
    return Turn("tool", tuple(ToolResult(id_, (Text("4"),)) for id_ in ids))


def shortened(turns: list[Turn], limit: int | None = 0, share: float = 0.5, keep: int = 1) -> list[Turn]:
    shorter, left_out = shorten(Conversation(tuple(turns)), limit, share, keep, len)
    assert left_out == len(turns) - len(shorter.turns)
    return list(shorter.turns)


U1, A1, U2, A2, U3 = (
    said("user", "1" * 96),
    said("assistant", "2" * 96),
    said("user", "3" * 96),
    said("assistant", "4" * 96),
    said("user", "5" * 96),
)
TALK = [U1, A1, U2, A2, U3]


def test_no_more_is_left_out_than_is_needed() -> None:
    assert shortened(TALK, 600) == TALK
    assert shortened(TALK, 400) == [U2, A2, U3]
    assert shortened(TALK, 302) == [U2, A2, U3]
    assert shortened(TALK, 290) == [U3]
    assert shortened(TALK, 1) == [U3], "what must stay may be too much"


def test_without_a_limit_it_comes_down_to_a_share_of_itself() -> None:
    assert shortened(TALK, None, 0.7) == [U2, A2, U3]
    assert shortened(TALK, None, 0.3) == [U3]


def test_the_last_turns_of_the_user_stay_with_all_that_follows() -> None:
    assert shortened(TALK, keep=2) == [U2, A2, U3]
    assert shortened(TALK, keep=3) == TALK
    assert shortened(TALK, keep=9) == TALK
    assert shortened([*TALK, A2]) == [U3, A2]


def test_what_nothing_can_be_left_out_of_is_the_same_object() -> None:
    for turns in ((), (U1,), (said("system", "s"), U1), (said("system", "s"), said("assistant", "a"))):
        conversation = Conversation(turns)
        shorter, left_out = shorten(conversation, 0, 0.5, 1, len)
        assert (shorter is conversation, left_out) == (True, 0)


def test_instructions_stay_wherever_they_stand() -> None:
    first, late = said("system", "s"), said("developer", "d")
    assert shortened([first, U1, A1, late, U2, A2, U3]) == [first, late, U3]


def test_calls_and_results_go_together() -> None:
    turns = [U1, calling("a", "b"), result("a"), result("b"), A1, U2]
    assert shortened(turns) == [U2]


def test_a_result_that_came_late_keeps_its_call() -> None:
    turns = [U1, A1, U2, calling("a", "b"), result("a"), U3, result("b"), A2, said("user", "x")]
    assert shortened(turns, keep=2) == turns[2:]
    assert shortened(turns, keep=1) == turns[-1:]


def test_what_a_provider_names_stays_together_too() -> None:
    asked = Turn("assistant", (Opaque("responses", "computer_call", {"call_id": "c1"}),))
    done = Turn("tool", (Opaque("responses", "computer_call_output", {"call_id": "c1"}),))
    turns = [U1, asked, U2, done, U3]
    assert shortened(turns, keep=2) == turns
    assert shortened(turns) == [U3]


def test_an_id_that_is_used_again_keeps_what_lies_between() -> None:
    turns = [U1, calling("a"), result("a"), U2, calling("a"), result("a"), U3]
    assert shortened(turns, keep=2) == turns
    assert shortened(turns) == [U3]


def test_what_leads_up_to_the_first_question_can_go() -> None:
    assert shortened([said("assistant", "Welcome."), U1]) == [U1]


def test_pictures_tools_and_thoughts_count() -> None:
    picture = Turn("user", (Media("image", url="https://a/b.png"),))
    assert shortened([picture, A1, U2], 900) == [U2]
    inner = Turn("tool", (ToolResult("a", (Media("image", data="aaaa"),)),))
    assert shortened([U1, calling("a"), inner, U2], 900) == [U2]
    tools = (FunctionTool("f", "d" * 500),)
    shorter, left_out = shorten(Conversation((U1, A1, U2), tools=tools), 400, 0.5, 1, len)
    assert (shorter.turns, left_out, shorter.tools) == ((U2,), 2, tools)

"""What a format has but refuses beside other fields: left out where it is asked of it, and named."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.exchange import Format
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.conversation import Conversation, FunctionTool, Thinking, ToolChoice, Turn
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import Media, Reasoning, Text, ToolCall, ToolResult

ASKED = Turn("user", (Text("Hi"),))
CALL = ToolCall("c", "look", "{}")
CALLED = (ASKED, Turn("assistant", (CALL,)), Turn("tool", (ToolResult("c", (Text("18"),)),)))
SIGNED = Reasoning("Hm", signature="s", origin="messages")
THOUGHT = (ASKED, Turn("assistant", (SIGNED, CALL)), CALLED[2])
FORCED: dict[str, Any] = {"tools": (FunctionTool("look"),), "tool_choice": ToolChoice("required")}
LOW, BUDGET, OFF = Thinking("low"), Thinking(budget_tokens=4096), Thinking(budget_tokens=0)


def fitted(turns: Any = (ASKED,), target: Format = "messages", **fields: Any) -> Any:
    return fit(Conversation(turns, **fields), "chat", target)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"temperature": 1.7}, ["temperature"]),
        ({"temperature": 0.5, "top_p": 0.5}, []),
        ({"temperature": 1.7, "top_p": 0.5}, ["temperature"]),
        ({"thinking": LOW, "temperature": 0.2, "top_p": 0.5, "top_k": 5}, ["temperature", "top_p", "top_k"]),
        ({"thinking": LOW, "temperature": 1, "top_p": 0.95}, []),
        ({"thinking": OFF, "temperature": 0.2, "top_k": 5}, []),
        ({"thinking": LOW, "temperature": 0.2, **FORCED}, ["reasoning_effort"]),
        ({"thinking": OFF, **FORCED}, []),
        ({"thinking": BUDGET, "max_tokens": 1024}, ["reasoning_effort"]),
        ({"thinking": BUDGET, "max_tokens": 1025}, []),
    ],
)
def test_what_claude_refuses_together_is_left_out_and_named(fields: Any, named: list[str]) -> None:
    fitting, dropped = fitted(**fields)
    assert list(dropped) == named
    members = CODEC.encode_request(fitting)
    assert not members.keys() & set(named)
    assert "reasoning_effort" not in named or "thinking" not in members


def test_the_same_request_loses_nothing_elsewhere() -> None:
    fields: Any = {"thinking": LOW, "temperature": 1.7, "top_p": 0.5, **FORCED}
    fitting, dropped = fitted(target="responses", **fields)
    assert dropped == ()
    assert fitting == Conversation((ASKED,), **fields)


def test_a_forced_call_is_still_made_with_the_effort_that_was_asked_for() -> None:
    members = CODEC.encode_request(fitted(thinking=LOW, **FORCED)[0])
    assert members["output_config"].effort == "low"


@pytest.mark.parametrize(("turns", "named"), [(CALLED, ("reasoning_effort",)), (THOUGHT, ())])
def test_a_budget_needs_the_thoughts_before_the_last_calls(turns: Any, named: tuple[str, ...]) -> None:
    fitting, dropped = fitted(turns, thinking=BUDGET)
    assert dropped == named
    assert bool(named) is ("thinking" not in CODEC.encode_request(fitting))


def test_seals_of_calls_and_words_are_thoughts_that_another_provider_cannot_read() -> None:
    signed = Turn("assistant", (Text("a", signature="s"), ToolCall("c", "look", "{}", signature="s")))
    for turn in (signed, Turn("assistant", signed.parts[:1]), Turn("assistant", signed.parts[1:])):
        asked = Conversation((ASKED, turn))
        assert fit(asked, "gemini", "messages")[1] == ("contents.thoughtSignature",)
        assert fit(asked, "gemini", "gemini")[1] == ()


@pytest.mark.parametrize(("detail", "named"), [("low", ("image_url.detail",)), ("auto", ()), ("", ())])
def test_the_detail_of_an_image_is_named_where_it_is_lost(detail: str, named: tuple[str, ...]) -> None:
    turn = Turn("user", (Media("image", "image/png", data="aGk=", detail=detail),))
    assert fitted((turn,))[1] == named
    assert fitted((turn,), target="responses")[1] == ()


def test_a_field_that_the_clients_format_has_no_name_for_is_named_by_ours() -> None:
    fields = {"thinking": LOW, "top_k": 5}
    assert fit(Conversation((ASKED,), **fields), "responses", "messages")[1] == ("top_k",)

"""How much Claude is to think, in the words of both generations of models."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.formats.envelope import decode_members
from gateway.formats.messages.codec import CODEC
from gateway.formats.messages.thinking import fit_thinking, knows_budgets_only
from gateway.formats.neutral.conversation import Conversation, FunctionTool, Thinking, ToolChoice, Turn
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall, ToolResult

ASKED = Turn("user", (Text("Hi"),))
RESULT = Turn("tool", (ToolResult("a", (Text("1"),)),))
CALL = ToolCall("a", "look", "{}")
OLD, NEW = "claude-haiku-4-5-20251001", "claude-sonnet-5"


def write(thinking: Thinking | None, *turns: Turn, **fields: Any) -> dict[str, Any]:
    return CODEC.encode_request(Conversation(turns or (ASKED,), thinking=thinking, **fields))


def told(members: Any) -> tuple[Any, Any]:
    value = json.loads(msgspec.json.encode(dict(members)))
    return value.get("thinking"), value.get("output_config")


@pytest.mark.parametrize(
    ("thinking", "config", "output"),
    [
        (Thinking("high"), {"type": "adaptive"}, {"effort": "high"}),
        (Thinking("minimal"), {"type": "adaptive"}, {"effort": "low"}),
        (Thinking("none"), {"type": "disabled"}, None),
        (Thinking(budget_tokens=0), {"type": "disabled"}, None),
        (Thinking(budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        (Thinking(budget_tokens=10), {"type": "enabled", "budget_tokens": 1024}, None),
        (Thinking(adaptive=True), {"type": "adaptive"}, None),
        (Thinking("low", visible=False), {"type": "adaptive", "display": "omitted"}, {"effort": "low"}),
        (Thinking("low", summary="auto"), {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
        (Thinking(visible=False), None, None),
        (Thinking("of_tomorrow"), {"type": "adaptive"}, None),
        (None, None, None),
    ],
)
def test_how_much_to_think(thinking: Thinking | None, config: Any, output: Any) -> None:
    assert told(write(thinking)) == (config, output)


@pytest.mark.parametrize(
    ("budget", "limit", "written", "max_tokens"),
    [
        (3000, 4096, 3000, 4096),
        (4096, 4096, 2048, 4096),
        (24576, 1500, 1024, 1500),
        (24576, 1024, None, 1024),
        (2000, None, 2000, 32_000),
        (65536, None, 65536, 66_560),
    ],
)
def test_a_budget_stays_below_the_limit(
    budget: int, limit: int | None, written: int | None, max_tokens: int
) -> None:
    members = write(Thinking(budget_tokens=budget), max_tokens=limit)
    config = members.get("thinking")
    assert (config.budget_tokens if config else None) == written
    assert members["max_tokens"] == max_tokens


def test_a_limit_is_always_sent() -> None:
    assert write(None)["max_tokens"] == 32_000
    assert write(None, max_tokens=1)["max_tokens"] == 1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"temperature": 0.2, "top_k": 5, "top_p": 0.5}, {}),
        ({"temperature": 1.0, "top_k": 5}, {"temperature": 1.0}),
        ({"temperature": 0.5, "top_p": 0.95}, {"top_p": 0.95}),
    ],
)
def test_thinking_allows_only_its_own_way_to_sample(fields: Any, kept: Any) -> None:
    for thinking in (Thinking("high"), Thinking(budget_tokens=2000)):
        members = write(thinking, **fields)
        assert {name: members[name] for name in fields if name in members} == kept
    off = write(Thinking(budget_tokens=0), **fields)
    assert off["temperature"] == fields["temperature"]


@pytest.mark.parametrize("thinking", [Thinking("high"), Thinking(budget_tokens=2000)])
def test_a_forced_call_switches_thinking_off(thinking: Thinking) -> None:
    tools = (FunctionTool("look"),)
    assert "thinking" not in write(thinking, tools=tools, tool_choice=ToolChoice("required"))
    assert "thinking" in write(thinking, tools=tools, tool_choice=ToolChoice("auto"))
    assert "thinking" in write(thinking, tool_choice=ToolChoice("required"))


@pytest.mark.parametrize(
    ("before", "thinks"),
    [
        ((), False),
        ((Text("I look."),), False),
        ((Reasoning("hm", signature="s", origin="gemini"),), False),
        ((Reasoning("hm", signature="s", origin="messages"),), True),
        ((Reasoning(encrypted="e", origin="converse"),), True),
    ],
)
def test_a_call_made_without_thinking_goes_on_without_a_budget(before: Any, thinks: bool) -> None:
    turns = ASKED, Turn("assistant", (*before, CALL)), RESULT
    assert ("thinking" in write(Thinking(budget_tokens=2000), *turns)) is thinks
    adaptive = write(Thinking("high"), *turns)
    assert adaptive["thinking"].type == "adaptive"
    assert ("thinking" in fit_thinking(adaptive, OLD)) is thinks
    assert fit_thinking(adaptive, NEW) == adaptive


@pytest.mark.parametrize(
    ("model", "old"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-3-7-sonnet@20250219", True),
        ("claude-sonnet-4-0", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-sonnet-4@20250514", True),
        ("claude-opus-4", True),
        ("claude-opus-4-1@20250805", True),
        ("claude-sonnet-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-4-6", False),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("claude-of-tomorrow", False),
    ],
)
def test_which_models_know_budgets_only(model: str, old: bool) -> None:
    assert knows_budgets_only(model) is old


@pytest.mark.parametrize(
    ("thinking", "old", "new"),
    [
        (
            Thinking("medium"),
            ({"type": "enabled", "budget_tokens": 8192}, None),
            ({"type": "adaptive"}, {"effort": "medium"}),
        ),
        (
            Thinking(budget_tokens=5000),
            ({"type": "enabled", "budget_tokens": 5000}, None),
            ({"type": "adaptive"}, {"effort": "medium"}),
        ),
        (
            Thinking(adaptive=True),
            ({"type": "enabled", "budget_tokens": 8192}, None),
            ({"type": "adaptive"}, None),
        ),
        (Thinking("none"), ({"type": "disabled"}, None), ({"type": "disabled"}, None)),
        (None, (None, None), (None, None)),
    ],
)
def test_a_model_gets_thinking_in_its_own_words(thinking: Thinking | None, old: Any, new: Any) -> None:
    members = write(thinking)
    assert told(fit_thinking(members, OLD)) == old
    assert told(fit_thinking(members, NEW)) == new


def test_what_the_client_itself_wrote_is_not_touched() -> None:
    body = {
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "max"},
        "messages": [],
        "max_tokens": 1,
    }
    members = decode_members(json.dumps(body).encode())
    assert fit_thinking(members, OLD) is members


@pytest.mark.parametrize(
    "members",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
    ],
)
def test_thinking_comes_back_as_it_was(members: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4096, **members}
    conversation = CODEC.decode_request(decode_members(json.dumps(body).encode()))
    assert told(CODEC.encode_request(conversation)) == (members["thinking"], members.get("output_config"))

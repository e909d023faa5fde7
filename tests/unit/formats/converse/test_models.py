"""What becomes of a translated request where families of models take it differently."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.formats.converse.codec import CODEC
from gateway.formats.converse.models import fit_to_model, tells_its_model
from gateway.formats.neutral.conversation import Conversation, FunctionTool, Thinking, ToolChoice, Turn
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall, ToolResult

HI = Turn("user", (Text("hi"),))
SONNET_4_5 = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS_4_7 = "anthropic.claude-opus-4-7"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
GPT_OSS = "openai.gpt-oss-20b-1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
PLACE = "arn:aws:bedrock:us-east-1:123456789012"
PROFILE = f"{PLACE}:application-inference-profile/ab12cd34ef56"

ENABLED = {"type": "enabled", "budget_tokens": 8192}
CALLED = (
    HI,
    Turn("assistant", (ToolCall("c", "look", "{}"),)),
    Turn("tool", (ToolResult("c", (Text("seen"),)),)),
)
SIGNED = Reasoning("Look first.", signature="s", origin="converse")


def fitted(model: str, *turns: Turn, **fields: Any) -> dict[str, Any]:
    return fit_to_model(CODEC.encode_request(Conversation(turns or (HI,), **fields)), model)


def thinking_in(members: dict[str, Any]) -> tuple[Any, Any]:
    """Return what is said to the model of thinking, and the effort."""
    fields = members.get("additionalModelRequestFields")
    return fields, members.get("outputConfig", {}).get("effort")


MEDIUM, BUDGET, OFF = Thinking("medium"), Thinking(budget_tokens=8192), Thinking("none")


@pytest.mark.parametrize(
    ("model", "thinking", "fields", "effort"),
    [
        (OPUS_4_7, MEDIUM, {"thinking": {"type": "adaptive"}}, "medium"),
        (OPUS_4_7, BUDGET, {"thinking": {"type": "adaptive"}}, "medium"),
        (OPUS_4_7, OFF, {"thinking": {"type": "disabled"}}, None),
        (SONNET_4_5, MEDIUM, {"thinking": ENABLED}, None),
        (SONNET_4_5, BUDGET, {"thinking": ENABLED}, None),
        (SONNET_4_5, Thinking(adaptive=True), {"thinking": ENABLED}, None),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", MEDIUM, {"thinking": ENABLED}, None),
        ("anthropic.claude-3-haiku-20240307-v1:0", MEDIUM, None, None),
        ("anthropic.claude-v2:1", BUDGET, None, None),
        (f"{PLACE}:inference-profile/{SONNET_4_5}", MEDIUM, {"thinking": ENABLED}, None),
        (NOVA_2, MEDIUM, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}, None),
        (NOVA_2, BUDGET, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}, None),
        (
            NOVA_2,
            Thinking("xhigh"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            None,
        ),
        (NOVA_2, OFF, {"reasoningConfig": {"type": "disabled"}}, None),
        ("amazon.nova-pro-v1:0", MEDIUM, None, None),
        (GPT_OSS, MEDIUM, {"reasoning_effort": "medium"}, None),
        (GPT_OSS, Thinking("minimal"), {"reasoning_effort": "low"}, None),
        (GPT_OSS, Thinking(budget_tokens=30_000), {"reasoning_effort": "high"}, None),
        (GPT_OSS, Thinking(adaptive=True), {"reasoning_effort": "medium"}, None),
        (GPT_OSS, OFF, {"reasoning_effort": "low"}, None),
        (LLAMA, MEDIUM, None, None),
        (LLAMA, BUDGET, None, None),
        (PROFILE, MEDIUM, {"thinking": {"type": "adaptive"}}, "medium"),
    ],
)
def test_thinking_is_asked_for_in_the_words_of_the_family(
    model: str, thinking: Thinking, fields: Any, effort: Any
) -> None:
    assert thinking_in(fitted(model, thinking=thinking)) == (fields, effort)


@pytest.mark.parametrize("model", [SONNET_4_5, NOVA_2, GPT_OSS, LLAMA, PROFILE])
def test_nothing_is_said_of_thinking_where_nothing_was_asked(model: str) -> None:
    members = CODEC.encode_request(Conversation((HI,), max_tokens=5, temperature=0.5))
    assert fit_to_model(members, model) == members


def test_a_budget_leaves_room_for_the_answer_or_is_none() -> None:
    asked = fitted(SONNET_4_5, thinking=MEDIUM, max_tokens=5000)
    assert thinking_in(asked) == ({"thinking": {"type": "enabled", "budget_tokens": 2500}}, None)
    assert thinking_in(fitted(SONNET_4_5, thinking=MEDIUM, max_tokens=1000)) == (None, None)


@pytest.mark.parametrize("bound", [{"max_tokens": 9}, {"temperature": 0.5}, {"top_p": 0.5}])
def test_the_highest_effort_of_nova_gives_way_to_what_it_cannot_go_with(bound: dict[str, Any]) -> None:
    asked = fitted(NOVA_2, thinking=Thinking("high"), **bound)
    assert thinking_in(asked)[0] == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}


@pytest.mark.parametrize("model", [OPUS_4_7, SONNET_4_5])
@pytest.mark.parametrize("names", [(), ("look",)])
def test_claude_does_not_think_before_a_forced_call(model: str, names: tuple[str, ...]) -> None:
    choice = ToolChoice("required", names)
    asked = fitted(model, thinking=MEDIUM, tools=(FunctionTool("look"),), tool_choice=choice)
    assert thinking_in(asked)[0] is None


def test_claude_does_not_think_on_a_budget_after_a_call_made_without_thinking() -> None:
    assert thinking_in(fitted(SONNET_4_5, *CALLED, thinking=MEDIUM))[0] is None
    assert thinking_in(fitted(OPUS_4_7, *CALLED, thinking=MEDIUM))[0] == {"thinking": {"type": "adaptive"}}
    thought = Turn("assistant", (SIGNED, *CALLED[1].parts))
    after = fitted(SONNET_4_5, HI, thought, CALLED[2], thinking=MEDIUM)
    assert thinking_in(after)[0] == {"thinking": ENABLED}


@pytest.mark.parametrize(
    ("thinking", "asked", "written"),
    [
        (None, {"temperature": 0.2, "top_p": 1.0}, {"temperature": 0.2}),
        (None, {"temperature": 1.0, "top_p": 0.5}, {"topP": 0.5}),
        (None, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "topP": 0.5}),
        (MEDIUM, {"temperature": 0.2, "top_p": 0.5, "max_tokens": 20_000}, {"maxTokens": 20_000}),
        (MEDIUM, {"temperature": 1.0}, {"temperature": 1.0}),
        (MEDIUM, {"top_p": 0.97}, {"topP": 0.97}),
        (OFF, {"temperature": 0.2}, {"temperature": 0.2}),
    ],
)
@pytest.mark.parametrize("model", ["us.anthropic.claude-opus-4-6-v1", SONNET_4_5])
def test_claude_is_told_only_how_to_sample_in_ways_it_takes(
    model: str, thinking: Thinking | None, asked: dict[str, Any], written: dict[str, Any]
) -> None:
    assert fitted(model, thinking=thinking, **asked)["inferenceConfig"] == written


def test_a_model_that_takes_no_way_to_sample_is_told_none() -> None:
    asked = fitted(OPUS_4_7, temperature=0.2, top_p=0.5, max_tokens=9)
    assert asked["inferenceConfig"] == {"maxTokens": 9}
    assert "inferenceConfig" not in fitted(OPUS_4_7, temperature=0.2)


def test_a_model_without_thinking_is_not_shown_earlier_thoughts() -> None:
    thought = Turn("assistant", (SIGNED, Text("a")))
    told = [fitted(model, HI, thought, HI)["messages"][1]["content"] for model in (LLAMA, GPT_OSS)]
    assert [[next(iter(block)) for block in blocks] for blocks in told] == [
        ["text"],
        ["reasoningContent", "text"],
    ]


def test_other_models_are_told_how_to_sample_as_it_was_asked() -> None:
    asked = fitted(LLAMA, thinking=MEDIUM, temperature=0.2, top_p=1.0)
    assert asked["inferenceConfig"] == {"temperature": 0.2, "topP": 1.0}


def test_the_form_of_the_answer_stays_where_the_effort_goes() -> None:
    members = {"messages": [], "outputConfig": {"effort": "low", "textFormat": {"type": "json_schema"}}}
    assert fit_to_model(members, LLAMA)["outputConfig"] == {"textFormat": {"type": "json_schema"}}


def test_the_request_itself_is_not_changed() -> None:
    members = CODEC.encode_request(Conversation((HI,), thinking=MEDIUM, temperature=0.2, top_p=1.0))
    before = repr(members)
    for model in (OPUS_4_7, SONNET_4_5, NOVA_2, GPT_OSS, LLAMA, PROFILE):
        fit_to_model(members, model)
    assert repr(members) == before


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        (LLAMA, True),
        (f"{PLACE}:inference-profile/{LLAMA}", True),
        (PROFILE, False),
        (f"{PLACE}:imported-model/ab12", False),
        (f"{PLACE}:provisioned-model/ab12", False),
    ],
)
def test_some_arns_do_not_tell_their_model(name: str, tells: bool) -> None:
    assert tells_its_model(name) is tells

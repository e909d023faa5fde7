"""How much to think: efforts and budgets of others in the way that each model takes them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.formats.gemini.codec import CODEC
from gateway.formats.gemini.thinking import fit_thinking, is_since_gemini_3
from gateway.formats.neutral.conversation import Conversation, Thinking, Turn
from gateway.formats.neutral.parts import Text

ASK = Turn("user", (Text("Hi"),))


def sent(model: str, **thinking: Any) -> dict[str, Any]:
    members = CODEC.encode_request(Conversation((ASK,), temperature=1.0, thinking=Thinking(**thinking)))
    config: dict[str, Any] = fit_thinking(members, model)["generationConfig"]
    assert config["temperature"] == 1.0
    found: dict[str, Any] = config["thinkingConfig"]
    return found


@pytest.mark.parametrize(
    ("effort", "flash", "newest", "pro"),
    [
        ("none", "MINIMAL", "LOW", "LOW"),
        ("minimal", "MINIMAL", "LOW", "LOW"),
        ("low", "LOW", "LOW", "LOW"),
        ("medium", "MEDIUM", "MEDIUM", "HIGH"),
        ("high", "HIGH", "HIGH", "HIGH"),
        ("max", "HIGH", "HIGH", "HIGH"),
    ],
)
def test_models_since_gemini_3_get_a_level_that_they_have(
    effort: str, flash: str, newest: str, pro: str
) -> None:
    assert sent("gemini-3-flash-preview", effort=effort) == {"thinkingLevel": flash}
    assert sent("models/gemini-3.8-flash", effort=effort) == {"thinkingLevel": newest}
    assert sent("gemini-3-pro-preview", effort=effort) == {"thinkingLevel": pro}


@pytest.mark.parametrize(
    ("budget", "level"), [(0, "MINIMAL"), (512, "MINIMAL"), (1024, "LOW"), (5000, "MEDIUM"), (9000, "HIGH")]
)
def test_a_budget_becomes_the_least_level_that_covers_it(budget: int, level: str) -> None:
    assert sent("gemini-3-flash", budget_tokens=budget) == {"thinkingLevel": level}


def test_a_model_with_levels_that_may_think_as_it_likes_is_told_none() -> None:
    assert sent("gemini-3-pro", adaptive=True, visible=True) == {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "budget", "taken"),
    [
        ("gemini-2.5-flash", 0, 0),
        ("gemini-2.5-flash", 60, 60),
        ("gemini-2.5-flash-lite", 0, 0),
        ("gemini-2.5-flash-lite", 60, 512),
        ("gemini-2.5-pro", 0, 128),
        ("gemini-2.5-pro", 60, 128),
        ("gemini-2.5-pro", 100_000, 24_576),
        ("tunedModels/mine", 0, 0),
    ],
)
def test_models_with_budgets_get_one_that_they_take(model: str, budget: int, taken: int) -> None:
    assert sent(model, budget_tokens=budget) == {"thinkingBudget": taken}


def test_models_with_budgets_may_think_as_they_like() -> None:
    assert sent("gemini-2.5-pro", adaptive=True) == {"thinkingBudget": -1}


def test_a_minimal_effort_is_less_than_a_low_one() -> None:
    minimal, low = (sent("gemini-2.5-flash-lite", effort=effort) for effort in ("minimal", "low"))
    assert minimal["thinkingBudget"] < low["thinkingBudget"]


def test_a_request_that_says_nothing_of_thinking_stays() -> None:
    for members in ({"contents": []}, {"contents": [], "generationConfig": {"seed": 1}}):
        assert fit_thinking(members, "gemini-3-pro") == members


@pytest.mark.parametrize(
    ("model", "newer"),
    [
        ("gemini-1.5-pro", False),
        ("gemini-2.5-flash-latest", False),
        ("gemini-3.1-pro-preview", True),
        ("publishers/google/models/Gemini-4", True),
        ("gemini-pro-latest", True),
        ("gemini-pro", False),
        ("gemma-3-27b-it", False),
    ],
)
def test_the_name_of_a_model_tells_its_generation(model: str, newer: bool) -> None:
    assert is_since_gemini_3(model) is newer

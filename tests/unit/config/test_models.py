"""What is known of models: what ships, whatever a host calls a model, and what routing.yaml says over it."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from gateway.config.models import CACHE_ENTRIES, Models, load_models, plain_name
from gateway.config.reliability import ModelSpec
from gateway.exchange import Facts

SHIPPED = load_models()
NOTHING = Facts()


@pytest.fixture
def shipped() -> Models:
    return Models({}, SHIPPED)


@pytest.mark.parametrize(
    ("model", "plain"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("accounts/fireworks/models/Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929-v1:0"),
        ("global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6-v1"),
        ("meta.llama3-1-8b-instruct-v1:0", "llama3-1-8b-instruct-v1:0"),
        ("amazon.nova-pro-v1:0", "nova-pro-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-haiku-4-5-20251001-v1:0",
        ),
        ("grok-4.1-fast", "grok-4.1-fast"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("", ""),
    ],
)
def test_a_model_has_one_plain_name_whatever_hosts_call_it(model: str, plain: str) -> None:
    assert plain_name(model) == plain


@pytest.mark.parametrize(
    ("model", "context_tokens", "output_tokens"),
    [
        ("gpt-4o-mini-2024-07-18", 128_000, 16_384),
        ("gpt-4.1-nano", 1_047_576, 32_768),
        ("gpt-5-mini", 400_000, 128_000),
        ("gpt-5.1-chat-latest", 128_000, 16_384),
        ("gpt-5.4-mini", 400_000, 128_000),
        ("openai/gpt-5.4", 1_050_000, 128_000),
        ("o3-mini", 200_000, 100_000),
        ("claude-3-haiku-20240307", 200_000, 4096),
        ("anthropic/claude-3.5-sonnet", 200_000, 8192),
        ("claude-sonnet-4-5@20250929", 200_000, 64_000),
        ("claude-opus-4-20250514", 200_000, 32_000),
        ("anthropic.claude-opus-4-1-20250805-v1:0", 200_000, 32_000),
        ("claude-opus-4-6", 1_000_000, 128_000),
        ("claude-opus-5-5", 1_000_000, 128_000),
        ("gemini-2.5-flash", 1_048_576 + 65_536, 65_536),
        ("openai/gpt-oss-120b", 131_072, None),
        ("smollm2-135m-instruct", 8192, None),
    ],
)
def test_the_windows_of_well_known_models(
    shipped: Models, model: str, context_tokens: int, output_tokens: int | None
) -> None:
    facts = shipped.facts(model)
    assert (facts.context_tokens, facts.output_tokens) == (context_tokens, output_tokens)


@pytest.mark.parametrize(
    ("model", "prefill"),
    [
        ("claude-3-5-haiku-20241022", True),
        ("claude-sonnet-4-20250514", True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("claude-opus-4-5", True),
        ("claude-opus-4-6", False),
        ("anthropic/claude-sonnet-4.6", False),
        ("claude-opus-4-8", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("gpt-4o", False),
    ],
)
def test_only_claude_before_4_6_goes_on_with_what_was_said(
    shipped: Models, model: str, prefill: bool
) -> None:
    assert shipped.facts(model).prefill is prefill


@pytest.mark.parametrize(
    ("model", "takes", "not_"),
    [
        ("gpt-4o", "json_schema", "reasoning"),
        ("gpt-4o-2024-05-13", "images", "json_schema"),
        ("o3-mini", "reasoning", "images"),
        ("claude-sonnet-4-5", "json_schema", "audio"),
        ("claude-sonnet-4-0", "reasoning", "json_schema"),
        ("gemini-2.5-pro", "audio", ""),
        ("smollm2-135m-instruct", "json_schema", "images"),
    ],
)
def test_what_well_known_models_take(shipped: Models, model: str, takes: str, not_: str) -> None:
    facts = shipped.facts(model)
    assert facts.takes is not None
    assert takes in facts.takes
    assert not_ not in facts.takes


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-audio-preview",
        "gpt-4o-mini-transcribe",
        "gemini-2.5-flash-image",
        "gemini-2.5-flash-preview-tts",
        "text-embedding-3-small",
        "gpt-4o-search-preview",
        "mistral-large-latest",
        "my-own-model",
        "",
    ],
)
def test_of_what_is_not_known_nothing_is_said(shipped: Models, model: str) -> None:
    assert shipped.facts(model) == NOTHING


def test_no_shipped_glob_hides_a_later_one() -> None:
    globs = list(SHIPPED)
    hidden = [
        (later, earlier)
        for i, later in enumerate(globs)
        for earlier in globs[:i]
        # A name that a glob with no sets stands for: stars and question marks are letters of it.
        if "[" not in later and fnmatchcase(later, earlier)
    ]
    assert hidden == []


def test_what_is_written_counts_field_by_field() -> None:
    models = Models({"gpt-4o*": ModelSpec(context_tokens=32_000, takes=())}, SHIPPED)
    facts = models.facts("gpt-4o-mini")
    assert facts == Facts(32_000, 16_384, frozenset())


def test_what_is_written_can_say_no() -> None:
    models = Models({"claude-*": ModelSpec(prefill=False)}, SHIPPED)
    assert models.facts("claude-sonnet-4-5").prefill is False


@pytest.mark.parametrize("glob", ["Qwen/*", "qwen/qwen3-8b", "Qwen3-8B", "*"])
def test_what_is_written_matches_the_whole_name_and_the_plain_one(glob: str) -> None:
    models = Models({glob: ModelSpec(context_tokens=40_960)}, {})
    assert models.facts("Qwen/Qwen3-8B").context_tokens == 40_960


def test_the_first_glob_that_matches_counts() -> None:
    models = Models({"a*": ModelSpec(output_tokens=1), "ab": ModelSpec(output_tokens=2)}, {})
    assert models.facts("ab").output_tokens == 1


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    models = Models({}, {})
    for i in range(CACHE_ENTRIES + 100):
        models.facts(f"model-{i}")
    assert models._known.cache_info().currsize == CACHE_ENTRIES

"""The public prices: every kind that the data has, by length, class of service, date and hour."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest
from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant

from gateway.config.providers import Provider
from gateway.config.resolve import load_presets
from gateway.exchange import Price, Rates, Usage
from gateway.policy.pricing.public import CLASSES, KEYS, MORE, PROVIDERS, Catalogue, PublicModel

UNTOLD = {
    *("input_video_mtok", "output_video_mtok", "output_citation_mtok", "storage_searches_kcount"),
    *("input_document_kpages", "input_annotated_document_kpages", "input_text_messages_kcount"),
}
"""The keys that no usage tells of: the docstring of the module says what becomes of them."""
UNTOLD_CLASSES = {"route", "search_type"}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def prices_of(model: ModelInfo) -> list[ModelPrice]:
    conditional = model.prices if isinstance(model.prices, list) else []
    parts: list[ConditionalPrice | PriceVariant] = [*conditional, *(model.price_variants or ())]
    whole = [] if isinstance(model.prices, list) else [model.prices]
    return [*whole, *(one.prices for one in parts)]


def price(provider: str, model: str, at: float = NOW) -> Price:
    found = Catalogue().model(provider, model)
    assert found is not None
    priced = found.at(at)
    assert priced is not None
    return priced


def unix_s(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()


def test_each_key_of_the_data_is_read_or_known_not_to_be() -> None:
    keys = {
        key
        for provider in providers
        for model in provider.models
        for one in prices_of(model)
        for key, value in vars(one).items()
        if value is not None
    }
    assert keys - KEYS.keys() == UNTOLD


def test_each_class_of_service_of_the_data_is_read_or_known_not_to_be() -> None:
    whens = [v.when for p in providers for m in p.models for v in m.price_variants or ()]
    assert {word for when in whens for word in when} == {*CLASSES, *UNTOLD_CLASSES}
    assert {len(when) for when in whens} == {1}


def test_providers_are_ours_and_theirs() -> None:
    assert PROVIDERS.keys() <= load_presets().keys() | set(get_args(Provider))
    assert set(PROVIDERS.values()) <= {provider.id for provider in providers}


def test_what_is_added_is_still_missing() -> None:
    for name, more in MORE.items():
        models = [m for p in providers for m in p.models if m.id == name]
        assert models
        assert all(vars(one).get(key) is None for m in models for one in prices_of(m) for key in more)


@pytest.mark.parametrize(
    ("provider", "model", "kind", "femtousd"),
    [
        # USD for a million tokens, times 10^9; from the providers' price lists, 2026-11.
        ("anthropic", "claude-haiku-4-5", "cache_write_1h", 2 * 10**9),
        ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "cache_write_1h", 6 * 10**9),
        ("openrouter", "anthropic/claude-sonnet-4.5", "cache_write_1h", 6 * 10**9),
        ("gemini", "gemini-2.5-flash", "audio_input", 10**9),
        ("gemini", "gemini-2.5-flash", "cached_audio", 10**8),
        ("openai", "gpt-audio", "audio_output", 64 * 10**9),
        ("openai", "gpt-4o-audio-preview", "audio_input", 40 * 10**9),
        ("azure", "gpt-4o-audio-preview", "audio_output", 80 * 10**9),
        ("openai", "gpt-image-1", "image_input", 10 * 10**9),
        ("openai", "gpt-image-1", "cached_image", 25 * 10**8),
        ("openai", "gpt-image-1", "image_output", 40 * 10**9),
        ("perplexity", "sonar-deep-research", "reasoning", 3 * 10**9),
        ("perplexity", "sonar", "request", 12 * 10**12),
        ("anthropic", "claude-sonnet-4-5", "search", 10 * 10**12),
        ("openai", "tts-1", "character", 15 * 10**9),
        ("openai", "whisper-1", "audio_hour", 36 * 10**13),
        ("groq", "whisper-large-v3", "audio_hour", 111 * 10**12),
    ],
)
def test_the_kinds_that_models_are_sold_by(provider: str, model: str, kind: str, femtousd: int) -> None:
    assert getattr(price(provider, model).standard.rates, kind) == femtousd


def test_long_prompts_cost_what_is_published_for_them() -> None:
    gemini = price("gemini", "gemini-2.5-pro")
    rates = [gemini.at(Usage(read)) for read in (200_000, 200_001)]
    assert [(one.input, one.output, one.cached) for one in rates] == [
        (1_250_000_000, 10_000_000_000, 125_000_000),
        (2_500_000_000, 15_000_000_000, 250_000_000),
    ]


@pytest.mark.parametrize(
    ("provider", "model", "tier", "rates"),
    [
        ("openai", "gpt-5", "", (1.25, 0.125, 10)),
        ("openai", "gpt-5", "default", (1.25, 0.125, 10)),
        ("openai", "gpt-5", "flex", (0.625, 0.0625, 5)),
        ("openai", "gpt-5", "priority", (2.5, 0.25, 20)),
        ("openai", "gpt-5", "batch", (0.625, 0.0625, 5)),
        ("openai", "gpt-4.1", "batch", (1, 0.5, 4)),
        ("anthropic", "claude-opus-4-8", "fast", (10, 1, 50)),
        ("anthropic", "claude-opus-4-8", "batch", (2.5, 0.25, 12.5)),
        ("groq", "whisper-large-v3", "batch", (0, 0, 0)),
    ],
)
def test_classes_of_service_have_prices_of_their_own(
    provider: str, model: str, tier: str, rates: tuple[float, ...]
) -> None:
    got = price(provider, model).at(Usage(1, tier=tier))
    assert (got.input, got.cached, got.output) == tuple(round(usd * 10**9) for usd in rates)


def test_prices_change_on_their_day_and_so_does_their_version() -> None:
    model = Catalogue().model("gemini", "gemini-3.8-flash-tts")
    assert model is not None
    year = unix_s(2027, 1, 1)
    before, after = model.at(year - 1), model.at(year)
    assert before is not None
    assert after is not None
    assert (after.standard.rates.input, before.standard.rates.input) == (10**9, 5 * 10**8)
    assert before.version != after.version
    assert model.changes_after(NOW) == year
    assert model.changes_after(year) is None


def test_peaks_of_the_day_change_twice_each() -> None:
    model = Catalogue().model("deepseek", "deepseek-flash")
    assert model is not None
    moments = [unix_s(2026, 11, 21)]
    for _ in range(5):
        moments.append(model.changes_after(moments[-1]) or 0)
    hours = [datetime.fromtimestamp(at, UTC).hour for at in moments]
    assert hours == [0, 1, 4, 6, 10, 1]
    inputs = [found.standard.rates.input for at in moments if (found := model.at(at)) is not None]
    assert inputs == [15 * 10**7, 3 * 10**8, 15 * 10**7, 3 * 10**8, 15 * 10**7, 3 * 10**8]


def test_the_same_price_is_the_same_object_until_it_changes() -> None:
    model = Catalogue().model("deepseek", "deepseek-chat")
    assert model is not None
    assert model.at(unix_s(2026, 11, 20, 12)) is model.at(unix_s(2026, 11, 21, 11))
    off_peak = model.at(unix_s(2026, 11, 20, 20)), model.at(unix_s(2026, 11, 21, 0, 10))
    assert off_peak[0] == off_peak[1]


def test_what_is_free_costs_nothing_and_what_is_sold_by_the_page_has_no_price() -> None:
    free = price("openrouter", "meta-llama/llama-3.3-70b-instruct:free")
    assert free.standard.rates == Rates.plain(0, 0)
    ocr = Catalogue().model("mistral", "mistral-ocr-latest")
    assert ocr is not None
    assert ocr.at(NOW) is None


def test_what_is_finer_than_a_femto_dollar_is_rounded_half_to_even() -> None:
    fine = price("openrouter", "google/gemini-2.5-flash").standard.rates.cache_write
    assert fine == round(Decimal("0.0833333333333333") * 10**9) == 83_333_333


def test_every_model_of_the_data_can_be_priced_at_any_time() -> None:
    versions: dict[str, Price] = {}
    for provider in providers:
        for model in provider.models:
            public = PublicModel(provider.id, model)
            for at in (0.0, NOW, unix_s(2027, 6, 1, 3)):
                found = public.at(at)
                if found is not None:
                    assert versions.setdefault(found.version, found) == found
    assert len(versions) > 2000

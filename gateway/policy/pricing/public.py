"""The public prices that come with genai-prices, at any time, in our kinds.

What they say and we cannot tell, for nobody reports it in a call's usage:
- video as a kind of its own (`input_video_mtok`, `output_video_mtok`): it costs as other input and output;
- citations (`output_citation_mtok`): they cost as other output;
- pages and messages (`input_document_kpages`, `input_annotated_document_kpages`,
  `input_text_messages_kcount`) and searches in stored files (`storage_searches_kcount`): they cost nothing;
- what a router or a kind of search was chosen for (`route`, `search_type`): the standard price holds.
A model that is sold by such units alone has no price here.

Source: the offline data of genai-prices 0.2.3, whose docs say what each key means; nothing is fetched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.exchange import Price, Rates, Schedule
from gateway.policy.pricing.amounts import Amount, named

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, TieredPrices

CACHE_ENTRIES = 4096
_DAY_S = 86_400

PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "gemini": "google",
    "gemini-openai": "google",
    "vertex": "google",
    "vertex_anthropic": "google",
    "bedrock": "aws",
    "mistral": "mistral",
    "cohere": "cohere",
    "groq": "groq",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "together": "together",
    "fireworks": "fireworks",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "cerebras": "cerebras",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "zai": "zai",
}
"""The names that genai-prices has for presets and providers; of others the prices are not known."""

KEYS: Mapping[str, Amount] = {
    "input_mtok": Amount("input"),
    "output_mtok": Amount("output"),
    "cache_read_mtok": Amount("cached"),
    "cache_write_mtok": Amount("cache_write"),
    "cache_write_5m_mtok": Amount("cache_write"),
    "cache_write_1h_mtok": Amount("cache_write_1h"),
    "output_reasoning_mtok": Amount("reasoning"),
    "input_audio_mtok": Amount("audio_input"),
    "output_audio_mtok": Amount("audio_output"),
    "input_image_mtok": Amount("image_input"),
    "output_image_mtok": Amount("image_output"),
    "cache_audio_read_mtok": Amount("cached_audio"),
    "cache_image_read_mtok": Amount("cached_image"),
    "web_searches_kcount": Amount("search", 1000),
    "rerank_searches_kcount": Amount("search", 1000),
    "input_mchars": Amount("character"),
    "audio_hours": Amount("audio_hour", 1),
    "input_audio_hours": Amount("audio_hour", 1),
    "requests_kcount": Amount("request", 1000),
}
"""What each key means; of two keys for the same rate the later one counts."""

CLASSES = ("service_tier", "processing", "speed")
"""The words for a class of service in `when`. Its value is what providers call it: flex, batch, fast."""

MORE: Mapping[str, Mapping[str, Decimal]] = {
    "gpt-4o-audio-preview": {"input_audio_mtok": Decimal(40), "output_audio_mtok": Decimal(80)},
    "gpt-4o-mini-audio-preview": {"input_audio_mtok": Decimal(10), "output_audio_mtok": Decimal(20)},
}
"""What the data lacks: without it, sound would cost what text does.
Source: OpenAI's pages of these models, as quoted by resellers (checked 2026-11)."""

_FREE = ":free"
"""How the names of models end that cost nothing: the data has no key for them, as for what nobody lists."""

_HOURLY = "claude"
_HOURLY_TIMES = 2
"""To cache for an hour costs twice what input does, with Anthropic and with all who sell its models. Where
the data has no price for it, it would be taken for a cache of five minutes, at 1.25 times.
Source: Anthropic's docs, "Prompt caching: pricing", and all of the 79 prices in the data that have both."""


class PublicModel:
    """A model that somebody sells, and what it costs by time."""

    def __init__(self, provider: str, model: ModelInfo) -> None:
        self.name = f"public:{provider}/{model.id}"
        self._model = model
        constraints = [one.constraint for one in _conditional(model) if one.constraint is not None]
        days = {day for one in constraints if (day := getattr(one, "start_date", None)) is not None}
        self._dates = sorted(datetime.combine(day, time(), UTC).timestamp() for day in days)
        self._hours = sorted({second for one in constraints for second in _hours(one)})
        self._prices: dict[tuple[int, int], Price | None] = {}

    def at(self, unix_s: float) -> Price | None:
        """Return the price in force; None: it is sold by nothing that is counted here."""
        span = (bisect_right(self._dates, unix_s), bisect_right(self._hours, unix_s % _DAY_S))
        if span not in self._prices:
            self._prices[span] = self._priced(datetime.fromtimestamp(unix_s, UTC))
        return self._prices[span]

    def changes_after(self, unix_s: float) -> float | None:
        """Return when another price may be in force; None: this one holds as far as is known."""
        midnight = unix_s - unix_s % _DAY_S
        hours = [midnight + day + second for second in self._hours for day in (0, _DAY_S)]
        return min((when for when in (*self._dates, *hours) if when > unix_s), default=None)

    def _priced(self, at: datetime) -> Price | None:
        standard = self._schedule(self._model.get_prices(at))
        if standard is None:
            return None
        tiers = {}
        for variant in self._model.price_variants or ():
            word, value = next(iter(variant.when.items()))
            if len(variant.when) == 1 and word in CLASSES:
                tiers[value] = self._schedule(self._model.get_prices(at, variant.when)) or standard
        return named(self.name, standard, tiers)

    def _schedule(self, price: ModelPrice) -> Schedule | None:
        told = {key: value for key in KEYS if (value := getattr(price, key)) is not None}
        told = {**(MORE.get(self._model.id, {}) if told else {}), **told}
        if not told:
            return Schedule(Rates.of({})) if self.name.endswith(_FREE) else None
        tiered = [value for value in told.values() if not isinstance(value, Decimal)]
        starts = sorted({tier.start for value in tiered for tier in value.tiers})
        return Schedule(self._rates(told, None), tuple((start, self._rates(told, start)) for start in starts))

    def _rates(self, told: Mapping[str, Decimal | TieredPrices], above_tokens: int | None) -> Rates:
        """Return the rates of prompts that are longer than that; None: of those below the first step."""
        known = {}
        for key, value in told.items():
            usd = value if isinstance(value, Decimal) else _step(value, above_tokens)
            known[KEYS[key].rate] = round(KEYS[key].femtousd(usd))
        if _HOURLY in self.name and "cache_write" in known:
            known.setdefault("cache_write_1h", known.get("input", 0) * _HOURLY_TIMES)
        return Rates.of(known)


def _step(tiered: TieredPrices, above_tokens: int | None) -> Decimal:
    """Return what holds above so many tokens: each step holds for all of the tokens."""
    usd = tiered.base
    for tier in tiered.tiers:
        if above_tokens is not None and tier.start <= above_tokens:
            usd = tier.price
    return usd


def _conditional(model: ModelInfo) -> Iterator[ConditionalPrice | PriceVariant]:
    if isinstance(model.prices, list):
        yield from model.prices
    yield from model.price_variants or ()


def _hours(constraint: object) -> Iterator[int]:
    """Find the seconds of the day, in UTC, at which a constraint begins and ends to hold."""
    for name in ("start_time", "end_time"):
        of_day: time | None = getattr(constraint, name, None)
        if of_day is not None:
            aware = of_day if of_day.tzinfo else of_day.replace(tzinfo=UTC)
            at = datetime.combine(datetime(2000, 1, 2, tzinfo=UTC), aware).astimezone(UTC)
            yield at.hour * 3600 + at.minute * 60 + at.second


class Catalogue:
    """The public models, and which of them anybody has asked for."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], PublicModel] = {}
        self._find = lru_cache(CACHE_ENTRIES)(self._look_up)

    def model(self, provider: str, model: str) -> PublicModel | None:
        """Find a model by a preset or a provider of ours, and its name there; None: nobody lists it.

        The very first question imports the data, which takes about 0.2 s.
        """
        return self._find(PROVIDERS[provider], model) if provider in PROVIDERS else None

    def named(self, name: str) -> PublicModel | None:
        """Find `provider/model`, by a name that is ours or that the data has."""
        provider, _, model = name.partition("/")
        return self._find(PROVIDERS.get(provider, provider), model)

    def changes_after(self, unix_s: float) -> float | None:
        """Return when the price of a model that was asked for may change next."""
        changes = [model.changes_after(unix_s) for model in tuple(self._models.values())]
        return min((when for when in changes if when is not None), default=None)

    def _look_up(self, provider: str, model: str) -> PublicModel | None:
        # Late: it brings 0.2 s and 30 MB with it. Not by its snapshot, whose caches grow without a bound.
        from genai_prices.data import providers

        owner = next((one for one in providers if one.id == provider), None)
        found = owner.find_model(model, all_providers=providers) if owner else None
        if found is None:
            return None
        # By many names the same model: there are as many as the data has.
        return self._models.setdefault((provider, found.id), PublicModel(provider, found))

"""policies/prices.yaml: what the tokens of models cost, over the public prices that come with genai-prices.

Base rates only: the tiers of long prompts, service tiers, sound, images and searches are left out. Where a
price depends on the time of day it is the dearest, so that a call is not estimated too low. It knows no call;
what one costs is `Price.of`.
Source: the offline data of genai-prices, in the version that is installed; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, field

from gateway.config.located import Located
from gateway.config.signals import Glob
from gateway.config.spec import Spec
from gateway.errors import ConfigErrors
from gateway.exchange import Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

CACHE_ENTRIES = 4096
NANOUSD = Decimal(1_000_000_000)

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

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]


class PriceSpec(Spec, frozen=True, kw_only=True):
    """What a model's tokens cost, in US dollars per million; 0 is a price, too."""

    input_usd_per_mtok: Annotated[Dollars, Meta(description="A million tokens of input.")]
    output_usd_per_mtok: Annotated[Dollars, Meta(description="0 for embeddings.")]
    cached_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Input that the provider had cached. Default: as other input.")
    ] = None
    cache_write_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Input that it caches now. Default: as other input.")
    ] = None


class PricesSpec(Spec, frozen=True, kw_only=True):
    """Prices of your own, in place of the public ones."""

    models: Annotated[
        dict[Glob, PriceSpec],
        Meta(description="By `model` or `backend/model`, with globs; the first that matches counts."),
    ] = field(default_factory=dict)


class Prices:
    """The compiled policy."""

    def __init__(self, written: Mapping[str, Price]) -> None:
        self._written = tuple((re.compile(translate(glob)), price) for glob, price in written.items())
        self._known = lru_cache(CACHE_ENTRIES)(self._find)

    def of(self, backend: str, provider: str, model: str) -> Price | None:
        """Return the price of a model at a backend; None: it is not known.

        `provider` is the backend's preset, or its provider where it has none; empty for one whose public
        price does not count, such as your own. Public prices are those of the day they are first asked for.
        The very first question to them imports their data, which takes about 0.2 s.
        """
        return self._known(backend, provider, model)

    def _find(self, backend: str, provider: str, model: str) -> Price | None:
        place = f"{backend}/{model}"
        for pattern, price in self._written:
            if pattern.fullmatch(model) or pattern.fullmatch(place):
                return price
        return public_price(PROVIDERS[provider], model) if provider in PROVIDERS else None


def compile(spec: Located[PricesSpec] | None) -> Prices:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file."""
    if spec is None:
        return Prices({})
    errors = [
        spec.error(("models", glob, name), "finer than a billionth of a dollar", "round it")
        for glob, price in spec.value.models.items()
        for name in price.__struct_fields__
        if _nanousd(getattr(price, name) or 0.0) % 1
    ]
    if errors:
        raise ConfigErrors(errors)
    return Prices({glob: _written(price) for glob, price in spec.value.models.items()})


def _written(spec: PriceSpec) -> Price:
    plain = spec.input_usd_per_mtok
    cached = plain if spec.cached_usd_per_mtok is None else spec.cached_usd_per_mtok
    cache_write = plain if spec.cache_write_usd_per_mtok is None else spec.cache_write_usd_per_mtok
    return Price(*(int(_nanousd(usd)) for usd in (plain, spec.output_usd_per_mtok, cached, cache_write)))


def _nanousd(usd: float) -> Decimal:
    # The shortest text of a float is the one that was written, up to 15 digits; it has to be exact.
    return Decimal(str(usd)) * NANOUSD


def public_price(provider: str, model: str) -> Price | None:
    """Look a model up in the data of genai-prices, by its name for the provider."""
    # Late: it brings 0.2 s and 30 MB with it. Not by its snapshot, whose caches grow without a bound.
    from genai_prices.data import providers

    owner = next((one for one in providers if one.id == provider), None)
    found = owner.find_model(model, all_providers=providers) if owner else None
    return _as_price(_in_force(found)) if found else None


def _in_force(model: ModelInfo) -> ModelPrice:
    """Return the price of today; of several that depend on the time of day, the dearest."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        return model.prices
    now = datetime.now(UTC)
    in_force = [model.prices[0].prices]
    for one in model.prices:
        if isinstance(one.constraint, TimeOfDateConstraint):
            in_force.append(one.prices)
        elif one.constraint is None or one.constraint.active(now):
            in_force = [one.prices]
    return max(in_force, key=lambda price: _rate(price.output_mtok) or 0)


def _as_price(price: ModelPrice) -> Price | None:
    """Read a price by tokens; None for what is sold by pages, hours or characters, or has no price."""
    plain = _rate(price.input_mtok)
    if plain is None:
        return None
    output = _rate(price.output_mtok) or 0
    cached, cache_write = _rate(price.cache_read_mtok), _rate(price.cache_write_mtok)
    return Price(
        plain, output, plain if cached is None else cached, plain if cache_write is None else cache_write
    )


def _rate(usd: Decimal | TieredPrices | None) -> int | None:
    """Return nano-USD per million tokens, rounded; of tiers the lowest, which counts from the first token."""
    if usd is None:
        return None
    return round((usd if isinstance(usd, Decimal) else usd.base) * NANOUSD)

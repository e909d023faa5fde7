"""policies/prices.yaml: what the tokens of models cost, over the public prices that come with genai-prices.

Every price holds at a time: `Prices.of` has those of the moment it was compiled for, `Prices.at` those of any
other, and `Prices.changes_after` says when to compile anew. It knows no call; what one costs is `Price.cost`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, field

from gateway.config.checks.problems import Problem, within
from gateway.config.located import Located, did_you_mean, quoted
from gateway.config.signals import Glob
from gateway.config.spec import Spec
from gateway.errors import ConfigErrors
from gateway.exchange import Price
from gateway.policy.pricing.own import (
    OwnPrice,
    default_price,
    list_problems,
    price_problems,
    rates_problems,
)
from gateway.policy.pricing.public import CACHE_ENTRIES, PROVIDERS, Catalogue, PublicModel
from gateway.policy.pricing.specs import PriceSpec, RatesSpec


class PricesSpec(Spec, frozen=True, kw_only=True):
    """Prices of your own, in place of the public ones."""

    models: Annotated[
        dict[Glob, PriceSpec | tuple[PriceSpec, ...]],
        Meta(
            description="By `model` or `backend/model`, with globs; the first that matches counts. "
            "A list has one after the other, by their `from` and `until`."
        ),
    ] = field(default_factory=dict)
    unknown: Annotated[
        RatesSpec | None,
        Meta(
            description="What models cost that have no other price; the ledger marks it as a guess. "
            "Default: nothing that is known."
        ),
    ] = None
    baseline: Annotated[
        str,
        Meta(
            description="What savings are compared with, `provider/model`, or `backend/model` where `models` "
            "has a price for it. Default: nothing."
        ),
    ] = ""


class Prices:
    """The compiled policy, at a moment."""

    def __init__(self, spec: PricesSpec, catalogue: Catalogue, now_unix_s: float) -> None:
        self._now_s = now_unix_s
        self._catalogue = catalogue
        self._own = tuple(
            (re.compile(translate(glob)), OwnPrice(glob, one, _model_like(one, catalogue)))
            for glob, written in spec.models.items()
            for one in _listed(written)
        )
        self._default = None if spec.unknown is None else default_price(spec.unknown)
        self._known = lru_cache(CACHE_ENTRIES)(self._find)
        self.baseline = self.named(spec.baseline) if spec.baseline else None
        """What savings are compared with; None: nothing was declared."""

    def of(self, backend: str, provider: str, model: str) -> Price | None:
        """Return the price of a model at a backend; None: it is not known.

        `provider` is the backend's preset, or its provider where it has none; empty for one whose public
        price does not count, such as your own. The very first question to public prices imports their data,
        which takes about 0.2 s.
        """
        return self._known(backend, provider, model)

    def at(self, backend: str, provider: str, model: str, unix_s: float) -> Price | None:
        """Return the price that was or will be in force at another time, as far as it is known now."""

        def public() -> PublicModel | None:
            return self._catalogue.model(provider, model)

        place = f"{backend}/{model}"
        for pattern, own in self._own:
            fits = pattern.fullmatch(model) or pattern.fullmatch(place)
            if fits and (price := own.at(unix_s, public)) is not None:
                return price
        listed = public()
        price = None if listed is None else listed.at(unix_s)
        return price or self._default

    def named(self, name: str, unix_s: float | None = None) -> Price | None:
        """Return the price of `provider/model` or `backend/model`; None: there is none but the default."""
        at_s = self._now_s if unix_s is None else unix_s
        backend, _, model = name.partition("/")
        price = self.at(backend, "", model, at_s)
        if price is not None and price is not self._default:
            return price
        public = self._catalogue.named(name)
        return None if public is None else public.at(at_s)

    def changes_after(self, unix_s: float) -> float | None:
        """Return when the next price begins or ends to hold; None: never, as far as is known.

        Of the public ones, those count that were asked for so far: ask again from time to time.
        """
        ends = [when for _, own in self._own for when in (own.begins_s, own.ends_s)]
        public = self._catalogue.changes_after(unix_s)
        later = [when for when in ends if unix_s < when < float("inf")]
        return min(later if public is None else (*later, public), default=None)

    def _find(self, backend: str, provider: str, model: str) -> Price | None:
        return self.at(backend, provider, model, self._now_s)


def compile(spec: Located[PricesSpec] | None, now_unix_s: float | None = None) -> Prices:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file.

    `now_unix_s` is the moment whose prices are in force, by default this one.
    """
    now_s = time.time() if now_unix_s is None else now_unix_s
    catalogue = Catalogue()
    if spec is None:
        return Prices(PricesSpec(), catalogue, now_s)
    if errors := [spec.error(*problem) for problem in _problems(spec.value, catalogue)]:
        raise ConfigErrors(errors)
    prices = Prices(spec.value, catalogue, now_s)
    if spec.value.baseline and prices.baseline is None:
        hint = "give `provider/model` of a public price, or a name that `models` has a price for"
        message = f"no price is known for {quoted(spec.value.baseline)}"
        raise ConfigErrors([spec.error(("baseline",), message, hint)])
    return prices


def _listed(written: PriceSpec | tuple[PriceSpec, ...]) -> tuple[PriceSpec, ...]:
    return written if isinstance(written, tuple) else (written,)


def _model_like(spec: PriceSpec, catalogue: Catalogue) -> PublicModel | None:
    return catalogue.named(spec.like) if spec.like else None


def _problems(spec: PricesSpec, catalogue: Catalogue) -> Iterator[Problem]:
    for glob, written in spec.models.items():
        if not isinstance(written, tuple):
            yield from within(("models", glob), _price_problems(written, catalogue))
            continue
        if not written:
            yield ("models", glob), "an empty list has no price", "remove it"
        for i, one in enumerate(written):
            yield from within(("models", glob, i), _price_problems(one, catalogue))
        yield from within(("models", glob), list_problems(written))
    if spec.unknown is not None:
        yield from within(("unknown",), rates_problems(spec.unknown))


def _price_problems(spec: PriceSpec, catalogue: Catalogue) -> Iterator[Problem]:
    yield from price_problems(spec)
    if spec.like and _model_like(spec, catalogue) is None:
        provider = spec.like.partition("/")[0]
        hint = "" if provider in PROVIDERS else did_you_mean(provider, PROVIDERS)
        yield ("like",), f"there is no public price of {quoted(spec.like)}", hint

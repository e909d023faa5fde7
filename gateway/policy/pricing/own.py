"""Prices of one's own: what is written in policies/prices.yaml, checked and compiled.

It must not know the file; places are relative to what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import inf

from gateway.config.checks.problems import Problem, within
from gateway.exchange import Price, Rates, Schedule
from gateway.exchange.price import DEFAULT
from gateway.policy.pricing.amounts import Amount, named, times
from gateway.policy.pricing.public import PublicModel
from gateway.policy.pricing.specs import GpuSpec, LongSpec, PriceSpec, RatesSpec, TierSpec

FIELDS: Mapping[str, Amount] = {
    **{
        name: Amount(name.removesuffix("_usd_per_mtok"))
        for name in RatesSpec.__struct_fields__
        if name.endswith("_usd_per_mtok")
    },
    "search_usd": Amount("search", 1),
    "request_usd": Amount("request", 1),
    "audio_hour_usd": Amount("audio_hour", 1),
    "million_characters_usd": Amount("character"),
}
"""What each field of RatesSpec means."""

_TOKENS = ("input_usd_per_mtok", "output_usd_per_mtok")


class OwnPrice:
    """A price for a span of time: its own, or a public one with a discount."""

    def __init__(self, source: str, spec: PriceSpec, like: PublicModel | None) -> None:
        self.begins_s, self.ends_s = span_of(spec)
        self._like = like
        self._source = f"own:{spec.begins}:{source}" if spec.begins else f"own:{source}"
        self._price = None if _is_public(spec) else _written(self._source, spec)
        self._left = 1 - Decimal(str(spec.discount or 0))
        self._discounted: dict[str, Price] = {}

    def at(self, unix_s: float, public: Callable[[], PublicModel | None]) -> Price | None:
        """Return the price; None: it does not hold then, or there is no public price to take off from."""
        if not self.begins_s <= unix_s < self.ends_s:
            return None
        if self._price is not None:
            return self._price
        model = self._like or public()
        whole = None if model is None else model.at(unix_s)
        if whole is None:
            return None
        if whole.version not in self._discounted:  # there are as many as there are public prices
            tiers = {name: times(self._left, one) for name, one in whole.tiers.items()}
            self._discounted[whole.version] = named(self._source, times(self._left, whole.standard), tiers)
        return self._discounted[whole.version]


def default_price(spec: RatesSpec) -> Price:
    """Return the price of what has no other."""
    return named(f"{DEFAULT}unknown", Schedule(Rates.of(_known(spec))))


def span_of(spec: PriceSpec) -> tuple[float, float]:
    """Return since when and until when it holds, in Unix seconds; raises ValueError for what is no day."""
    begins = -inf if spec.begins is None else _unix_s(spec.begins)
    return begins, inf if spec.ends is None else _unix_s(spec.ends)


def _unix_s(text: str) -> float:
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _is_public(spec: PriceSpec) -> bool:
    return spec.discount is not None or bool(spec.like)


def _written(source: str, spec: PriceSpec) -> Price:
    if spec.gpu is not None:
        return named(source, Schedule(_rates_of_machines(spec.gpu)))
    known = _known(spec)
    standard = _schedule(known, spec.long_context)
    tiers = {
        name: times(Decimal(str(tier.times)), standard)
        if tier.times is not None
        else _schedule(known | _known(tier), tier.long_context)
        for name, tier in spec.tiers.items()
    }
    return named(source, standard, tiers)


def _schedule(known: Mapping[str, int], steps: Sequence[LongSpec]) -> Schedule:
    longer = []
    rates = Rates.of(known)
    for step in steps:
        known = {**known, **_known(step)}
        longer.append((step.above_tokens, Rates.of(known)))
    return Schedule(rates, tuple(longer))


def _known(spec: RatesSpec) -> dict[str, int]:
    return {FIELDS[name].rate: round(amount) for name, amount in _amounts(spec)}


def _amounts(spec: RatesSpec) -> Iterator[tuple[str, Decimal]]:
    """Give what is written, in femto-USD for one."""
    for name, amount in FIELDS.items():
        usd = getattr(spec, name)
        if usd is not None:
            # The shortest text of a float is the one that was written, up to 15 digits.
            yield name, amount.femtousd(Decimal(str(usd)))


def _rates_of_machines(gpu: GpuSpec) -> Rates:
    """Return what a token costs: see GpuSpec; rounded to the nearest femto-USD."""
    hour, count, utilization, share = (
        Decimal(str(number)) for number in (gpu.usd_per_hour, gpu.count, gpu.utilization, gpu.input_share)
    )
    second = Amount("", 1).femtousd(hour * count / 3600 / utilization)
    together = gpu.measured == "together" and gpu.output_tokens_per_s is not None
    for_input, for_output = (share, 1 - share) if together else (Decimal(1), Decimal(1))
    written = gpu.output_tokens_per_s
    return Rates.of(
        {
            "input": round(second * for_input / Decimal(str(gpu.input_tokens_per_s))),
            "output": 0 if written is None else round(second * for_output / Decimal(str(written))),
        }
    )


def list_problems(specs: Sequence[PriceSpec]) -> Iterator[Problem]:
    """Find the spans of prices for the same models that overlap."""
    spans: list[tuple[float, float]] = []
    for i, spec in enumerate(specs):
        try:
            begins, ends = span_of(spec)
        except ValueError:
            return  # told by price_problems
        for j, (other_begins, other_ends) in enumerate(spans):
            if begins < other_ends and other_begins < ends:
                yield (i,), f"holds at the same time as [{j}]", "give the earlier one an `until`"
        spans.append((begins, ends))


def price_problems(spec: PriceSpec) -> Iterator[Problem]:
    """Find what one field alone does not show."""
    written = [name for name in FIELDS if getattr(spec, name) is not None]
    ways = [*written[:1], *(name for name in ("gpu", "discount") if getattr(spec, name) is not None)]
    if spec.like and spec.discount is None:
        ways.append("like")
    if not ways:
        hint = f"give {' and '.join(_TOKENS)}, a discount, or gpu"
        yield (), "nothing says what it costs", hint
    if len(ways) > 1:
        yield (ways[1],), f"there is {ways[0]} already", "a price is given in one way"
    if written:
        yield from rates_problems(spec)
        yield from _long_problems(spec.long_context)
        for name, tier in spec.tiers.items():
            yield from within(("tiers", name), _tier_problems(tier))
    else:
        names = ("long_context", "tiers")
        yield from (((name,), "only for prices by kinds", "") for name in names if getattr(spec, name))
    yield from _span_problems(spec)


def rates_problems(spec: RatesSpec) -> Iterator[Problem]:
    """Find what is missing of kinds that are a price, or too fine."""
    given = [name for name in FIELDS if getattr(spec, name) is not None]
    of_tokens = any(name.endswith("_per_mtok") for name in given)
    for name in _TOKENS:
        if (of_tokens or not given) and name not in given:
            yield (), f"{name} is missing", "0 is a price, too"
    yield from _fine_problems(spec)


def _fine_problems(spec: RatesSpec) -> Iterator[Problem]:
    for name, amount in _amounts(spec):
        if amount % 1:
            yield (name,), "finer than a billionth of a dollar", "round it"


def _long_problems(steps: Sequence[LongSpec]) -> Iterator[Problem]:
    for i, step in enumerate(steps):
        if i and step.above_tokens <= steps[i - 1].above_tokens:
            yield ("long_context", i, "above_tokens"), "not more than the one before", "sort them"
        yield from within(("long_context", i), _fine_problems(step))


def _tier_problems(tier: TierSpec) -> Iterator[Problem]:
    written = [name for name in FIELDS if getattr(tier, name) is not None]
    if tier.times is None and not written:
        yield (), "nothing says what it costs", "give `times`, or kinds"
    if tier.times is not None and (written or tier.long_context):
        yield ("times",), f"there is {(*written, 'long_context')[0]}, too", "remove one of them"
    yield from _fine_problems(tier)
    yield from _long_problems(tier.long_context)


def _span_problems(spec: PriceSpec) -> Iterator[Problem]:
    for name, text in (("from", spec.begins), ("until", spec.ends)):
        try:
            _unix_s(text or "2000-01-01")
        except ValueError as error:
            yield (name,), f"there is no such day: {error}", ""
            return
    begins, ends = span_of(spec)
    if ends <= begins:
        yield ("until",), "not after `from`", "the day itself is not included"

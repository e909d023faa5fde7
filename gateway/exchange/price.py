"""What a model costs, and what of it an attempt costs, by kind. Pure and exact: no float.

All amounts are whole femto-USD (10^-15 US dollars): a dollar for a million tokens is 10^9 of them each, and
few public prices are finer. Only sound is rounded, once for each attempt: it is billed by the hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from gateway.exchange.usage import Usage

_FEMTO_IN_NANO = 1_000_000
_MS_IN_HOUR = 3_600_000

ANY_TIER = "*"
"""In place of a class of service: whichever the provider chooses."""

DEFAULT = "default:"
"""How the version of a price begins that was declared for models without any: what it costs is a guess."""


class Rates(msgspec.Struct, frozen=True, gc=False):
    """Femto-USD for one of each: of tokens, and of what else providers bill by."""

    input: int
    output: int
    cached: int
    """Input that the provider had cached."""
    cache_write: int
    """Input that it caches now, for minutes; the next one for an hour."""
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int
    image_input: int
    image_output: int
    cached_audio: int
    cached_image: int
    search: int = 0
    """A search of the web, or a unit of ranking: no model sells both."""
    character: int = 0
    audio_hour: int = 0
    request: int = 0

    @classmethod
    def of(cls, known: Mapping[str, int]) -> Rates:
        """Make rates of those that are known: each other one is that of what it is a kind of, or nothing."""
        rates = dict(known)
        for name, wider in KIND_OF.items():
            rates.setdefault(name, rates.get(wider, 0))
        return cls(**rates)

    @classmethod
    def plain(cls, input_: int, output: int, cached: int | None = None, written: int | None = None) -> Rates:
        """Make rates of the usual four; the cached and the written default to other input."""
        known = {"input": input_, "output": output, "cached": cached, "cache_write": written}
        return cls.of({name: rate for name, rate in known.items() if rate is not None})


KIND_OF: Mapping[str, str] = {
    "input": "",
    "output": "",
    "cached": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "audio_input": "input",
    "audio_output": "output",
    "image_input": "input",
    "image_output": "output",
    "cached_audio": "cached",
    "cached_image": "cached",
}
"""As what a kind of token costs where nobody says it: always after what it names."""


class Cost(NamedTuple):
    """What an attempt costs by kind, in femto-USD. Kinds do not overlap: their sum is the whole."""

    input: int = 0
    """Input for which nothing special holds."""
    cached: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    """Output for which nothing special holds."""
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    other: int = 0
    """Searches, characters, seconds of sound, requests."""

    @property
    def nanousd(self) -> int:
        """The whole, in nano-USD, rounded up."""
        return -(-sum(self) // _FEMTO_IN_NANO)


class Schedule(msgspec.Struct, frozen=True, gc=False):
    """Rates that depend on how long the prompt is: above so many input tokens, others hold for all of it."""

    rates: Rates
    longer: tuple[tuple[int, Rates], ...] = ()
    """By rising numbers of tokens."""

    def at(self, input_tokens: int) -> Rates:
        """Return the rates for a prompt of this length."""
        rates = self.rates
        for above_tokens, dearer in self.longer:
            if input_tokens > above_tokens:
                rates = dearer
        return rates


class Price(msgspec.Struct, frozen=True, gc=False):
    """What a model costs, at a backend and a time. `version` names it: another price has another one."""

    version: str
    standard: Schedule
    tiers: Mapping[str, Schedule] = {}
    """By the class of service; one that is not here costs as the standard one."""

    @classmethod
    def flat(cls, version: str, rates: Rates) -> Price:
        """Make a price that is the same for every length and class."""
        return cls(version, Schedule(rates))

    @property
    def is_default(self) -> bool:
        """Whether this is none of the model's own, but what was declared for models without any."""
        return self.version.startswith(DEFAULT)

    def at(self, usage: Usage) -> Rates:
        """Return the rates for what was used."""
        schedule = self.standard
        if usage.tier and self.tiers:
            schedule = self.tiers.get(usage.tier, schedule)
        return schedule.at(usage.input_tokens) if schedule.longer else schedule.rates

    def cost(self, usage: Usage) -> Cost:
        """Return what `usage` costs, by kind."""
        rates = self.at(usage)
        if usage.audio_s or usage.audio_input_tokens or usage.image_input_tokens or usage.characters:
            return _cost_of_media(rates, usage)
        if usage.audio_output_tokens or usage.image_output_tokens or usage.searches or rates.request:
            return _cost_of_media(rates, usage)
        cached, written, thought = usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens
        thought = min(thought, usage.output_tokens)
        fresh = usage.input_tokens - cached - written
        return Cost(
            fresh * rates.input if fresh > 0 else 0,
            cached * rates.cached,
            _cost_of_writing(rates, written, usage.cache_write_1h_tokens) if written else 0,
            0,
            0,
            (usage.output_tokens - thought) * rates.output,
            thought * rates.reasoning,
        )

    def of(self, usage: Usage) -> int:
        """Return what `usage` costs, in nano-USD, rounded up."""
        return self.cost(usage).nanousd

    def saved(self, usage: Usage) -> int:
        """Return what the provider's cache has saved, in femto-USD; negative where writing cost more."""
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        if not usage.audio_input_tokens and not usage.image_input_tokens:
            rates = self.at(usage)
            writing = _cost_of_writing(rates, written, usage.cache_write_1h_tokens) if written else 0
            return (cached + written) * rates.input - cached * rates.cached - writing
        without = msgspec.structs.replace(
            usage, cached_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0
        )
        return sum(self.cost(without)) - sum(self.cost(usage))

    def plainly(self, input_tokens: int, output_tokens: int) -> int:
        """Return what so many tokens cost, in nano-USD, where nothing is cached."""
        rates = self.standard.at(input_tokens)
        cost = input_tokens * rates.input + output_tokens * rates.output + rates.request
        return -(-cost // _FEMTO_IN_NANO)

    def at_most(self, input_tokens: int, output_tokens: int, tier: str = "") -> int:
        """Return the most that so many tokens of text cost, in nano-USD: where a cache takes all input.

        `tier` is the class of service that is asked for: empty for the standard one, ANY_TIER where it may
        become each of them.
        """
        schedule = self.standard
        if tier and self.tiers:
            if tier == ANY_TIER:
                every = (schedule, *self.tiers.values())
                return max(_at_most(one.at(input_tokens), input_tokens, output_tokens) for one in every)
            schedule = self.tiers.get(tier, schedule)
        return _at_most(schedule.at(input_tokens), input_tokens, output_tokens)


def _at_most(rates: Rates, input_tokens: int, output_tokens: int) -> int:
    dearest_input = max(rates.input, rates.cached, rates.cache_write, rates.cache_write_1h)
    dearest_output = max(rates.output, rates.reasoning)
    cost = input_tokens * dearest_input + output_tokens * dearest_output + rates.request
    return -(-cost // _FEMTO_IN_NANO)


def _cost_of_writing(rates: Rates, written: int, hourly: int) -> int:
    hourly = min(hourly, written)
    return (written - hourly) * rates.cache_write + hourly * rates.cache_write_1h


def _cost_of_media(rates: Rates, usage: Usage) -> Cost:
    """Return the cost of what has other kinds than text.

    Sound and images may have been cached, too, and nobody tells how much of what: what was cached, and what
    was written to the cache, is taken for text first, then for sound, then for images.
    """
    audio = min(usage.audio_input_tokens, usage.input_tokens)
    image = min(usage.image_input_tokens, usage.input_tokens - audio)
    fresh = (usage.input_tokens - audio - image, audio, image)
    cached, fresh = _taken(usage.cached_tokens, fresh)
    _, fresh = _taken(usage.cache_write_tokens, fresh)
    spoken = min(usage.audio_output_tokens, usage.output_tokens)
    drawn = min(usage.image_output_tokens, usage.output_tokens - spoken)
    thought = min(usage.reasoning_tokens, usage.output_tokens - spoken - drawn)
    return Cost(
        input=fresh[0] * rates.input,
        cached=cached[0] * rates.cached + cached[1] * rates.cached_audio + cached[2] * rates.cached_image,
        cache_write=_cost_of_writing(rates, usage.cache_write_tokens, usage.cache_write_1h_tokens),
        audio_input=fresh[1] * rates.audio_input,
        image_input=fresh[2] * rates.image_input,
        output=(usage.output_tokens - spoken - drawn - thought) * rates.output,
        reasoning=thought * rates.reasoning,
        audio_output=spoken * rates.audio_output,
        image_output=drawn * rates.image_output,
        other=_cost_of_the_rest(rates, usage),
    )


def _taken(tokens: int, of: tuple[int, int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Take tokens of text, sound and images, in this order: return those, and what is left.

    Of more than there are, the rest is text: hosts that report more cached than read bill it, too.
    """
    text = min(tokens, of[0])
    audio = min(tokens - text, of[1])
    image = min(tokens - text - audio, of[2])
    left = (of[0] - text, of[1] - audio, of[2] - image)
    return (tokens - audio - image, audio, image), left


def _cost_of_the_rest(rates: Rates, usage: Usage) -> int:
    cost = usage.searches * rates.search + usage.characters * rates.character
    if usage.audio_s:
        cost += _divided(round(usage.audio_s * 1000) * rates.audio_hour, _MS_IN_HOUR)
    # An attempt that came to nothing was no request that anybody bills.
    return cost + rates.request if _is_used(usage) else cost


def _is_used(usage: Usage) -> bool:
    tokens = usage.input_tokens or usage.output_tokens
    return bool(tokens or usage.searches or usage.characters or usage.audio_s)


def _divided(amount: int, by: int) -> int:
    """Divide, and round to the nearest, of two to the even one."""
    whole, rest = divmod(amount, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2))

"""The Specs of policies/prices.yaml below its top: what a price of one's own is written with.

Data only; `own` checks and compiles it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.config.spec import Spec

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z?)?$")]
Share = Annotated[float, Meta(ge=0, le=1)]
Times = Annotated[float, Meta(gt=0, le=1000)]
Speed = Annotated[float, Meta(gt=0, le=1_000_000_000)]
TierName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]


class RatesSpec(Spec, frozen=True, kw_only=True):
    """What is paid for one kind or another, in US dollars; 0 is a price, too."""

    input_usd_per_mtok: Annotated[Dollars | None, Meta(description="A million tokens of input.")] = None
    output_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="A million tokens of output; 0 for embeddings.")
    ] = None
    cached_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Input that the provider had cached. Default: as other input.")
    ] = None
    cache_write_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Input that it caches now. Default: as other input.")
    ] = None
    cache_write_1h_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Input that it caches for an hour. Default: as what it caches now.")
    ] = None
    reasoning_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Thoughts, which are part of the output. Default: as other output.")
    ] = None
    audio_input_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Sound in the input. Default: as other input.")
    ] = None
    audio_output_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Sound in the output. Default: as other output.")
    ] = None
    image_input_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Images in the input. Default: as other input.")
    ] = None
    image_output_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Images in the output. Default: as other output.")
    ] = None
    cached_audio_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Sound that the provider had cached. Default: as what else it had.")
    ] = None
    cached_image_usd_per_mtok: Annotated[
        Dollars | None, Meta(description="Images that the provider had cached. Default: as what else it had.")
    ] = None
    search_usd: Annotated[
        Dollars | None, Meta(description="One search of the web, or one unit of ranking. Default: nothing.")
    ] = None
    request_usd: Annotated[
        Dollars | None, Meta(description="One request, beside its tokens. Default: nothing.")
    ] = None
    audio_hour_usd: Annotated[
        Dollars | None, Meta(description="An hour of sound that is transcribed. Default: nothing.")
    ] = None
    million_characters_usd: Annotated[
        Dollars | None, Meta(description="A million characters that are spoken. Default: nothing.")
    ] = None


class LongSpec(RatesSpec, frozen=True, kw_only=True):
    """What long prompts cost, all of their tokens; what is not given is as for shorter ones."""

    above_tokens: Annotated[int, Meta(ge=1, description="Input tokens, cached ones included.")]


Long = Annotated[tuple[LongSpec, ...], Meta(description="What long prompts cost, by rising `above_tokens`.")]


class TierSpec(RatesSpec, frozen=True, kw_only=True):
    """What a class of service costs; what is not given is as in the standard one."""

    times: Annotated[
        Times | None, Meta(description="So many times the standard price, in place of kinds.")
    ] = None
    long_context: Long = ()


class GpuSpec(Spec, frozen=True, kw_only=True):
    """Machines of your own: what they cost by the hour, and how much they do.

    A second costs C = usd_per_hour * count / 3600 / utilization. Of that, `input_share` is for the input:

        USD per input token  = C * input_share / input_tokens_per_s
        USD per output token = C * (1 - input_share) / output_tokens_per_s

    so that a second in which they do what was measured costs C. With `measured: apart` (a benchmark with
    input alone, then one with output alone) each of both takes all of C.
    """

    usd_per_hour: Annotated[Dollars, Meta(description="One machine, for an hour.")]
    input_tokens_per_s: Annotated[Speed, Meta(description="What all of them read while they are busy.")]
    output_tokens_per_s: Annotated[
        Speed | None, Meta(description="What all of them write. Default: it costs nothing.")
    ] = None
    count: Annotated[float, Meta(gt=0, le=1_000_000, description="How many machines that takes.")] = 1.0
    utilization: Annotated[
        float, Meta(gt=0, le=1, description="The part of the time that they are busy: the rest costs, too.")
    ] = 1.0
    measured: Annotated[
        Literal["together", "apart"],
        Meta(
            description="together: both at the same time; apart: each while there was nothing of the other."
        ),
    ] = "together"
    input_share: Annotated[
        Share, Meta(description="The part of the cost that input bears, where measured together.")
    ] = 0.5


class PriceSpec(RatesSpec, frozen=True, kw_only=True):
    """What a model costs, by one of these: its kinds, a public price with or without a discount, machines."""

    discount: Annotated[
        Share | None, Meta(description="Off every rate of the public price: 0.15 leaves 85 %.")
    ] = None
    like: Annotated[
        str,
        Meta(description="The public price of another model, `provider/model`: for names of your own."),
    ] = ""
    gpu: Annotated[GpuSpec | None, Meta(description="Machines of your own.")] = None
    long_context: Long = ()
    tiers: Annotated[
        dict[TierName, TierSpec],
        Meta(description="By the class of service that the provider billed: flex, batch, priority."),
    ] = field(default_factory=dict)
    begins: Annotated[
        Day | None, Meta(description="The day or time in UTC since which it holds. Default: always.")
    ] = field(default=None, name="from")
    ends: Annotated[
        Day | None, Meta(description="The day or time in UTC before which it holds. Default: no end.")
    ] = field(default=None, name="until")

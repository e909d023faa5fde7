"""The Specs of what keeps calls away from upstreams that fail, and what models can do. Data only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.config.spec import Seconds, Spec
from gateway.exchange import Feature

Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Jitter = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(gt=0)]


class BreakerSpec(Spec, frozen=True, kw_only=True):
    """When a deployment is left alone for a while. A field that is left out is inherited."""

    consecutive: Annotated[Count | None, Meta(description="Failures in a row. Default: 5.")] = None
    error_rate: Annotated[Share | None, Meta(description="Of the calls in the window. Default: 0.5.")] = None
    min_calls: Annotated[Count | None, Meta(description="No rate is told of fewer. Default: 10.")] = None
    window_s: Annotated[Seconds | None, Meta(description="Calls that count. Default: 30.")] = None
    slow_ms: Annotated[
        Count | None, Meta(description="A first token (of a whole answer: all) after this is a failure.")
    ] = None
    cool_down_s: Annotated[Seconds | None, Meta(description="Until one call may try. Default: 10.")] = None
    jitter: Annotated[
        Jitter | None,
        Meta(description="By so much a cool-down is longer or shorter. Default: 0.2."),
    ] = None


class ProbeSpec(Spec, frozen=True, kw_only=True):
    """Asking a backend whether it is well, without a call."""

    path: Annotated[str, Meta(pattern=r"^(/.*)?$", description="Default: what the provider has for it.")] = ""
    every_s: Annotated[Seconds, Meta(description="Between two probes.")] = 5.0
    timeout_s: Annotated[Seconds, Meta(description="For one probe.")] = 2.0
    down_after: Annotated[int, Meta(ge=1, description="Failures in a row.")] = 2
    up_after: Annotated[int, Meta(ge=1, description="Successes in a row.")] = 1


class ConcurrencySpec(Spec, frozen=True, kw_only=True):
    """How many calls a backend gets at once, and how the others wait."""

    max_calls: Annotated[int, Meta(ge=1, le=1 << 20, description="At once, of one worker.")] = 1 << 20
    max_waiting: Annotated[int, Meta(ge=0, le=1 << 20, description="Further ones are turned away.")] = 256
    max_wait_ms: Annotated[int, Meta(ge=1, description="No call waits longer.")] = 10_000
    max_per_minute: Annotated[Rate | None, Meta(description="Calls sent in a minute, evenly.")] = None


class ModelSpec(Spec, frozen=True, kw_only=True):
    """What is known of a model. What is not given is not known, and never a reason to leave it out."""

    context_tokens: Annotated[Count | None, Meta(description="Prompt and answer together.")] = None
    output_tokens: Annotated[Count | None, Meta(description="The longest answer.")] = None
    takes: Annotated[tuple[Feature, ...] | None, Meta(description="All that it takes.")] = None
    prefill: Annotated[bool | None, Meta(description="It goes on with a last message of the assistant.")] = (
        None
    )

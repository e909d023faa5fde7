"""The Specs of routes: targets, strategies, limits, and what happens when an upstream fails.

Data only. A rule of a route is written with the same fields as the route, and inherits those it leaves out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.config.signals import Percent, ShareSpec, WhenSpec
from gateway.config.spec import Seconds, Spec
from gateway.errors import Cause

AnswerModel = Literal["upstream", "route"]
StrategyKind = Literal["priority", "weighted", "least_busy", "fastest", "cheapest", "sticky", "score"]
StickyBy = Literal["user", "conversation", "prefix", "key", "tenant"]
OnBreak = Literal["error", "continue", "restart"]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Dollars = Annotated[float, Meta(gt=0)]
Percentile = Annotated[float, Meta(gt=0, lt=100)]
RouteName = Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")]


class TargetSpec(Spec, frozen=True, kw_only=True):
    """One upstream model at one backend."""

    backend: Annotated[str, Meta(description="A name under `backends`.")]
    model: Annotated[
        str, Meta(description="The upstream's name of the model. Default: the requested name.")
    ] = ""
    priority: Annotated[
        int, Meta(ge=0, le=100, description="Targets of a higher number are asked after all others.")
    ] = 0
    weight: Annotated[float, Meta(ge=0, le=1e6, description="For weighted and sticky; 0: a last resort.")] = (
        1.0
    )
    when: Annotated[WhenSpec | None, Meta(description="It takes only such calls.")] = None


class WeightsSpec(Spec, frozen=True, kw_only=True):
    """What counts how much in a score; each is measured against the best of the targets."""

    cost: Annotated[float, Meta(ge=0, description="Of the price of the call.")] = 1.0
    latency: Annotated[float, Meta(ge=0, description="Of the time it takes.")] = 1.0
    errors: Annotated[float, Meta(ge=0, description="Of the share of errors.")] = 1.0


class StrategySpec(Spec, frozen=True, kw_only=True):
    """In which order the targets of one priority are tried."""

    kind: Annotated[StrategyKind, Meta(description="How the order is found.")]
    by: Annotated[StickyBy, Meta(description="sticky: whose calls stay together.")] = "user"
    prefix_chars: Annotated[
        int, Meta(ge=1, le=1 << 20, description="sticky by prefix: how much of the prompt.")
    ] = 2048
    explore: Annotated[
        float,
        Meta(ge=0, le=1, description="fastest, score: the share of calls that tries another target first."),
    ] = 0.05
    weights: Annotated[WeightsSpec, Meta(description="score: what counts how much.")] = WeightsSpec()


class LimitsSpec(Spec, frozen=True, kw_only=True):
    """What a call may take. A target that cannot keep it is not asked, one that does not is given up."""

    max_first_token_ms: Annotated[
        Milliseconds | None, Meta(description="For each try: until its first token.")
    ] = None
    max_latency_ms: Annotated[
        Milliseconds | None,
        Meta(description="For each try: until its whole answer, or until a stream's first token."),
    ] = None
    max_gap_ms: Annotated[
        Milliseconds | None, Meta(description="A stream that pauses longer is broken. Default: gap_s.")
    ] = None
    max_cost_usd: Annotated[Dollars | None, Meta(description="Estimated, all tries of a call together.")] = (
        None
    )
    deadline_ms: Annotated[
        Milliseconds | None, Meta(description="For the whole call, with all its tries and pauses.")
    ] = None


class RetrySpec(Spec, frozen=True, kw_only=True):
    """Going through the targets again, after a pause, when all of them have failed.

    A pause is drawn between 0 and `backoff_ms`, doubled each time up to `max_backoff_ms`; it is at least
    what the upstream asked for in Retry-After, and one that asks for more than `max_retry_after_ms` is not
    asked again.
    """

    attempts: Annotated[int, Meta(ge=0, le=10, description="How many times more.")] = 1
    backoff_ms: Annotated[Milliseconds, Meta(description="The longest first pause.")] = 200
    max_backoff_ms: Annotated[Milliseconds, Meta(description="The longest pause.")] = 5000
    max_retry_after_ms: Annotated[
        Milliseconds, Meta(description="The longest that an upstream is waited for.")
    ] = 5000
    budget_percent: Annotated[
        Percent, Meta(description="At most so many retries in 100 calls of the route.")
    ] = 20.0


class ShortenSpec(Spec, frozen=True, kw_only=True):
    """Leave out the oldest turns until the call fits."""

    keep_turns: Annotated[int, Meta(ge=1, description="At least so many of the last are kept.")] = 1
    to_percent: Annotated[
        float, Meta(gt=0, lt=100, description="Of the model's context window, or of what it was.")
    ] = 75.0


class CachedSpec(Spec, frozen=True, kw_only=True):
    """Give the answer that the very same request got before."""

    max_age_s: Annotated[Seconds, Meta(description="An older answer is not given.")] = 3600.0


class FallbackSpec(Spec, frozen=True, kw_only=True):
    """A step that is taken when all before it have failed. One of targets, shorten, cached and answer."""

    on: Annotated[
        tuple[Cause, ...],
        Meta(
            description="Causes. Default: all but those about the request itself. A step that names a cause "
            "is taken at once when it comes up."
        ),
    ] = ()
    targets: Annotated[tuple[TargetSpec, ...], Meta(description="Other deployments, or smaller models.")] = ()
    strategy: Annotated[
        StrategyKind | StrategySpec | None,
        Meta(description="In which order its targets are tried. Default: as written."),
    ] = None
    shorten: Annotated[ShortenSpec | None, Meta(description="Ask the route's targets for less.")] = None
    cached: Annotated[CachedSpec | None, Meta(description="Give an answer from before.")] = None
    answer: Annotated[str, Meta(description="Say this.")] = ""


class HedgeSpec(Spec, frozen=True, kw_only=True):
    """A second try beside a slow one; the first good content wins. One of the two delays."""

    after_ms: Annotated[
        Milliseconds | None, Meta(description="When the first try has said nothing for so long.")
    ] = None
    after_percentile: Annotated[
        Percentile | None, Meta(description="Of the times that the deployment lately took.")
    ] = None
    max_percent: Annotated[Percent, Meta(description="At most so many of a tenant's calls on the route.")] = (
        10.0
    )


class StreamSpec(Spec, frozen=True, kw_only=True):
    """What becomes of a stream that breaks after its beginning went to the client."""

    on_break: Annotated[
        OnBreak,
        Meta(
            description="error: it ends with an error; continue: the next target goes on where it broke; "
            "restart: it begins anew, for clients that send `x-forebay-stream: restart`."
        ),
    ] = "error"
    hold_tokens: Annotated[
        int, Meta(ge=0, le=10_000, description="Keep so many back: an early break goes unseen.")
    ] = 0
    hold_ms: Annotated[int, Meta(ge=0, le=60_000, description="But no longer than this.")] = 0


class MarginSpec(Spec, frozen=True, kw_only=True):
    """How much worse than the route's own targets a canary may be."""

    errors: Annotated[float, Meta(ge=0, le=1, description="Added to their share of errors.")] = 0.05
    latency: Annotated[float, Meta(ge=1, description="Times their latency.")] = 2.0
    min_calls: Annotated[int, Meta(ge=1, description="Nothing is decided on fewer.")] = 50


class CanarySpec(Spec, frozen=True, kw_only=True):
    """A new target that gets a share of the calls first, until it does worse than the others."""

    target: Annotated[TargetSpec, Meta(description="The new target.")]
    share: Annotated[ShareSpec, Meta(description="Which calls it gets.")]
    rollback: Annotated[MarginSpec | None, Meta(description="When it gets no more calls. null: never.")] = (
        MarginSpec()
    )


class ShadowSpec(Spec, frozen=True, kw_only=True):
    """A target that gets copies of some calls; nobody sees its answers."""

    target: Annotated[TargetSpec, Meta(description="Who gets the copies.")]
    percent: Annotated[Percent, Meta(description="Of how many in 100 calls.")]
    compare: Annotated[bool, Meta(description="Record how alike the answers are.")] = False


class WaySpec(Spec, frozen=True, kw_only=True):
    """How calls are sent. In a rule, what is left out is the route's."""

    targets: Annotated[tuple[TargetSpec, ...], Meta(description="Who can answer.")] = ()
    strategy: Annotated[
        StrategyKind | StrategySpec | None, Meta(description="Default: priority, the order as written.")
    ] = None
    limits: Annotated[
        LimitsSpec | None, Meta(description="What a call may take; a rule inherits them one by one.")
    ] = None
    retry: Annotated[
        RetrySpec | None, Meta(description="Going through the targets again. Default: once.")
    ] = None
    fallbacks: Annotated[tuple[FallbackSpec, ...] | None, Meta(description="Steps, in their order.")] = None
    hedge: Annotated[HedgeSpec | None, Meta(description="A second try beside a slow one. Default: none.")] = (
        None
    )
    stream: Annotated[StreamSpec | None, Meta(description="What becomes of a stream that breaks.")] = None
    canary: Annotated[
        CanarySpec | None,
        Meta(
            description="A new target that gets a share of calls. Rules with own targets do not inherit it."
        ),
    ] = None
    shadow: Annotated[
        ShadowSpec | None,
        Meta(description="A target that gets copies of calls. Rules with own targets do not inherit it."),
    ] = None


class RuleSpec(WaySpec, frozen=True, kw_only=True):
    """What is different for some calls. The first rule that holds counts."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="Shown in decisions.")]
    when: Annotated[WhenSpec, Meta(description="Where it holds. Default: everywhere.")] = WhenSpec()
    unless: Annotated[WhenSpec | None, Meta(description="Not where this holds.")] = None
    use: Annotated[str, Meta(description="Go by another route.")] = ""
    deny: Annotated[str, Meta(description="Turn the call away, with this message.")] = ""


class RouteSpec(WaySpec, frozen=True, kw_only=True):
    """A public model name (or a pattern with `*`, `?` or `[...]`) and what serves it."""

    description: Annotated[str, Meta(description="For people; shown in lists.")] = ""
    aliases: Annotated[tuple[RouteName, ...], Meta(description="Other names of the route.")] = ()
    answer_model: Annotated[
        AnswerModel,
        Meta(
            description="The `model` of answers: upstream: the one that answered; route: the requested name."
        ),
    ] = "upstream"
    rules: Annotated[
        tuple[RuleSpec, ...],
        Meta(description="What is different for some calls; the first that holds counts."),
    ] = ()

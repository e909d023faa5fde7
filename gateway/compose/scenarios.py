"""The Specs of policies/tests/*.yaml: a call in a state of the world, and what is to become of it.

Data only: nothing here knows routes or backends.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from gateway.config.spec import Spec
from gateway.errors import Cause
from gateway.exchange import Format

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]


class CallSpec(Spec, frozen=True, kw_only=True):
    """A call, as a client would send it."""

    model: Annotated[str, Meta(min_length=1, description="The model that is asked for.")]
    prompt: Annotated[str, Meta(description="What the user says: short for a body with one message.")] = ""
    body: Annotated[dict[str, Any], Meta(description="Further members of the request's body.")] = field(
        default_factory=dict
    )
    format: Annotated[Format, Meta(description="The API that it comes by.")] = "chat"
    stream: Annotated[bool, Meta(description="Whether the answer is to be streamed.")] = False
    headers: Annotated[dict[str, str], Meta(description="HTTP headers.")] = field(default_factory=dict)
    tenant: Annotated[str, Meta(description="Who pays. Default: the first of policies/tenants.yaml.")] = ""
    key: Annotated[str, Meta(description="The id of the key that is shown.")] = "scenario"


class WeatherSpec(Spec, frozen=True, kw_only=True):
    """How a deployment, or all of a backend, is doing; what is not given is well."""

    down: Annotated[bool, Meta(description="Its probe fails.")] = False
    breaker: Annotated[Literal["open", "closed"], Meta(description="Its circuit breaker.")] = "closed"
    rate_limited_s: Annotated[Amount, Meta(description="It asked to be left alone for so long.")] = 0.0
    quota_spent: Annotated[bool, Meta(description="Our account there has nothing left.")] = False
    first_token_ms: Annotated[Amount | None, Meta(description="What it lately took.")] = None
    latency_ms: Annotated[Amount | None, Meta(description="What whole answers lately took.")] = None
    tokens_per_s: Annotated[Amount | None, Meta(description="How fast it generates.")] = None
    in_flight: Annotated[int, Meta(ge=0, description="Calls that it is answering.")] = 0
    error_rate: Annotated[Share, Meta(description="The part of the calls that lately failed.")] = 0.0


class WorldSpec(Spec, frozen=True, kw_only=True):
    """The state of the world."""

    now: Annotated[str, Meta(description="The time, such as 2026-11-21T10:00:00Z. Default: now.")] = ""
    draw: Annotated[float, Meta(ge=0, lt=1, description="What chance gives, each time.")] = 0.5
    backends: Annotated[
        dict[str, WeatherSpec], Meta(description="By backend, or backend/model, which goes first.")
    ] = field(default_factory=dict)
    remembered: Annotated[bool, Meta(description="The call was answered before.")] = False


class FailureSpec(Spec, frozen=True, kw_only=True):
    """A target whose every try fails."""

    target: Annotated[str, Meta(description="backend/model, or a backend.")]
    cause: Annotated[Cause, Meta(description="With what.")] = "error"


class DenialSpec(Spec, frozen=True, kw_only=True):
    """What the client is told; what is not given may be anything."""

    status: Annotated[int | None, Meta(description="The HTTP status.")] = None
    code: Annotated[str, Meta(description="The code of the error.")] = ""


class ExpectSpec(Spec, frozen=True, kw_only=True):
    """What is to become of the call; what is not given is not looked at."""

    route: Annotated[str | None, Meta(description="The route that it goes by.")] = None
    rule: Annotated[str | None, Meta(description='The rule that holds; "": none.')] = None
    target: Annotated[str | None, Meta(description="Who is asked first: backend/model, or a backend.")] = None
    targets: Annotated[tuple[str, ...] | None, Meta(description="All candidates, in their order.")] = None
    fallbacks: Annotated[
        tuple[str, ...] | None,
        Meta(description="Who is asked after the first, as far as `fail` goes; also `answer` and `cached`."),
    ] = None
    denied: Annotated[DenialSpec | None, Meta(description="It is turned away, or nobody answers.")] = None
    left_out: Annotated[
        dict[str, str], Meta(description="Targets that are left out, with some words of the reason.")
    ] = field(default_factory=dict)


class ScenarioSpec(Spec, frozen=True, kw_only=True):
    """One test of a configuration."""

    name: Annotated[str, Meta(min_length=1, description="What is tested, in words.")]
    call: Annotated[CallSpec, Meta(description="The call.")]
    world: Annotated[WorldSpec, Meta(description="The state of the world. Default: all is well.")] = (
        WorldSpec()
    )
    fail: Annotated[tuple[FailureSpec, ...], Meta(description="Who fails.")] = ()
    expect: Annotated[ExpectSpec, Meta(description="What is to become of the call.")]


Scenarios = list[ScenarioSpec]

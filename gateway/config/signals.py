"""The Specs of what rules look at in a call: conditions, kinds of task, sensitive data.

Data only; `gateway.routing.signals` reads calls, `gateway.routing.rules` compiles the conditions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.config.spec import Seconds, Spec
from gateway.exchange import Feature, Format, Priority
from gateway.texts.detectors import Detector

Glob = Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")]
Globs = tuple[Glob, ...]
Label = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Pattern = Annotated[str, Meta(min_length=1, max_length=1000)]
Words = tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}$")]
Percent = Annotated[float, Meta(ge=0, le=100)]

Person = Literal["key", "user", "tenant", "conversation"]
"""By whom a share of calls is drawn, so that one of them always falls on the same side."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class RangeSpec(Spec, frozen=True, kw_only=True):
    """A range of numbers, both ends included."""

    min: Annotated[int, Meta(ge=0, description="The least.")] = 0
    max: Annotated[int | None, Meta(description="Default: no end.")] = None


class HoursSpec(Spec, frozen=True, kw_only=True):
    """A part of the week. One whose `from` is later than its `to` goes past midnight."""

    days: Annotated[tuple[Day, ...], Meta(description="Those on which it begins.")] = WEEK
    start: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM, included.")] = (
        "00:00"
    )
    end: Annotated[
        str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="HH:MM, not included.")
    ] = "24:00"
    zone: Annotated[str, Meta(description="A time zone of the IANA database.")] = "UTC"


class ShareSpec(Spec, frozen=True, kw_only=True):
    """A share of calls, always the same ones."""

    percent: Annotated[Percent, Meta(description="How many of 100.")]
    by: Annotated[Person, Meta(description="Who falls on one side as a whole.")] = "key"


class WhenSpec(Spec, frozen=True, kw_only=True):
    """Conditions on a call: all that are given must hold; of a list, one entry is enough."""

    model: Annotated[Globs, Meta(description="The requested name.")] = ()
    tenant: Annotated[Globs, Meta(description="The id of the tenant.")] = ()
    tags: Annotated[Globs, Meta(description="The tenant's tags (policies/tenants.yaml).")] = ()
    features: Annotated[Globs, Meta(description="The tenant's feature flags.")] = ()
    key: Annotated[Globs, Meta(description="The id of the key.")] = ()
    headers: Annotated[dict[str, Glob], Meta(description="Name and glob; `*` asks that it is there.")] = (
        field(default_factory=dict)
    )
    metadata: Annotated[dict[str, Glob], Meta(description="Entries of the request's `metadata`.")] = field(
        default_factory=dict
    )
    format: Annotated[tuple[Format, ...], Meta(description="The API that is called.")] = ()
    stream: Annotated[bool | None, Meta(description="Whether the answer is to be streamed.")] = None
    prompt_tokens: Annotated[RangeSpec | None, Meta(description="As estimated.")] = None
    max_tokens: Annotated[RangeSpec | None, Meta(description="As requested; without one it is false.")] = None
    has: Annotated[tuple[Feature, ...], Meta(description="All of these.")] = ()
    has_not: Annotated[tuple[Feature, ...], Meta(description="None of these.")] = ()
    language: Annotated[tuple[Language, ...], Meta(description="Of the last user turn, ISO 639.")] = ()
    task: Annotated[tuple[Label, ...], Meta(description="A name under `tasks`.")] = ()
    sensitivity: Annotated[tuple[Label, ...], Meta(description="Labels that the call carries.")] = ()
    priority: Annotated[tuple[Priority, ...], Meta(description="The class of the call.")] = ()
    hours: Annotated[HoursSpec | None, Meta(description="A part of the week.")] = None
    share: Annotated[ShareSpec | None, Meta(description="A share of the calls.")] = None


class TaskSpec(Spec, frozen=True, kw_only=True):
    """A kind of task, told by the last user turn (and, for `system`, by the instructions).

    All that is given must hold; of keywords and patterns together one is enough.
    """

    keywords: Annotated[Words, Meta(description="Words or phrases, in any case.")] = ()
    patterns: Annotated[tuple[Pattern, ...], Meta(description="Regular expressions.")] = ()
    system: Annotated[Words, Meta(description="Words or phrases of the instructions.")] = ()
    words: Annotated[RangeSpec | None, Meta(description="How many words the turn has.")] = None
    has: Annotated[
        tuple[Feature, ...], Meta(description="What the call holds or asks for: all of these.")
    ] = ()
    description: Annotated[str, Meta(description="For people, and for the classifier's model.")] = ""


class ClassifierSpec(Spec, frozen=True, kw_only=True):
    """A small model that tells the task where no keyword did."""

    route: Annotated[str, Meta(description="A route of its own.")]
    timeout_s: Annotated[Seconds, Meta(description="After this the call has no task.")] = 2.0


class OnlySpec(Spec, frozen=True, kw_only=True):
    """Where calls with a label may go: to a backend for which any of these holds."""

    self_hosted: Annotated[bool, Meta(description="Backends marked `self_hosted`.")] = False
    regions: Annotated[Globs, Meta(description="Backends whose `region` is one of these.")] = ()


class LabelSpec(Spec, frozen=True, kw_only=True):
    """A label of sensitive data: how it is found, and where calls that carry it may go."""

    detect: Annotated[
        tuple[Detector, ...], Meta(description="Kinds of data that are found by their form.")
    ] = ()
    patterns: Annotated[tuple[Pattern, ...], Meta(description="Regular expressions.")] = ()
    only: Annotated[OnlySpec | None, Meta(description="Default: anywhere.")] = None


class SensitivitySpec(Spec, frozen=True, kw_only=True):
    """Which calls hold sensitive data.

    `restricted` is always there: unless it is written otherwise, such calls go to self-hosted backends only.
    """

    header: Annotated[
        str, Meta(description="A header in which clients name labels, with commas between.")
    ] = "x-forebay-sensitivity"
    labels: Annotated[dict[Label, LabelSpec], Meta(description="The labels, by name.")] = field(
        default_factory=dict
    )

"""policies/telemetry.yaml: what is told of calls, to whom, and what never is.

Must not know how spans, metrics or log lines are made.
Source: OpenTelemetry specification, "OTLP exporter"; W3C Trace Context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, field
from msgspec.structs import replace

from gateway.config.checks.problems import Problem
from gateway.config.located import Located
from gateway.config.spec import Seconds, Secret, Spec
from gateway.errors import ConfigErrors
from gateway.texts.detectors import Detector
from gateway.texts.patterns import pattern_problem

Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""As HTTP has it."""


class OtlpSpec(Spec, frozen=True, kw_only=True):
    """The receiver of traces and metrics: an OpenTelemetry Collector, or a service that speaks OTLP."""

    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://",
            description="Its base URL, without /v1/traces. Empty: ${OTEL_EXPORTER_OTLP_ENDPOINT}, else none.",
        ),
    ] = ""
    protocol: Annotated[
        Literal["http", "grpc"], Meta(description="grpc needs the extra: pip install forebay[otlp-grpc].")
    ] = "http"
    headers: Annotated[
        dict[str, Secret], Meta(description="With every request. None: ${OTEL_EXPORTER_OTLP_HEADERS}.")
    ] = field(default_factory=dict)
    timeout_s: Annotated[Seconds, Meta(description="For one request.")] = 10.0
    resource: Annotated[
        dict[str, str],
        Meta(description="What else is told of this deployment: deployment.environment.name: prod."),
    ] = field(default_factory=dict)


class TracesSpec(Spec, frozen=True, kw_only=True):
    """Which calls leave spans: some by chance, and all that somebody will ask about."""

    sample: Annotated[Share, Meta(description="Of all calls, drawn by the trace's id.")] = 0.1
    errors: Annotated[bool, Meta(description="All that failed, broke, or were turned away with 5xx.")] = True
    fallbacks: Annotated[bool, Meta(description="All that took more than one attempt.")] = True
    canaries: Annotated[bool, Meta(description="All that a canary answered.")] = True
    slower_than_s: Annotated[
        Seconds | None, Meta(description="All that took longer; null: none for that.")
    ] = 30.0
    parents: Annotated[
        Literal["follow", "ignore"],
        Meta(description="follow: a client's own decision in `traceparent` counts for its calls."),
    ] = "follow"
    most_waiting: Annotated[
        int,
        Meta(
            ge=16,
            le=1 << 20,
            description="Calls that wait for a receiver that is down; then the oldest are lost.",
        ),
    ] = 2048


class MetricsSpec(Spec, frozen=True, kw_only=True):
    """What is counted beside the ledger."""

    enabled: Annotated[
        bool, Meta(description="false: /metrics tells of the process alone, not of calls.")
    ] = True
    otlp: Annotated[bool, Meta(description="Also sent to the receiver of `otlp`.")] = True
    every_s: Annotated[Seconds, Meta(description="So often they are sent.")] = 60.0


class ContentSpec(Spec, frozen=True, kw_only=True):
    """Whose prompts and answers stand in spans. Nobody's, unless it is written here."""

    tenants: Annotated[tuple[str, ...], Meta(description="By their ids.")] = ()
    most_chars: Annotated[
        int, Meta(ge=64, le=1 << 20, description="Of a call's prompt, and of its answer.")
    ] = 8192


class RedactSpec(Spec, frozen=True, kw_only=True):
    """What is taken out of log lines, spans, decisions and error answers before anybody writes them."""

    detect: Annotated[
        tuple[Detector, ...], Meta(description="Kinds of data that are found by their form.")
    ] = ("secret", "card", "iban", "email", "phone")
    patterns: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...],
        Meta(description="Regular expressions (RE2) for what else is nobody's business."),
    ] = ()


class TelemetrySpec(Spec, frozen=True, kw_only=True):
    """Traces, metrics and logs."""

    service_name: Annotated[Name, Meta(description="What this gateway is called in traces and metrics.")] = (
        "forebay"
    )
    otlp: Annotated[OtlpSpec, Meta(description="Where traces and metrics are sent.")] = OtlpSpec()
    traces: Annotated[TracesSpec, Meta(description="Which calls leave spans.")] = TracesSpec()
    metrics: Annotated[MetricsSpec, Meta(description="What is counted.")] = MetricsSpec()
    content: Annotated[ContentSpec, Meta(description="Whose prompts and answers stand in spans.")] = (
        ContentSpec()
    )
    redact: Annotated[RedactSpec, Meta(description="What nobody may read.")] = RedactSpec()
    runbooks_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://|^[A-Za-z0-9./_-]*$", description="Where docs/runbooks is: alerts link there."
        ),
    ] = "docs/runbooks"


class Telemetry(msgspec.Struct, frozen=True):
    """The compiled policy: as written, with the receiver and the headers that the environment names."""

    spec: TelemetrySpec
    endpoint: str
    """Base URL of the receiver; empty: there is none, and no spans are made."""


def compile(spec: Located[TelemetrySpec] | None, endpoint: str = "", headers: str = "") -> Telemetry:
    """Check what one field alone does not show; raises ConfigErrors. None: there is no such file.

    `endpoint` and `headers` are those that the environment names, each for a file that names none; headers
    as `headers_of` reads them.
    """
    asked = TelemetrySpec() if spec is None else spec.value
    if spec is not None and (problems := list(_problems(asked))):
        raise ConfigErrors([spec.error(*problem) for problem in problems])
    if headers and not asked.otlp.headers:
        asked = replace(asked, otlp=replace(asked.otlp, headers=headers_of(headers)))
    return Telemetry(asked, (asked.otlp.endpoint or endpoint).rstrip("/"))


def headers_of(text: str) -> dict[str, str]:
    """Read `name=value,name2=value2`, percent-encoded; what is no header is left out, as the source asks.

    Source: OpenTelemetry specification, "OTLP exporter", "Specifying headers via environment variables".
    """
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        if equals and _HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable():
            found[name.lower()] = value
    return found


def _problems(asked: TelemetrySpec) -> Iterator[Problem]:
    if (endpoint := asked.otlp.endpoint) and not urlsplit(endpoint).hostname:
        yield ("otlp", "endpoint"), "this URL has no host", "write http://collector:4318"
    if asked.otlp.protocol == "http" and endpoint.rstrip("/").endswith(("/v1/traces", "/v1/metrics")):
        yield ("otlp", "endpoint"), "this is the URL of one signal", "leave /v1/traces away: it is added"
    for at, text in enumerate(asked.redact.patterns):
        if problem := pattern_problem(text):
            yield ("redact", "patterns", at), f"this is no pattern: {problem}", ""

"""The Specs of routing.yaml and backends/presets.yaml: what may be written, with its limits.

Data only: nothing here reads files, checks one field against another or fills in defaults that
depend on something (`resolve` does). Descriptions land in the JSON schemas that editors show.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gateway.config.providers import AuthKind, Provider
from gateway.config.reliability import BreakerSpec, ConcurrencySpec, ModelSpec, ProbeSpec
from gateway.config.signals import ClassifierSpec, Glob, Label, SensitivitySpec, TaskSpec
from gateway.config.spec import Seconds, Secret, Spec
from gateway.config.ways import RouteName, RouteSpec
from gateway.exchange import Format

TransportName = Literal["aiohttp", "httpx"]
StreamUsage = Literal["ask", "always", "never_ask"]
OutputLimit = Literal["max_tokens", "max_completion_tokens"]
Enabled = Literal["always", "with_key", "alone"]
WhenFull = Literal["refuse", "serve"]

BackendName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Bytes = Annotated[int, Meta(ge=1024, le=1 << 40)]
Headers = Annotated[dict[str, str], Meta(description="HTTP headers added to every request.")]


class ServerSpec(Spec, frozen=True, kw_only=True):
    """How the gateway itself listens, and what it accepts."""

    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="The port; 0 takes a free one.")] = 4000
    workers: Annotated[int, Meta(ge=1, le=1024, description="Worker processes.")] = 1
    max_body_bytes: Annotated[Bytes, Meta(description="Largest request.")] = 32 << 20
    max_answer_bytes: Annotated[Bytes, Meta(description="Largest answer that is not streamed.")] = 128 << 20
    max_event_bytes: Annotated[Bytes, Meta(description="Largest event of a stream.")] = 16 << 20
    max_connections: Annotated[int, Meta(ge=1, le=1 << 20, description="Client connections at once.")] = 4096
    header_timeout_s: Annotated[Seconds, Meta(description="For a client to send its headers.")] = 10.0
    body_timeout_s: Annotated[Seconds, Meta(description="For a client to send its body.")] = 60.0
    keep_alive_s: Annotated[Seconds, Meta(description="An idle client connection stays open.")] = 75.0
    drain_s: Annotated[Seconds, Meta(description="Open calls may finish after a stop.")] = 30.0
    database_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(postgresql(\+psycopg)?|sqlite)://",
            description="Empty: SQLite in the state directory; else postgresql+psycopg://...",
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(rediss?(\+(sentinel|cluster))?|unix)://",
            description="Shares quotas, budgets and circuit breakers between workers and hosts.",
        ),
    ] = ""
    slow_refusals: Annotated[
        bool,
        Meta(
            description="A tenant that goes on asking beyond its limits is told so later and later, by up "
            "to a second: its flood then costs others nothing."
        ),
    ] = True
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and networks (10.0.0.0/8) whose X-Forwarded-For is believed."),
    ] = ()
    watch: Annotated[bool, Meta(description="Read the files again when they change.")] = True
    decisions: Annotated[
        Literal["all", "notable", "none"],
        Meta(
            description="Of which calls it is kept what was decided. notable: where a rule held, a target "
            "was left out, more than one was tried, or the call failed."
        ),
    ] = "all"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe line that is logged."),
    ] = "info"


class TimeoutsSpec(Spec, frozen=True, kw_only=True):
    """Limits on an upstream attempt, in seconds; a field that is left out is inherited."""

    connect_s: Annotated[Seconds | None, Meta(description="Until a connection is there.")] = None
    first_byte_s: Annotated[
        Seconds | None, Meta(description="From the request to the answer's first byte.")
    ] = None
    gap_s: Annotated[Seconds | None, Meta(description="Between two reads of the answer.")] = None
    total_s: Annotated[Seconds | None, Meta(description="For the whole attempt.")] = None


class AuthSpec(Spec, frozen=True, kw_only=True):
    """How to get at a provider that is not (only) authenticated at by a key."""

    kind: Annotated[
        AuthKind,
        Meta(
            description="service_account: a Google key file; google_metadata: the machine's own account "
            "at Google; entra: a client of Microsoft Entra ID; azure_identity: the machine's own identity "
            "at Azure; aws: what AWS's own tools find, in the environment, a profile or a role."
        ),
    ]
    service_account: Annotated[Secret, Meta(description="The key file: ${file:/path}.")] = ""
    tenant_id: Annotated[str, Meta(description="entra: the directory.")] = ""
    client_id: Annotated[str, Meta(description="entra: the client; azure_identity: a user-assigned one.")] = (
        ""
    )
    client_secret: Annotated[Secret, Meta(description="entra: the client's secret.")] = ""
    token_file: Annotated[
        str, Meta(description="entra: a file with a signed assertion, in place of a secret.")
    ] = ""
    profile: Annotated[str, Meta(description="aws: a profile of the shared configuration.")] = ""


class BackendSpec(Spec, frozen=True, kw_only=True):
    """A configured place to send calls to: a preset, or a provider with its base URL."""

    preset: Annotated[str, Meta(description="A host of backends/presets.yaml.")] = ""
    provider: Annotated[
        Provider | None,
        Meta(description="Who knows how it is spoken to. Default: the preset's, or openai_compatible."),
    ] = None
    base_url: Annotated[str, Meta(description="Where it is; overrides the preset's.")] = ""
    enabled: Annotated[
        Enabled,
        Meta(
            description="always; with_key: left out while its credential is not set; "
            "alone: only when no other backend is active."
        ),
    ] = "always"
    credentials: Annotated[
        tuple[Secret, ...], Meta(description="Used in turn. Default: the preset's key variable.")
    ] = ()
    formats: Annotated[
        tuple[Format, ...] | None,
        Meta(
            description="The APIs it has, the preferred first. Default: the preset's, or the provider's.",
        ),
    ] = None
    stream_usage: Annotated[
        StreamUsage | None,
        Meta(description="Whether usage in streams is to be asked for. Default: the preset's, or ask."),
    ] = None
    output_limit: Annotated[
        OutputLimit | None,
        Meta(
            description="What it calls the limit on generated tokens, for calls that are translated into "
            "chat. Default: the preset's, or max_tokens."
        ),
    ] = None
    headers: Headers = field(default_factory=dict)
    timeouts: Annotated[TimeoutsSpec, Meta(description="Overrides, field by field.")] = TimeoutsSpec()
    max_connections: Annotated[int, Meta(ge=0, le=1 << 20, description="0: no limit.")] = 0
    transport: Annotated[TransportName, Meta(description="The HTTP client to use.")] = "aiohttp"
    launch: Annotated[str, Meta(description="A local engine that is started with the gateway.")] = ""
    auth: Annotated[AuthSpec | None, Meta(description="Instead of credentials.")] = None
    region: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9-]*$",
            description="Where it computes: bedrock's region, vertex's location, else any name.",
        ),
    ] = ""
    self_hosted: Annotated[bool, Meta(description="Your own: restricted calls may go there.")] = False
    breaker: Annotated[BreakerSpec, Meta(description="Overrides, field by field.")] = BreakerSpec()
    probe: Annotated[ProbeSpec | None, Meta(description="Default: probed when self-hosted.")] = None
    concurrency: Annotated[ConcurrencySpec | None, Meta(description="Default: no limit.")] = None
    project: Annotated[str, Meta(pattern=r"^[a-z0-9:.-]*$", description="vertex: the project's id.")] = ""
    api_version: Annotated[str, Meta(description="azure: empty for the v1 API.")] = ""
    script: Annotated[str, Meta(description="scripted: the file with its answers.")] = ""


class LedgerSpec(Spec, frozen=True, kw_only=True):
    """The ledger of what calls use and cost."""

    enabled: Annotated[bool, Meta(description="false: nothing is kept, and there are no usage pages.")] = True
    clickhouse_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://",
            description="With user and password: https://forebay:${CLICKHOUSE_PASSWORD}@host:8443. Empty: "
            "${CLICKHOUSE_URL}, else an engine of its own in the state directory.",
        ),
    ] = ""
    database: Annotated[
        str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="Made when it is missing.")
    ] = "forebay"
    cluster: Annotated[
        str,
        Meta(
            pattern=r"^$|^[A-Za-z_][A-Za-z0-9_.-]{0,63}$",
            description="Of the server's configuration: tables are replicated and distributed over it.",
        ),
    ] = ""
    spool_limit_bytes: Annotated[
        int, Meta(ge=16 << 20, le=1 << 40, description="What may wait on disk while ClickHouse is down.")
    ] = 2 << 30
    sync_s: Annotated[Seconds, Meta(description="So often the spool is synced to the disk.")] = 5.0
    when_full: Annotated[
        WhenFull,
        Meta(description="refuse: calls are turned away; serve: they are served, and their usage is lost."),
    ] = "refuse"


class RoutingSpec(Spec, frozen=True, kw_only=True):
    """Where calls go."""

    backends: Annotated[dict[BackendName, BackendSpec], Meta(description="The places, by name.")]
    routes: Annotated[dict[RouteName, RouteSpec], Meta(description="Public model names.")]
    server: Annotated[ServerSpec, Meta(description="The gateway's own listener.")] = ServerSpec()
    timeouts: Annotated[TimeoutsSpec, Meta(description="Defaults for every backend.")] = TimeoutsSpec()
    breaker: Annotated[BreakerSpec, Meta(description="Defaults for every backend.")] = BreakerSpec()
    models: Annotated[
        dict[Glob, ModelSpec], Meta(description="What upstream models can do, over what is known of them.")
    ] = field(default_factory=dict)
    tasks: Annotated[
        dict[Label, TaskSpec], Meta(description="Kinds of task; the first that holds counts.")
    ] = field(default_factory=dict)
    classifier: Annotated[
        ClassifierSpec | None, Meta(description="A model that tells the task where none of `tasks` holds.")
    ] = None
    sensitivity: Annotated[
        SensitivitySpec, Meta(description="Which calls hold sensitive data, and where those may go.")
    ] = SensitivitySpec()
    ledger: Annotated[LedgerSpec, Meta(description="Where what calls cost is kept.")] = LedgerSpec()


class PresetSpec(Spec, frozen=True, kw_only=True):
    """A provider's public place, or an OpenAI-compatible host, as data."""

    provider: Annotated[Provider, Meta(description="Who knows how it is spoken to.")] = "openai_compatible"
    base_url: Annotated[str, Meta(description="The URL that the provider's paths are appended to.")]
    key: Annotated[str, Meta(description="The environment variable of its API key.")] = ""
    formats: Annotated[
        tuple[Format, ...], Meta(min_length=1, description="The APIs it has, the preferred first.")
    ]
    stream_usage: Annotated[
        StreamUsage,
        Meta(
            description="ask: sent when stream_options.include_usage asks for it; "
            "always: sent unasked; never_ask: the host rejects the question."
        ),
    ] = "ask"
    output_limit: Annotated[OutputLimit, Meta(description="What it calls the limit on generated tokens.")] = (
        "max_tokens"
    )
    key_required: Annotated[bool, Meta(description="Whether it answers only with a key.")] = True

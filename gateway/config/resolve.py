"""Make a decoded routing.yaml ready to use: check it across fields, choose what is active, fill in defaults.

Pure: files and the environment come in as values. It does not know what a provider does with its
settings, nor how a route chooses among its targets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from urllib.parse import urlsplit

import msgspec

from gateway.config.located import Located, Where, did_you_mean, load, quoted
from gateway.config.providers import FACTS, SPECIAL, Facts, Provider
from gateway.config.routing import (
    AnswerModel,
    AuthSpec,
    BackendSpec,
    OutputLimit,
    PresetSpec,
    RoutingSpec,
    ServerSpec,
    StreamUsage,
    TimeoutsSpec,
    TransportName,
)
from gateway.errors import ConfigError, ConfigErrors
from gateway.exchange import Credential, Format, Timeouts

_NOT_SCRIPTED = ("base_url", "credentials")
_AUTH_NEEDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "service_account": (("service_account",),),
    "entra": (("tenant_id",), ("client_id",), ("client_secret", "token_file")),
}
"""What a way to authenticate has to be told: of each group one."""

# The transport or the credential sets these.
_RESERVED_HEADERS = frozenset(
    {"authorization", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_GLOB = re.compile(r"[*?\[]")
_OWN_KEY = re.compile(r"fb-[0-9A-Za-z]{39}")
_KEY = re.compile(r"[\x21-\x7e]+")

Problem = tuple[Where, str, str]


class BackendSettings(msgspec.Struct, frozen=True):
    """An active backend. `base_url` has no final slash and is empty for a script.

    `credentials` has at least one entry; its secret is empty where no key is needed.
    """

    name: str
    provider: Provider
    preset: str
    base_url: str
    credentials: tuple[Credential, ...]
    formats: tuple[Format, ...]
    """The preferred first."""
    stream_usage: StreamUsage
    output_limit: OutputLimit
    headers: Mapping[str, str]
    """Lower-case names."""
    timeouts: Timeouts
    max_connections: int
    transport: TransportName
    launch: str
    api_version: str
    script: str
    auth: AuthSpec | None = None
    region: str = ""

    def __repr__(self) -> str:
        """Name the backend; headers may hold secrets."""
        return f"BackendSettings({self.name!r})"


class TargetSettings(msgspec.Struct, frozen=True):
    """A target at an active backend; `model` is None where the requested name is passed on."""

    backend: str
    model: str | None


class RouteSettings(msgspec.Struct, frozen=True):
    """A route with at least one target."""

    name: str
    description: str
    answer_model: AnswerModel
    targets: tuple[TargetSettings, ...]


class Resolved(msgspec.Struct, frozen=True):
    """What routing.yaml means in this environment; `notes` says in sentences what was left out."""

    server: ServerSpec
    backends: dict[str, BackendSettings]
    routes: dict[str, RouteSettings]
    notes: list[str]


def load_presets() -> dict[str, PresetSpec]:
    """Read the presets that ship with the `backends` package."""
    with resources.as_file(resources.files("backends") / "presets.yaml") as path:
        return load(path, dict[str, PresetSpec], {}).value


def resolve(
    routing: Located[RoutingSpec], presets: Mapping[str, PresetSpec], env: Mapping[str, str]
) -> Resolved:
    """Turn Specs into settings; raises ConfigErrors with all that is wrong, in line order.

    Backends that are not enabled are left out, then the targets that name them, then the routes
    that have no target left.
    """
    _raise_any(validate(routing, presets))
    keys, errors = _all_credentials(routing, presets, env)
    active, notes = _active(routing.value, presets, keys)
    errors += [error for name in active if (error := _unusable_key(routing, presets, name, keys))]
    _raise_any(errors)
    backends = {name: _settings(name, routing.value, presets, keys[name]) for name in active}
    routes = _routes(routing.value, active, notes)
    if not routes:
        hint = "set the key of a provider, or enable a backend always"
        raise ConfigErrors([routing.error(("routes",), "no route has an active backend", hint)])
    return Resolved(routing.value.server, backends, routes, notes)


def validate(routing: Located[RoutingSpec], presets: Mapping[str, PresetSpec]) -> list[ConfigError]:
    """Check fields against each other, whatever the environment is; in line order."""
    problems: list[Problem] = []
    for name, spec in routing.value.backends.items():
        found = (
            *_provider_problems(spec, presets),
            *_place_problems(spec, presets),
            *_auth_problems(spec, presets),
            *_header_problems(spec),
        )
        problems += [(("backends", name, *where), message, hint) for where, message, hint in found]
    problems += _route_problems(routing.value)
    return sorted((routing.error(*problem) for problem in problems), key=lambda error: error.line)


def _raise_any(errors: list[ConfigError]) -> None:
    if errors:
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))


def _provider(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Provider:
    preset = presets.get(spec.preset)
    return spec.provider or (preset.provider if preset else "openai_compatible")


def _facts(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Facts:
    return FACTS[_provider(spec, presets)]


def _provider_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    provider = _provider(spec, presets)
    for name in sorted(SPECIAL - FACTS[provider].fields):
        if getattr(spec, name):
            owners = " or ".join(owner for owner, facts in FACTS.items() if name in facts.fields)
            yield (name,), f"{name} belongs to provider {owners}, not {provider}", "remove one of them"
    for name in _NOT_SCRIPTED:
        if getattr(spec, name) and provider == "scripted":
            yield (name,), f"a scripted backend has no {name}", "remove it"
    if spec.preset and spec.preset not in presets:
        yield ("preset",), f"there is no preset {quoted(spec.preset)}", did_you_mean(spec.preset, presets)
    elif spec.preset and presets[spec.preset].provider != provider:
        told = f"the preset {spec.preset} is of provider {presets[spec.preset].provider}, not {provider}"
        yield ("provider",), told, "leave the provider out"
    elif spec.enabled == "with_key" and not spec.credentials and not _key_variable(spec, presets):
        yield ("enabled",), "with_key, but no credential is named", "list credentials"


def _place_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    facts = _facts(spec, presets)
    if spec.base_url and not _is_base_url(spec.base_url):
        yield ("base_url",), "this is not an http(s) URL", "write https://host/path, without user, ? or #"
    elif not (spec.base_url or spec.preset or spec.launch or spec.script):
        missing = [name for name in ("region", "project") if f"{{{name}}}" in facts.place]
        if not facts.place:
            yield (), "nothing says where it is", facts.place_hint
        for name in missing:
            if not getattr(spec, name):
                yield (), f"a {_provider(spec, presets)} backend needs a {name}", "or a base_url"
    # Bedrock signs for a region, wherever the request goes.
    if spec.base_url and spec.auth is not None and spec.auth.kind == "aws" and not spec.region:
        yield (), "a request signed for AWS needs a region", "give one"


def _auth_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    auth, facts = spec.auth, _facts(spec, presets)
    if auth is None or not facts.auths:
        return
    if auth.kind not in facts.auths:
        yield ("auth", "kind"), f"{_provider(spec, presets)} cannot use {auth.kind}", " or ".join(facts.auths)
        return
    if spec.credentials:
        yield ("auth",), "there are credentials as well", "remove one of them"
    for group in _AUTH_NEEDS.get(auth.kind, ()):
        if not any(getattr(auth, name) for name in group):
            yield ("auth",), f"{auth.kind} needs {' or '.join(group)}", "give it"


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        # Reading the port is what checks it.
        has_host = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False
    odd = url.query or url.fragment or "@" in url.netloc or re.search(r"[\s\x00-\x20]", text)
    return url.scheme in {"http", "https"} and has_host and not odd


def _header_problems(spec: BackendSpec) -> Iterator[Problem]:
    for name, value in spec.headers.items():
        where = ("headers", name)
        if not _HEADER_NAME.fullmatch(name):
            yield where, "this is not the name of an HTTP header", "use letters, digits and -"
        elif name.lower() in _RESERVED_HEADERS:
            yield where, "the gateway sets this header itself", "for keys there is `credentials`"
        elif not _HEADER_VALUE.fullmatch(value):
            yield where, "the value has characters that no HTTP header can carry", "use printable ASCII"


def _route_problems(spec: RoutingSpec) -> Iterator[Problem]:
    if not spec.routes:
        yield ("routes",), "there is no route", "name at least one model"
    for name, route in spec.routes.items():
        for i, target in enumerate(route.targets):
            if target.backend not in spec.backends:
                hint = did_you_mean(target.backend, spec.backends)
                yield ("routes", name, "targets", i), f"there is no backend {quoted(target.backend)}", hint


def _key_variable(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> str:
    """Name the variable that holds the key when the backend lists no credentials; may be empty."""
    if spec.auth is not None:
        return ""
    return presets[spec.preset].key if spec.preset else _facts(spec, presets).key


def _all_credentials(
    routing: Located[RoutingSpec], presets: Mapping[str, PresetSpec], env: Mapping[str, str]
) -> tuple[dict[str, tuple[Credential, ...]], list[ConfigError]]:
    """Find the credentials that are set, by backend."""
    found: dict[str, tuple[Credential, ...]] = {}
    errors: list[ConfigError] = []
    for name, spec in routing.value.backends.items():
        variable = _key_variable(spec, presets)
        secrets = [secret.strip() for secret in spec.credentials or (env.get(variable, ""),)]
        for i, secret in enumerate(secrets):
            if secret and not _KEY.fullmatch(secret):
                where = ("backends", name, *(("credentials", i) if spec.credentials else ()))
                what = f"credential {i + 1}" if spec.credentials else variable
                errors.append(routing.error(where, f"{what} has characters that no key has"))
        present = [secret for secret in secrets if secret]
        found[name] = tuple(Credential(f"{name}#{i}", secret) for i, secret in enumerate(present, 1))
    return found, errors


def _active(
    spec: RoutingSpec, presets: Mapping[str, PresetSpec], keys: Mapping[str, tuple[Credential, ...]]
) -> tuple[list[str], list[str]]:
    """Give the names of the active backends in the file's order, and a note for each other one."""
    reasons: dict[str, str] = {}
    for name, backend in spec.backends.items():
        if backend.enabled == "with_key" and not keys[name]:
            unset = "none of its credentials" if backend.credentials else _key_variable(backend, presets)
            reasons[name] = f"{unset} is set" if backend.credentials else f"{unset} is not set"
    alone = {name for name, backend in spec.backends.items() if backend.enabled == "alone"}
    if spec.backends.keys() - alone - reasons.keys():
        reasons |= dict.fromkeys(alone, "other backends are active")
    active = [name for name in spec.backends if name not in reasons]
    return active, [f"backend {name} is off: {why}" for name, why in reasons.items()]


def _unusable_key(
    routing: Located[RoutingSpec],
    presets: Mapping[str, PresetSpec],
    name: str,
    keys: Mapping[str, tuple[Credential, ...]],
) -> ConfigError | None:
    spec = routing.value.backends[name]
    where = ("backends", name)
    if any(_OWN_KEY.fullmatch(credential.secret) for credential in keys[name]):
        hint = "it is what clients show to Forebay: unset its variable here"
        return routing.error(where, "its credential is a key of Forebay, not of the provider", hint)
    preset, facts = presets.get(spec.preset), _facts(spec, presets)
    needs_key = preset.key_required if preset else facts.needs_credential
    if keys[name] or spec.auth is not None or not (needs_key or spec.credentials):
        return None
    if spec.credentials:
        return routing.error((*where, "credentials"), "all credentials are empty", "set one")
    variable = _key_variable(spec, presets)
    if not variable:
        return routing.error(
            where,
            "nothing says how to authenticate there",
            f"give credentials, or an `auth` of kind {' or '.join(facts.auths)}",
        )
    other = f"give an `auth` of kind {' or '.join(facts.auths)}, " if facts.auths else ""
    hint = f"set it, {other}or write `enabled: with_key` to go without this backend"
    return routing.error(where, f"the environment variable {variable} is not set", hint)


def _settings(
    name: str, routing: RoutingSpec, presets: Mapping[str, PresetSpec], keys: tuple[Credential, ...]
) -> BackendSettings:
    spec = routing.backends[name]
    preset = presets.get(spec.preset)
    provider = _provider(spec, presets)
    return BackendSettings(
        name=name,
        provider=provider,
        preset=spec.preset,
        base_url=_place(spec, preset, FACTS[provider]),
        credentials=keys or (Credential(f"{name}#1", ""),),
        formats=spec.formats or (preset.formats if preset else FACTS[provider].formats),
        stream_usage=spec.stream_usage or (preset.stream_usage if preset else "ask"),
        output_limit=spec.output_limit or (preset.output_limit if preset else FACTS[provider].output_limit),
        headers={header.lower(): value for header, value in spec.headers.items()},
        timeouts=_timeouts(routing.timeouts, spec.timeouts),
        max_connections=spec.max_connections,
        transport=spec.transport,
        launch=spec.launch,
        api_version=spec.api_version,
        script=spec.script,
        auth=spec.auth,
        region=spec.region,
    )


def _place(spec: BackendSpec, preset: PresetSpec | None, facts: Facts) -> str:
    given = spec.base_url or (preset.base_url if preset else "")
    made = facts.place.format(region=spec.region, project=spec.project)
    # Google's "global" location has no prefix.
    return (given or made.replace("//global-", "//")).rstrip("/")


def _timeouts(*layers: TimeoutsSpec) -> Timeouts:
    """Lay the later over the earlier, field by field, and all over the defaults."""
    given = {
        name: value
        for layer in layers
        for name, value in msgspec.structs.asdict(layer).items()
        if value is not None
    }
    return Timeouts(**given)


def _routes(spec: RoutingSpec, active: list[str], notes: list[str]) -> dict[str, RouteSettings]:
    routes: dict[str, RouteSettings] = {}
    for name, route in spec.routes.items():
        passed_on = None if _GLOB.search(name) else name
        targets = tuple(
            TargetSettings(target.backend, target.model or passed_on)
            for target in route.targets
            if target.backend in active
        )
        if targets:
            routes[name] = RouteSettings(name, route.description, route.answer_model, targets)
        else:
            notes.append(f"route {name} is off: none of its backends is active")
    return routes

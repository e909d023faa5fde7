"""Check backends: what their provider takes, where they are, how they are authenticated at.

It must not know routes, nor the environment. Places are relative to the backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from gateway.config.checks.problems import Problem
from gateway.config.effect.backends import facts_of, key_variable, provider_of
from gateway.config.located import did_you_mean, quoted
from gateway.config.providers import FACTS, SPECIAL
from gateway.config.routing import BackendSpec, PresetSpec

_NOT_SCRIPTED = ("base_url", "credentials", "probe")
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


def backend_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    """Check one backend."""
    yield from _provider_problems(spec, presets)
    yield from _place_problems(spec, presets)
    yield from _auth_problems(spec, presets)
    yield from _header_problems(spec)


def _provider_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    provider = provider_of(spec, presets)
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
    elif spec.enabled == "with_key" and not spec.credentials and not key_variable(spec, presets):
        yield ("enabled",), "with_key, but no credential is named", "list credentials"


def _place_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    facts = facts_of(spec, presets)
    if spec.base_url and not _is_base_url(spec.base_url):
        yield ("base_url",), "this is not an http(s) URL", "write https://host/path, without user, ? or #"
    elif not (spec.base_url or spec.preset or spec.launch or spec.script):
        missing = [name for name in ("region", "project") if f"{{{name}}}" in facts.place]
        if not facts.place:
            yield (), "nothing says where it is", facts.place_hint
        for name in missing:
            if not getattr(spec, name):
                yield (), f"a {provider_of(spec, presets)} backend needs a {name}", "or a base_url"
    # Bedrock signs for a region, wherever the request goes.
    if spec.base_url and spec.auth is not None and spec.auth.kind == "aws" and not spec.region:
        yield (), "a request signed for AWS needs a region", "give one"


def _auth_problems(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Iterator[Problem]:
    auth, facts = spec.auth, facts_of(spec, presets)
    if auth is None or not facts.auths:
        return
    if auth.kind not in facts.auths:
        yield (
            ("auth", "kind"),
            f"{provider_of(spec, presets)} cannot use {auth.kind}",
            " or ".join(facts.auths),
        )
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

"""Which backends are active: their providers, their credentials, and why the others are off.

Files and the environment come in as values. It knows nothing of routes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.config.located import Located
from gateway.config.providers import FACTS, Facts, Provider
from gateway.config.routing import BackendSpec, PresetSpec, RoutingSpec
from gateway.errors import ConfigError
from gateway.exchange import Credential

_OWN_KEY = re.compile(r"fb-[0-9A-Za-z]{39}")
_KEY = re.compile(r"[\x21-\x7e]+")


def provider_of(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Provider:
    """Say who knows how a backend is spoken to."""
    preset = presets.get(spec.preset)
    return spec.provider or (preset.provider if preset else "openai_compatible")


def facts_of(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> Facts:
    """Give what holds for all backends of its provider."""
    return FACTS[provider_of(spec, presets)]


def key_variable(spec: BackendSpec, presets: Mapping[str, PresetSpec]) -> str:
    """Name the variable that holds the key when the backend lists no credentials; may be empty."""
    if spec.auth is not None:
        return ""
    return presets[spec.preset].key if spec.preset else facts_of(spec, presets).key


def all_credentials(
    routing: Located[RoutingSpec], presets: Mapping[str, PresetSpec], env: Mapping[str, str]
) -> tuple[dict[str, tuple[Credential, ...]], list[ConfigError]]:
    """Find the credentials that are set, by backend."""
    found: dict[str, tuple[Credential, ...]] = {}
    errors: list[ConfigError] = []
    for name, spec in routing.value.backends.items():
        variable = key_variable(spec, presets)
        secrets = [secret.strip() for secret in spec.credentials or (env.get(variable, ""),)]
        for i, secret in enumerate(secrets):
            if secret and not _KEY.fullmatch(secret):
                where = ("backends", name, *(("credentials", i) if spec.credentials else ()))
                what = f"credential {i + 1}" if spec.credentials else variable
                errors.append(routing.error(where, f"{what} has characters that no key has"))
        present = [secret for secret in secrets if secret]
        found[name] = tuple(Credential(f"{name}#{i}", secret) for i, secret in enumerate(present, 1))
    return found, errors


def active_backends(
    spec: RoutingSpec, presets: Mapping[str, PresetSpec], keys: Mapping[str, tuple[Credential, ...]]
) -> tuple[list[str], list[str]]:
    """Give the names of the active backends in the file's order, and a note for each other one."""
    reasons: dict[str, str] = {}
    for name, backend in spec.backends.items():
        if backend.enabled == "with_key" and not keys[name]:
            unset = "none of its credentials" if backend.credentials else key_variable(backend, presets)
            reasons[name] = f"{unset} is set" if backend.credentials else f"{unset} is not set"
    alone = {name for name, backend in spec.backends.items() if backend.enabled == "alone"}
    if spec.backends.keys() - alone - reasons.keys():
        reasons |= dict.fromkeys(alone, "other backends are active")
    active = [name for name in spec.backends if name not in reasons]
    return active, [f"backend {name} is off: {why}" for name, why in reasons.items()]


def unusable_key(
    routing: Located[RoutingSpec],
    presets: Mapping[str, PresetSpec],
    name: str,
    keys: Mapping[str, tuple[Credential, ...]],
) -> ConfigError | None:
    """Say why an active backend cannot be used with its credentials; None: it can."""
    spec = routing.value.backends[name]
    where = ("backends", name)
    if any(_OWN_KEY.fullmatch(credential.secret) for credential in keys[name]):
        hint = "it is what clients show to Forebay: unset its variable here"
        return routing.error(where, "its credential is a key of Forebay, not of the provider", hint)
    preset, facts = presets.get(spec.preset), facts_of(spec, presets)
    needs_key = preset.key_required if preset else facts.needs_credential
    if keys[name] or spec.auth is not None or not (needs_key or spec.credentials):
        return None
    if spec.credentials:
        return routing.error((*where, "credentials"), "all credentials are empty", "set one")
    variable = key_variable(spec, presets)
    if not variable:
        return routing.error(
            where,
            "nothing says how to authenticate there",
            f"give credentials, or an `auth` of kind {' or '.join(facts.auths)}",
        )
    other = f"give an `auth` of kind {' or '.join(facts.auths)}, " if facts.auths else ""
    hint = f"set it, {other}or write `enabled: with_key` to go without this backend"
    return routing.error(where, f"the environment variable {variable} is not set", hint)

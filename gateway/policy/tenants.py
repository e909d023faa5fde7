"""policies/tenants.yaml: who may call, with which keys or tokens, and which routes.

Knows neither how keys and tokens are verified nor the keys made at run time. A key's routes only
narrow what its tenant may use: both are kept, and a model must match in each.
Sources: RFC 7519 (JWT), RFC 8725 section 3.1 (allow-list of algorithms), RFC 3339.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from gateway.config.checks.problems import Problem
from gateway.config.checks.zones import zone_problems
from gateway.config.located import Located, Where, did_you_mean, quoted
from gateway.config.spec import Spec
from gateway.errors import ConfigError, ConfigErrors
from gateway.exchange import Caller, Priority

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What a token may be signed with: asymmetric only, so that what verifies it cannot also make it."""

MOST_CLASSES = 32
"""Of all tenants: each is a label of many metrics."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_DIGEST_OF_NOTHING = hashlib.sha256(b"").digest()
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")

TenantName = Annotated[str, Meta(pattern=r"^[!-~]{1,128}$")]
KeyId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Tag = Annotated[str, Meta(pattern=r"^[!-~]{1,128}$")]
ClassName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Globs = tuple[Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")], ...]


class KeySpec(Spec, frozen=True, kw_only=True):
    """A key that is known by its digest; the key itself stands nowhere."""

    id: Annotated[KeyId, Meta(description="Names the key in logs and usage; unique in this file.")]
    digest: Annotated[str, Meta(description='sha256:<64 hex>, from: printf %s "$KEY" | sha256sum')]
    routes: Annotated[Globs, Meta(description="Narrows what the tenant may use.")] = ("*",)
    team: Annotated[Tag, Meta(description="A part of the tenant, which limits may ask for.")] = ""
    admin: Annotated[bool, Meta(description="It sees the usage of all tenants.")] = False
    expires: Annotated[
        str | None,
        Meta(description="From when on it is refused: a date (its beginning, UTC) or an RFC 3339 time."),
    ] = None


class TenantSpec(Spec, frozen=True, kw_only=True):
    """Who pays for calls and owns what they leave behind."""

    name: Annotated[str, Meta(description="For people.")] = ""
    tags: Annotated[tuple[Tag, ...], Meta(description="What rules may ask for, like gold or eu.")] = ()
    features: Annotated[
        tuple[Tag, ...], Meta(description="Switches that rules may ask for, like new_models.")
    ] = ()
    priority: Annotated[
        Priority, Meta(description="The best that its calls may have: batch waits for interactive.")
    ] = "interactive"
    share: Annotated[
        float, Meta(gt=0, le=1000, description="Its part of a busy backend, against other tenants' 1.")
    ] = 1.0
    class_: Annotated[
        ClassName,
        Meta(description="What metrics and objectives tell tenants apart by: a few for all of them."),
    ] = field(default="default", name="class")
    routes: Annotated[Globs, Meta(description="Models it may ask for: names or globs.")] = ("*",)
    timezone: Annotated[
        str, Meta(description="Where its days and months begin, for budgets: a zone of the IANA database.")
    ] = "UTC"
    keys: Annotated[tuple[KeySpec, ...], Meta(description="Keys besides those made at run time.")] = ()


class IssuerSpec(Spec, frozen=True, kw_only=True):
    """An identity provider whose JWT bearer tokens are accepted."""

    issuer: Annotated[str, Meta(description="The token's `iss`, exactly.")]
    audience: Annotated[str, Meta(min_length=1, description="What the token's `aud` must name.")]
    jwks_url: Annotated[str, Meta(description="Where its keys are. Empty: OpenID discovery.")] = ""
    algorithms: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema={"enum": ALGORITHMS})], ...],
        Meta(min_length=1, description="Signature algorithms that are allowed."),
    ] = ("RS256", "ES256")
    tenant_claim: Annotated[str, Meta(min_length=1, description="The claim with the tenant.")] = "tenant"
    routes_claim: Annotated[str, Meta(description="A claim with globs that narrow the tenant's.")] = ""
    team_claim: Annotated[str, Meta(description="A claim with the team.")] = ""
    admin_claim: Annotated[
        str, Meta(description="A claim that must be `true` for a token to see the usage of all tenants.")
    ] = ""


class TenantsSpec(Spec, frozen=True, kw_only=True):
    """Who may call."""

    tenants: Annotated[
        dict[TenantName, TenantSpec], Meta(min_length=1, description="Tenants, by the id that usage shows.")
    ]
    issuers: Annotated[tuple[IssuerSpec, ...], Meta(description="Token issuers.")] = ()


class StaticKey(msgspec.Struct, frozen=True):
    """A key of the file; `digest` is the 32 bytes of its SHA-256."""

    id: str
    tenant: str
    digest: bytes
    routes: tuple[str, ...]
    expires_unix_s: int | None
    revoked: bool = False
    team: str = ""
    admin: bool = False


class Tenants(msgspec.Struct, frozen=True):
    """The compiled policy; `tenants` has for each what its keys and tokens stand for, without a key."""

    tenants: dict[str, Caller]
    keys: tuple[StaticKey, ...]
    issuers: tuple[IssuerSpec, ...]


def compile(spec: Located[TenantsSpec]) -> Tenants:
    """Check what one field alone does not show; raises ConfigErrors with all of it, in line order."""
    errors: list[ConfigError] = []
    keys: list[StaticKey] = []
    for tenant, owner in spec.value.tenants.items():
        for i, key in enumerate(owner.keys):
            try:
                keys.append(_static_key(tenant, key))
            except _Malformed as error:
                where = ("tenants", tenant, "keys", i, error.name)
                errors.append(spec.error(where, error.message, error.hint))
    problems = [
        *_twins(spec),
        *_issuer_problems(spec.value.issuers),
        *_zone_problems(spec.value),
        *_class_problems(spec.value),
    ]
    errors += [spec.error(*problem) for problem in problems]
    if errors:
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))
    callers = {tenant: _caller(tenant, owner) for tenant, owner in spec.value.tenants.items()}
    return Tenants(callers, tuple(keys), spec.value.issuers)


def _caller(tenant: str, spec: TenantSpec) -> Caller:
    return Caller(
        tenant=tenant,
        key="",
        routes=(spec.routes,),
        tags=spec.tags,
        features=spec.features,
        priority=spec.priority,
        share=spec.share,
        timezone=spec.timezone,
        class_=spec.class_,
    )


def _class_problems(spec: TenantsSpec) -> Iterator[Problem]:
    known = {owner.class_ for owner in spec.tenants.values()}
    if len(known) > MOST_CLASSES:
        last = list(spec.tenants)[-1]
        message = f"the tenants have {len(known)} classes, of which metrics keep {MOST_CLASSES} apart at most"
        yield ("tenants", last), message, "give several tenants the same class"


class _Malformed(Exception):
    """The field `name` of a key cannot be read."""

    def __init__(self, name: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.name, self.message, self.hint = name, message, hint


def _static_key(tenant: str, spec: KeySpec) -> StaticKey:
    match = _DIGEST.fullmatch(spec.digest)
    if match is None:
        hint = 'write sha256: and what this prints: printf %s "$KEY" | sha256sum'
        raise _Malformed("digest", "this is not a SHA-256 digest", hint)
    digest = bytes.fromhex(match.group(1))
    if digest == _DIGEST_OF_NOTHING:
        raise _Malformed("digest", "this is the digest of an empty key", "was the variable set?")
    ends_unix_s = _unix_s(spec.expires)
    return StaticKey(spec.id, tenant, digest, spec.routes, ends_unix_s, team=spec.team, admin=spec.admin)


def _unix_s(text: str | None) -> int | None:
    if text is None:
        return None
    hint = "write 2027-01-31 or 2027-01-31T18:00:00Z"
    if not (_DATE.fullmatch(text) or _TIME.fullmatch(text)):
        raise _Malformed("expires", "this is neither a date nor an RFC 3339 time", hint)
    try:
        moment = dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise _Malformed("expires", "there is no such date or time", hint) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())


def _twins(spec: Located[TenantsSpec]) -> Iterator[Problem]:
    """Find ids and digests that were given before; a digest's case does not matter."""
    seen: dict[tuple[str, str], int] = {}
    for tenant, owner in spec.value.tenants.items():
        for i, key in enumerate(owner.keys):
            for name, value in (("id", key.id), ("digest", key.digest.lower())):
                where = ("tenants", tenant, "keys", i, name)
                if first := seen.get((name, value)):
                    yield where, f"another key has this {name}, on line {first}", "each key needs its own"
                else:
                    seen[name, value] = spec.at(*where)


def _zone_problems(spec: TenantsSpec) -> Iterator[Problem]:
    for tenant, owner in spec.tenants.items():
        yield from zone_problems(("tenants", tenant, "timezone"), owner.timezone)


def _issuer_problems(issuers: tuple[IssuerSpec, ...]) -> Iterator[Problem]:
    names = [issuer.issuer for issuer in issuers]
    for i, issuer in enumerate(issuers):
        where: Where = ("issuers", i)
        if issuer.issuer in names[:i]:
            yield (*where, "issuer"), "this issuer was given before", "give each issuer once"
        if not _is_trusted_url(issuer.issuer):
            yield (*where, "issuer"), "this is not an https URL", "copy the `iss` of a token"
        if issuer.jwks_url and not _is_trusted_url(issuer.jwks_url):
            yield (*where, "jwks_url"), "this is not an https URL", "leave it empty for OpenID discovery"
        for j, algorithm in enumerate(issuer.algorithms):
            if algorithm not in ALGORITHMS:
                yield (*where, "algorithms", j), *_about_algorithm(algorithm)


def _about_algorithm(algorithm: str) -> tuple[str, str]:
    if algorithm.upper() == "NONE":
        return "a token without a signature proves nothing", f"use one of {', '.join(ALGORITHMS)}"
    if re.fullmatch(r"HS\d{3}", algorithm.upper()):
        hint = f"use one of {', '.join(ALGORITHMS)}"
        return f"{algorithm} is symmetric: whoever can check a token could make one", hint
    return f"unknown algorithm {quoted(algorithm)}", did_you_mean(algorithm, ALGORITHMS)


def _is_trusted_url(text: str) -> bool:
    """Tell whether keys from there can be trusted; plain http only on the same machine."""
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        return False
    return bool(host) and (url.scheme == "https" or (url.scheme == "http" and host in _LOOPBACK))

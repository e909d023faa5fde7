"""JWT bearer tokens of an identity provider, verified offline against its published keys.

It must not know policies or stores. A token is verified once; after that its digest is enough until it
expires, so the common call costs one dictionary look-up. The token itself is never kept.
Sources: RFC 7519 (JWT), RFC 7517 (JWKS), RFC 8725 (best practices: algorithms are allow-listed, and a key
serves only the algorithm it fits), OpenID Connect Discovery 1.0 section 4.3; read 2026-11.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from gateway.errors import ConfigError, StoreDown
from gateway.exchange import Caller, short_name
from gateway.identity.keys import digest_of

if TYPE_CHECKING:
    import httpx
    import jwt

_log = logging.getLogger(__name__)

_FETCH_TIMEOUT_S: Final = 3.0
_REFRESH_S: Final = 600.0
_RETRY_S: Final = 5.0
"""Between two tries to get keys that were never fetched."""
_UNKNOWN_KEY_S: Final = 30.0
"""Between two fetches because of an unknown `kid`: anyone can make one up."""
_LEEWAY_S: Final = 30
_LARGEST_DOCUMENT_BYTES: Final = 1 << 20
_MOST_VERIFIED: Final = 10_000
_LONGEST_NAME: Final = 128

_FITS: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The `kty` and `crv` that each algorithm takes. All are asymmetric: a public key is never a secret."""


class Issuer(Protocol):
    """Whose tokens are taken, and which of their claims say what."""

    @property
    def issuer(self) -> str:
        """The `iss` claim, exactly."""

    @property
    def audience(self) -> str:
        """A token whose `aud` claim does not name it is refused."""

    @property
    def jwks_url(self) -> str:
        """Where the keys are; empty: found by OpenID discovery."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The signature algorithms that are allowed, all asymmetric."""

    @property
    def tenant_claim(self) -> str:
        """The claim that holds the tenant's name."""

    @property
    def routes_claim(self) -> str:
        """The claim that holds route globs, a list or separated by spaces; empty: none narrows."""

    @property
    def team_claim(self) -> str:
        """The claim that holds the team's name; empty: no token is of a team."""

    @property
    def admin_claim(self) -> str:
        """The claim that is `true` in an admin's token; empty: no token is an admin's."""


class _Discovery(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


class TokenVerifier:
    """Verifies the tokens of all `issuers`.

    `tenants` has for each tenant's name the Caller that its tokens stand for, as yet without a key; a token
    of any other tenant is refused.
    `http_client_factory` makes the client of each fetch, which closes it. Raises ConfigError for an
    algorithm that is unknown or symmetric.
    """

    def __init__(
        self,
        issuers: Iterable[Issuer],
        tenants: Mapping[str, Caller],
        http_client_factory: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self._tenants = tenants
        self._client_factory = http_client_factory
        self._verified: dict[bytes, tuple[Caller, float]] = {}
        client = http_client_factory or _client
        self._published = [_Published(issuer, client, self._verified.clear) for issuer in issuers]

    def find(self, digest: bytes, now_unix_s: float) -> Caller | None:
        """Look the SHA-256 digest of a token up; None for one that was not verified yet, or expired."""
        entry = self._verified.get(digest)
        return entry[0] if entry is not None and now_unix_s < entry[1] else None

    async def identify(self, token: str, now_unix_s: float) -> Caller | None:
        """Say who shows this token; None for one that is not valid, or not of a known tenant.

        May fetch the issuer's keys, for at most 3 s. Raises StoreDown when those that could prove the
        token are not known because the issuer does not answer.
        """
        digest = digest_of(token)
        if caller := self.find(digest, now_unix_s):
            return caller
        header, claims = _unverified(token)
        for published in self._published:
            if published.issuer.issuer != claims.get("iss"):
                continue
            key = await published.key(header.get("kid", ""), header["alg"])
            proven = None if key is None else _proven(token, key, published.issuer)
            if proven is not None and (caller := self._caller(proven, published.issuer)):
                self._remember(digest, caller, float(proven["exp"]))
                return caller
        return None

    async def follow(self) -> None:
        """Keep the issuers' keys fresh until cancelled; an issuer that is down is logged and outlived."""
        while True:
            await asyncio.gather(*(published.catch_up(0.0) for published in self._published))
            await asyncio.sleep(_REFRESH_S if self.state()[0] else _RETRY_S)

    def revised(self, issuers: Iterable[Issuer], tenants: Mapping[str, Caller]) -> TokenVerifier:
        """Make the verifier of a new configuration that starts with the keys already fetched."""
        revised = TokenVerifier(issuers, tenants, self._client_factory)
        for new in revised._published:
            for old in self._published:
                new.adopt(old)
        return revised

    def state(self) -> tuple[bool, str]:
        """Say whether every issuer's keys are fresh, and the same in words for people."""
        failing = [f"{p.issuer.issuer} ({p.failure})" for p in self._published if p.failure]
        if failing:
            return False, f"no fresh keys from {', '.join(failing)}"
        return True, f"{len(self._published)} issuers"

    def _caller(self, claims: Mapping[str, Any], issuer: Issuer) -> Caller | None:
        name = claims.get(issuer.tenant_claim)
        tenant = self._tenants.get(name) if isinstance(name, str) else None
        if tenant is None:
            return None
        layers = (_globs(claims.get(issuer.routes_claim)),) if issuer.routes_claim else ()
        team = claims.get(issuer.team_claim) if issuer.team_claim else ""
        return replace(
            tenant,
            key=f"sub:{short_name(claims['sub'], _LONGEST_NAME)}",
            routes=(*tenant.routes, *layers),
            team=short_name(team, _LONGEST_NAME) if isinstance(team, str) else "",
            # Nothing that merely looks true: a claim of that name may mean something else elsewhere.
            admin=bool(issuer.admin_claim) and claims.get(issuer.admin_claim) is True,
        )

    def _remember(self, digest: bytes, caller: Caller, ends_unix_s: float) -> None:
        self._verified.pop(digest, None)
        if len(self._verified) >= _MOST_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = (caller, ends_unix_s)


class _Published:
    """The keys that one issuer publishes. `failure` says why the last fetch failed, empty for none."""

    def __init__(
        self, issuer: Issuer, client: Callable[[], httpx.AsyncClient], forget: Callable[[], None]
    ) -> None:
        for algorithm in issuer.algorithms:
            if algorithm not in _FITS:
                hint = f"use one of {', '.join(_FITS)}"
                where = f"issuer {issuer.issuer}"
                raise ConfigError(
                    "policies/tenants.yaml", 0, where, f"{algorithm!r} is not an asymmetric algorithm", hint
                )
        self.issuer = issuer
        self.failure = "not fetched yet"
        self._client = client
        self._forget = forget
        self._documents: list[dict[str, Any]] | None = None
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}
        self._tried_s = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Find the key; None when the issuer has none of that name for an allowed algorithm."""
        if algorithm not in self.issuer.algorithms:
            return None
        if (kid, algorithm) not in self._keys:
            await self.catch_up(_RETRY_S if self._documents is None else _UNKNOWN_KEY_S)
        key = self._keys.get((kid, algorithm))
        if key is None and self.failure:
            raise StoreDown(f"the signing keys of {self.issuer.issuer} could not be fetched")
        return key

    async def catch_up(self, at_most_every_s: float) -> None:
        """Fetch the keys unless that was tried just now; all who wait share one fetch. Never raises.

        The fetch is a task of its own: a client that goes away must not end it for the others.
        """
        if self._flight is None:
            if time.monotonic() - self._tried_s < at_most_every_s:
                return
            self._tried_s = time.monotonic()
            self._flight = asyncio.create_task(self._fetch())
        await asyncio.shield(self._flight)

    def adopt(self, old: _Published) -> None:
        """Start with what another has fetched, if it was fetched from the same place."""
        same = (old.issuer.issuer, old.issuer.jwks_url) == (self.issuer.issuer, self.issuer.jwks_url)
        if same and old._documents is not None:
            self._accept(old._documents)
            self.failure, self._tried_s = old.failure, old._tried_s

    async def _fetch(self) -> None:
        import httpx

        expected = (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, TimeoutError, ValueError)
        failure = ""
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S), self._client() as client:
                self._accept(await self._download(client))
        except expected as error:
            failure = type(error).__name__
        finally:
            self._flight = None
        if failure and failure != self.failure:
            _log.warning("the signing keys of %s could not be fetched (%s)", self.issuer.issuer, failure)
        self.failure = failure

    async def _download(self, client: httpx.AsyncClient) -> list[dict[str, Any]]:
        url = self.issuer.jwks_url
        if not url:
            place = self.issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = msgspec.json.decode(await _get(client, place), type=_Discovery)
            url = found.jwks_uri
            if found.issuer != self.issuer.issuer or (place.startswith("https:") > url.startswith("https:")):
                raise ValueError("the discovery document is of another issuer, or leaves HTTPS")
        return msgspec.json.decode(await _get(client, url), type=_KeySet).keys

    def _accept(self, documents: list[dict[str, Any]]) -> None:
        if self._documents is not None and any(old not in documents for old in self._documents):
            # A key was withdrawn, perhaps because it leaked: what it has proven counts no more.
            self._forget()
        self._documents = documents
        self._keys = _usable(documents, self.issuer.algorithms)


def _usable(documents: list[dict[str, Any]], algorithms: Sequence[str]) -> dict[tuple[str, str], jwt.PyJWK]:
    """Index keys by their `kid` and algorithm; a token without `kid` finds a key that is the only one."""
    import jwt

    keys: dict[tuple[str, str], jwt.PyJWK] = {}
    for algorithm in algorithms:
        fitting = []
        for document in (each for each in documents if _fits(each, algorithm)):
            try:
                key = jwt.PyJWK(document, algorithm)
            except jwt.PyJWTError:
                continue
            fitting.append(key)
            keys[str(document.get("kid", "")), algorithm] = key
        if len(fitting) == 1:
            keys["", algorithm] = fitting[0]
        else:
            keys.pop(("", algorithm), None)
    return keys


def _fits(document: Mapping[str, Any], algorithm: str) -> bool:
    kty, curve = _FITS[algorithm]
    return (
        document.get("kty") == kty
        and (curve is None or document.get("crv") == curve)
        and document.get("alg", algorithm) == algorithm
        and document.get("use", "sig") == "sig"
        and "d" not in document  # a private key that was published proves nothing
    )


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Read what a token says of itself, to find the key that may prove it; both empty for no JWT."""
    import jwt

    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return {}, {}
    header, claims = parts["header"], parts["payload"]
    return (header, claims) if isinstance(header.get("alg"), str) else ({}, {})


def _proven(token: str, key: jwt.PyJWK, issuer: Issuer) -> Mapping[str, Any] | None:
    """Verify signature and claims; None for a token that is forged, expired or for someone else."""
    import jwt

    try:
        return jwt.decode(
            token,
            key,
            algorithms=issuer.algorithms,
            issuer=issuer.issuer,
            audience=issuer.audience,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )
    except (jwt.PyJWTError, ValueError, OverflowError):
        return None


def _globs(claim: object) -> tuple[str, ...]:
    """Read route globs from a claim; a claim that is missing or malformed allows no route."""
    if isinstance(claim, str):
        return tuple(claim.split())
    if isinstance(claim, list):
        return tuple(glob for glob in claim if isinstance(glob, str))
    return ()


def _client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=_FETCH_TIMEOUT_S)


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    """Fetch a document of at most 1 MiB; raises ValueError beyond that, HTTPError."""
    body = bytearray()
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _LARGEST_DOCUMENT_BYTES:
                raise ValueError("the document is too large")
    return bytes(body)

"""Access tokens for upstreams that take no fixed key: asked for, renewed in time, shown as a credential.

It must not know backends or calls. A call never waits for a token: one task per source keeps it fresh.
Secrets stay inside: messages and logs name the place, the status and the error's code, never what was sent.
Sources: RFC 6749 section 4.4 (client credentials), RFC 7523 (JWT bearer); Google Identity, "Using OAuth 2.0
for server to server applications"; Compute Engine, "Authenticate workloads"; Microsoft Entra, "Client
credentials flow" and "Managed identities: acquire a token"; App Service, "REST endpoint reference"; read
2026-11.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import time
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit

import msgspec

from gateway.errors import Refused
from gateway.exchange import Credential

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)
_chance = SystemRandom()

GOOGLE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_METADATA: Final = "http://metadata.google.internal"
ENTRA: Final = "https://login.microsoftonline.com"
AZURE_RESOURCE: Final = "https://cognitiveservices.azure.com"
AZURE_IMDS: Final = "http://169.254.169.254/metadata/identity/oauth2/token"

_TIMEOUT_S: Final = 10.0
_RENEW_AT: Final = 0.8
"""Of a token's life; up to a tenth of it earlier, so that many workers do not ask at the same time."""
_SOONEST_S: Final = 1.0
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 60.0
_FORGIVEN_S: Final = 600.0
"""A token that is refused so long after the last one has nothing to do with that."""
_UNTOLD_LIFE_S: Final = 600.0
_LARGEST_ANSWER_BYTES: Final = 1 << 20
_JWT_LIFE_S: Final = 3600
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_VISIBLE = re.compile(r"[!-~]+")
_CODE = re.compile(r"[\w.-]{1,60}", re.ASCII)


class Token(msgspec.Struct, frozen=True, gc=False):
    """An access token and for how many seconds from now it is taken. `repr` hides it."""

    secret: str
    life_s: float

    def __repr__(self) -> str:
        """Tell the life without the secret."""
        return f"Token(life_s={self.life_s!r})"


class Grant(Protocol):
    """A way to get tokens. `is_local`: the place is on this machine or its host, never behind a proxy."""

    name: str
    is_local: bool

    async def ask(self, client: httpx.AsyncClient) -> Token:
        """Get a new token. Raises NoToken, OSError, HTTPError; none of them tells a secret."""


class NoToken(Exception):
    """There is no token to be had; the message says why, without a secret."""


class TokenSource:
    """Keeps the token of one grant fresh, as the credential `name`."""

    def __init__(self, name: str, grant: Grant) -> None:
        self._name = name
        self._grant = grant
        self._credential: Credential | None = None
        self._ends_s = float("-inf")
        self._failure = "not asked yet"
        self._failures = 0
        self._refusals = 0
        self._refused_s = float("-inf")
        self._refused = asyncio.Event()

    def next(self) -> Credential:
        """Return the token as it is now, never waiting. Raises Refused while there is none that is valid."""
        if self._credential is None or time.monotonic() >= self._ends_s:
            raise Refused(
                "the gateway has no access token for this upstream",
                status=503,
                code="upstream_no_token",
                detail=f"{self._grant.name}: {self._failure or 'the token has ended'}",
            )
        return self._credential

    def eject(self, credential: Credential) -> bool:
        """Show a refused token no more, and ask for another. True: there is a newer one already."""
        if credential is not self._credential:
            return self._credential is not None
        now_s = time.monotonic()
        self._refusals = 0 if now_s - self._refused_s > _FORGIVEN_S else self._refusals + 1
        self._refused_s = now_s
        self._credential, self._failure = None, "the upstream has refused the token"
        self._refused.set()
        return False

    async def follow(self) -> None:
        """Keep the token fresh until cancelled; a place that gives none is logged and asked again."""
        while True:
            wait_s = await self.renew()
            self._refused.clear()
            if await _happens(self._refused, wait_s) and self._refusals:
                # The new one was refused as well: it may be good, and what it is shown for forbidden.
                await asyncio.sleep(min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self._refusals, 16)))

    async def renew(self) -> float:
        """Get a new token now and return in how many seconds to do so again.

        An ImportError is a proxy of the environment that needs a package (SOCKS).
        """
        import httpx

        failure = ""
        try:
            async with asyncio.timeout(_TIMEOUT_S), _client(self._grant) as client:
                token = await self._grant.ask(client)
        except NoToken as error:
            failure = str(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
            failure = type(error).__name__  # its text may quote what was sent
        if failure:
            return self._note(failure)
        self._failure, self._failures = "", 0
        self._credential, self._ends_s = (
            Credential(self._name, token.secret, "token"),
            time.monotonic() + token.life_s,
        )
        return max(_SOONEST_S, token.life_s * (_RENEW_AT - _chance.uniform(0.0, 0.1)))

    def state(self) -> tuple[bool, str]:
        """Say whether there is a valid token, and the same in words for people."""
        left_s = self._ends_s - time.monotonic()
        if self._credential is None or left_s <= 0:
            return False, f"no token from {self._grant.name} ({self._failure or 'ended'})"
        failing = f", not renewed ({self._failure})" if self._failure else ""
        return True, f"token from {self._grant.name} for {left_s:.0f} s{failing}"

    def _note(self, failure: str) -> float:
        if failure != self._failure:
            _log.warning("no access token from %s (%s)", self._grant.name, failure)
        self._failure = failure
        wait_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return wait_s * _chance.uniform(0.5, 1.0)


class GoogleAccount:
    """A Google service account by its key file: shows a signed assertion, gets a token.

    Raises ValueError for a document that is no such key file, or whose token URI is not to be trusted.
    """

    is_local = False

    def __init__(self, document: bytes, scope: str = GOOGLE_SCOPE) -> None:
        try:
            self._key = msgspec.json.decode(document, type=_KeyFile)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("this is no key file of a Google service account") from None
        self.name = f"the service account {self._key.client_email}"
        self._url = _safe(self._key.token_uri)
        self._scope = scope
        self._assertion(0)  # a key that cannot sign is better known now than at the first call

    async def ask(self, client: httpx.AsyncClient) -> Token:
        """Exchange an assertion for a token."""
        form = {"grant_type": _JWT_BEARER, "assertion": self._assertion(int(time.time()))}
        return await _fetch(client, client.build_request("POST", self._url, data=form))

    def _assertion(self, now_unix_s: int) -> str:
        import jwt

        claims = {
            "iss": self._key.client_email,
            "scope": self._scope,
            "aud": self._key.token_uri,
            "iat": now_unix_s,
            "exp": now_unix_s + _JWT_LIFE_S,
        }
        headers = {"kid": self._key.private_key_id} if self._key.private_key_id else None
        try:
            return jwt.encode(claims, self._key.private_key, "RS256", headers=headers)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise ValueError(f"the private key of {self.name} is not usable") from None


class GoogleMetadata:
    """The metadata server of Compute Engine, GKE and Cloud Run: gives tokens to whoever runs there."""

    is_local = True

    def __init__(
        self, account: str = "default", scope: str = GOOGLE_SCOPE, url: str = GOOGLE_METADATA
    ) -> None:
        self.name = "Google's metadata server"
        place = f"/computeMetadata/v1/instance/service-accounts/{quote(account, safe='@')}/token"
        self._url = _safe(url, GOOGLE_METADATA) + place
        self._scope = scope

    async def ask(self, client: httpx.AsyncClient) -> Token:
        """Get the token of the machine's account."""
        headers = {"metadata-flavor": "Google"}
        query = {"scopes": self._scope}
        return await _fetch(client, client.build_request("GET", self._url, params=query, headers=headers))


class EntraClient:
    """An application in Microsoft Entra ID. `proof` is its secret or, as a path, where its assertion stands.

    That file is read at each renewal: Kubernetes writes a new assertion into it from time to time.
    """

    is_local = False

    def __init__(
        self,
        tenant: str,
        client_id: str,
        proof: str | Path,
        resource: str = AZURE_RESOURCE,
        authority: str = ENTRA,
    ) -> None:
        self.name = f"the Entra application {client_id}"
        self._url = f"{_safe(authority).rstrip('/')}/{quote(tenant, safe='')}/oauth2/v2.0/token"
        self._proof = proof
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "scope": f"{resource.rstrip('/')}/.default",
        }

    async def ask(self, client: httpx.AsyncClient) -> Token:
        """Exchange the proof for a token."""
        form = self._form | await self._proven()
        return await _fetch(client, client.build_request("POST", self._url, data=form))

    async def _proven(self) -> dict[str, str]:
        if isinstance(self._proof, str):
            return {"client_secret": self._proof}
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": await _read(self._proof)}


class ManagedIdentity:
    """The identity that Azure gives a machine, or with `secret` an App Service, Function or Container App.

    There `url` and `secret` are what the platform sets as IDENTITY_ENDPOINT and IDENTITY_HEADER. `client_id`
    chooses among several identities; empty: the machine's own.
    """

    is_local = True

    def __init__(
        self, client_id: str = "", resource: str = AZURE_RESOURCE, url: str = AZURE_IMDS, secret: str = ""
    ) -> None:
        self.name = "Azure's managed identity"
        self._url = _safe(url)
        self._headers = {"x-identity-header": secret} if secret else {"metadata": "true"}
        self._query = {"api-version": "2019-08-01" if secret else "2018-02-01", "resource": resource}
        if client_id:
            self._query["client_id"] = client_id

    async def ask(self, client: httpx.AsyncClient) -> Token:
        """Get the token of the identity."""
        request = client.build_request("GET", self._url, params=self._query, headers=self._headers)
        return await _fetch(client, request)


class _KeyFile(msgspec.Struct):
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None
    expires_on: float | str | None = None


class _Failure(msgspec.Struct):
    """RFC 6749 section 5.2; Entra's numbers say more, and its text may say too much."""

    error: str = ""
    error_codes: list[int] = []


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False


def _client(grant: Grant) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=not grant.is_local)


def _safe(url: str, known: str = "") -> str:
    """Return a URL that secrets may go to. Raises ValueError for any but HTTPS, this machine and its host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
        is_near = address.is_loopback or address.is_link_local
    except ValueError:
        is_near = host == "localhost"
    if host and (parts.scheme == "https" or (parts.scheme == "http" and (is_near or url == known))):
        return url
    raise ValueError(f"tokens are asked for over HTTPS only, not from {parts.scheme}://{host}")


async def _fetch(client: httpx.AsyncClient, request: httpx.Request) -> Token:
    """Send a request for a token. Redirects are not followed: they would take the secret along."""
    body = bytearray()
    answer = await client.send(request, stream=True)
    try:
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise NoToken("its answer is too large")
    finally:
        await answer.aclose()
    if answer.status_code != 200:
        raise NoToken(f"{answer.status_code} {_reason(bytes(body))}".rstrip())
    try:
        told = msgspec.json.decode(bytes(body), type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NoToken("its answer has no token") from None
    return Token(_visible(told.access_token), _life_s(told))


def _reason(body: bytes) -> str:
    try:
        failure = msgspec.json.decode(body, type=_Failure)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    code = failure.error if _CODE.fullmatch(failure.error) else ""
    return " ".join([code, *(f"AADSTS{number}" for number in failure.error_codes[:3])])


def _visible(secret: str) -> str:
    """Return a token that fits into a header line. Raises NoToken."""
    if _VISIBLE.fullmatch(secret) is None:
        raise NoToken("what it gave is no token")
    return secret


def _life_s(told: _Answer) -> float:
    """Read how long a token lives; platforms send numbers as texts, and some only the time of its end."""
    for value, since_s in ((told.expires_in, 0.0), (told.expires_on, time.time())):
        if value is not None and value != "":
            life_s = float(value) - since_s
            if not 0 < life_s < 1e9:
                raise NoToken("what it gave has ended already")
            return life_s
    return _UNTOLD_LIFE_S


async def _read(path: Path) -> str:
    """Read a token from a file; the whitespace around it is not part of it."""
    try:
        text = await asyncio.to_thread(path.read_text, "ascii")
    except OSError as error:
        raise NoToken(f"{path} cannot be read: {error.strerror}") from None
    return _visible(text.strip())

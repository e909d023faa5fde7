"""How a backend gets what it shows its provider: keys in turn, tokens kept fresh, or signatures.

`open_access` reads nothing and asks nobody: what has to be fetched is fetched by `follow`, in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from time import monotonic

import msgspec

from gateway.config.resolve import BackendSettings
from gateway.config.routing import AuthSpec
from gateway.exchange import Credential, Request
from gateway.protocols import Credentials
from gateway.upstream.credentials import CredentialsInTurn
from gateway.upstream.oauth import (
    EntraClient,
    GoogleAccount,
    GoogleMetadata,
    Grant,
    ManagedIdentity,
    TokenSource,
)


def unsigned(request: Request) -> Request:
    """Leave a request as it is."""
    return request


class Access(msgspec.Struct, frozen=True):
    """What authenticates a backend's requests.

    `credentials` and `sign` never wait; they raise UpstreamError while there is nothing to show.
    `follow` runs beside the calls and never ends; None: there is nothing to fetch.
    """

    credentials: Credentials
    sign: Callable[[Request], Request] = unsigned
    follow: Callable[[], Coroutine[None, None, None]] | None = None


def open_access(backend: BackendSettings, env: Mapping[str, str]) -> Access:
    """Build the access of a backend. Raises ValueError for a key file that is none."""
    auth = backend.auth
    if auth is None:
        return Access(CredentialsInTurn(backend.credentials, monotonic))
    if auth.kind == "aws":
        return _signing(backend.name, auth, backend.region)
    source = TokenSource(backend.name, _GRANTS[auth.kind](auth, env))
    return Access(source, follow=source.follow)


def _signing(name: str, auth: AuthSpec, region: str) -> Access:
    # botocore takes a fifth of a second to import, and is an extra: only who signs needs it.
    from gateway.upstream.aws import AwsSigner

    signer = AwsSigner(region, auth.profile or None)
    empty = Credential(name, "")  # what is shown is the signature
    return Access(CredentialsInTurn((empty,), monotonic), signer.sign, signer.follow)


def _service_account(auth: AuthSpec, _env: Mapping[str, str]) -> Grant:
    return GoogleAccount(auth.service_account.encode())


def _google_metadata(_auth: AuthSpec, _env: Mapping[str, str]) -> Grant:
    return GoogleMetadata()


def _azure_identity(auth: AuthSpec, env: Mapping[str, str]) -> Grant:
    if endpoint := env.get("IDENTITY_ENDPOINT"):  # App Service, Functions, Container Apps
        return ManagedIdentity(auth.client_id, url=endpoint, secret=env.get("IDENTITY_HEADER", ""))
    return ManagedIdentity(auth.client_id)


def _entra(auth: AuthSpec, _env: Mapping[str, str]) -> Grant:
    proof = Path(auth.token_file) if auth.token_file else auth.client_secret
    return EntraClient(auth.tenant_id, auth.client_id, proof)


_GRANTS: dict[str, Callable[[AuthSpec, Mapping[str, str]], Grant]] = {
    "service_account": _service_account,
    "google_metadata": _google_metadata,
    "entra": _entra,
    "azure_identity": _azure_identity,
}

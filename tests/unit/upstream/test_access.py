"""What each way to authenticate gives a backend: a credential, a signature, and work to be done beside."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.compose.reading import load_config
from gateway.config.resolve import BackendSettings
from gateway.config.routing import AuthSpec
from gateway.errors import ConfigError, ConfigErrors, Refused
from gateway.exchange import Credential, Request, Timeouts
from gateway.upstream import access, aws
from gateway.upstream.access import open_access, unsigned
from gateway.upstream.oauth import EntraClient, GoogleAccount, GoogleMetadata, ManagedIdentity

KEYS = (Credential("b#1", "one"), Credential("b#2", "two"))
CALL = Request("https://host.example/", {}, b"{}")
APP_SERVICE = {"IDENTITY_ENDPOINT": "http://127.0.0.1:41056/msi/token", "IDENTITY_HEADER": "h3ader"}


def settings(auth: AuthSpec | None = None, region: str = "") -> BackendSettings:
    return BackendSettings(
        name="b",
        provider="bedrock",
        preset="",
        base_url="https://host.example",
        credentials=KEYS if auth is None else (Credential("b#1", ""),),
        formats=("converse",),
        stream_usage="ask",
        output_limit="max_tokens",
        headers={},
        timeouts=Timeouts(),
        max_connections=0,
        transport="aiohttp",
        launch="",
        api_version="",
        script="",
        auth=auth,
        region=region,
    )


@pytest.fixture(scope="module")
def key_file() -> str:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "client_email": "robot@project.example",
            "private_key": key.decode(),
            "token_uri": "https://oauth2.example/token",
        }
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The grants that sources of tokens are made of."""
    grants: list[Any] = []
    made = access.TokenSource

    def source(name: str, grant: Any) -> Any:
        grants.append(grant)
        return made(name, grant)

    monkeypatch.setattr(access, "TokenSource", source)
    return grants


def asked_by(grant: Any) -> httpx.Request:
    """Return what a grant sends for a token."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 60})

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await grant.ask(client)

    asyncio.run(ask())
    return seen[0]


def test_keys_take_turns_and_nothing_has_to_be_fetched() -> None:
    way = open_access(settings(), {})
    assert [way.credentials.next().secret for _ in range(3)] == ["one", "two", "one"]
    assert way.credentials.eject(KEYS[0])
    assert [way.credentials.next().secret for _ in range(2)] == ["two", "two"]
    assert way.sign is unsigned
    assert way.follow is None
    assert unsigned(CALL) is CALL


@pytest.mark.parametrize(
    ("auth", "kind", "url"),
    [
        (
            {"kind": "google_metadata"},
            GoogleMetadata,
            "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token",
        ),
        (
            {"kind": "azure_identity"},
            ManagedIdentity,
            "http://169.254.169.254/metadata/identity/oauth2/token",
        ),
        (
            {"kind": "entra", "tenant_id": "t", "client_id": "c", "client_secret": "s"},
            EntraClient,
            "https://login.microsoftonline.com/t/oauth2/v2.0/token",
        ),
    ],
)
def test_tokens_are_asked_for_where_the_kind_says(
    auth: dict[str, Any], kind: type, url: str, opened: list[Any]
) -> None:
    open_access(settings(AuthSpec(**auth)), {})
    (grant,) = opened
    assert type(grant) is kind
    assert str(asked_by(grant).url.copy_with(query=None)) == url


def test_a_service_account_is_asked_for_at_the_place_of_its_key_file(
    key_file: str, opened: list[Any]
) -> None:
    open_access(settings(AuthSpec(kind="service_account", service_account=key_file)), {})
    (grant,) = opened
    assert type(grant) is GoogleAccount
    assert str(asked_by(grant).url) == "https://oauth2.example/token"


def test_until_there_is_a_token_a_call_is_refused_and_then_it_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"access_token": "the-token", "expires_in": 60})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("gateway.upstream.oauth._client", lambda _grant: client)
    way = open_access(settings(AuthSpec(kind="google_metadata")), {})
    with pytest.raises(Refused):
        way.credentials.next()

    async def follow() -> None:
        assert way.follow is not None
        following = asyncio.create_task(way.follow())
        async with asyncio.timeout(30):
            while True:
                await asyncio.sleep(0)
                try:
                    way.credentials.next()
                except Refused:
                    continue
                break
        following.cancel()

    asyncio.run(follow())
    assert way.credentials.next() == Credential("b", "the-token", "token")
    assert way.sign(CALL) is CALL


def test_azures_identity_is_asked_for_where_the_platform_says(opened: list[Any]) -> None:
    auth = AuthSpec(kind="azure_identity", client_id="mine")
    open_access(settings(auth), APP_SERVICE)
    sent = asked_by(opened[0])
    assert str(sent.url).startswith(APP_SERVICE["IDENTITY_ENDPOINT"] + "?")
    assert (sent.headers["x-identity-header"], sent.url.params["client_id"]) == ("h3ader", "mine")


def test_an_identity_endpoint_that_is_not_near_gets_no_secret() -> None:
    env = APP_SERVICE | {"IDENTITY_ENDPOINT": "http://elsewhere.example/token"}
    with pytest.raises(ValueError, match="over HTTPS only"):
        open_access(settings(AuthSpec(kind="azure_identity")), env)


def test_entra_proves_itself_by_a_secret_or_by_what_stands_in_a_file(
    tmp_path: Path, opened: list[Any]
) -> None:
    file = tmp_path / "assertion"
    file.write_text("signed\n")
    whose = {"tenant_id": "t", "client_id": "c"}
    open_access(settings(AuthSpec(kind="entra", client_secret="s", **whose)), {})
    open_access(settings(AuthSpec(kind="entra", token_file=str(file), **whose)), {})
    by_secret, by_file = (asked_by(grant).content for grant in opened)
    assert b"client_secret=s" in by_secret
    assert b"client_assertion=signed" in by_file


def test_a_key_file_that_is_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no key file"):
        open_access(settings(AuthSpec(kind="service_account", service_account="{}")), {})


def test_aws_signs_in_the_region_of_the_backend_with_its_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[team]\naws_access_key_id = AKIDTEAM\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    way = open_access(settings(AuthSpec(kind="aws", profile="team"), "eu-west-1"), {})
    assert way.credentials.next() == Credential("b", "")
    with pytest.raises(Refused):
        way.sign(CALL)
    monkeypatch.setattr(aws.asyncio, "sleep", _stop)
    assert way.follow is not None
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(way.follow())
    proof = way.sign(CALL).headers["authorization"]
    assert "Credential=AKIDTEAM/" in proof
    assert "/eu-west-1/bedrock/" in proof


async def _stop(_seconds: float) -> None:
    raise asyncio.CancelledError


def test_aws_without_its_library_is_an_error_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="botocore"):
        open_access(settings(AuthSpec(kind="aws"), "eu-west-1"), {})


ROUTING = """
backends:
  cloud: {{provider: {provider}, region: us-east-1, {more}}}
routes:
  m: {{targets: [{{backend: cloud}}]}}
"""
TENANTS = "tenants: {acme: {name: Acme}}\n"


def read(folder: Path, provider: str, more: str) -> None:
    (folder / "routing.yaml").write_text(ROUTING.format(provider=provider, more=more))
    (folder / "policies").mkdir()
    (folder / "policies" / "tenants.yaml").write_text(TENANTS)
    load_config(folder)


def test_a_missing_library_for_signing_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "find_spec", lambda _name: None)
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, "bedrock", "auth: {kind: aws}")
    (error,) = caught.value.errors
    assert (error.path, error.where) == (str(tmp_path / "routing.yaml"), "backends.cloud.auth")
    assert error.message == "signing for AWS needs botocore"
    assert error.hint == "install it with: pip install 'forebay[bedrock]'"


def test_a_key_file_that_is_none_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCOUNT", "{}")
    more = "project: p, auth: {kind: service_account, service_account: '${ACCOUNT}'}"
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, "vertex", more)
    (error,) = caught.value.errors
    assert error.where == "backends.cloud.auth"
    assert error.message == "this is no key file of a Google service account"

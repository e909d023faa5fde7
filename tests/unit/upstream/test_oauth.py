"""Tokens of every grant, asked for at a real server on loopback: what is sent, kept, renewed, never told."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rig.script import Cut, plain
from rig.upstream import Answer, Seen, Upstream, refusing_port

from gateway.errors import Refused
from gateway.exchange import Credential
from gateway.upstream import oauth
from gateway.upstream.oauth import (
    EntraClient,
    GoogleAccount,
    GoogleMetadata,
    Grant,
    ManagedIdentity,
    TokenSource,
)

SECRET = "s3cret-of-the-client"
TOKEN = "ya29.the-token"
GIVEN = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}


@functools.cache
def private(kind: str) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def pem(kind: str = "rsa") -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private(kind).private_bytes(encoding, form, serialization.NoEncryption()).decode()


def key_file(url: str, **changed: object) -> bytes:
    document = {
        "type": "service_account",
        "client_email": "robot@project.example",
        "private_key": pem(),
        "private_key_id": "key-1",
        "token_uri": f"{url}/token",
    }
    return json.dumps(document | changed).encode()


@pytest.fixture
def place(upstream: Upstream) -> str:
    upstream.answer_with(plain(GIVEN))
    return f"http://127.0.0.1:{upstream.port}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The monotonic clock of the module, which the test moves."""
    moved = SimpleNamespace(ahead_s=0.0)
    shifted = SimpleNamespace(monotonic=lambda: time.monotonic() + moved.ahead_s, time=time.time)
    monkeypatch.setattr(oauth, "time", shifted)
    return moved


def grants(place: str, folder: Path) -> dict[str, Grant]:
    assertion = folder / "assertion"
    assertion.write_text(SECRET + "\n")
    return {
        "service account": GoogleAccount(key_file(place)),
        "metadata": GoogleMetadata(url=place),
        "entra secret": EntraClient("tenant", "app", SECRET, authority=place),
        "entra assertion": EntraClient("tenant", "app", assertion, authority=place),
        "imds": ManagedIdentity(url=f"{place}/metadata/identity/oauth2/token"),
        "app service": ManagedIdentity("app", url=f"{place}/msi/token", secret=SECRET),
    }


KINDS = ("service account", "metadata", "entra secret", "entra assertion", "imds", "app service")


def renewed(source: TokenSource) -> float:
    return asyncio.run(source.renew())


def query_of(seen: Seen) -> dict[str, list[str]]:
    return parse_qs(urlsplit(seen.path).query)


def form_of(seen: Seen) -> dict[str, list[str]]:
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    return parse_qs(seen.body.decode())


@pytest.mark.parametrize("kind", KINDS)
def test_every_grant_gives_a_token(kind: str, place: str, tmp_path: Path) -> None:
    source = TokenSource("vertex", grants(place, tmp_path)[kind])
    wait_s = renewed(source)
    assert (source.next().name, source.next().secret) == ("vertex", TOKEN)
    assert 0.7 * 3600 <= wait_s <= 0.8 * 3600
    assert source.state()[0]


def test_a_service_account_shows_a_signed_assertion(place: str, upstream: Upstream) -> None:
    renewed(TokenSource("vertex", GoogleAccount(key_file(place))))
    seen = upstream.only_request()
    form = form_of(seen)
    assert (seen.method, seen.path) == ("POST", "/token")
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    claims = jwt.decode(assertion, private("rsa").public_key(), ["RS256"], audience=f"{place}/token")
    assert jwt.get_unverified_header(assertion)["kid"] == "key-1"
    assert claims["iss"] == "robot@project.example"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60


def test_the_metadata_server_is_asked_for_the_account_and_scope(place: str, upstream: Upstream) -> None:
    renewed(TokenSource("vertex", GoogleMetadata("robot@x/../y", url=place)))
    seen = upstream.only_request()
    assert seen.method == "GET"
    assert urlsplit(seen.path).path == (
        "/computeMetadata/v1/instance/service-accounts/robot@x%2F..%2Fy/token"
    )
    assert seen.headers["metadata-flavor"] == "Google"
    assert query_of(seen) == {"scopes": ["https://www.googleapis.com/auth/cloud-platform"]}


@pytest.mark.parametrize("kind", ["entra secret", "entra assertion"])
def test_entra_gets_the_secret_or_what_stands_in_the_file(
    kind: str, place: str, upstream: Upstream, tmp_path: Path
) -> None:
    renewed(TokenSource("azure", grants(place, tmp_path)[kind]))
    seen = upstream.only_request()
    proof = {"client_secret": [SECRET]}
    if kind == "entra assertion":
        assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        proof = {"client_assertion_type": [assertion_type], "client_assertion": [SECRET]}
    assert (seen.method, seen.path) == ("POST", "/tenant/oauth2/v2.0/token")
    assert form_of(seen) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app"],
        "scope": ["https://cognitiveservices.azure.com/.default"],
        **proof,
    }


def test_an_assertion_is_read_again_at_each_renewal(place: str, upstream: Upstream, tmp_path: Path) -> None:
    source = TokenSource("azure", grants(place, tmp_path)["entra assertion"])
    renewed(source)
    (tmp_path / "assertion").write_text("another")
    renewed(source)
    assert [form_of(seen)["client_assertion"] for seen in upstream.seen] == [[SECRET], ["another"]]


@pytest.mark.parametrize(
    ("kind", "headers", "query"),
    [
        ("imds", {"metadata": "true"}, {"api-version": ["2018-02-01"]}),
        (
            "app service",
            {"x-identity-header": SECRET},
            {"api-version": ["2019-08-01"], "client_id": ["app"]},
        ),
    ],
)
def test_a_managed_identity_is_asked_as_its_platform_wants(
    kind: str,
    headers: dict[str, str],
    query: dict[str, list[str]],
    place: str,
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    renewed(TokenSource("azure", grants(place, tmp_path)[kind]))
    seen = upstream.only_request()
    assert seen.method == "GET"
    assert seen.headers | headers == seen.headers
    assert query_of(seen) == {"resource": ["https://cognitiveservices.azure.com"], **query}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "{path} cannot be read: No such file or directory"),
        (b"", "what it gave is no token"),
        (b"two words", "what it gave is no token"),
        (b"\xff", "UnicodeDecodeError"),
    ],
)
def test_an_assertion_may_be_missing_for_a_while(
    content: bytes | None, words: str, place: str, upstream: Upstream, tmp_path: Path
) -> None:
    path = tmp_path / "assertion"
    source = TokenSource("azure", EntraClient("tenant", "app", path, authority=place))
    if content is not None:
        path.write_bytes(content)
    renewed(source)
    words = words.format(path=path)
    assert source.state() == (False, f"no token from the Entra application app ({words})")
    assert upstream.seen == []
    path.write_text("here-now\n")
    renewed(source)
    assert form_of(upstream.only_request())["client_assertion"] == ["here-now"]
    assert source.state()[0]


@pytest.mark.parametrize(
    ("told", "life_s"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3599"}, 3599),
        ({"expires_in": "", "expires_on": lambda: str(int(time.time()) + 1000)}, 1000),
        ({"expires_on": lambda: time.time() + 1000}, 1000),
        ({}, 600),
    ],
)
def test_the_life_of_a_token_is_read_as_platforms_tell_it(
    told: dict[str, Any], life_s: float, place: str, upstream: Upstream, clock: SimpleNamespace
) -> None:
    fields = {name: value() if callable(value) else value for name, value in told.items()}
    upstream.answer_with(plain({"access_token": TOKEN, **fields}))
    source = TokenSource("vertex", GoogleMetadata(url=place))
    assert 0.69 * life_s <= renewed(source) <= 0.8 * life_s
    clock.ahead_s = life_s - 10
    assert source.next().secret == TOKEN
    clock.ahead_s = life_s + 1
    with pytest.raises(Refused):
        source.next()


BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "refused": (
        plain({"error": "invalid_client", "error_description": SECRET, "error_codes": [7000215]}, 401),
        "401 invalid_client AADSTS7000215",
    ),
    "a code that is none": (plain({"error": f"no {SECRET}"}, 400), "400"),
    "an error object": (plain({"error": {"message": SECRET}}, 403), "403"),
    "html": (plain(b"<html>" + SECRET.encode(), 502), "502"),
    "deep": (plain(b'{"error": ' + b"[" * 50_000, 400), "400"),
    "no json": (plain(b"nothing"), "its answer has no token"),
    "no token": (plain({"token": TOKEN}), "its answer has no token"),
    "bad utf-8": (plain(b'{"access_token": "\xff"}'), "its answer has no token"),
    "nested": (plain(b'{"a": ' + b"[" * 100_000), "its answer has no token"),
    "empty": (plain({"access_token": "", "expires_in": 10}), "what it gave is no token"),
    "two lines": (plain({"access_token": "a\r\nb: c", "expires_in": 10}), "what it gave is no token"),
    "ended": (plain({"access_token": TOKEN, "expires_in": 0}), "what it gave has ended already"),
    "no number": (plain({"access_token": TOKEN, "expires_in": "soon"}), "ValueError"),
    "nan": (plain({"access_token": TOKEN, "expires_in": "nan"}), "what it gave has ended already"),
    "moved": (plain({}, 302, headers=[("location", "http://elsewhere.example/")]), "302"),
    "huge": (plain(b" " * 2_000_000), "its answer is too large"),
    "cut": (Answer(steps=[b'{"access', Cut.FIN]), "RemoteProtocolError"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_place_that_gives_no_token_is_named_without_any_secret(
    case: str, place: str, upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer, words = BAD_ANSWERS[case]
    upstream.answer_with(answer)
    source = TokenSource("azure", grants(place, tmp_path)["entra secret"])
    with caplog.at_level(logging.DEBUG, "gateway"):
        assert 0.5 <= renewed(source) <= 1
    assert source.state() == (False, f"no token from the Entra application app ({words})")
    with pytest.raises(Refused) as caught:
        source.next()
    assert (caught.value.status, caught.value.retry) == (503, "other_target")
    assert caught.value.message == "the gateway has no access token for this upstream"
    assert caught.value.detail == f"the Entra application app: {words}"
    assert caplog.messages == [f"no access token from the Entra application app ({words})"]
    assert SECRET not in repr(caught.value.__dict__) + caplog.text


def test_a_place_that_cannot_be_reached_is_named() -> None:
    with refusing_port() as port:
        source = TokenSource("vertex", GoogleMetadata(url=f"http://127.0.0.1:{port}"))
        renewed(source)
    assert source.state() == (False, "no token from Google's metadata server (ConnectError)")


def test_a_proxy_that_needs_a_package_does_not_end_the_renewing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "socksio", None)
    source = TokenSource("azure", EntraClient("tenant", "app", SECRET))
    renewed(source)
    assert source.state() == (False, "no token from the Entra application app (ImportError)")


def test_a_place_that_does_not_answer_is_given_up(
    place: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.answer_with(Answer(before=[Cut.HANG]))
    monkeypatch.setattr(oauth, "_TIMEOUT_S", 0.05)
    source = TokenSource("vertex", GoogleMetadata(url=place))
    renewed(source)
    assert source.state()[1].endswith(("(TimeoutError)", "(ReadTimeout)"))


def test_an_old_token_serves_until_its_end_while_renewing_fails(
    place: str, upstream: Upstream, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    source = TokenSource("vertex", GoogleMetadata(url=place))
    renewed(source)
    upstream.answer_with(plain({}, 500))
    waits_s = [renewed(source) for _ in range(9)]
    for number, wait_s in enumerate(waits_s):
        longest_s = min(60.0, 2.0**number)
        assert longest_s / 2 <= wait_s <= longest_s
    assert len(caplog.messages) == 1
    assert source.next().secret == TOKEN
    healthy, words = source.state()
    assert healthy
    assert words.endswith(", not renewed (500)")
    clock.ahead_s = 3601
    assert source.state() == (False, "no token from Google's metadata server (500)")
    upstream.answer_with(plain({"access_token": "new", "expires_in": 60}))
    renewed(source)
    assert source.next().secret == "new"
    upstream.answer_with(plain({}, 500))
    assert renewed(source) <= 1


def test_a_source_that_was_not_asked_yet_says_so() -> None:
    source = TokenSource("vertex", GoogleMetadata())
    with pytest.raises(Refused) as caught:
        source.next()
    assert caught.value.detail.endswith(": not asked yet")
    assert not source.state()[0]


def test_following_renews_again_and_again_until_it_is_cancelled(
    place: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []
    source = TokenSource("vertex", GoogleMetadata(url=place))

    async def follow() -> None:
        task = asyncio.create_task(source.follow())
        enough = asyncio.Event()

        async def counted(_refused: asyncio.Event, within_s: float) -> bool:
            waits_s.append(within_s)
            if len(waits_s) == 3:
                enough.set()
            await asyncio.sleep(0)
            return False

        monkeypatch.setattr(oauth, "_happens", counted)
        await asyncio.wait_for(enough.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(follow())
    assert len(upstream.seen) >= 3
    assert all(2500 < wait_s <= 2880 for wait_s in waits_s)


def test_a_refused_token_is_shown_no_more_and_another_is_asked_for_at_once(
    place: str, upstream: Upstream
) -> None:
    source = TokenSource("vertex", GoogleMetadata(url=place))

    async def follow() -> None:
        task = asyncio.create_task(source.follow())
        first = await shown_by(source)
        upstream.answer_with(plain({"access_token": "another", "expires_in": 3600}))
        assert not source.eject(first)
        assert source.state()[1].endswith("(the upstream has refused the token)")
        with pytest.raises(Refused):
            source.next()
        assert (await shown_by(source)).secret == "another"
        assert source.eject(first), "a call that was under way with the old one can try the new one"
        assert source.next().secret == "another"
        task.cancel()

    asyncio.run(follow())


def test_tokens_that_are_refused_one_after_the_other_are_asked_for_more_and_more_rarely(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses_s: list[float] = []
    source = TokenSource("vertex", GoogleMetadata(url=place))

    async def follow() -> None:
        async def noted(seconds: float) -> None:
            if seconds:  # the HTTP client gives way now and then
                pauses_s.append(seconds)
            await sleep(0)

        async def refused(_event: asyncio.Event, within_s: float) -> bool:
            source.eject(source.next())
            if len(pauses_s) == 7:
                await asyncio.Event().wait()
            return True

        sleep = asyncio.sleep
        monkeypatch.setattr(oauth, "_happens", refused)
        task = asyncio.create_task(source.follow())
        monkeypatch.setattr(oauth.asyncio, "sleep", noted)
        async with asyncio.timeout(30):
            while len(pauses_s) < 7:
                await sleep(0)
        task.cancel()

    asyncio.run(follow())
    assert pauses_s == [2, 4, 8, 16, 32, 60, 60]


async def shown_by(source: TokenSource) -> Credential:
    async with asyncio.timeout(30):
        while True:
            try:
                return source.next()
            except Refused:
                await asyncio.sleep(0)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_shows_a_secret_in_its_repr(kind: str, place: str, tmp_path: Path) -> None:
    grant = grants(place, tmp_path)[kind]
    source = TokenSource("vertex", grant)
    renewed(source)
    shown = f"{grant!r} {grant} {source!r} {source.next()!r} {oauth.Token(TOKEN, 1.0)!r} {source.state()}"
    assert SECRET not in shown
    assert TOKEN not in shown
    assert "PRIVATE KEY" not in shown


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "no key file"),
        (b"[]", "no key file"),
        (b'{"type": "authorized_user"}', "no key file"),
        (b'{"client_email": "\xff"}', "no key file"),
        (key_file("http://elsewhere.example"), "HTTPS only"),
        (key_file("file:"), "HTTPS only"),
        (key_file("https:"), "HTTPS only"),
        (key_file("https://x", private_key="no key"), "private key of the service account .* not usable"),
        (key_file("https://x", private_key=pem("ec")), "private key of the service account .* not usable"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_known_at_once(document: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        GoogleAccount(document)
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://login.example", True),
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://169.254.129.2:8081", True),
        ("http://login.example", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("ftp://127.0.0.1", False),
        ("//127.0.0.1", False),
    ],
)
def test_secrets_go_over_https_or_stay_on_the_host(url: str, is_taken: bool) -> None:
    if is_taken:
        assert ManagedIdentity(url=url, secret=SECRET).is_local
        assert not EntraClient("t", "c", SECRET, authority=url).is_local
    else:
        for make in (
            lambda: ManagedIdentity(url=url, secret=SECRET),
            lambda: EntraClient("t", "c", SECRET, authority=url),
            lambda: GoogleMetadata(url=url),
        ):
            with pytest.raises(ValueError, match="HTTPS only"):
                make()


def test_places_on_the_host_are_asked_without_a_proxy(
    place: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_port() as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        local, remote = GoogleMetadata(url=place), EntraClient("t", "c", SECRET, authority=place)
        sources = [TokenSource("x", grant) for grant in (local, remote)]
        for source in sources:
            renewed(source)
    assert [source.state()[0] for source in sources] == [True, False]
    assert len(upstream.seen) == 1
    assert issubclass(httpx.ConnectError, httpx.HTTPError)

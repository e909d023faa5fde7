"""Tokens against a real key server on loopback: what is taken, what is refused, what costs a fetch."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.errors import ConfigError, StoreDown
from gateway.exchange import Caller
from gateway.identity import tokens
from gateway.identity.keys import digest_of
from gateway.identity.tokens import TokenVerifier

TENANTS = {"acme": Caller("acme", "", (("fast", "gpt-*"),), tags=("gold",))}
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


@functools.cache
def private(name: str) -> Any:
    """A key by name; the name says its kind: `rsa-1`, `ec-1`, `ed-1`."""
    if name.startswith(("rsa", "weak")):
        return rsa.generate_private_key(65537, key_size=1024 if name.startswith("weak") else 2048)
    return (
        ec.generate_private_key(ec.SECP256R1())
        if name.startswith("ec")
        else ed25519.Ed25519PrivateKey.generate()
    )


def published(name: str, **fields: object) -> dict[str, Any]:
    key = private(name).public_key()
    algorithm = {
        "rs": jwt.algorithms.RSAAlgorithm,
        "we": jwt.algorithms.RSAAlgorithm,
        "ec": jwt.algorithms.ECAlgorithm,
    }
    to_jwk = algorithm.get(name[:2], jwt.algorithms.OKPAlgorithm).to_jwk
    return {**json.loads(to_jwk(key)), "kid": name, **fields}


class KeyServer(ThreadingHTTPServer):
    """Publishes `keys`; `status` other than 200 breaks it; `asked` lists the paths of requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), KeyPages)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.keys = [published("rsa-1"), published("ec-1"), published("ed-1")]
        self.status = 200
        self.discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.body: bytes | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[str] = []


class KeyPages(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.gate.wait(30)
        page = {"keys": self.server.keys} if self.path == "/keys" else self.server.discovery
        body = self.server.body if self.server.body is not None else json.dumps(page).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.gate.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The monotonic clock of the module, which the test moves."""
    moved = SimpleNamespace(ahead_s=0.0)
    shifted = SimpleNamespace(monotonic=lambda: time.monotonic() + moved.ahead_s)
    monkeypatch.setattr(tokens, "time", shifted)
    return moved


def issuer(server: KeyServer, **fields: object) -> SimpleNamespace:
    settings = {
        "issuer": server.url,
        "audience": "forebay",
        "jwks_url": f"{server.url}/keys",
        "algorithms": ALGORITHMS,
        "tenant_claim": "tenant",
        "routes_claim": "",
        "team_claim": "",
        "admin_claim": "",
    }
    return SimpleNamespace(**settings | fields)


def verifier(server: KeyServer, **fields: object) -> TokenVerifier:
    return TokenVerifier(
        [issuer(server, **fields)], TENANTS, lambda: httpx.AsyncClient(timeout=30, trust_env=False)
    )


def token(server: KeyServer, key: str = "rsa-1", algorithm: str = "RS256", **fields: object) -> str:
    """A good token, but for the `fields`: claims, `kid`, or None to leave a claim out."""
    kid = fields.pop("kid", key)
    claims = {"iss": server.url, "aud": "forebay", "sub": "ann", "tenant": "acme", "exp": time.time() + 300}
    claims = {name: value for name, value in (claims | fields).items() if value is not None}
    return jwt.encode(claims, private(key), algorithm, headers={} if kid is None else {"kid": kid})


def identify(verifier: TokenVerifier, *shown: str) -> Any:
    async def all_of_them() -> list[Caller | None]:
        return [await verifier.identify(one, time.time()) for one in shown]

    found = asyncio.run(all_of_them())
    return found[0] if len(found) == 1 else found


@pytest.mark.parametrize(
    ("key", "algorithm"), [("rsa-1", "RS256"), ("rsa-1", "PS256"), ("ec-1", "ES256"), ("ed-1", "EdDSA")]
)
def test_a_good_token_stands_for_its_subject(server: KeyServer, key: str, algorithm: str) -> None:
    caller = identify(verifier(server), token(server, key, algorithm))
    assert caller == Caller("acme", "sub:ann", (("fast", "gpt-*"),), tags=("gold",))
    assert server.asked == ["/keys"]


def test_keys_are_found_by_discovery(server: KeyServer) -> None:
    assert identify(verifier(server, jwks_url=""), token(server)) is not None
    assert server.asked == ["/.well-known/openid-configuration", "/keys"]


def test_discovery_of_another_issuer_is_not_trusted(server: KeyServer) -> None:
    server.discovery["issuer"] = "https://evil.example"
    with pytest.raises(StoreDown):
        identify(verifier(server, jwks_url=""), token(server))


@pytest.mark.parametrize(
    "fields",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": 10_000_000_000},
        {"aud": "someone-else"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"tenant": "unknown"},
        {"tenant": ["acme"]},
        {"tenant": None},
    ],
)
def test_a_token_with_a_wrong_claim_stands_for_nobody(server: KeyServer, fields: dict[str, object]) -> None:
    assert identify(verifier(server), token(server, **fields)) is None


def test_clocks_may_differ_by_thirty_seconds(server: KeyServer) -> None:
    now_unix_s = time.time()
    found = identify(
        verifier(server),
        token(server, exp=now_unix_s - 20),
        token(server, nbf=now_unix_s + 20),
        token(server, exp=now_unix_s - 40),
        token(server, nbf=now_unix_s + 45),
    )
    assert [caller is not None for caller in found] == [True, True, False, False]


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def handmade(server: KeyServer, header: dict[str, Any], secret: bytes | None = None) -> str:
    claims = {"iss": server.url, "aud": "forebay", "sub": "ann", "tenant": "acme", "exp": time.time() + 300}
    signed = f"{segment(header)}.{segment(claims)}"
    mac = b"" if secret is None else hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_token_without_a_signature_stands_for_nobody(server: KeyServer) -> None:
    checked = verifier(server)
    for alg in ("none", "None", "", None, 5):
        assert identify(checked, handmade(server, {"alg": alg, "kid": "rsa-1"})) is None
    assert server.asked == []


def test_the_public_key_is_no_shared_secret(server: KeyServer) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    secret = private("rsa-1").public_key().public_bytes(encoding, form)
    forged = handmade(server, {"alg": "HS256", "kid": "rsa-1"}, secret)
    assert identify(verifier(server), forged) is None


def test_a_symmetric_algorithm_cannot_be_configured(server: KeyServer) -> None:
    with pytest.raises(ConfigError, match="'HS256' is not an asymmetric algorithm, use one of RS256"):
        verifier(server, algorithms=["RS256", "HS256"])


def test_an_algorithm_that_is_not_allowed_or_does_not_fit_its_key_is_refused(server: KeyServer) -> None:
    only_rs = verifier(server, algorithms=["RS256"])
    assert identify(only_rs, token(server, algorithm="PS256")) is None
    assert identify(verifier(server), token(server, "ec-1", "ES256", kid="rsa-1")) is None
    server.keys = [published("rsa-1", alg="PS256")]
    assert identify(verifier(server), token(server)) is None


@pytest.mark.parametrize("fields", [{"use": "enc"}, {"kty": "oct", "k": "AAAA"}, {"n": "!"}, {"n": 5}])
def test_a_published_key_that_is_not_for_signatures_proves_nothing(
    server: KeyServer, fields: dict[str, object]
) -> None:
    server.keys = [published("rsa-1", **fields), published("ec-1")]
    found = identify(verifier(server), token(server), token(server, "ec-1", "ES256"))
    assert [caller is not None for caller in found] == [False, True]


def test_a_private_key_that_was_published_proves_nothing(server: KeyServer) -> None:
    leaked = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private("rsa-1")))
    server.keys = [{**leaked, "kid": "rsa-1", "key_ops": ["verify"]}]
    assert identify(verifier(server), token(server)) is None


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_key_that_is_too_short_proves_nothing(server: KeyServer) -> None:
    server.keys = [published("weak-1")]
    assert identify(verifier(server), token(server, "weak-1")) is None


def test_a_token_without_a_key_name_is_checked_against_the_only_key_that_fits(server: KeyServer) -> None:
    assert identify(verifier(server), token(server, kid=None)) is not None
    server.keys.append(published("rsa-2"))
    assert identify(verifier(server), token(server, kid=None)) is None


@pytest.mark.parametrize(
    "text",
    [
        "a.b.c",
        "..",
        "",
        "ü.ü.ü",
        f"{segment({'alg': 'RS256'})}.{segment([])}.AAAA",
        f"{segment({'alg': 'RS256'})}.{base64.urlsafe_b64encode(b'[' * 12_000).decode()}.AAAA",
        f"{base64.urlsafe_b64encode(b'[' * 12_000).decode()}.{segment({})}.AAAA",
        f"{segment({'alg': ['RS256'], 'kid': 'rsa-1'})}.{segment({'iss': ['x']})}.AAAA",
    ],
)
def test_what_is_no_token_stands_for_nobody(server: KeyServer, text: str) -> None:
    assert identify(verifier(server), text) is None
    assert server.asked == []


def test_an_unknown_critical_extension_is_refused(server: KeyServer) -> None:
    claims = jwt.decode(token(server), options={"verify_signature": False})
    extended = jwt.encode(claims, private("rsa-1"), "RS256", headers={"kid": "rsa-1", "crit": ["x"], "x": 1})
    assert identify(verifier(server), extended) is None


@pytest.mark.parametrize(
    ("claim", "globs"),
    [("fast gpt-4*", ("fast", "gpt-4*")), (["fast", 5], ("fast",)), (None, ()), ({"a": 1}, ())],
)
def test_the_routes_claim_narrows(server: KeyServer, claim: object, globs: tuple[str, ...]) -> None:
    caller = identify(verifier(server, routes_claim="routes"), token(server, routes=claim))
    assert caller.routes == (("fast", "gpt-*"), globs)


@pytest.mark.parametrize(
    ("claim", "team"), [("search", "search"), (None, ""), (["search"], ""), ("x" * 128, "x" * 128)]
)
def test_the_team_claim_names_the_team(server: KeyServer, claim: object, team: str) -> None:
    assert identify(verifier(server, team_claim="team"), token(server, team=claim)).team == team
    assert identify(verifier(server), token(server, team=claim)).team == ""


@pytest.mark.parametrize("claim", [True, False, None, "true", "false", 1, [True], {"admin": True}])
def test_the_admin_claim_makes_an_admin_where_it_is_true(server: KeyServer, claim: object) -> None:
    shown = token(server, admin=claim)
    assert identify(verifier(server, admin_claim="admin"), shown).admin is (claim is True)
    assert identify(verifier(server), shown).admin is False
    assert identify(verifier(server, admin_claim="other"), shown).admin is False


def test_long_teams_are_cut_and_stay_apart(server: KeyServer) -> None:
    checked = verifier(server, team_claim="team")
    one, other = identify(checked, token(server, team="x" * 500), token(server, team="x" * 501))
    assert len(one.team) == len(other.team) == 128
    assert one.team != other.team


def test_long_subjects_are_cut_and_stay_apart(server: KeyServer) -> None:
    one, other = identify(verifier(server), token(server, sub="x" * 500), token(server, sub="x" * 501))
    assert len(one.key) == len(other.key) == len("sub:") + 128
    assert one.key != other.key


def test_a_verified_token_is_remembered_by_its_digest_until_it_expires(server: KeyServer) -> None:
    checked, shown, now_unix_s = verifier(server), token(server), time.time()
    assert checked.find(digest_of(shown), now_unix_s) is None
    caller = identify(checked, shown)
    assert checked.find(digest_of(shown), now_unix_s) is caller
    assert checked.find(digest_of(shown), now_unix_s + 301) is None
    assert shown not in repr(vars(checked))


def test_only_so_many_tokens_are_remembered(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST_VERIFIED", 3)
    checked, shown = verifier(server), [token(server, "ed-1", "EdDSA", sub=str(n)) for n in range(5)]
    assert None not in identify(checked, *shown)
    remembered = [checked.find(hashlib.sha256(one.encode()).digest(), 0) is not None for one in shown]
    assert remembered == [False, False, True, True, True]


def test_a_rotated_key_is_fetched_when_it_first_appears(server: KeyServer, clock: SimpleNamespace) -> None:
    checked = verifier(server)
    assert identify(checked, token(server)) is not None
    server.keys.append(published("rsa-2"))
    assert identify(checked, token(server, "rsa-2")) is None
    clock.ahead_s = 31
    assert identify(checked, token(server, "rsa-2")) is not None
    assert server.asked == ["/keys"] * 2


def test_a_withdrawn_key_ends_the_tokens_it_has_proven(server: KeyServer, clock: SimpleNamespace) -> None:
    checked, shown = verifier(server), token(server)
    assert identify(checked, shown) is not None
    server.keys = [published("rsa-2")]
    clock.ahead_s = 31
    assert identify(checked, token(server, "rsa-2"), shown)[1] is None


def test_made_up_key_names_cost_one_fetch_in_thirty_seconds(
    server: KeyServer, clock: SimpleNamespace
) -> None:
    checked = verifier(server)
    made_up = [token(server, kid=f"made-up-{n}") for n in range(20)]
    assert set(identify(checked, token(server), *made_up)[1:]) == {None}
    assert len(server.asked) == 1
    clock.ahead_s = 31
    assert set(identify(checked, *made_up)) == {None}
    assert len(server.asked) == 2


def test_all_who_wait_share_one_fetch_and_one_who_leaves_does_not_end_it(server: KeyServer) -> None:
    checked, shown = verifier(server), token(server)
    server.gate.clear()

    async def many() -> list[Caller | None]:
        first = asyncio.create_task(checked.identify(shown, time.time()))
        rest = [asyncio.create_task(checked.identify(shown, time.time())) for _ in range(20)]
        while not server.asked:
            await asyncio.sleep(0.001)
        first.cancel()
        server.gate.set()
        return await asyncio.gather(*rest)

    assert None not in asyncio.run(many())
    assert server.asked == ["/keys"]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 500},
        {"status": 302},
        {"body": b"<html>"},
        {"body": b'{"keys": 5}'},
        {"body": b" " * (2 << 20)},
    ],
)
def test_keys_that_could_never_be_fetched_are_store_down_and_not_a_refusal(
    server: KeyServer, fields: dict[str, Any], clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway")
    vars(server).update(fields)
    checked, shown = verifier(server), token(server)
    for _ in range(3):
        with pytest.raises(StoreDown, match="signing keys"):
            identify(checked, shown)
    assert len(server.asked) == 1
    assert [shown not in text for text in caplog.messages] == [True]
    server.status, server.body = 200, None
    clock.ahead_s = 6
    assert identify(checked, shown) is not None
    assert checked.state() == (True, "1 issuers")


def test_a_key_server_that_hangs_is_given_up(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_FETCH_TIMEOUT_S", 0.1)
    checked = verifier(server)
    server.gate.clear()
    with pytest.raises(StoreDown):
        identify(checked, token(server))
    assert checked.state() == (False, f"no fresh keys from {server.url} (TimeoutError)")


def test_a_key_server_that_goes_down_later_stops_no_known_key(
    server: KeyServer, clock: SimpleNamespace
) -> None:
    checked = verifier(server)
    assert identify(checked, token(server)) is not None
    server.status, clock.ahead_s = 500, 31
    with pytest.raises(StoreDown):
        identify(checked, token(server, "rsa-2"))
    assert identify(checked, token(server, sub="bob")).key == "sub:bob"


def test_following_fetches_at_the_start(server: KeyServer) -> None:
    checked = verifier(server)

    async def follow() -> None:
        following = asyncio.create_task(checked.follow())
        async with asyncio.timeout(30):
            while not checked.state()[0]:
                await asyncio.sleep(0.001)
        following.cancel()

    assert not checked.state()[0]
    asyncio.run(follow())
    assert server.asked == ["/keys"]


def test_a_new_configuration_starts_with_the_keys_already_fetched(server: KeyServer) -> None:
    old = verifier(server)
    assert identify(old, token(server)) is not None
    server.status = 500
    new = old.revised([issuer(server, audience="other")], {"acme": Caller("acme", "", (("slow",),))})
    assert identify(new, token(server)) is None
    assert identify(new, token(server, aud="other")).routes == (("slow",),)
    elsewhere = old.revised([issuer(server, jwks_url=f"{server.url}/elsewhere")], TENANTS)
    with pytest.raises(StoreDown):
        identify(elsewhere, token(server))


def test_each_audience_of_one_issuer_may_have_its_own_rules(server: KeyServer) -> None:
    both = TokenVerifier(
        [issuer(server), issuer(server, audience="batch", tenant_claim="team")],
        TENANTS,
        lambda: httpx.AsyncClient(timeout=30, trust_env=False),
    )
    assert identify(both, token(server, aud="batch", tenant=None, team="acme")).tenant == "acme"
    assert identify(both, token(server, aud="forebay", tenant=None, team="acme")) is None

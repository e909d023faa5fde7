"""A token of an identity provider as the credential, through the whole gateway."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway
from rig.script import plain
from rig.upstream import Upstream

PRIVATE = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
AUDIENCE = "forebay"


class Keys(BaseHTTPRequestHandler):
    """Discovery and the key set of an issuer."""

    def do_GET(self) -> None:
        host, port = self.server.server_address[:2]
        place = f"http://{host!s}:{port}"
        if self.path.endswith("/openid-configuration"):
            page: dict[str, Any] = {"issuer": place, "jwks_uri": f"{place}/keys"}
        else:
            key = json.loads(ECAlgorithm.to_jwk(PRIVATE.public_key()))
            page = {"keys": [key | {"kid": "one", "alg": "ES256", "use": "sig"}]}
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def gateway(tmp_path: Path, upstream: Upstream, issuer: str) -> Iterator[Gateway]:
    upstream.answer_with(plain(chat.completion()))
    routing = {
        "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
        "routes": {name: {"targets": [{"backend": "fake", "model": "m"}]} for name in ("fast", "slow")},
    }
    issuers = [{"issuer": issuer, "audience": AUDIENCE, "tenant_claim": "org", "routes_claim": "models"}]
    with running_gateway(tmp_path / "tokens", routing, issuers=issuers) as running:
        ready = f"{running.url}/readyz"
        assert eventually(lambda: httpx.get(ready, trust_env=False).status_code == 200, within_s=30)
        yield running


def token(issuer: str, key: ec.EllipticCurvePrivateKey = PRIVATE, **changes: object) -> str:
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "alice",
        "org": "tests",
        "models": ["fast"],
        "exp": int(time.time()) + 300,
    }
    return jwt.encode(claims | changes, key, algorithm="ES256", headers={"kid": "one"})


def ask(gateway: Gateway, credential: str, model: str = "fast") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {credential}"}
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers=headers, trust_env=False, timeout=30
    )


def test_a_token_is_a_credential_and_its_claim_narrows_its_routes(gateway: Gateway, issuer: str) -> None:
    good = token(issuer)
    assert [ask(gateway, good).status_code for _ in range(3)] == [200] * 3
    refused = ask(gateway, good, model="slow")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "route_not_allowed")
    assert eventually(lambda: any(entry.get("key") == "sub:alice" for entry in gateway.log()))


def test_every_other_token_is_401_with_one_and_the_same_body(gateway: Gateway, issuer: str) -> None:
    bad = [
        token(issuer, STRANGER),
        token(issuer, exp=int(time.time()) - 300),
        token(issuer, aud="somebody-else"),
        token("http://127.0.0.1:1"),
        token(issuer, org="nobody"),
        token(issuer)[:-6],
    ]
    answers = [ask(gateway, one) for one in bad]
    assert [answer.status_code for answer in answers] == [401] * len(bad)
    assert len({answer.text for answer in answers}) == 1

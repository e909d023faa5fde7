"""Logging in at the dashboard of a running gateway: with a tenant's key, an admin's, and none of them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, running_gateway
from rig.upstream import Upstream

ADMIN_KEY = "fb-test-admin-8sQd1LwYt2"
BROWSER = {"sec-fetch-site": "same-origin", "accept": "text/html"}
TENANTS = {
    "tenants": {
        "tests": {
            "keys": [{"id": "the-key", "digest": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}]
        },
        "office": {
            "keys": [
                {
                    "id": "the-admin",
                    "digest": f"sha256:{hashlib.sha256(ADMIN_KEY.encode()).hexdigest()}",
                    "admin": True,
                }
            ]
        },
    }
}


class Place:
    """A gateway and its folder."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self.folder = folder

    def browser(self) -> httpx.Client:
        """A browser with no key, that keeps its cookies."""
        return httpx.Client(base_url=self.gateway.url, headers=BROWSER, timeout=30, trust_env=False)

    def forebay(self, *arguments: str) -> str:
        places = ["--config", str(self.folder), "--state", str(self.folder / "state")]
        argv = [sys.executable, "-m", "gateway", "keys", *places, *arguments]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, env=os.environ | SECRETS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def routing(upstream: Upstream) -> dict[str, Any]:
    return {
        "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
        "routes": {"fast": {"targets": [{"backend": "fake", "model": "gpt-4o-mini"}]}},
    }


@pytest.fixture(scope="module")
def place(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("dashboard") / "config"
    with running_gateway(
        folder,
        routing(shared_upstream) | {"server": {"drain_s": 2, "body_timeout_s": 2}},
        "--workers=2",
        policies={"tenants": TENANTS},
    ) as gateway:
        yield Place(gateway, folder)


def log_in(browser: httpx.Client, key: str) -> httpx.Response:
    return browser.post("/dashboard/login", json={"key": key})


def test_a_tenants_key_sees_its_tenant_and_an_admins_key_all(place: Place) -> None:
    for key, name, tenant, admin in (
        (KEY, "the-key", "tests", False),
        (ADMIN_KEY, "the-admin", "office", True),
    ):
        with place.browser() as browser:
            assert browser.get("/dashboard/me").status_code == 401
            assert log_in(browser, key).status_code == 204
            told = browser.get("/dashboard/me").json()
            assert (told["tenant"], told["key"], told["admin"]) == (tenant, name, admin)
        shown = httpx.get(
            f"{place.gateway.url}/dashboard/me", headers={"authorization": f"Bearer {key}"}, trust_env=False
        )
        assert shown.json() == told


def test_every_worker_knows_the_session(place: Place) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        crumbs = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    for _ in range(20):  # each on a connection of its own, which any worker may take
        told = httpx.get(f"{place.gateway.url}/dashboard/me", headers=crumbs, trust_env=False)
        assert told.status_code == 200


def test_the_secret_of_the_sessions_is_for_its_owner_alone(place: Place) -> None:
    secret = place.folder / "state" / "sessions.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_bytes()) == 32
    assert list(secret.parent.glob("sessions.secret*")) == [secret]


def test_a_changed_session_is_none_and_the_key_is_not_in_it(place: Place) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        [(name, value)] = browser.cookies.items()
    assert KEY not in value
    assert hashlib.sha256(KEY.encode()).hexdigest() not in value
    ends, mark, signature, key_id = value.split(".", 3)
    for forged in (
        f"{int(ends) + 3600}.{mark}.{signature}.{key_id}",
        f"{ends}.{mark}.{signature}.the-admin",
        f"{ends}.{mark}.{'0' * 64}.{key_id}",
        f"{ends}.{'0' * 32}.{signature}.{key_id}",
        value[:-1],
        "",
    ):
        told = httpx.get(
            f"{place.gateway.url}/dashboard/me", headers={"cookie": f"{name}={forged}"}, trust_env=False
        )
        assert told.status_code == 401, forged


def test_a_session_reads_and_never_calls(place: Place, upstream: Upstream) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        assert browser.get("/v1/usage/limits").status_code == 200
        assert browser.get("/v1/models").json()["data"][0]["id"] == "fast"
        call = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
        assert browser.post("/v1/chat/completions", json=call).status_code == 401
    assert upstream.seen == []


def test_a_revoked_key_ends_its_session(place: Place) -> None:
    secret = place.forebay("create", "--tenant", "tests", "--admin", "--quiet").strip()
    with place.browser() as browser:
        assert log_in(browser, secret).status_code == 204  # made just now: no worker had heard of it
        told = browser.get("/dashboard/me").json()
        assert told["admin"] is True
        place.forebay("revoke", told["key"])
        assert eventually(lambda: browser.get("/dashboard/me").status_code == 401)
        assert browser.get("/dashboard/me").json()["error"]["code"] == "session_ended"
        assert log_in(browser, secret).status_code == 401


def test_who_logs_out_is_unknown_again(place: Place) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        assert browser.post("/dashboard/logout").status_code == 204
        assert not browser.cookies
        assert browser.get("/dashboard/me").status_code == 401


def test_no_page_of_someone_else_can_use_a_session(place: Place) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        for site in ("cross-site", "same-site"):
            assert browser.get("/dashboard/me", headers={"sec-fetch-site": site}).status_code == 401
            refused = browser.post("/dashboard/login", json={"key": KEY}, headers={"sec-fetch-site": site})
            assert refused.status_code == 403


def test_no_key_reaches_the_log(place: Place) -> None:
    with place.browser() as browser:
        log_in(browser, KEY)
        log_in(browser, "fb-wrong-key-that-nobody-has")
    written = json.dumps(place.gateway.lines)
    assert KEY not in written
    assert "fb-wrong-key" not in written


@pytest.mark.parametrize(
    "path",
    [
        "../__init__.py",
        "..%2f..%2fpyproject.toml",
        "%2e%2e/%2e%2e/pyproject.toml",
        "%2fetc%2fpasswd",
        "index.html",
    ],
)
def test_no_path_leads_out_of_the_assets(place: Place, path: str) -> None:
    host, port = place.gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:  # a client would tidy the path
        head = f"GET /dashboard/assets/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.makefile("rb").readline().split()[1] == b"404"


def test_the_page_and_its_files_come_without_a_key(place: Place) -> None:
    with place.browser() as browser:
        page = browser.get("/dashboard")
        assert page.status_code == 200
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        for address in page.text.split('"'):
            if address.startswith("/dashboard/assets/"):
                assert "immutable" in browser.get(address).headers["cache-control"]
        assert browser.get("/", follow_redirects=True).url.path == "/dashboard"


LOGIN = (
    b"POST /dashboard/login HTTP/1.1\r\nhost: x\r\n"
    b"content-type: application/json\r\ncontent-length: 100\r\n\r\n"
)


def connect(place: Place, data: bytes) -> socket.socket:
    host, port = place.gateway.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=30)
    sock.sendall(data)
    return sock


def errors_logged(place: Place) -> list[str]:
    return [line for line in place.gateway.lines if "internal error" in line or "Traceback" in line]


@pytest.mark.parametrize("sent", [b"", b'{"key'], ids=["nothing", "half"])
def test_a_login_whose_body_does_not_come_is_refused_and_closed(place: Place, sent: bytes) -> None:
    with connect(place, LOGIN + sent) as sock:
        answer = sock.makefile("rb").read()  # to the end of the connection
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"
    assert not errors_logged(place)


@pytest.mark.parametrize(
    "body",
    [b'{"key": "\xff\xfe"}', b'{"key": ' + b"[" * 30_000, b"[" * 30_000, b'{"key": '],
    ids=["no_utf8", "deep_key", "deep", "half"],
)
def test_a_login_that_is_no_json_is_400_and_no_error_of_ours(place: Place, body: bytes) -> None:
    with place.browser() as browser:
        headers = {"content-type": "application/json"}
        refused = browser.post("/dashboard/login", content=body, headers=headers)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["type"] == "invalid_request_error"
    assert not errors_logged(place)


def test_who_leaves_in_mid_login_is_no_error_of_ours(place: Place) -> None:
    for _ in range(4):
        connect(place, LOGIN + b'{"key').close()
    for _ in range(4):
        with place.browser() as browser:
            assert browser.get("/dashboard/me").status_code == 401  # after it, in whichever worker
    assert not errors_logged(place)

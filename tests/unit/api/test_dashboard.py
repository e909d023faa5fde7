"""The dashboard's page, its files and its sessions, over the app without a gateway around it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from unit.stand_ins import route, routing, target

from gateway.api import assets, dashboard
from gateway.api.app import build_app
from gateway.api.assets import Assets
from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.keys import digest_of, mint_key
from gateway.identity.strangers import Strangers
from gateway.stages.receive import Intake
from gateway.stores import StoredKey
from gateway.stores.keys_memory import MemoryKeyStore

OWN, ADMIN = mint_key(), mint_key()
CALLERS = {"acme": Caller("acme", "", (("*",),))}
Headers = Mapping[str, str] | Sequence[tuple[str, str]]
BROWSER = {"sec-fetch-site": "same-origin"}
SCRIPT = b"import './parts/table.js';\n" * 100
FILES = {
    "index.html": b'<!doctype html><script type="module" src="/dashboard/assets/app.js"></script>',
    "app.js": SCRIPT,
    "parts/table.js": b"export {};",
    "style/colours.css": b"body {}",
    "icon.svg": b"<svg/>",
    "picture.png": b"\x89PNG" + bytes(5000),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")


class Questions:
    """Stands in for the ledger, which holds demo data of one tenant; or for one that does not answer."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down

    def is_demo(self, tenants: tuple[str, ...]) -> bool:
        if self.down:
            raise StoreDown("ClickHouse is not reachable")
        return not tenants or "demo-shop" in tenants


class Place:
    """An app with two keys, and a browser that has its cookies."""

    def __init__(self, *, trusted: tuple[str, ...] = ()) -> None:
        self.store = MemoryKeyStore()
        for key_id, secret, admin in (("own", OWN, False), ("boss", ADMIN, True)):
            digest = digest_of(secret)
            self.store.add(StoredKey(key_id, "acme", digest, ("*",), "", created_unix_s=0, admin=admin))
        self.directory = KeyDirectory((), CALLERS, self.store)
        self.directory.refresh()
        self.runtime: Any = SimpleNamespace(
            clean=str,
            intake=Intake(max_body_bytes=1 << 20, body_timeout_s=5),
            identity=Identity(self.directory, strangers=Strangers(trusted)),
            routing=routing(route("gpt", target("b"))),
            questions=Questions(),
        )
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, headers: Headers = BROWSER, **sent: Any) -> httpx.Response:
        async def scene() -> httpx.Response:
            transport = httpx.ASGITransport(build_app(lambda: self.runtime), client=("10.0.0.7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                crumbs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
                shown = list(headers.items() if isinstance(headers, Mapping) else headers)
                shown += [("cookie", crumbs)] if crumbs else []
                return await client.request(method, path, headers=shown, **sent)

        return asyncio.run(scene())

    def log_in(self, key: str = OWN, headers: Headers = BROWSER) -> httpx.Response:
        response = self.ask("POST", "/dashboard/login", headers, json={"key": key})
        for line in response.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response

    def me(self, headers: Mapping[str, str] = BROWSER) -> httpx.Response:
        return self.ask("GET", "/dashboard/me", headers)


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture(autouse=True)
def own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "read_assets", lambda: Assets(FILES))


# Sessions


def test_who_logs_in_is_known_afterwards(place: Place) -> None:
    response = place.log_in()
    assert (response.status_code, response.content) == (204, b"")
    assert place.me().json() == {"tenant": "acme", "key": "own", "admin": False, "demo": False}
    assert place.ask("GET", "/v1/models").status_code == 200


def test_an_admin_is_told_so(place: Place) -> None:
    place.log_in(ADMIN)
    assert place.me().json()["admin"] is True


@pytest.mark.parametrize(("key", "demo"), [(OWN, False), (ADMIN, True)], ids=["tenant", "admin"])
def test_who_sees_demo_data_is_told_so(place: Place, key: str, *, demo: bool) -> None:
    place.log_in(key)
    assert place.me().json()["demo"] is demo


def test_who_is_logged_in_is_known_without_the_ledger(place: Place) -> None:
    place.runtime.questions = Questions(down=True)
    place.log_in(ADMIN)
    assert place.me().json()["demo"] is False


def test_the_cookie_is_for_the_browser_and_this_site_alone(place: Place) -> None:
    [line] = place.log_in().headers.get_list("set-cookie")
    name, *attributes = [part.strip() for part in line.split(";")]
    assert name.startswith("forebay=")
    assert {part.lower() for part in attributes} == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
    assert OWN not in line


def test_over_https_the_cookie_goes_nowhere_else() -> None:
    place = Place(trusted=("10.0.0.0/8",))
    proxied = {**BROWSER, "x-forwarded-proto": "http, https", "x-forwarded-for": "192.0.2.1"}
    [line] = place.log_in(headers=proxied).headers.get_list("set-cookie")
    assert line.startswith("__Host-forebay=")
    assert "Secure" in line
    assert place.me(proxied).status_code == 200
    assert code(place.me()) == (401, "invalid_api_key")


def test_a_strangers_word_for_https_does_not_count(place: Place) -> None:
    [line] = place.log_in(headers={**BROWSER, "x-forwarded-proto": "https"}).headers.get_list("set-cookie")
    assert line.startswith("forebay=")
    assert "Secure" not in line


def test_of_two_lines_about_https_the_one_of_our_proxy_counts() -> None:
    place = Place(trusted=("10.0.0.0/8",))
    for said, name in ((("https", "http"), "forebay="), (("http", "https"), "__Host-forebay=")):
        lines = [*BROWSER.items(), *(("x-forwarded-proto", scheme) for scheme in said)]
        [line] = place.log_in(headers=lines).headers.get_list("set-cookie")
        assert line.startswith(name)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/dashboard/login")])
def test_an_address_that_the_client_adds_in_a_line_of_its_own_does_not_hide_it(
    method: str, path: str
) -> None:
    place = Place(trusted=("10.0.0.0/8",))
    codes = []
    for n in range(21):
        lines = [("x-forwarded-for", f"198.51.100.{n}"), ("x-forwarded-for", "192.0.2.7"), *BROWSER.items()]
        wrong = {"json": {"key": "wrong"}} if method == "POST" else {}
        lines += [("authorization", "Bearer wrong")] if method == "GET" else []
        codes.append(place.ask(method, path, lines, **wrong).status_code)
    assert codes == [401] * 20 + [429]


@pytest.mark.parametrize("shown", ["", "wrong", mint_key(), "a.b.c", "x" * 16_385], ids=range(5))
def test_a_wrong_key_gets_no_cookie(place: Place, shown: str) -> None:
    response = place.log_in(shown)
    assert response.status_code == (400 if len(shown) > 16_384 else 401)
    assert "set-cookie" not in response.headers
    assert place.me().status_code == 401


@pytest.mark.parametrize(
    "sent", [{"json": {}}, {"json": {"key": 1}}, {"json": []}, {"content": b"{"}, {"data": {"key": OWN}}]
)
def test_what_is_no_login_is_refused(place: Place, sent: Any) -> None:
    response = place.ask("POST", "/dashboard/login", **sent)
    assert response.status_code == 400
    assert "set-cookie" not in response.headers
    assert OWN not in response.text


def test_a_login_has_an_end(place: Place) -> None:
    assert place.ask("POST", "/dashboard/login", content=b"x" * 40_000).status_code == 413


def test_too_many_wrong_keys_are_refused_unread_but_a_right_one_is_not(place: Place) -> None:
    codes = [place.log_in(f"wrong {n}").status_code for n in range(21)]
    assert codes == [401] * 20 + [429]
    assert place.log_in().status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://gateway"},
        {"origin": "http://evil.example"},
        {"origin": "http://gateway.evil.example"},
        {"origin": "http://gateway:81"},
        {"origin": "null"},
        {"origin": "http://[bad"},
        {"origin": ""},
    ],
)
def test_pages_of_others_can_neither_log_in_nor_out_nor_look(place: Place, headers: dict[str, str]) -> None:
    assert code(place.log_in(headers=headers)) == (403, "foreign_page")
    place.log_in()
    assert code(place.ask("POST", "/dashboard/logout", headers)) == (403, "foreign_page")
    assert code(place.me(headers)) == (401, "invalid_api_key")


@pytest.mark.parametrize("headers", [{}, {"origin": "http://gateway"}, {"sec-fetch-site": "none"}])
def test_our_own_page_and_plain_clients_can(place: Place, headers: dict[str, str]) -> None:
    assert place.log_in(headers=headers).status_code == 204
    assert place.me(headers).status_code == 200


def test_logging_out_takes_the_cookie_away(place: Place) -> None:
    place.log_in()
    response = place.ask("POST", "/dashboard/logout")
    assert response.status_code == 204
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert response.headers["cache-control"] == "no-store"


def test_a_revoked_key_ends_its_sessions_at_once(place: Place) -> None:
    place.log_in()
    place.store.revoke("own")
    place.directory.refresh()
    assert code(place.me()) == (401, "session_ended")


@pytest.mark.parametrize("value", ["", "nonsense", "1.2.3.4", '"', "%00"])
def test_a_cookie_of_our_name_that_is_no_session_is_a_401(place: Place, value: str) -> None:
    place.cookies["forebay"] = value
    assert place.me().status_code == 401


def test_a_session_of_another_installation_is_a_401(place: Place) -> None:
    other = Place()
    other.log_in()
    place.cookies = other.cookies
    assert code(place.me()) == (401, "session_ended")


def test_a_key_that_is_shown_counts_and_not_the_cookie(place: Place) -> None:
    place.log_in()
    assert place.me({"authorization": f"Bearer {ADMIN}"}).json()["key"] == "boss"
    assert code(place.me({"authorization": "Bearer wrong"})) == (401, "invalid_api_key")
    assert place.me({"x-api-key": ADMIN}).json()["key"] == "boss"


# The page


def test_the_page_is_guarded(place: Place) -> None:
    response = place.ask("GET", "/dashboard")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"


def test_the_page_names_its_files_below_their_version_where_they_are_kept_for_good(place: Place) -> None:
    page = place.ask("GET", "/dashboard").text
    address = page.split('src="')[1].split('"')[0]
    version = Assets(FILES).version
    assert address == f"/dashboard/assets/{version}/app.js"
    found = place.ask("GET", address)
    assert (found.status_code, found.content) == (200, SCRIPT)
    assert "immutable" in found.headers["cache-control"]
    assert place.ask("GET", f"/dashboard/assets/{version}/parts/table.js").content == b"export {};"
    plain = place.ask("GET", "/dashboard/assets/app.js")
    assert (plain.content, plain.headers["cache-control"]) == (SCRIPT, "no-cache")
    assert plain.headers["content-security-policy"]


def test_another_version_of_any_file_is_another_version() -> None:
    versions = {Assets({**FILES, name: b"changed"}).version for name in FILES} | {Assets(FILES).version}
    assert len(versions) == len(FILES) + 1


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("style/colours.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("picture.png", "image/png"),
    ],
)
def test_each_file_has_its_type(place: Place, name: str, media_type: str) -> None:
    response = place.ask("GET", f"/dashboard/assets/{name}")
    assert response.headers["content-type"] == media_type
    assert response.content == FILES[name]


def test_what_a_browser_has_already_is_not_sent_again(place: Place) -> None:
    for encoding in ("gzip", "identity"):
        headers = {"accept-encoding": encoding}
        first = place.ask("GET", "/dashboard/assets/app.js", headers)
        again = place.ask(
            "GET", "/dashboard/assets/app.js", {**headers, "if-none-match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


def test_what_gets_smaller_is_packed_for_who_takes_that(place: Place) -> None:
    packed = place.ask("GET", "/dashboard/assets/app.js", {"accept-encoding": "br, gzip"})
    plain = place.ask("GET", "/dashboard/assets/app.js", {"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == SCRIPT
    assert packed.headers["etag"] != plain.headers["etag"]
    assert int(packed.headers["content-length"]) < len(gzip.compress(SCRIPT)) + 10
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "../sql/totals.sql",
        "..%2fsql%2ftotals.sql",
        "%2e%2e/%2e%2e/gateway/api/app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..\\app.js",
        "app.js%00",
        "",
        "parts",
        "parts/",
        "nope.js",
        "0123456789abcdef/app.js",
    ],
)
def test_only_the_files_have_names(place: Place, path: str) -> None:
    response = place.ask("GET", f"/dashboard/assets/{path}")
    assert response.status_code == 404
    assert code(response)[1] == "unknown_url"


def test_without_a_page_there_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "read_assets", lambda: Assets({}))
    assert code(place.ask("GET", "/dashboard")) == (404, "unknown_url")


def test_a_browser_at_the_root_is_led_to_the_dashboard_and_a_client_is_not(place: Place) -> None:
    response = place.ask("GET", "/", {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (response.status_code, response.headers["location"]) == (307, "/dashboard")
    assert code(place.ask("GET", "/", {"accept": "*/*"})) == (404, "unknown_url")


def test_all_files_of_the_page_that_came_with_the_program_can_be_served() -> None:
    found = assets.read_assets()
    assert found.page is not None
    assert found.find("app.js") is not None

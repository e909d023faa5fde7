"""The Specs of routing.yaml: defaults, bounds and values from the environment."""

import pytest

from gateway.config.located import load
from gateway.config.routing import RoutingSpec, ServerSpec
from gateway.errors import ConfigErrors

REST = "\nbackends: {b: {base_url: 'http://h'}}\nroutes: {r: {targets: [{backend: b}]}}\n"


@pytest.fixture
def server(tmp_path):
    def _server(text: str, env: dict[str, str] | None = None) -> ServerSpec:
        (tmp_path / "routing.yaml").write_text(f"server: {text}{REST}")
        return load(tmp_path / "routing.yaml", RoutingSpec, env or {}).value.server

    return _server


def test_everything_about_the_server_has_a_default(server):
    got = server("")
    assert (got.host, got.port, got.workers) == ("127.0.0.1", 4000, 1)
    assert (got.max_body_bytes, got.max_answer_bytes, got.max_event_bytes) == (33554432, 134217728, 16777216)
    assert (got.header_timeout_s, got.body_timeout_s, got.keep_alive_s, got.drain_s) == (10, 60, 75, 30)
    assert (got.max_connections, got.database_url, got.log_level) == (4096, "", "info")


def test_values_of_the_server_may_come_from_the_environment(server):
    got = server('{port: "${PORT:-4001}", database_url: "${DB}"}', {"DB": "postgresql+psycopg://u:hush@h/db"})
    assert (got.port, got.database_url) == (4001, "postgresql+psycopg://u:hush@h/db")
    assert "hush" not in repr(got)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{port: 65536}", 'server.port: "65536" is out of range, it must be at most 65535'),
        ("{drain_s: 30s}", 'server.drain_s: expected a number, got "30s"'),
        ("{log_level: warn}", 'server.log_level: "warn" is not a known value, did you mean "warning"?'),
        ("{prot: 1}", 'server: unknown field "prot", did you mean "port"?'),
        ("{host: ''}", "server.host: must not be empty"),
        (
            "{database_url: '${DB}'}",
            (
                r"server.database_url: this text is not allowed here, "
                r"it must match ^$|^(postgresql(\+psycopg)?|sqlite)://"
            ),
        ),
    ],
)
def test_what_the_server_cannot_be_is_located(server, text, expected):
    with pytest.raises(ConfigErrors) as caught:
        server(text, {"DB": "mysql://u:hush@h/db"})
    (said,) = (str(error) for error in caught.value.errors)
    assert said.endswith(f"routing.yaml:1 {expected}")
    assert "hush" not in said

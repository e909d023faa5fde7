"""Where a Redis is, by its URL."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.stores.redis_places import Address, Place, _owner, place_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", Place(kind="server", addresses=(Address("127.0.0.1"),))),
        ("redis://cache:7000/3", Place(kind="server", addresses=(Address("cache", 7000),), db=3)),
        ("redis://cache?db=2", Place(kind="server", addresses=(Address("cache"),), db=2)),
        ("redis://[::1]:7000", Place(kind="server", addresses=(Address("::1", 7000),))),
        (
            "redis://ann:p%40ss%3A@cache",
            Place(kind="server", addresses=(Address("cache"),), username="ann", password="p@ss:"),
        ),
        ("redis://:secret@cache", Place(kind="server", addresses=(Address("cache"),), password="secret")),
        (
            "rediss://cache?ssl_ca_certs=/ca.pem",
            Place(
                kind="server",
                addresses=(Address("cache"),),
                is_encrypted=True,
                options={"ssl_ca_certs": "/ca.pem"},
            ),
        ),
        (
            "unix:///run/redis.sock?db=4&password=secret",
            Place(kind="server", addresses=(Address(path="/run/redis.sock"),), db=4, password="secret"),
        ),
        (
            "redis+sentinel://ann:secret@a:1,b/main/5?sentinel_password=other",
            Place(
                kind="sentinel",
                addresses=(Address("a", 1), Address("b", 26_379)),
                service="main",
                db=5,
                username="ann",
                password="secret",
                options={"sentinel_password": "other"},
            ),
        ),
        (
            "rediss+cluster://a:1,[::1]:2",
            Place(kind="cluster", addresses=(Address("a", 1), Address("::1", 2)), is_encrypted=True),
        ),
    ],
)
def test_a_url_says_where_it_is(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("url", ["redis+ring://a", "redis://a/x", "redis://a:port"])
def test_what_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        place_of(url)


def test_certificates_are_checked_unless_it_says_otherwise(tmp_path: Path) -> None:
    checked = place_of("rediss://a").tls()
    unchecked = place_of("rediss://a?ssl_cert_reqs=none").tls()
    assert checked is not None
    assert unchecked is not None
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)
    assert place_of("redis://a").tls() is None
    with pytest.raises(FileNotFoundError):
        place_of(f"rediss://a?ssl_ca_certs={tmp_path}/none.pem").tls()


def test_of_a_cluster_the_node_with_our_slot_is_taken() -> None:
    # The slot of {forebay} is 5,656.
    asked = Address("seed", 7)
    found = _owner([[0, 5655, [b"a", 1]], [5656, 16_383, [b"b", 2], [b"replica", 3]]], asked)
    assert found == Address("b", 2)
    assert _owner([[5656, 5656, [b"", 2, b"id"]]], asked) == Address("seed", 2)
    assert _owner([[5656, 5656, [None, 2, b"id"]]], asked) == Address("seed", 2)
    assert _owner([[0, 5655, [b"a", 1]]], asked) is None

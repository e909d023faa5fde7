"""Sessions: signed, bounded in time, bound to the very key, and of no use to whoever changes one."""

from __future__ import annotations

import string
from http.cookies import SimpleCookie

import pytest

from gateway.identity.keys import digest_of, mint_key, mint_key_id
from gateway.identity.sessions import LIFE_S, Claim, Sessions

SESSIONS = Sessions(b"s" * 32)
DIGEST = digest_of("a key")
BEGUN = SESSIONS.begin("key_1", DIGEST, 1000.5)


def test_a_session_names_its_key_and_fits_it_alone() -> None:
    claim = SESSIONS.read(BEGUN, 1000.5)
    assert claim is not None
    assert claim.key_id == "key_1"
    assert SESSIONS.fits(claim, DIGEST)
    assert not SESSIONS.fits(claim, digest_of("a key of the same name"))


def test_a_session_ends_twelve_hours_after_its_beginning() -> None:
    assert LIFE_S == 12 * 3600
    assert SESSIONS.read(BEGUN, 1000 + LIFE_S - 0.1) is not None
    assert SESSIONS.read(BEGUN, 1000 + LIFE_S) is None


def test_a_session_of_another_installation_is_none() -> None:
    other = Sessions(b"t" * 32)
    assert other.read(BEGUN, 1001) is None
    assert not other.fits(Claim("key_1", BEGUN.split(".")[1]), DIGEST)


@pytest.mark.parametrize("at", range(len(BEGUN)))
def test_no_changed_character_goes_unnoticed(at: int) -> None:
    for put in {"0", "9", "a", "f", "."} - {BEGUN[at]}:
        assert SESSIONS.read(BEGUN[:at] + put + BEGUN[at + 1 :], 1001) is None


@pytest.mark.parametrize(
    "shown",
    [
        "",
        ".",
        "...",
        BEGUN[:-1],
        BEGUN + "x",
        BEGUN + "\n",
        " " + BEGUN,
        BEGUN.upper(),
        BEGUN * 10,
        "0" + BEGUN,
        BEGUN.replace("key_1", "kéy_1"),
        "9" * 4000,
        "٣" + BEGUN[1:],
    ],
)
def test_what_is_not_a_session_is_none(shown: str) -> None:
    assert SESSIONS.read(shown, 1001) is None


def test_a_longer_life_cannot_be_moved_into_the_id() -> None:
    ends, mark, signature, key_id = BEGUN.split(".")
    assert SESSIONS.read(f"{int(ends) + 1}.{mark}.{signature}.{key_id}", 1001) is None


def test_a_session_holds_nothing_of_the_key_and_fits_into_a_cookie() -> None:
    secret, key_id = mint_key(), mint_key_id()
    session = SESSIONS.begin(key_id, digest_of(secret), 1_900_000_000)
    assert secret not in session
    assert digest_of(secret).hex()[:12] not in session
    assert set(session) <= set(string.ascii_letters + string.digits + "._-")
    assert len(session) < 300
    assert SimpleCookie(f"forebay={session}")["forebay"].value == session
    longest = SESSIONS.begin("k" * 64, digest_of(secret), 1_900_000_000)
    assert SESSIONS.read(longest, 1_900_000_000) is not None

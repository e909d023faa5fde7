"""Whose turn it is."""

from __future__ import annotations

import pytest

from gateway.exchange import Credential
from gateway.upstream.credentials import in_turn

ONE, TWO, THREE = (Credential(f"b#{n}", f"secret-{n}") for n in range(1, 4))


def test_credentials_take_turns() -> None:
    following = in_turn([ONE, TWO, THREE])
    assert [following() for _ in range(7)] == [ONE, TWO, THREE, ONE, TWO, THREE, ONE]


def test_a_single_one_is_always_next() -> None:
    following = in_turn([ONE])
    assert [following(), following()] == [ONE, ONE]


def test_none_at_all_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="at least one"):
        in_turn([])


def test_a_credential_does_not_show_its_secret() -> None:
    assert "secret" not in f"{ONE} {ONE!r} {[ONE]}"

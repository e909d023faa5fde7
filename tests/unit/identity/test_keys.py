"""The form of a key: unguessable, recognisable, and safe against typos."""

from __future__ import annotations

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.keys import digest_of, is_well_formed, mint_key, mint_key_id

KEY = mint_key()
PLACES = st.integers(0, len(KEY) - 1)


def test_a_key_is_url_safe_and_has_the_form_that_scanners_look_for() -> None:
    assert re.fullmatch(r"fb-[0-9A-Za-z]{39}", mint_key())
    assert re.fullmatch(r"key_[0-9A-Za-z]{16}", mint_key_id())


def test_a_key_holds_at_least_192_random_bits() -> None:
    assert 62**33 >= 2**192
    made = [mint_key() for _ in range(1000)]
    assert len({key[:20] for key in made}) == len(made)
    assert {character for key in made for character in key[3:36]} == set(string.ascii_letters + string.digits)


def test_every_minted_key_is_well_formed() -> None:
    assert all(is_well_formed(mint_key()) for _ in range(1000))


@given(PLACES, st.one_of(st.sampled_from(string.ascii_letters + string.digits + "-_ "), st.characters()))
def test_any_typo_of_one_character_is_noticed(place: int, character: str) -> None:
    typo = KEY[:place] + character + KEY[place + 1 :]
    assert is_well_formed(typo) == (typo == KEY)


@given(PLACES)
def test_two_swapped_neighbours_are_noticed(place: int) -> None:
    swapped = KEY[:place] + KEY[place : place + 2][::-1] + KEY[place + 2 :]
    assert is_well_formed(swapped) == (swapped == KEY)


@given(PLACES, st.sampled_from(string.ascii_letters + string.digits))
def test_a_lost_or_an_added_character_is_noticed(place: int, character: str) -> None:
    assert not is_well_formed(KEY[:place] + KEY[place + 1 :])
    assert not is_well_formed(KEY[:place] + character + KEY[place:])


@given(st.text())
def test_no_text_breaks_the_check_or_the_digest(text: str) -> None:
    assert not is_well_formed(text)
    assert len(digest_of(text)) == 32


def test_a_lone_surrogate_has_a_digest_of_its_own() -> None:
    assert digest_of("\udc80") != digest_of("\udc81")

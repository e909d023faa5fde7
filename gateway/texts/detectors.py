"""Find personal data and secrets in a text: whether it holds some, and where.

A detector takes UTF-8 and gives places. All are linear in the text. `suspect` is asked first: one pass tells
for most texts that there is nothing to look at closer.

There are two ways to look. A label that is always there is taken off by its owner, so for labels (`finds`)
doubt goes one way: what merely looks like a number of an order, a time, a version, an address of a machine or
an identifier is left alone. What is written for others to read (`written`) is looked through with less regard
for what stands around a number or a key. Must not know calls, labels or logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from gateway.texts import accounts, contacts, keys, spacing
from gateway.texts.patterns import Place, TooMany, compile_pattern
from gateway.texts.spacing import with_any_spaces

Detector = Literal["email", "phone", "card", "iban", "secret"]
"""A kind of data that is found by its form."""

Look = Callable[[bytes], Iterator[Place]]
"""Gives the places of one kind, which may overlap. Raises TooMany."""

_FOUND: Mapping[Detector, Look] = {
    "email": contacts.emails,
    "phone": with_any_spaces(contacts.phones),
    "card": with_any_spaces(accounts.cards),
    "iban": with_any_spaces(accounts.ibans),
    "secret": keys.found,
}
WRITTEN: Mapping[Detector, Look] = {
    "secret": keys.written,
    "card": with_any_spaces(accounts.written_cards),
    "iban": with_any_spaces(accounts.written_ibans),
    "email": contacts.written_emails,
    "phone": with_any_spaces(contacts.written_phones),
}
"""By what is surest: a phone may be seen in a key, but no key in a phone."""

_SUSPECT: Mapping[Detector, str] = {
    "email": "@",
    "phone": r"\d(?:[ ./()-]{0,3}\d){7}|" + spacing.SUSPECT,
    "card": r"\d(?:[ .-]?\d){11}|" + spacing.SUSPECT,
    "iban": r"[A-Za-z]{2}\d\d(?:[ .-]?[A-Za-z0-9]){11}|" + spacing.SUSPECT,
    "secret": keys.SUSPECT,
}
"""What is in every text in which the detector finds something, and hardly ever in another."""
_MORE_SUSPECT: Mapping[Detector, str] = {"email": "%40", "secret": keys.MORE_SUSPECT}
"""The same for what is written, beside it."""


def finds(kind: Detector, text: bytes) -> bool:
    """Whether a detector finds something. A text with too many places to look at counts as if it did."""
    try:
        return next(_FOUND[kind](text), None) is not None
    except TooMany:
        return True


def suspect(kinds: frozenset[Detector], *more: str) -> Callable[[bytes], object]:
    """Return a function that gives None for a text in which none of `kinds` can find anything.

    Nor `more` patterns: a further one costs little beside the look itself.
    """
    parts = [*(_SUSPECT[kind] for kind in sorted(kinds)), *more]
    return compile_pattern("|".join(parts)).search


def suspect_written(kinds: frozenset[Detector], *more: str) -> Callable[[bytes], object]:
    """Return the same for what WRITTEN finds."""
    return suspect(kinds, *more, *(_MORE_SUSPECT[kind] for kind in sorted(kinds & _MORE_SUSPECT.keys())))

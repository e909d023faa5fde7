"""What a booked attempt costs at another price, and the two entries that say so. Pure and exact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from gateway.exchange import Price, Usage
from gateway.exchange.usage import Origin
from gateway.ledger.entries import Entry, reversal_of

_ORIGINS: tuple[Origin, ...] = ("reported", "counted", "estimated")
_KINDS = (
    *("cost_input", "cost_cached", "cost_cache_write", "cost_audio_input", "cost_image_input"),
    *("cost_output", "cost_reasoning", "cost_audio_output", "cost_image_output", "cost_other"),
)
"""As the fields of Cost, in their order."""
_ATTEMPT = attrgetter("time", "call", "attempt")


class Change(NamedTuple):
    """The booking that counted, and what takes its place."""

    before: Entry
    after: Entry


def usage_of(entry: Entry) -> Usage | None:
    """Return what an attempt used, as it was priced; None: nothing."""
    origin = next((origin for origin in _ORIGINS if origin == entry.confidence), None)
    if origin is None:
        return None
    amounts = {
        name: getattr(entry, name)
        for name in Usage.__struct_fields__
        if name not in {"audio_s", "origin", "tier"}
    }
    return Usage(**amounts, audio_s=entry.audio_ms / 1000, origin=origin, tier=entry.tier)


def newest_of(entries: Iterable[Entry]) -> Entry | None:
    """Return the booking of an attempt that counts; None: it was taken back.

    `entries` are all that there are of one attempt.
    """
    standing = dict[int, Entry]()
    reversed_ = set[int]()
    for entry in entries:
        if entry.entry == "reversal":
            reversed_.add(entry.revision)
        else:
            standing[entry.revision] = entry
    newest = max(standing, default=-1)
    return None if newest in reversed_ else standing.get(newest)


def attempts_of(page: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Part the entries of a page, which are in the order of the ledger, by their attempts."""
    for _, entries in groupby(page, _ATTEMPT):
        yield list(entries)


def revalue(entry: Entry, price: Price) -> Change | None:
    """Return the booking that takes another one's place; None: it stays as it is."""
    usage = usage_of(entry)
    if usage is None:
        return None
    cost = price.cost(usage)
    saved = price.saved(usage) if usage.cached_tokens or usage.cache_write_tokens else 0
    costs = dict(zip(_KINDS, cost, strict=True))
    after = msgspec.structs.replace(
        entry,
        entry="rebooking",
        revision=entry.revision + 1,
        cost=sum(cost),
        saved=saved,
        price=price.version,
        **costs,
    )
    same = msgspec.structs.replace(after, entry=entry.entry, revision=entry.revision)
    return None if same == entry else Change(entry, after)


def months_of(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Part changes by months: what is inserted into one partition is there as a whole, or not at all."""
    for _, some in groupby(changes, lambda change: _month(change.before.time)):
        yield list(some)


def entries_for(changes: Sequence[Change]) -> list[Entry]:
    """Return the entries that book changes: what counted is taken back, then booked anew."""
    return [entry for before, after in changes for entry in (reversal_of(before), after)]


def token_of(entries: Sequence[Entry]) -> str:
    """Return the dedup token of a batch: the same entries have the same one, others another."""
    digest = hashlib.sha256(msgspec.json.encode(entries)).hexdigest()
    return f"reprice-{digest[:40]}"


def _month(unix_ms: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.year, moment.month

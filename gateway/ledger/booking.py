"""Turn a call that has ended into its entries: what each attempt used, what it costs, how it went. Pure.

An attempt whose upstream never told its usage is booked at once by an estimate, so that nothing is lost
should the process end now, and again when its tokens were counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.exchange import SPENT, Attempt, Call, Caller, Cost, Record, Usage, at_least
from gateway.ledger.entries import Entry, EntryKind, Waste, reversal_of

_NAME_CHARS = 200
_MOST_TOKENS = 1 << 40
"""What an upstream may claim: tokens, or whatever else; no more is booked, and never less than nothing."""
_TAGS = 16
_NOBODY = Caller("", "")
_UNTOLD, _FREE = Usage(), Cost()
_NONE = Attempt("", "", 0.0)


Told = tuple[str, str, str]
"""What routing knows of a call, and the ledger keeps: its user, its conversation, what was decided."""


class Ended(NamedTuple):
    """A call that has ended: when, by the monotonic clock and by the time of day, and what is told of it."""

    record: Record
    ended_s: float
    unix_ms: int
    told: Told


def entries_of(ended: Ended) -> list[Entry]:
    """Return the entries of a call: one for each attempt, or one without."""
    record = ended.record
    attempts = record.attempts
    if not attempts:
        return [_entry(ended, _NONE, 0, speaks=True)]
    if len(attempts) == 1:
        return [_entry(ended, attempts[0], 1, speaks=True)]
    speaker = next((at for at, one in enumerate(attempts, 1) if not one.cause), len(attempts))
    return [_entry(ended, one, at, speaks=at == speaker) for at, one in enumerate(attempts, 1)]


def rebooked(ended: Ended, booked: Sequence[Entry]) -> list[Entry]:
    """Return what takes back the entries that are otherwise by now, and books them anew."""
    changed = list[Entry]()
    for before, now in zip(booked, entries_of(ended), strict=True):
        if (now.confidence, now.input_tokens, now.output_tokens) != (
            before.confidence,
            before.input_tokens,
            before.output_tokens,
        ):
            kind: EntryKind = "rebooking"
            later = msgspec.structs.replace(now, entry=kind, revision=before.revision + 1)
            changed += (reversal_of(before), later)
    return changed


def estimate(attempts: Iterable[Attempt], call: Call | None) -> None:
    """Give attempts that never told their usage a rough one: four bytes are a token."""
    for attempt in attempts:
        asked = attempt.call or call
        asked_bytes = 0 if asked is None else sum(_size_bytes(value) for value in asked.members.values())
        said = attempt.transcript() if attempt.transcript else ""
        roughly = Usage(asked_bytes // 4, len(said.encode()) // 4, origin="estimated")
        attempt.usage = at_least(attempt.told_early, roughly)


def _size_bytes(value: object) -> int:
    return len(value) if isinstance(value, msgspec.Raw) else len(msgspec.json.encode(value))


def _entry(ended: Ended, attempt: Attempt, number: int, *, speaks: bool) -> Entry:
    record, ended_s, _, (_, _, decision) = ended
    usage, price = attempt.usage, attempt.price
    cost, saved, version, confidence = _FREE, 0, "", ""
    usage = usage or _UNTOLD
    amounts = _amounts(usage)
    if min(amounts) < 0 or max(amounts) > _MOST_TOKENS or not 0 <= usage.audio_s <= _MOST_TOKENS:
        usage = _bounded(usage)
        amounts = _amounts(usage)
    if attempt.usage is not None:
        confidence = usage.origin
        if price is not None:
            cost, version = price.cost(usage), price.version
            saved = price.saved(usage) if usage.cached_tokens or usage.cache_write_tokens else 0
    started_s = record.started_s
    first_s = attempt.first_token_s
    is_call = record.purpose == "call"
    fields = (  # by position, and in pieces: by name it takes twice as long
        *_identity(ended, attempt, number, speaks=speaks and is_call),
        *_course(record, attempt, number),
        usage.tier,
        *amounts,
        round(usage.audio_s * 1000) if usage.audio_s else 0,
        *cost,
        sum(cost),
        saved,
        version,
        confidence,
        _waste(record, attempt, is_call=is_call) if number else "",
        _ms(attempt.queued_s) if attempt.queued_s else None,
        _ms(attempt.connect_s) if attempt.connect_s else None,
        None if first_s is None else _ms(attempt.started_s + first_s - started_s),
        _ms(attempt.seconds) if number else None,
        _ms(ended_s - started_s),
        None if first_s is None else _pace(record, attempt, usage, ended_s),
        decision,
    )
    return Entry(*fields)


def _identity(ended: Ended, attempt: Attempt, number: int, *, speaks: bool) -> tuple[Any, ...]:
    """Say which attempt of which call it is, and whose: from `time` to `answered_model`."""
    record, _, unix_ms, (user, conversation, _) = ended
    caller = _NOBODY if record.call is None else record.call.caller
    return (
        unix_ms,
        record.call_id,
        "charge",
        0,
        number,
        1 if speaks else 0,
        1 if number else 0,
        record.purpose,
        record.made_for,
        record.tenant,
        caller.team,
        record.key,
        user[:_NAME_CHARS],
        conversation[:_NAME_CHARS],
        caller.tags[:_TAGS],
        record.route,
        record.rule,
        record.model[:_NAME_CHARS],
        attempt.backend,
        attempt.model[:_NAME_CHARS],
        attempt.answered_model[:_NAME_CHARS],
    )


def _course(record: Record, attempt: Attempt, number: int) -> tuple[Any, ...]:
    """Say how it went: from `format` to `cache`."""
    return (
        record.format,
        record.translated_to,
        record.stream,
        attempt.why if number else "",
        record.status,
        record.ending,
        attempt.cause,
        "" if record.error is None else record.error.code,
        attempt.finish,
        "stale" if record.cache == "hit" and not number else "",
    )


def _amounts(usage: Usage) -> tuple[int, ...]:
    """Say what was used: from `input_tokens` to `characters`."""
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
        usage.image_input_tokens,
        usage.image_output_tokens,
        usage.tool_use_tokens,
        usage.searches,
        usage.characters,
    )


def _waste(record: Record, attempt: Attempt, *, is_call: bool) -> Waste:
    if not is_call:
        return "shadow"
    if attempt.cause == "interrupted":
        return "hedged" if record.ending == "finished" else "cancelled"
    if attempt.cause or record.ending == "broken":
        return "failed"
    return "cancelled" if record.ending == "client_gone" else ""


def _pace(record: Record, attempt: Attempt, usage: Usage, ended_s: float) -> float | None:
    """Return the output tokens for each second of a stream after its first token."""
    took_s = ended_s - attempt.started_s - (attempt.first_token_s or 0.0)
    if attempt.cause or not record.stream or took_s <= 0 or usage.output_tokens < 2:
        return None
    return round((usage.output_tokens - 1) / took_s, 3)


def _bounded(usage: Usage) -> Usage:
    """Return what can be booked: no amount is negative, or more than anybody uses."""
    told = {name: getattr(usage, name) for name in SPENT}
    bounded = {name: min(value, _MOST_TOKENS) if value > 0 else 0 for name, value in told.items()}
    return msgspec.structs.replace(usage, **bounded)


def _ms(seconds: float) -> float:
    """Milliseconds, to the microsecond; rounding to decimals gives the same, four times as slowly."""
    return round(seconds * 1e6) / 1000

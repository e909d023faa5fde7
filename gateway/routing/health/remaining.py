"""Read from an answer's headers how much of the rate is left, and for how long to stay away.

Pure: no clock. A reset that is told as a time of day is read against the answer's own `date`. Must not know
what is done about it.

Most answers of self-hosted engines have none of these headers: to find that out costs less than a
microsecond, by their lengths.

Sources: rate limit headers of OpenAI, Azure OpenAI, Anthropic, Groq, Mistral, Cerebras and Together (checked
2026-11, and in recorded answers); RFC 9110, 10.2.3 (retry-after).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from operator import itemgetter
from typing import Final

import msgspec

from gateway.exchange import Headers

LONGEST_WAIT_S: Final = 60.0
"""A rate is asked about again after a minute, whatever was said: limits are raised, and headers are wrong."""
_UNTOLD_S: Final = 1.0
"""Where a limit is used up and nobody says for how long."""
_LONGEST_VALUE_BYTES: Final = 64

_KINDS: Final = (
    *("requests", "tokens"),  # OpenAI, Azure, Groq
    *("req-minute", "tokens-minute", "tokens-month"),  # Mistral
    *("requests-minute", "requests-hour", "requests-day", "tokens-hour", "tokens-day"),  # Cerebras
)
_ANTHROPIC_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")

_RESETS: Final[Mapping[bytes, bytes]] = {
    **{f"x-ratelimit-remaining-{kind}".encode(): f"x-ratelimit-reset-{kind}".encode() for kind in _KINDS},
    **{
        f"anthropic-ratelimit-{kind}-remaining".encode(): f"anthropic-ratelimit-{kind}-reset".encode()
        for kind in _ANTHROPIC_KINDS
    },
    b"x-ratelimit-remaining": b"x-ratelimit-reset",
    b"ratelimit-remaining": b"ratelimit-reset",
    b"x-ratelimitbysize-remaining-minute": b"x-ratelimitbysize-reset-minute",
}
"""What tells how much is left, and what then tells until when."""
_RETRY_AFTER: Final = b"retry-after"
_RETRY_AFTER_MS: Final = b"retry-after-ms"
_LENGTHS: Final = frozenset(map(len, (*_RESETS, _RETRY_AFTER)))
"""Not that of retry-after-ms, which comes with the other one: it is content-length's too."""
_name_of: Final = itemgetter(0)

_DURATION: Final = re.compile(
    rb"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d*)?)s)?(?:(\d{1,9}(?:\.\d*)?)ms)?"
)
_UNITS_S: Final = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
_FIRST_UNIX_S: Final = 1e9
_FIRST_UNIX_MS: Final = 1e12
"""A number from here on is a time of day, not a duration."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """What an answer says: `rest_s` to stay away, 0 where it says nothing of that.

    `spent_s` until its rate is there again: 0: there is some left; None: nothing was said.
    """

    spent_s: float | None
    rest_s: float


def told_by(headers: Headers) -> Told | None:
    """Read the headers; None: they tell nothing of rates."""
    if _LENGTHS.isdisjoint(map(len, map(_name_of, headers))):
        return None
    spent_s, rest_s = None, 0.0
    for name, value in headers:
        if len(name) not in _LENGTHS:
            continue
        lower = name.lower()
        if (reset := _RESETS.get(lower)) is not None:
            # Azure has answered with -1 where it does not know.
            wait_s = _reset_s(headers, reset) if value == b"0" else 0.0
            spent_s = max(spent_s or 0.0, wait_s)
        elif lower == _RETRY_AFTER:
            rest_s = _rest_s(headers)
    return None if spent_s is None and not rest_s else Told(spent_s, rest_s)


def _reset_s(headers: Headers, name: bytes) -> float:
    told = {key.lower(): value for key, value in headers}
    seconds = _seconds(told.get(name, b""), told.get(b"date", b""))
    return min(_UNTOLD_S if seconds is None else seconds, LONGEST_WAIT_S)


def _rest_s(headers: Headers) -> float:
    told = {key.lower(): value for key, value in headers}
    date = told.get(b"date", b"")
    if (milliseconds := _seconds(told.get(_RETRY_AFTER_MS, b""), date)) is not None:
        return milliseconds / 1000
    return _seconds(told.get(_RETRY_AFTER, b""), date) or 0.0


def _seconds(value: bytes, date: bytes) -> float | None:
    """Read a duration (1s, 6m0s, 120ms, 11.38) or a time; None: it is neither."""
    value = value.strip()
    if not value or len(value) > _LONGEST_VALUE_BYTES:
        return None
    if (match := _DURATION.fullmatch(value)) is not None:
        return sum(float(n) * unit for n, unit in zip(match.groups(), _UNITS_S, strict=True) if n)
    unix_s = _unix_s(value)
    if unix_s is None or unix_s < _FIRST_UNIX_S:
        return unix_s
    now_s = _unix_s(date)
    return None if now_s is None else max(unix_s - now_s, 0.0)


def _unix_s(value: bytes) -> float | None:
    """Read a number (of seconds, or of a time of day also of milliseconds), or a date of RFC 3339 or 9110."""
    text = value.decode("latin-1")
    for read in (float, _rfc3339, _http_date):
        try:
            number = read(text)
        except (ValueError, OverflowError):
            continue
        if not isfinite(number) or number < 0:
            return None
        return number / 1000 if number >= _FIRST_UNIX_MS else number
    return None


def _rfc3339(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _http_date(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()

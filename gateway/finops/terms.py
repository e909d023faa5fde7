"""What a question is asked for: a span of time in steps, filters, dimensions. Pure: from texts to `Terms`.

The edges of a span lie on those of the rows that are read: of the rollups by minute, hour or day (UTC). A
moment that was named ("2026-11-01", "2026-11-01T10:00Z", Unix seconds) is kept exactly where rows fine
enough can be read: minutes in spans of up to three days within the last 14, hours within the last 400. All
else, and spans back from now ("7d"), are rounded outward: the first and the last step are whole. Calls and
users are asked of the raw rows, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from gateway.errors import BadRequest
from gateway.exchange import Caller

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
STEPS: Mapping[str, int] = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}
ROLLUPS: Mapping[int, str] = {MINUTE_S: "usage_minute", HOUR_S: "usage_hour", DAY_S: "usage_day"}
"""The only tables that a question may name, by the length of their steps."""
LONGEST_S: Mapping[int, int] = {MINUTE_S: 3 * DAY_S, HOUR_S: 400 * DAY_S, DAY_S: 3700 * DAY_S}
"""The longest span in such steps."""
KEPT_S: Mapping[int, int] = {MINUTE_S: 14 * DAY_S, HOUR_S: 400 * DAY_S, DAY_S: LONGEST_S[DAY_S]}
"""How far back there are such steps: as policies/retention.yaml has it where it says nothing else."""
RAW_DAYS = 100
"""How far back there are the raw rows, likewise."""
AUTO_S: Mapping[int, int] = {MINUTE_S: 3 * HOUR_S, HOUR_S: 8 * DAY_S, DAY_S: LONGEST_S[DAY_S]}

FILTERS = ("tenant", "team", "key", "route", "model", "backend")
DIMENSIONS = (*FILTERS, "purpose", "why", "status", "ending", "cause", "error", "waste", "confidence")
NOTHING = "nothing"
"""In place of a dimension: a name that every SQL with dimensions gives to an empty text."""
COMMON = ("since", "until", "step", *FILTERS, "by", "limit", "baseline", "format")
FORMATS = ("json", "csv", "parquet")

MOST_DIMENSIONS = 8
MOST_ROWS = 10_000
MOST_VALUES = 100
LONGEST_VALUE = 256
DEFAULT_SINCE = "7d"

_LAST_S = 4_102_444_800
"""The year 2100: ClickHouse's DateTime ends a little later."""
_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_SPAN_S = {"m": MINUTE_S, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}
_NUMBER = re.compile(r"[0-9]{1,10}")
_TIMES = (
    "an ISO date or time (2026-11-01, 2026-11-01T10:00Z), Unix seconds, a span back (30m, 24h, 7d), or month"
)

Query = Mapping[str, Sequence[str]]
"""The parameters of a URL, each with all its values."""


class Moment(NamedTuple):
    """An edge of a span."""

    unix_s: int
    is_named: bool
    """It was given as a point in time, not as a length back from now."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `until` is not included."""

    since: int
    until: int
    step: int
    """Seconds: how long a step of a chart is."""
    is_stepped: bool
    """A step was asked for by name."""
    grain: int
    """Seconds: how long the steps of the rows are that are read; the edges lie on them."""
    tenants: tuple[str, ...]
    """Whose rows are asked for; empty: everybody's, for admins."""
    sees_all: bool
    """An admin asks."""
    filters: Mapping[str, tuple[str, ...]]
    by: tuple[str, ...]
    limit: int | None
    baseline: str
    format: str
    asked_at: int
    """When it is asked, Unix seconds."""

    @property
    def step_name(self) -> str:
        """The step's name."""
        return next(name for name, step in STEPS.items() if step == self.step)

    @property
    def before(self) -> int:
        """Where the span of equal length before this one begins."""
        return max(2 * self.since - self.until, 0)

    @property
    def month(self) -> int:
        """The beginning of the calendar month in which the span begins."""
        begin = datetime.fromtimestamp(self.since, UTC)
        return int(begin.replace(day=1, hour=0, minute=0, second=0).timestamp())


def read_terms(query: Query, caller: Caller, now_s: float, more: Sequence[str] = ()) -> Terms:
    """Check the parameters; raises BadRequest. `more` are names that this endpoint takes, too."""
    for name in query:
        if name not in COMMON and name not in more:
            raise _wrong(name, f"is no parameter here; there are {', '.join((*COMMON, *more))}")
    since = read_moment("since", one(query, "since") or DEFAULT_SINCE, now_s)
    until = read_moment("until", one(query, "until") or "now", now_s)
    if since.unix_s >= until.unix_s:
        raise _wrong("since", "has to be before `until`")
    named = choice(query, "step", ("auto", *STEPS), "")
    age_s = int(now_s) - since.unix_s
    step = _step(named, until.unix_s - since.unix_s, age_s)
    grain = _grain(step, since, until, age_s)
    return Terms(
        since=since.unix_s // grain * grain,
        until=-(-until.unix_s // grain) * grain,
        step=step,
        is_stepped=bool(named),
        grain=grain,
        tenants=values(query, "tenant") if caller.admin else (caller.tenant,),
        sees_all=caller.admin,
        filters={name: values(query, name) for name in FILTERS if name != "tenant"},
        by=_dimensions(query),
        limit=number(query, "limit", 1, MOST_ROWS),
        baseline=one(query, "baseline"),
        format=choice(query, "format", FORMATS, "json"),
        asked_at=int(now_s),
    )


def exactly(query: Query, terms: Terms, now_s: float) -> Terms:
    """Return the terms with the edges as they were given, for questions to the raw rows."""
    since = read_moment("since", one(query, "since") or DEFAULT_SINCE, now_s)
    until = read_moment("until", one(query, "until") or "now", now_s)
    # What ends now ends after now: the call that just came is in it.
    end = until.unix_s if until.is_named else until.unix_s + 1
    return msgspec.structs.replace(terms, since=since.unix_s, until=end)


def read_moment(name: str, text: str, now_s: float) -> Moment:
    """Read a point in time, or a length back from now."""
    now = int(now_s)
    if text == "now":
        return Moment(now, is_named=False)
    if text == "month":
        begin = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0)
        return Moment(int(begin.timestamp()), is_named=True)
    if (span := _SPAN.fullmatch(text)) is not None:
        return _bounded(name, Moment(now - int(span[1]) * _SPAN_S[span[2]], is_named=False))
    if _NUMBER.fullmatch(text):
        return _bounded(name, Moment(int(text), is_named=True))
    # In a URL, an unescaped plus of a time zone has become a blank.
    told = text.replace(" ", "+") if "T" in text else text
    try:
        moment = datetime.fromisoformat(told)
        unix_s = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise _wrong(name, f"is {_TIMES}; not {text[:50]!r}") from None
    return _bounded(name, Moment(unix_s, is_named=True))


def one(query: Query, name: str) -> str:
    """Return the value of a parameter that may be there once; empty: it is not."""
    given = query.get(name, ())
    if len(given) > 1:
        raise _wrong(name, "may be given once")
    return given[0] if given else ""


def values(query: Query, name: str) -> tuple[str, ...]:
    """Return all values of a filter."""
    given = tuple(dict.fromkeys(query.get(name, ())))
    if len(given) > MOST_VALUES:
        raise _wrong(name, f"may be given {MOST_VALUES} times")
    if any(len(value) > LONGEST_VALUE or "\0" in value for value in given):
        raise _wrong(name, f"is longer than {LONGEST_VALUE} characters, or has a NUL")
    return given


def choice(query: Query, name: str, allowed: Sequence[str], default: str) -> str:
    """Return one of several words."""
    given = one(query, name) or default
    if given and given not in allowed:
        raise _wrong(name, f"is one of {', '.join(allowed)}; not {given[:50]!r}")
    return given


def number(query: Query, name: str, least: int, most: int) -> int | None:
    """Return a whole number; None: it is not there."""
    given = one(query, name)
    if not given:
        return None
    if not _NUMBER.fullmatch(given) or not least <= int(given) <= most:
        raise _wrong(name, f"is a whole number from {least} to {most}; not {given[:50]!r}")
    return int(given)


def _dimensions(query: Query) -> tuple[str, ...]:
    named = [name.strip() for text in query.get("by", ()) for name in text[:1000].split(",")]
    by = tuple(dict.fromkeys(name for name in named if name))
    for name in by:
        if name not in DIMENSIONS:
            raise _wrong("by", f"are some of {', '.join(DIMENSIONS)}; not {name[:50]!r}")
    if len(by) > MOST_DIMENSIONS:
        raise _wrong("by", f"takes up to {MOST_DIMENSIONS} dimensions at once")
    return by


def _step(named: str, span_s: int, age_s: int) -> int:
    """Return the length of a step, the shortest that suits the span where none was named."""
    if named in STEPS:
        step = STEPS[named]
        if not _can_be_read(step, span_s, age_s):
            longest, kept = LONGEST_S[step] // DAY_S, KEPT_S[step] // DAY_S
            told = f"is for spans of up to {longest} days, not before {kept} days ago"
            raise _wrong("step", f"{named} {told}; take a longer step, or ask for less")
        return step
    suiting = (step for step, most in AUTO_S.items() if span_s <= most and _can_be_read(step, span_s, age_s))
    step = next(suiting, 0)
    if not step:
        raise _wrong("since", f"is more than {LONGEST_S[DAY_S] // DAY_S} days ago, or before `until`")
    return step


def _grain(step: int, since: Moment, until: Moment, age_s: int) -> int:
    """Return the coarsest steps of rows on which all named edges lie, else the finest that can be read."""
    span_s = until.unix_s - since.unix_s
    grains = sorted(ROLLUPS, reverse=True)
    finer = [grain for grain in grains if grain <= step and _can_be_read(grain, span_s, age_s)]
    edges = [edge.unix_s for edge in (since, until) if edge.is_named]
    return next((grain for grain in finer if all(edge % grain == 0 for edge in edges)), finer[-1])


def _can_be_read(step: int, span_s: int, age_s: int) -> bool:
    return span_s <= LONGEST_S[step] and age_s <= KEPT_S[step]


def _bounded(name: str, moment: Moment) -> Moment:
    if not 0 <= moment.unix_s <= _LAST_S:
        raise _wrong(name, "is not between 1970 and 2100")
    return moment


def _wrong(name: str, message: str) -> BadRequest:
    return BadRequest(f"`{name[:50]}` {message}", param=name[:50])

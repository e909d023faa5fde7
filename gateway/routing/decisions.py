"""Say what was decided for a call, and why: to be kept, shown, and decided again under other rules.

Pure. It must not know where decisions are kept. Nothing of what a call says gets in here: of the call itself
there is only what `signals.recall` keeps, and of its key, model, headers and metadata no secret is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from gateway.exchange import Attempt, Record, Usage
from gateway.routing.choice import Choice
from gateway.routing.plans import Considered, Plan
from gateway.routing.routes import Candidate
from gateway.routing.signals.recall import snapshot
from gateway.routing.signals.signals import Signals
from gateway.texts.trees import Clean, clean_tree

HEADER = "x-forebay-decision"
"""Asks for the compact form, and carries it."""

COMPACT_BYTES = 1024
"""Proxies refuse headers that are much longer."""

_UNASKED = frozenset({"", "0", "false", "no", "off"})
_GIVEN = ("headers", "metadata")
"""Facts that hold words of the client."""
_NAME_CHARS = 200
_SUMMARY_CHARS = 1000
_NOTHING, _UNTOLD = Choice(()), Usage()


class Option(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A target that could take the call; the score is the strategy's, the lower the better."""

    target: str
    cost_nanousd: int | None = None
    score: float | None = None


class Passed(msgspec.Struct, frozen=True, gc=False):
    """A target that was left out."""

    target: str
    reason: str


class Tried(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An attempt; `cause` is empty for the one that gave the answer."""

    backend: str
    model: str
    why: str
    ms: float
    """Until it was accepted, or had failed."""
    cause: str = ""
    first_token_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cost_nanousd: int | None = None

    @property
    def target(self) -> str:
        """What it is called among the candidates."""
        return f"{self.backend}/{self.model}"

    @property
    def usage(self) -> Usage:
        """What of its usage has a price."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one call, and why."""

    call: str
    """Its id."""
    time: datetime
    """When it ended."""
    status: int
    ending: str
    ms: float
    """All of it."""
    purpose: str = "call"
    made_for: str = ""
    tenant: str = ""
    key: str = ""
    model: str = ""
    """As requested."""
    route: str = ""
    rule: str = ""
    candidates: tuple[Option, ...] = ()
    """In the order to try, as it was when the call came."""
    left_out: tuple[Passed, ...] = ()
    attempts: tuple[Tried, ...] = ()
    error: str = ""
    """The code of what the client was told."""
    facts: Mapping[str, Any] = {}
    """What was looked at; see `signals.recall`."""


def decision_of(record: Record, ended_s: float, unix_s: float) -> Decision:
    """Tell what was decided for a call that has ended.

    `ended_s` is of the monotonic clock, `unix_s` the time of day.
    """
    seen = considered_of(record)
    choice = _NOTHING if seen is None else seen.choice
    return Decision(  # by position: by name it takes three times as long
        record.call_id,
        datetime.fromtimestamp(unix_s, UTC),
        record.status,
        record.ending,
        _ms(ended_s - record.started_s),
        record.purpose,
        record.made_for,
        record.tenant,
        record.key,
        record.model[:_NAME_CHARS],
        record.route if seen is None else seen.route.name,
        record.rule if seen is None else seen.rule,
        tuple([option(one) for one in choice.candidates]),
        tuple([Passed(left.name, left.reason) for left in choice.left_out]),
        tuple([_tried(attempt) for attempt in record.attempts]),
        record.error.code if record.error else "",
        {} if seen is None else _facts(seen.signals),
    )


def summary_of(record: Record) -> tuple[str, str, str]:
    """Tell the user and the conversation that a call names, and which targets were considered, in a line.

    To tell a conversation by its first turns takes 6 us: that is done only where routing has done it.
    """
    seen = considered_of(record)
    if seen is None:
        return "", "", ""
    signals, choice = seen.signals, seen.choice
    line = ", ".join([one.deployment.name for one in choice.candidates])
    if choice.left_out:
        line += "; not " + ", ".join([f"{left.name} ({left.reason})" for left in choice.left_out])
    if signals.recalled or record.purpose != "call":
        return "", "", line[:_SUMMARY_CHARS]
    conversation = signals.__dict__.get("conversation") or signals.named_conversation
    return signals.user, conversation, line[:_SUMMARY_CHARS]


def is_notable(record: Record) -> bool:
    """Somebody may want to know why: a rule held, or not all went as written."""
    if record.error is not None or len(record.attempts) > 1:
        return True
    seen = considered_of(record)
    return bool(record.rule if seen is None else seen.rule or seen.choice.left_out)


def considered_of(record: Record) -> Considered | None:
    """Return what routing looked at, be it that it turned the call away; None: it was not asked."""
    plan = record.plan
    if isinstance(plan, Plan):
        return Considered(plan.route, plan.demand.signals, plan.rule, plan.choice)
    seen = record.error.considered if record.error else None
    return seen if isinstance(seen, Considered) else None


def option(candidate: Candidate) -> Option:
    """Show a candidate."""
    score = None if candidate.score is None else round(candidate.score, 4)
    return Option(candidate.deployment.name, candidate.cost_nanousd, score)


def line_of(
    kept: Literal["all", "notable", "none"], clean: Clean = str
) -> Callable[[Record, float, float], bytes] | None:
    """Return what writes the decision on a call as a line of JSON, empty for one that is not kept.

    None: nothing is kept. `clean` takes out what nobody may read.
    """
    if kept == "none":
        return None
    encode, every = msgspec.json.Encoder().encode, kept == "all"

    def line(record: Record, ended_s: float, unix_s: float) -> bytes:
        if every or is_notable(record):
            return encode(_cleaned(decision_of(record, ended_s, unix_s), clean)) + b"\n"
        return b""

    return line


def _cleaned(decision: Decision, clean: Clean) -> object:
    """Take out what clients may have put in. A target may have the name of the client's model.

    Of a token the key is its subject, often an address; facts of routing have it too.
    """
    if clean(decision.model) != decision.model or clean(decision.key) != decision.key:
        return clean_tree(msgspec.to_builtins(decision), clean)
    facts = decision.facts
    given = {name: clean_tree(facts[name], clean) for name in _GIVEN if facts.get(name)}
    return msgspec.structs.replace(decision, facts={**facts, **given}) if given else decision


def decision_header(headers: Mapping[str, str], record: Record) -> list[tuple[bytes, bytes]]:
    """Return the header with what is decided so far, where the call asks for it; else nothing."""
    if headers.get(HEADER, "").strip().lower() in _UNASKED:
        return []
    return [(HEADER.encode(), compact(record))]


def compact(record: Record) -> bytes:
    """Write what is decided so far in at most COMPACT_BYTES of ASCII.

    Where that is not enough, the end of the longest list is left out, and `cut` says so.
    """
    considered = considered_of(record)
    shown: dict[str, Any] = {"route": record.route, "rule": record.rule}
    lists: dict[str, list[str]] = {"candidates": [], "left_out": [], "attempts": []}
    if considered is not None:
        shown = {"route": considered.route.name, "rule": considered.rule}
        lists["candidates"] = [one.deployment.name for one in considered.choice.candidates]
        lists["left_out"] = [f"{left.name}: {left.reason}" for left in considered.choice.left_out]
    lists["attempts"] = [_briefly(attempt) for attempt in record.attempts]
    if record.error is not None:
        shown["error"] = record.error.code
    while len(text := _written(shown | lists)) > COMPACT_BYTES:
        longest = max(lists.values(), key=lambda entries: sum(map(len, entries)))
        if not longest:
            return _written({"cut": True})
        longest.pop()
        shown["cut"] = True
    return text


def _written(shown: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in shown.items() if value}
    return json.dumps(given, separators=(",", ":")).encode()  # in ASCII, as headers have to be


def _briefly(attempt: Attempt) -> str:
    cause = f" {attempt.cause}" if attempt.cause else ""
    return f"{attempt.backend}/{attempt.model} {attempt.why}{cause} {_ms(attempt.seconds):g} ms"


def _tried(attempt: Attempt) -> Tried:
    usage, first_s, price = attempt.usage or _UNTOLD, attempt.first_token_s, attempt.price
    return Tried(
        attempt.backend,
        attempt.model[:_NAME_CHARS],
        attempt.why,
        _ms(attempt.seconds),
        attempt.cause,
        None if first_s is None else _ms(first_s),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        None if price is None or attempt.usage is None else price.of(usage),
    )


def _facts(signals: Signals) -> Mapping[str, Any]:
    readers = signals.readers
    facts = snapshot(signals, readers.headers)
    if "metadata" in facts and not readers.reads_metadata:
        del facts["metadata"]  # it was read for the user's name alone, of which there is a digest
    return facts


def _ms(seconds: float) -> float:
    """Milliseconds, to the microsecond; rounding to decimals gives the same, four times as slowly."""
    return round(seconds * 1e6) / 1000

"""Calls that have ended, as the books have them."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.exchange import Attempt, Call, Caller, Envelope, Format, Record, Trace, Usage

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True, state="vendor=1")
STARTED_S = 100.0
ENDED_S = 103.0


def attempt(**members: Any) -> Attempt:
    """A stream that went well: its turn after 0.1 s, connected after 0.2, content after 0.5, over after 2."""
    known: dict[str, Any] = {
        "backend": "fake",
        "model": "gpt-4o",
        "started_s": STARTED_S + 0.5,
        "seconds": 0.5,
        "queued_s": 0.1,
        "connect_s": 0.1,
        "first_token_s": 0.5,
        "ended_s": STARTED_S + 2.5,
        "usage": Usage(input_tokens=9, output_tokens=3),
    }
    return Attempt(**(known | members))


def call(format_: Format = "chat", **members: Any) -> Call:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}
    return Call(format_, Caller("acme", "key-1"), Envelope("fast"), raw, {})


def ended(*attempts: Attempt, **members: Any) -> Record:
    """A call that ended well, unless it is said otherwise."""
    known: dict[str, Any] = {
        "call_id": "call_a3ce929d0e0e4736a3ce929d",
        "format": "chat",
        "started_s": STARTED_S,
        "tenant": "acme",
        "key": "key-1",
        "model": "fast",
        "route": "fast",
        "status": 200,
        "ending": "finished",
        "attempts": list(attempts),
        "trace": TRACE,
        "received_s": STARTED_S + 0.1,
        "planned_s": STARTED_S + 0.2,
        "admitted_s": STARTED_S + 0.3,
    }
    return Record(**(known | members))

"""Where a call stands in a trace: ids that our spans, our log lines and other systems have in common.

Pure; what becomes of a trace is decided elsewhere. Source: W3C Trace Context, Recommendation of 2021-11-23.
"""

from __future__ import annotations

import re
from random import getrandbits

import msgspec

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 0x01
_MOST_STATE_CHARS = 512


class Trace(msgspec.Struct, frozen=True, gc=False):
    """One span's place: ids as lower-case hexadecimal, 32 digits of the trace, 16 of spans."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """Of the span above, which may be the client's own; empty: there is none."""
    sampled: bool = False
    """Those below are asked to keep their spans. Ours are kept for other reasons too."""
    state: str = ""
    """The `tracestate` that came with it, passed on as it is."""
    is_ours: bool = True
    """False: no span of ours is made here; what is below hangs under the client's own."""

    def child(self) -> Trace:
        """Return a place below this one; the same where it is not ours."""
        if not self.is_ours:
            return self
        return Trace(self.trace_id, new_span_id(), self.span_id, self.sampled, self.state)

    def headers(self) -> dict[str, str]:
        """Say it to an upstream."""
        said = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"}
        return said | {"tracestate": self.state} if self.state else said


def new_span_id() -> str:
    """Make an id: 64 random bits, not all of them nought."""
    return f"{getrandbits(64) or 1:016x}"


def trace_id_of(call_id: str) -> str:
    """Make the id of a call's own trace. It ends in the digits of the call's id: one leads to the other."""
    return f"{getrandbits(32) or 1:08x}{call_id[-24:]}"


def told_by(parent: str, state: str = "") -> Trace | None:
    """Read `traceparent` and `tracestate`: the client's span; None: there is none, or it is malformed.

    Of a version to come the first four fields are read, as the recommendation asks.
    """
    found = _PARENT.fullmatch(parent.strip())
    if found is None or (found[1] == "00" and len(found[0]) != 55):
        return None
    sampled = bool(int(found[4], 16) & _SAMPLED)
    return Trace(found[2], found[3], "", sampled, state if len(state) <= _MOST_STATE_CHARS else "")

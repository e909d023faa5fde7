"""Place a call in a trace when it begins, before anybody knows whether its spans are kept.

Whether those below are asked to keep theirs is drawn by the trace's id, so that all processes draw alike.
Source: W3C Trace Context; OpenTelemetry specification, "TraceIdRatioBased" and "ParentBased".
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import structs

from gateway.exchange import Trace, new_span_id, told_by, trace_id_of

_DRAWN_BITS = 56


class Head(msgspec.Struct, frozen=True):
    """How calls are placed: `sample` of those that come without a trace, 0 to 1.

    `follows`: a client's own decision counts for its calls. `enabled` false: only a client's trace is known.
    """

    enabled: bool = False
    sample: float = 0.0
    follows: bool = True

    def begin(self, call_id: str, headers: Mapping[str, str]) -> Trace | None:
        """Return the place of a call's first span; None: it has no trace."""
        parent = headers.get("traceparent")
        above = told_by(parent, headers.get("tracestate", "")) if parent else None
        if (
            above is not None and not self.enabled
        ):  # no span of ours stands between: it is passed on as it came
            return structs.replace(above, is_ours=False)
        if above is not None:
            sampled = above.sampled if self.follows else self._draws(above.trace_id)
            return Trace(above.trace_id, new_span_id(), above.span_id, sampled, above.state)
        if not self.enabled:
            return None
        trace_id = trace_id_of(call_id)
        return Trace(trace_id, new_span_id(), "", self._draws(trace_id))

    def _draws(self, trace_id: str) -> bool:
        return int(trace_id[-_DRAWN_BITS // 4 :], 16) < self.sample * (1 << _DRAWN_BITS)

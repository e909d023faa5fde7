"""What a client gets when no upstream answers: the words that the route has for it, or an earlier answer.

And asking for less: the same call without its oldest turns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

import msgspec

from gateway.attempts.outcome import Outcome
from gateway.attempts.remembered import key_of
from gateway.exchange import Call, KeptAnswer
from gateway.formats.passage.seam import Terms
from gateway.formats.passage.substitutes.canned import canned
from gateway.formats.passage.substitutes.shortened import shorten_call
from gateway.protocols import CacheStore
from gateway.routing.plans import Plan
from gateway.routing.routes import Shorten

_BYTES_PER_TOKEN = 4
_FALLBACK = b"x-forebay-fallback"


def canned_answer(call: Call, text: str, terms: Terms) -> Outcome | None:
    """Say `text`; None where words are no answer."""
    if (answer := canned(call, text, terms)) is None:
        return None
    content_type, body = answer
    return Outcome(200, (), content_type, body=body, notes=((_FALLBACK, b"answer"),))


def remembered_answer(call: Call, plan: Plan, max_age_s: float) -> Outcome | None:
    """Give the answer that this very request got before; None: it got none lately."""
    if plan.memory is None or (key := key_of(call, plan.route.name)) is None:
        return None
    now_s = monotonic()
    kept = plan.memory.get(key, max_age_s, now_s)
    if kept is None:
        return None
    age = b"cached; age=%d" % (now_s - kept.at_s)
    return Outcome(kept.status, (), kept.content_type, body=kept.body, notes=((_FALLBACK, age),))


def remembering(call: Call, plan: Plan) -> Callable[[bytes, bytes], None] | None:
    """Say where an answer is kept for later: given its type and its bytes; None: nowhere."""
    if plan.memory is None or (key := key_of(call, plan.route.name)) is None:
        return None
    return partial(_keep, plan.memory, key)


def _keep(memory: CacheStore, key: bytes, content_type: bytes, body: bytes) -> None:
    memory.put(key, KeptAnswer(200, content_type, body, monotonic()))


def shortened(call: Call, terms: Shorten, window_tokens: int | None) -> tuple[Call, int]:
    """Leave out the oldest turns; returns how many. `window_tokens` is the largest of the route's models.

    A call that fits by our own count was refused all the same: then it is made shorter than it was.
    """
    if window_tokens is not None:
        limit_tokens = int(window_tokens * terms.to_share)
        shorter, turns = shorten_call(call, limit_tokens, terms.to_share, terms.keep_turns, _tokens)
        if turns:
            return _unparsed(shorter), turns
    shorter, turns = shorten_call(call, None, terms.to_share, terms.keep_turns, _tokens)
    return _unparsed(shorter), turns


def _unparsed(call: Call) -> Call:
    """Write the members that were changed as JSON: whoever reads a client's call takes them so."""
    members = {
        name: value if isinstance(value, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(value))
        for name, value in call.members.items()
    }
    return msgspec.structs.replace(call, members=members)


def _tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN + 1

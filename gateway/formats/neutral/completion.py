"""An answer, whatever the wire format: what was generated, why it ended, what it used. Data only."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.exchange import Usage
from gateway.formats.neutral.parts import Part

Finish = Literal[
    "stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause", "error"
]
"""Why a model stopped: it was done; it wrote a stop sequence; it met a limit (max_tokens or the context
window); it calls tools; a filter of the provider stopped it; it declined; it waits to be continued; it
failed."""


MUTE: frozenset[Finish | None] = frozenset({"stop", "stop_sequence", "error", None})
"""The ends that say nothing by themselves: an answer with one of these and nothing else is empty."""


class TopLogprob(msgspec.Struct, frozen=True, gc=False):
    """A token that could have stood there, with its natural logarithm of probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class TokenLogprob(msgspec.Struct, frozen=True, gc=False):
    """A token of the answer with its alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TopLogprob, ...] = ()


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One of the alternative answers; nearly always there is only one.

    `finish_raw` is the provider's own word, for going back into its format. None: it did not end.
    """

    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    finish_raw: str = ""
    stop_sequence: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    raw: Any = None
    """What only the format it came from says of the choice (safety ratings, a filter's findings)."""


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. `usage` None: the upstream told none. `created_unix_s` 0: not said."""

    choices: tuple[Choice, ...]
    id: str = ""
    model: str = ""
    created_unix_s: int = 0
    usage: Usage | None = None
    service_tier: str = ""
    extra: dict[str, Any] = {}
    """Members of the answer that only its own format has, by their names there."""

"""The entries of the ledger: for each attempt of a call a row of the table `ledger`, field for field.

An entry is never changed. What turns out otherwise is reversed by an entry with all amounts negated, and
booked anew: so every sum over any of the dimensions stays right. Pure.
"""

from __future__ import annotations

from typing import Literal

import msgspec

EntryKind = Literal["charge", "reversal", "rebooking"]
Waste = Literal["", "failed", "cancelled", "hedged", "shadow"]
"""Why nobody had anything of what was paid: the attempt failed; its client had left; another one was faster;
it was for us alone."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt of one call. Fields and columns are the same, in the same order.

    Costs are whole femto-USD (10^-15); in the table they are dollars, Decimal(38, 15). `*_ms` are float
    milliseconds, None for what did not happen. All texts are bounded when they are entered.
    """

    time: int
    """When the call ended, Unix ms; of all its entries, also later ones, the same."""
    call: str
    entry: EntryKind
    revision: int
    """0 of a charge; a reversal has that of what it reverses, a rebooking the next."""
    attempt: int
    """1, 2, ...; 0: no upstream was asked."""
    calls: int
    """1 where the row speaks for its call: the attempt that answered, else the last; -1 to reverse that."""
    attempts: int
    """1, 0 where no upstream was asked; negative when reversed."""
    purpose: str
    """call, shadow or classify; of the latter two `calls` is 0."""
    made_for: str
    tenant: str
    team: str
    key: str
    user: str
    conversation: str
    """As named by the client, else a digest of its first turns where routing has made one."""
    tags: tuple[str, ...]
    """The tenant's."""
    route: str
    rule: str
    asked_model: str
    """As the client named it."""
    backend: str
    model: str
    """As the upstream was asked for it."""
    answered_model: str
    format: str
    translated_to: str
    stream: bool
    why: str
    """Why the attempt was made: first, next, retry, fallback, hedge, continue, restart."""
    status: int
    """That the client got."""
    ending: str
    cause: str
    """The code of the attempt's error."""
    error: str
    """The code of what the client was told."""
    finish: str
    cache: str
    """What a cache of the gateway did: hit, stale; empty: nothing."""
    tier: str
    input_tokens: int
    """With all kinds of it; as in `Usage`."""
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    tool_use_tokens: int
    searches: int
    characters: int
    audio_ms: int
    cost_input: int
    cost_cached: int
    cost_cache_write: int
    cost_audio_input: int
    cost_image_input: int
    cost_output: int
    cost_reasoning: int
    cost_audio_output: int
    cost_image_output: int
    cost_other: int
    cost: int
    """The sum of the kinds."""
    saved: int
    """What the provider's cache has saved; negative where writing it cost more."""
    price: str
    """The version of the price; empty: none is known, and the cost is 0."""
    confidence: str
    """reported, counted or estimated; empty: nothing was used."""
    waste: Waste
    queue_ms: float | None
    connect_ms: float | None
    first_token_ms: float | None
    """From the call's beginning."""
    attempt_ms: float | None
    total_ms: float | None
    """The whole call's."""
    output_per_s: float | None
    """Output tokens for each second after the first token; None: unknown, or not streamed."""
    decision: str
    """Which targets were considered, in a line."""
    source: str = "gateway"
    """gateway, or demo."""


MEASURES = (
    *("calls", "attempts", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("image_input_tokens", "image_output_tokens", "tool_use_tokens", "searches", "characters", "audio_ms"),
    *("cost_input", "cost_cached", "cost_cache_write", "cost_audio_input", "cost_image_input", "cost_output"),
    *("cost_reasoning", "cost_audio_output", "cost_image_output", "cost_other", "cost", "saved"),
)
"""What is added up, and negated by a reversal."""


def reversal_of(entry: Entry) -> Entry:
    """Return the entry that takes another one back."""
    negated = {name: -getattr(entry, name) for name in MEASURES}
    return msgspec.structs.replace(entry, entry="reversal", **negated)

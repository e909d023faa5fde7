"""Take turns among the credentials of a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from gateway.exchange import Credential


def in_turn(credentials: Sequence[Credential]) -> Callable[[], Credential]:
    """Return a function that gives the next credential at each call. Needs at least one."""
    if not credentials:
        raise ValueError("a backend needs at least one credential, if only an empty one")
    if len(credentials) == 1:
        only = credentials[0]
        return lambda: only
    turns = cycle(credentials)
    return turns.__next__

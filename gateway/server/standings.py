"""Remember since when each part of the gateway works, or does not, and say in the log when that changes.

It outlives configurations: a part that an edit keeps goes on standing as it stood. Must not know what the
parts are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

State = Callable[[], tuple[bool, str]]
"""Tells whether a part works, and a sentence about it. Never waits."""

_log = logging.getLogger("forebay")


class Standing(NamedTuple):
    """How a part stands. `since` is when `ok` became what it is, or when it was first looked at (UTC)."""

    ok: bool
    detail: str
    since: str


class Standings:
    """Of one worker. `now` tells the time; what is asked at the same look has the same."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._known: Mapping[str, Standing] = {}

    def look(self, parts: Mapping[str, State]) -> Mapping[str, Standing]:
        """Ask all parts, and return how they stand. What is no part any more is forgotten."""
        since = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._known = {name: self._ask(name, state, since) for name, state in parts.items()}
        return self._known

    def _ask(self, name: str, state: State, now: str) -> Standing:
        ok, detail = state()
        before = self._known.get(name)
        if before is None:  # at the start everything is about to come up: that is no news
            return Standing(ok, detail, now)
        if before.ok == ok:
            return Standing(ok, detail, before.since)
        told = {"part": name, "detail": detail, "since": before.since}
        if ok:
            _log.info("a part works again", extra=told)
        else:
            _log.warning("a part does not work", extra=told)
        return Standing(ok, detail, now)

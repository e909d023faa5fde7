"""Let names that others choose be labels: as many as there is room for, and none that hold a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.telemetry.metrics.families import OTHER

_LONGEST = 128


class Names:
    """Those that are `known`, and the first `most` others."""

    def __init__(self, known: Iterable[str] = (), most: int = 64) -> None:
        self.clean: Callable[[str], str] = str
        """Takes out of a name what nobody may read."""
        self._let = set(known)
        self._left = most

    def of(self, name: str, *, is_real: bool = True) -> str:
        """Return the name, or "other" where there is no room for it, or nobody may read it.

        `is_real` false: it takes no room. An empty one stays empty.
        """
        if not name or name in self._let:
            return name
        if not is_real or not self._left or len(name) > _LONGEST or self.clean(name) != name:
            return OTHER
        self._left -= 1
        self._let.add(name)
        return name

    def learn(self, known: Iterable[str]) -> None:
        """Let these be labels from now on, beside the ones before."""
        self._let.update(known)

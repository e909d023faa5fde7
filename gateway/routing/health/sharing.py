"""How the breakers of one deployment in several workers hear of each other: the seam, and working alone.

Nothing here waits: an implementation passes news on in the background, and what it hears it tells the
breaker that has joined. Must not know what it is shared through.
"""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    """A breaker that follows the others. Times are of its worker's monotonic clock."""

    def opened_elsewhere(self, now_s: float, left_s: float, why: str) -> None:
        """Another worker has opened it, for so long."""

    def closed_elsewhere(self) -> None:
        """A call of another worker went well."""


class Share(Protocol):
    """What one breaker tells its likes."""

    def join(self, member: Member, /) -> None:
        """Tell the member from now on what the others do."""

    def opened(self, left_s: float, why: str, /) -> None:
        """It has opened here, for so long."""

    def closed(self) -> None:
        """It has closed here."""

    def trying(self, for_s: float, /) -> None:
        """A call from here tries, and nobody else should for so long; 0: that call was given up."""

    def may_try(self) -> bool:
        """Whether a call from here may try, now that the cool-down is over."""


class Alone:
    """A worker that shares with nobody."""

    __slots__ = ()

    def join(self, member: Member, /) -> None:
        """Nobody will tell it anything."""

    def opened(self, left_s: float, why: str, /) -> None:
        """Nobody hears it."""

    def closed(self) -> None:
        """Nobody hears it."""

    def trying(self, for_s: float, /) -> None:
        """Nobody hears it."""

    def may_try(self) -> bool:
        """Nobody else would."""
        return True

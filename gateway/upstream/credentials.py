"""Take turns among the credentials of a backend, and leave out those that its provider refuses.

Must not know what a credential is shown to, or how a refusal looks. A credential that is refused again
soon after it came back stays away for twice as long: it may have been revoked, or only not be spread yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from math import inf
from typing import Final

import msgspec

from gateway.exchange import Credential

_FIRST_AWAY_S: Final = 60.0
_LONGEST_AWAY_S: Final = 600.0


class _Absence(msgspec.Struct, gc=False):
    """For how long a credential was last left out, and until when."""

    length_s: float
    until_s: float


class CredentialsInTurn:
    """Keys of one backend. `clock` gives monotonic seconds. Needs at least one key, if only an empty one."""

    __slots__ = ("_absences", "_clock", "_count", "_next_back_s", "_out", "_turns")

    def __init__(self, credentials: Sequence[Credential], clock: Callable[[], float]) -> None:
        if not credentials:
            raise ValueError("a backend needs at least one credential, if only an empty one")
        self._count = len(credentials)
        self._turns = cycle(credentials)
        self._clock = clock
        self._out: set[str] = set()
        self._next_back_s = inf
        self._absences: dict[str, _Absence] = {}
        """Of those that were ever refused; by name, as are those that are out."""

    def next(self) -> Credential:
        """Return the one whose turn it is."""
        if not self._out:
            return next(self._turns)
        now_s = self._clock()
        if now_s >= self._next_back_s:
            self._let_back(now_s)
        return next(credential for credential in self._turns if credential.name not in self._out)

    def eject(self, credential: Credential) -> bool:
        """Leave one out for a while: the provider refused it. True: there is another one to try.

        The last one stays in: to leave it out would be to give the backend up, and what the provider says
        to it tells more than we could.
        """
        if credential.name in self._out:  # it was a call that was under way with it
            return True
        if len(self._out) + 1 == self._count:
            return False
        now_s = self._clock()
        self._absences[credential.name] = absence = self._next_absence(credential.name, now_s)
        self._out.add(credential.name)
        self._next_back_s = min(self._next_back_s, absence.until_s)
        return True

    def _next_absence(self, name: str, now_s: float) -> _Absence:
        length_s = _FIRST_AWAY_S
        last = self._absences.get(name)
        if last is not None and now_s - last.until_s < last.length_s:
            length_s = min(2 * last.length_s, _LONGEST_AWAY_S)
        return _Absence(length_s, now_s + length_s)

    def _let_back(self, now_s: float) -> None:
        self._out = {name for name in self._out if self._absences[name].until_s > now_s}
        self._next_back_s = min((self._absences[name].until_s for name in self._out), default=inf)

"""How much extra work may be caused: a share of the calls, saved up to a small reserve. Pure.

Source: the retry budget of Finagle, which bounds what an outage is multiplied by.
"""

from __future__ import annotations


class Allowance:
    """Every call pays in `share` of an extra try; every extra try takes a whole one out.

    It begins with `reserve` tries, and never holds more: a quiet hour saves up no storm.
    """

    __slots__ = ("_balance", "_reserve", "_share")

    def __init__(self, share: float, reserve: float = 10.0) -> None:
        self._share = share
        self._reserve = reserve if share else 0.0
        self._balance = self._reserve

    def pay_in(self) -> None:
        """A call has come."""
        self._balance = min(self._balance + self._share, self._reserve)

    def take(self) -> bool:
        """Take one extra try out; False: there is none left."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True

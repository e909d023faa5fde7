"""How many credentials that nobody knows an address may show: 20 at once, then one in 3 s.

A known key never comes here. What is shown counts as a failure until it has proven good: a thousand guesses
at once get no further than one after the other. Must not know what a credential is, nor who checks it.

An address is a network: of IPv6 a /64, the least that a site has. Behind our own proxies it is the last
address in X-Forwarded-For that is none of theirs: what stands left of that, the client may have made up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic
from types import TracebackType
from typing import Final, Self

import msgspec

from gateway.errors import QuotaExceeded, StoreDown

AT_ONCE: Final = 20
EVERY_S: Final = 3.0
_MOST_HOPS: Final = 32

_REFUSAL: Final = "too many invalid credentials came from your address; correct yours, and try again later"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a request says it comes from: the peer's address, and X-Forwarded-For as it came."""

    peer: str = ""
    """Empty: nobody knows, and nothing is counted: else one could lock out all others of that kind."""
    forwarded: str = ""


class _Place(msgspec.Struct):
    """One address. `left` are the failures that it may still have, as of `at_s`."""

    left: float
    at_s: float
    asking: int = 0
    """Credentials that are being looked at, each of which may fail."""
    waiting: deque[asyncio.Future[bool]] | None = None
    """Those that may be looked at if these are good; nobody when nothing is being looked at. Hardly any
    address ever needs one, and an empty one has 600 bytes."""

    def has_room(self, now_s: float) -> bool:
        """Tell whether one more may be looked at."""
        self.left = min(self.left + (now_s - self.at_s) / EVERY_S, AT_ONCE)
        self.at_s = now_s
        return self.left >= self.asking + 1


class Trial:
    """One credential that is being looked at: a context. It fails unless it is said to be `proven`."""

    __slots__ = ("_clock", "_place", "proven")

    def __init__(self, place: _Place, clock: Callable[[], float]) -> None:
        self._place = place
        self._clock = clock
        self.proven = False

    def __enter__(self) -> Self:
        """Begin; it was counted already."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Count what came of it. Where nobody could tell it was no failure; a client that left has failed."""
        self.end(failed=not self.proven and not isinstance(error, StoreDown))

    def end(self, *, failed: bool) -> None:
        """Let those go on that waited for this."""
        place, now_s = self._place, self._clock()
        place.asking -= 1
        place.left -= failed
        while place.waiting:
            room = place.has_room(now_s)
            if place.asking and not room:
                return
            waiter = place.waiting.popleft()
            if not waiter.done():
                place.asking += room
                waiter.set_result(room)

    async def turn(self) -> bool:
        """Wait until it is clear whether it may be looked at."""
        waiter = asyncio.get_running_loop().create_future()
        if self._place.waiting is None:
            self._place.waiting = deque()
        self._place.waiting.append(waiter)
        try:
            return bool(await waiter)
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.end(failed=False)
            raise


class Strangers:
    """The addresses that showed something unknown last. `trusted` are the networks of our own proxies."""

    REMEMBERED = 50_000

    def __init__(self, trusted: Iterable[str] = (), clock: Callable[[], float] = monotonic) -> None:
        self._trusted = tuple(ip_network(network) for network in trusted)
        self._clock = clock
        self._places: OrderedDict[str, _Place] = OrderedDict()

    async def admit(self, origin: Origin) -> Trial:
        """Let a credential be looked at, within the context that is returned.

        Raises QuotaExceeded where too many failed. Where that depends on others that are being looked at, it
        waits for them: they may be good, as all tokens are that come first to a new worker.
        """
        now_s = self._clock()
        place = self._place(self.address_of(origin), now_s)
        trial = Trial(place, self._clock)
        if place.has_room(now_s) and not place.waiting:
            place.asking += 1
        elif not place.asking or not await trial.turn():
            wait_s = (1 - place.left) * EVERY_S
            raise QuotaExceeded(_REFUSAL, code="too_many_failures", retry_after_s=max(wait_s, 1.0))
        return trial

    def address_of(self, origin: Origin) -> str:
        """Name the network that a request came from."""
        sender = _address(origin.peer)
        if sender is None:
            return ""
        for hop in reversed(origin.forwarded.rsplit(",", _MOST_HOPS)):
            if not self._is_trusted(sender):
                break
            address = _address(hop)
            if address is None:  # a proxy that does not say for whom it asks
                break
            sender = address
        return str(sender) if isinstance(sender, IPv4Address) else f"{int(sender) >> 64:x}/64"

    def trusts(self, peer: str) -> bool:
        """Tell whether an address is one of our own proxies, whose word counts."""
        address = _address(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)

    def revised(self, trusted: Iterable[str]) -> Strangers:
        """Make those of a new configuration; what has failed so far counts on."""
        revised = Strangers(trusted, self._clock)
        revised._places = self._places
        return revised

    def _place(self, address: str, now_s: float) -> _Place:
        if not address:
            return _Place(AT_ONCE, now_s)
        place = self._places.get(address)
        if place is None:
            if len(self._places) >= self.REMEMBERED:
                self._places.popitem(last=False)
            place = self._places[address] = _Place(AT_ONCE, now_s)
        self._places.move_to_end(address)
        return place


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with the port that some proxies write behind it; None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address

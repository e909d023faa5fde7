"""Let calls in: take what they may use of every limit that holds for them, all of it or nothing.

Where a worker has enough in its pockets it decides at once; else it asks the store, once for all limits of
the call. What is not used comes back when the call is settled. Must not know where counters are kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from gateway.admission.lease import Amounts, Line, Taken, put_back
from gateway.admission.refusals import refusal
from gateway.errors import QuotaExceeded, StoreDown
from gateway.exchange import Caller
from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Told, TooSlow, Verdict
from gateway.quotas.pockets import Pocket
from gateway.quotas.rules import Held

_SYNC_S = 0.05
_SEAT_MS = 3_000
"""So often the store hears that the calls which have seats still run."""
_TOGETHER = 200
"""Counters that are told of at once: the store serves nobody else meanwhile."""
_MOST_POCKETS = 16_384

log = logging.getLogger("forebay")


class Watcher(Protocol):
    """Hears how counters stand, and who calls."""

    def stands(self, held: Held, told: Told) -> None:
        """A counter that holds for a call was read or changed."""

    def called(self, caller: Caller, now_s: float) -> None:
        """A key was used; the time is monotonic."""


class Desk:
    """Of one worker. `workers` share what a limit has while the store does not answer.

    Where there is plenty, more is taken than a call needs, so that the next ones need not ask.
    `is_remote`: an exchange with the store takes a while.
    """

    def __init__(self, store: QuotaStore, watcher: Watcher, *, workers: int, is_remote: bool) -> None:
        self.store = store
        self.watcher = watcher
        self._workers = workers
        self._is_remote = is_remote
        self._pockets: dict[str, Pocket] = {}
        self._active: set[Pocket] = set()
        """Those that hold anything, or owe it: of all the others there is nothing to tell."""
        self.compared: Callable[[Amounts, Amounts], None] | None = None
        """Hears of each settled call what was planned and what was used."""
        self.changes = 0
        """How often the store has told how counters stand."""
        self.generation = 0
        """Which of the pockets that were handed out are kept: others have to be asked for anew."""
        self._asking: set[asyncio.Task[Verdict]] = set()
        self._seats_told_ms = 0

    def pocket(self, held: Held, now_ms: int) -> Pocket:
        """Return the pocket of a limit's present counter."""
        pocket = self._pockets.get(held.prefix)
        if pocket is None or 0 < pocket.counter.ends_ms <= now_ms:
            pocket = self._pockets[held.prefix] = Pocket(held.counter(now_ms), now_ms)
        elif pocket.counter.meter != held.line.meter:  # its limit was edited
            pocket.counter = held.counter(now_ms)
        return pocket

    def take_here(
        self, lines: Sequence[Line], amounts: Amounts, now_ms: int
    ) -> tuple[list[Taken], list[Line]]:
        """Take what is in the pockets; of the lines that come with it there is not enough."""
        taken: list[Taken] = []
        short: list[Line] = []
        for line in lines:
            pocket, amount = line.pocket, amounts[line.at]
            if not amount:  # what is not expected to cost anything may do so in the end
                taken.append((line, pocket, 0, pocket.await_use(now_ms)))
                self._active.add(pocket)
            elif pocket.take(amount, now_ms):
                taken.append((line, pocket, amount, pocket.slot))
            else:
                short.append(line)
        return taken, short

    async def take(self, lines: Sequence[Line], amounts: Amounts, now_ms: int) -> list[Taken]:
        """Take the amounts of all lines, or nothing.

        Raises QuotaExceeded, BudgetExceeded; StoreDown where the store does not answer and a rule is closed.
        """
        taken, short = self.take_here(lines, amounts, now_ms)
        if not short:
            return taken
        try:
            return taken + await self._ask_for(short, amounts, now_ms)
        except BaseException:
            put_back(taken)
            raise

    async def follow(self) -> None:
        """Give back what is not used, and say that seats are still taken, until cancelled."""
        while True:
            await asyncio.sleep(_SYNC_S)
            await self.sync()

    async def sync(self) -> None:
        """Tell the store what it is owed."""
        now_ms = self.store.now_ms()
        seats = now_ms - self._seats_told_ms >= _SEAT_MS
        if seats:
            self._seats_told_ms = now_ms
        await self._tell([one for one in self._active if one.rest(now_ms) or (seats and one.is_seated)])
        self._active = {one for one in self._active if not one.is_idle}
        if len(self._pockets) > _MOST_POCKETS:
            self._pockets = {key: one for key, one in self._pockets.items() if not one.is_idle}
            self.generation += 1

    async def close(self) -> None:
        """Give back all that no call has."""
        for pocket in self._active:
            pocket.empty()
        await self._tell([pocket for pocket in self._active if pocket.backs])

    def known(self) -> Sequence[Ask]:
        """Say all that is known of the counters: for a store that has lost its memory."""
        now_ms = self.store.now_ms()
        return [pocket.memory(now_ms) for pocket in self._pockets.values()]

    async def _tell(self, owed: Sequence[Pocket]) -> None:
        for at in range(0, len(owed), _TOGETHER):
            try:
                await self._exchange([_Want(pocket) for pocket in owed[at : at + _TOGETHER]])
            except StoreDown as error:
                log.debug("counters are not settled yet: %s", error.message)

    async def _ask_for(self, short: Sequence[Line], amounts: Amounts, now_ms: int) -> list[Taken]:
        wants = [_Want(line.pocket, amounts[line.at], line.held.rule.is_soft) for line in short]
        try:
            asking = self._exchange(wants)
            verdict = await (self._to_the_end(asking, wants) if self._is_remote else asking)
        except StoreDown as down:
            return self._alone(short, amounts, down, now_ms)
        for line, told in zip(short, verdict.told, strict=True):
            self.watcher.stands(line.held, told)
        taken = [
            (line, want.pocket, want.need, told.slot)
            for line, want, told in zip(short, wants, verdict.told, strict=True)
            if verdict.granted or want.over
        ]
        if not verdict.granted:
            put_back(taken)
            raise refusal([line.held for line in short], verdict.told)
        return taken

    async def _to_the_end(self, asking: Coroutine[Any, Any, Verdict], wants: Sequence[_Want]) -> Verdict:
        """Ask to the end, also for a client that leaves meanwhile: what it was granted comes back."""
        task = asyncio.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda asked: _return(wants, asked))
            raise

    async def _exchange(self, wants: Sequence[_Want]) -> Verdict:
        # Written at the moment of sending: what a later ask says must not be older than this one.
        now_ms = self.store.now_ms()
        asks = [want.pocket.ask(want.need, now_ms, over=want.over) for want in wants]
        try:
            verdict = await self.store.exchange(asks)
        except TooSlow as slow:
            slow.later.add_done_callback(partial(self._overhear, wants, asks))
            raise
        except StoreDown as down:
            self._unheard(wants, asks, surely=not down.reached)
            raise
        now_ms = self.store.now_ms()
        self.changes += 1
        self._active.update(want.pocket for want in wants)
        for want, ask, told in zip(wants, asks, verdict.told, strict=True):
            want.pocket.told(ask, told, now_ms, verdict.at_us)
        return verdict

    def _unheard(self, wants: Sequence[_Want], asks: Sequence[Ask], *, surely: bool) -> None:
        for want, ask in zip(wants, asks, strict=True):
            want.pocket.unheard(ask, surely=surely)
        self._active.update(want.pocket for want in wants)

    def _overhear(
        self, wants: Sequence[_Want], asks: Sequence[Ask], later: asyncio.Future[Verdict | None]
    ) -> None:
        """Learn what became of an exchange that was not waited for any longer."""
        verdict = None if later.cancelled() else later.result()
        if verdict is None:
            self._unheard(wants, asks, surely=not later.cancelled())
            return
        for want, ask, told in zip(wants, asks, verdict.told, strict=True):
            want.pocket.overheard(ask, told)
        self._active.update(want.pocket for want in wants)

    def _alone(self, short: Sequence[Line], amounts: Amounts, down: StoreDown, now_ms: int) -> list[Taken]:
        """Decide without the store, as the rules say."""
        for line in short:
            rule, pocket, amount = line.held.rule, line.pocket, amounts[line.at]
            if rule.is_soft or rule.fail == "open":
                continue
            if rule.fail == "closed":
                raise StoreDown(f"the limit {rule.name!r} cannot be checked: {down.message}", retry_after_s=1)
            if amount > pocket.share(self._workers):
                message = f"the limit {rule.name!r} cannot be checked now, and this share of it is used"
                raise QuotaExceeded(message, retry_after_s=1)
        self._active.update(line.pocket for line in short)
        return [
            (line, line.pocket, amounts[line.at], line.pocket.take_alone(amounts[line.at], now_ms))
            for line in short
        ]


class _Want(NamedTuple):
    """What is asked of one counter."""

    pocket: Pocket
    need: int = 0
    over: bool = False


def _return(wants: Sequence[_Want], asked: asyncio.Task[Verdict]) -> None:
    if asked.cancelled() or asked.exception() is not None:
        return
    for want, told in zip(wants, asked.result().told, strict=True):
        if told.granted:
            want.pocket.settle(told.slot, want.need, 0)

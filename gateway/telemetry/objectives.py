"""Count how calls keep what was promised of them, in this process, for all workers to read.

`note` is on the way of each call: 2 us for three promises, 4 with one about cost. What touches files is in
`follow`, in threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import time

from gateway.exchange import Record
from gateway.slo.alarms import Event, alarm_key, changes
from gateway.slo.burning import Counts
from gateway.slo.gathering import Gathered, Tallies
from gateway.slo.objectives import Objective
from gateway.telemetry.events import OVER, Announce
from gateway.telemetry.tallies import Desk, gather, is_kept, load

EVERY_S = 5.0
"""Between two looks: a worker that is killed takes so much with it, and no alert is later than that."""
_KEEP_EVERY_S = 60.0

CountJudged = Callable[[str, str, int], None]
"""Counts as a metric: the objective, "good" or "bad", how many; with 0 there is the series, and no more."""

log = logging.getLogger("forebay")


class _Sum:
    """Calls of one objective. It only grows."""

    __slots__ = ("bad", "good")

    def __init__(self) -> None:
        self.good = self.bad = 0


class Tally:
    """Good and bad calls of each objective. `folder` is shared by the workers of this host."""

    def __init__(
        self,
        folder: Path,
        count_judged: CountJudged = lambda *_: None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._folder, self._count_judged, self._clock = folder, count_judged, clock
        self._objectives: Sequence[Objective] | None = None
        """None: nobody has said yet what is promised."""
        self._sums: dict[str, _Sum] = {}
        self._covering: dict[tuple[str, str], tuple[tuple[Objective, _Sum], ...]] = {}

    def revise(self, objectives: Sequence[Objective]) -> None:
        """Judge by these from now on; what was counted for those that stay, stays."""
        self._objectives = objectives
        self._covering = {}
        for one in objectives:
            self._sums.setdefault(one.name, _Sum())
            for outcome in ("good", "bad"):  # a rate of what has no first value misses its first call
                self._count_judged(one.name, outcome, 0)

    def note(self, record: Record, ended_s: float) -> None:
        """Judge one ended call."""
        key = record.route, record.class_  # both are names of the configuration: there are few
        covering = self._covering.get(key)
        if covering is None:
            covering = self._covering[key] = tuple(
                (one, self._sums[one.name]) for one in self._objectives or () if one.covers(*key)
            )
        for objective, total in covering:
            good = objective.judge(record, ended_s)
            if good is None:
                continue
            if good:
                total.good += 1
            else:
                total.bad += 1
            self._count_judged(objective.name, "good" if good else "bad", 1)

    async def follow(self, announce: Announce, every_s: float = EVERY_S) -> None:
        """Write down what is counted, and (one worker of the host) tell of burn rates, until cancelled."""
        watch = _Watch(self._folder, self._clock)
        try:
            while True:
                if (objectives := self._objectives) is not None:
                    for event in await asyncio.to_thread(watch.look, self._tallies(), objectives):
                        _tell(event, announce, watch)
                await asyncio.sleep(every_s)
        finally:
            if self._objectives is not None:
                watch.close(self._tallies())  # on the loop: nothing is served any more

    def _tallies(self) -> Tallies:
        return {name: Counts(one.good, one.bad) for name, one in self._sums.items()}


def _tell(event: Event, announce: Announce, watch: _Watch) -> None:
    """Tell it, and have it noted when its receiver has it."""

    def note(receipt: asyncio.Future[bool]) -> None:
        if not receipt.cancelled() and receipt.result():
            watch.delivered.append(event)

    try:
        receipt = announce(*event)
    except Exception:  # what was not told is told by whoever leads next; the others are told now
        log.exception("internal error")
        return
    if receipt is None:
        watch.delivered.append(event)
    else:
        receipt.add_done_callback(note)


class _Watch:
    """What is done with the counts in threads, one at a time."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.delivered = deque[Event]()
        """What receivers have, and is not noted yet. Threads may add to it."""
        self._folder, self._clock = folder, clock
        self._desk: Desk | None = None
        self._gathered = Gathered()
        self._kept_unix_s = 0.0
        self._problem = ""
        self._turn = Lock()
        self._is_closed = False

    def look(self, tallies: Tallies, objectives: Sequence[Objective]) -> list[Event]:
        """Write down this worker's counts; where it leads, add up all of them. Return what is to be told."""
        events: list[Event] = []
        with self._turn, self._reported():
            if self._is_closed or not (self._desk or objectives or is_kept(self._folder)):
                return []  # nothing is promised, nothing was: nothing is left behind
            if self._desk is None:
                self._desk = Desk(self._folder)
            if self._leads(self._desk):
                # What a judgement that fails has found before it is told all the same.
                events.extend(self._judged(self._desk, tallies, objectives, self._clock()))
            self._write(self._desk, tallies, self._clock())
        return events

    def close(self, tallies: Tallies) -> None:
        """Leave everything as it is now to the next one."""
        with self._turn, self._reported():
            self._is_closed = True
            if self._desk is None and not tallies:
                return
            desk = self._desk or Desk(self._folder)
            if self._leads(desk):
                self._gathered.take(desk.id, tallies, self._clock())
                self._kept_unix_s = 0.0
            try:
                self._write(desk, tallies, self._clock())
            finally:
                desk.close()

    def _leads(self, desk: Desk) -> bool:
        if not desk.leads and desk.try_to_lead():
            self._gathered, self._kept_unix_s = load(self._folder)
        return desk.leads

    def _judged(
        self, desk: Desk, tallies: Tallies, objectives: Sequence[Objective], unix_s: float
    ) -> Iterator[Event]:
        self._gathered.take(desk.id, tallies, unix_s)  # its own not from its file: the disk may be full
        gather(self._folder, self._gathered, unix_s)
        standings = self._gathered.standings(objectives, unix_s)
        yield from changes(standings, self._gathered.told, self._gathered.lasts, unix_s)

    def _note_delivered(self) -> None:
        """Keep what receivers know now; whoever is killed before rather tells it twice than never."""
        while self.delivered:
            kind, data = self.delivered.popleft()
            key = alarm_key(data["severity"], data["objective"])
            if kind.endswith(OVER):
                self._gathered.delivered.pop(key, None)
            else:
                self._gathered.delivered[key] = datetime.fromisoformat(data["since"]).timestamp()
            self._kept_unix_s = 0.0

    def _write(self, desk: Desk, tallies: Tallies, unix_s: float) -> None:
        self._note_delivered()
        desk.write(tallies)
        # A clock that was put back makes it due, too.
        if desk.leads and not 0 <= unix_s - self._kept_unix_s < _KEEP_EVERY_S:
            desk.keep(self._gathered, unix_s)
            self._kept_unix_s = unix_s

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Go on where the disk does not, and whatever else goes wrong."""
        try:
            yield
        except OSError as error:
            self._report(f"{error.strerror}: {error.filename}")
        except Exception as error:
            if not self._problem:
                log.exception("internal error")
            self._report(f"{type(error).__name__}: {error}")
        else:
            self._report("")

    def _report(self, problem: str) -> None:
        """Say once what is wrong, and once that it is over."""
        if problem and not self._problem:
            log.warning("what was counted of objectives is not written down: %s", problem)
        elif self._problem and not problem:
            log.info("what is counted of objectives is written down again")
        self._problem = problem

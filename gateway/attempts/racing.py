"""Two tries at once: the second begins when the first is slow, and the first good content wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.attempts.outcome import Outcome
from gateway.routing.health.health import Health
from gateway.routing.routes import Hedge

Trying = Callable[[], Awaitable[Outcome | None]]
"""Makes a try; None: it failed."""


def delay_s(hedge: Hedge, health: Health) -> float | None:
    """Say when a second try is due; None: too little is known of how long the first usually takes."""
    if hedge.after_s is not None:
        return hedge.after_s
    return None if hedge.percentile is None else health.percentile_s(hedge.percentile)


async def first_of(one: Trying, after_s: float, other: Callable[[], Trying | None]) -> Outcome | None:
    """Make `one` try and, when it has not ended after `after_s`, what `other` then gives beside it.

    Returns the first outcome, None when both fail. The loser is cancelled, and has ended on return.
    """
    tasks = [_begin(one)]
    try:
        await asyncio.wait(tasks, timeout=after_s)
        if not tasks[0].done() and (second := other()) is not None:
            tasks.append(_begin(second))
        won = await _winner(tasks)
        await _end([task for task in tasks if task is not won])
    except BaseException:  # nobody is there to take the winner's outcome either
        await _end(tasks)
        raise
    return None if won is None else won.result()


def _begin(trying: Trying) -> asyncio.Task[Outcome | None]:
    async def attempt() -> Outcome | None:
        return await trying()

    return asyncio.create_task(attempt())


async def _winner(tasks: Sequence[asyncio.Task[Outcome | None]]) -> asyncio.Task[Outcome | None] | None:
    """Wait for the first that has an outcome; of two at the same moment it is the one that began first."""
    running = set(tasks)
    while running:
        _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and task.result() is not None:
                return task
    return None


async def _end(tasks: Sequence[asyncio.Task[Outcome | None]]) -> None:
    """Cancel what still runs, and give up what was accepted: a moment too late, or for nobody."""
    running = [task for task in tasks if not task.done()]
    for task in tasks:
        if task.done():
            _give_up(task)
        else:
            task.cancel()
            task.add_done_callback(_give_up)  # so that it is given up even when this wait is cancelled
    if running:
        await asyncio.wait(running)


def _give_up(task: asyncio.Task[Outcome | None]) -> None:
    if not task.cancelled() and task.exception() is None and (outcome := task.result()) is not None:
        outcome.forgo("interrupted")

"""Run checks side by side, and give up on those that do not end: nothing hangs.

Must not know what is checked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Final, Self, TypeVar

from gateway.commands.doctor.finding import Check, Told, fail

T = TypeVar("T")

WITHIN_S: Final = 15.0
_ENDS_WITHIN_S: Final = 1.0


async def run_checks(checks: Sequence[Check], within_s: float = WITHIN_S) -> list[Told]:
    """Give what the checks say, in their order; one that fails or takes too long says so itself."""
    if not checks:
        return []
    tasks = [asyncio.ensure_future(check.work()) for check in checks]
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_ENDS_WITHIN_S)
    return [
        told
        for check, task in zip(checks, tasks, strict=True)
        for told in _told(check, task, within_s, is_late=task in late)
    ]


def _told(
    check: Check, task: asyncio.Future[Sequence[Told]], within_s: float, *, is_late: bool
) -> Iterator[Told]:
    if is_late:
        todo = f"Try again: forebay doctor --only {check.kind}; if it stays so, look at that network path."
        yield fail(check.name, f"it did not answer within {within_s:g} s", todo)
    elif (error := task.exception()) is not None:
        # Its text is left out: libraries write URLs there.
        seen = f"this check has failed itself ({type(error).__name__})"
        yield fail(check.name, seen, "Report it as a defect of forebay doctor.")
    else:
        yield from task.result()


async def aside(work: Callable[[], T]) -> T:
    """Run what blocks in a thread that nobody waits for: not even the end of the process does."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        with _Telling(done):
            done.set_result(work())

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await asyncio.wrap_future(done)


class _Telling:
    """Hands an exception to whoever waits for the result."""

    def __init__(self, done: Future[T]) -> None:
        self._fail = done.set_exception

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._fail(error)
        return True

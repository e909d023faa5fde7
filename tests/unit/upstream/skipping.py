"""An event loop whose clock jumps to the next timer: hours pass in no time, and no test waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps: where another would, its clock goes forward by as much."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now_s

    def timers(self) -> int:
        """How many timers are still to fire."""
        return sum(not timer.cancelled() for timer in self._scheduled)

    def skip(self, seconds: float) -> None:
        self._now_s += seconds


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits, and for no timer")
        # A clock that stands still between two looks at it would let who asks "is it time yet?" ask for ever.
        self._loop.skip(timeout + 1e-9)
        return super().select(0)


def run(scene: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on such a loop; what it left running is cancelled."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(scene)

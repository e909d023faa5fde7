"""Two tries at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from unit.upstream.skipping import run

from gateway.attempts.outcome import Outcome
from gateway.attempts.racing import delay_s, first_of
from gateway.errors import BadRequest
from gateway.exchange import Attempt
from gateway.routing.budgets import Allowance
from gateway.routing.health.health import Health
from gateway.routing.routes import Hedge


class Try:
    """A try that takes `seconds`; `ends_s` is when it had ended."""

    def __init__(self, name: str, seconds: float, ends: str = "well") -> None:
        self.attempt = Attempt(name, "m", 0.0)
        self.seconds, self.ends = seconds, ends
        self.ends_s: float | None = None

    async def __call__(self) -> Outcome | None:
        try:
            await asyncio.sleep(self.seconds)
        finally:
            await asyncio.sleep(0)  # whoever is cancelled may need a moment
            self.ends_s = asyncio.get_running_loop().time()
        if self.ends == "raises":
            raise BadRequest("no")
        return None if self.ends == "fails" else Outcome(200, (), attempt=self.attempt)


async def winner(one: Try, other: Try | None, after_s: float = 1.0) -> str:
    outcome = await first_of(one, after_s, lambda: other)
    return "" if outcome is None or outcome.attempt is None else outcome.attempt.backend


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Try("one", 0.5), Try("other", 1), "one"),
        (Try("one", 5), Try("other", 1), "other"),
        (Try("one", 5), Try("other", 1, "fails"), "one"),
        (Try("one", 2, "fails"), Try("other", 3), "other"),
        (Try("one", 2, "fails"), Try("other", 3, "fails"), ""),
        (Try("one", 0.5, "fails"), Try("other", 1), ""),
        (Try("one", 5), None, "one"),
    ],
)
def test_the_first_that_ends_well_wins(one: Try, other: Try | None, expected: str) -> None:
    async def scene() -> None:
        assert await winner(one, other) == expected

    run(scene())


def test_a_try_that_fails_before_the_delay_has_no_second_beside_it() -> None:
    async def scene() -> None:
        asked: list[bool] = []

        def other() -> Callable[[], Awaitable[Outcome | None]] | None:
            asked.append(True)
            return None

        assert await first_of(Try("one", 0.5, "fails"), 1.0, other) is None
        assert asked == []

    run(scene())


def test_the_loser_has_ended_before_the_winner_is_given() -> None:
    async def scene() -> None:
        slow = Try("slow", 50)
        assert await winner(slow, Try("fast", 1)) == "fast"
        assert slow.ends_s is not None

    run(scene())


def test_of_two_that_end_together_one_is_given_and_the_other_is_given_up() -> None:
    async def scene() -> None:
        one, other, both = Try("one", 0), Try("other", 0), asyncio.Event()

        async def together(own: Try) -> Outcome | None:
            await both.wait()
            return Outcome(200, (), attempt=own.attempt)

        asyncio.get_running_loop().call_later(2.0, both.set)
        outcome = await first_of(lambda: together(one), 1.0, lambda: lambda: together(other))
        assert outcome is not None
        assert outcome.attempt is one.attempt
        assert (one.attempt.cause, other.attempt.cause) == ("", "interrupted")

    run(scene())


def test_an_error_that_is_no_failure_of_the_try_ends_both() -> None:
    async def scene() -> None:
        slow = Try("slow", 50)
        with pytest.raises(BadRequest):
            await winner(slow, Try("raising", 1, "raises"))
        assert slow.ends_s is not None

    run(scene())


@pytest.mark.parametrize("at_s", [0.5, 1.5, 2.5])
def test_to_cancel_the_race_ends_all_that_run(at_s: float) -> None:
    async def scene() -> None:
        one, other = Try("one", 3), Try("other", 2)
        race = asyncio.create_task(winner(one, other))
        await asyncio.sleep(at_s)
        race.cancel()
        with pytest.raises(asyncio.CancelledError):
            await race
        assert one.ends_s is not None
        assert len(asyncio.all_tasks()) == 1

    run(scene())


def test_a_winner_that_nobody_waits_for_any_more_is_given_up() -> None:
    async def scene() -> None:
        won = Try("won", 1)
        stubborn = asyncio.Event()

        async def loser() -> Outcome | None:
            try:
                await asyncio.sleep(50)
            finally:
                await stubborn.wait()
            return None

        race = asyncio.create_task(first_of(loser, 1.0, lambda: won))
        await asyncio.sleep(3.0)  # the winner waits for the loser to end
        race.cancel()
        await asyncio.sleep(0)
        stubborn.set()
        with pytest.raises(asyncio.CancelledError):
            await race
        assert won.attempt.cause == "interrupted"

    run(scene())


def test_the_delay_is_fixed_or_learned() -> None:
    allowance, health = Allowance(1.0), Health()
    assert delay_s(Hedge(0.5, None, lambda _: allowance), health) == 0.5
    assert delay_s(Hedge(None, 95, lambda _: allowance), health) is None
    assert delay_s(Hedge(None, None, lambda _: allowance), health) is None

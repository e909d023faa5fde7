"""Addresses from which too much unknown comes are not listened to; what was good never counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import QuotaExceeded, StoreDown
from gateway.identity.strangers import AT_ONCE, EVERY_S, Origin, Strangers

HOME = Origin("192.0.2.7")
PROXIES = ("10.0.0.0/8", "192.168.1.1", "fd00::/8")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def strangers(clock: Clock) -> Strangers:
    return Strangers(clock=clock)


async def show(strangers: Strangers, origin: Origin = HOME, *, good: bool = False) -> bool:
    """Show a credential; False: nobody looked at it."""
    try:
        with await strangers.admit(origin) as trial:
            trial.proven = good
    except QuotaExceeded:
        return False
    return True


def shows(strangers: Strangers, count: int, origin: Origin = HOME, *, good: bool = False) -> int:
    """Show credentials one after the other; how many were looked at."""

    async def scene() -> int:
        return sum([await show(strangers, origin, good=good) for _ in range(count)])

    return asyncio.run(scene())


def test_twenty_failures_are_let_through_and_then_one_in_three_seconds(
    strangers: Strangers, clock: Clock
) -> None:
    assert shows(strangers, 100) == AT_ONCE == 20
    clock.now_s += EVERY_S - 0.01
    assert shows(strangers, 5) == 0
    clock.now_s += 0.02
    assert shows(strangers, 5) == 1
    clock.now_s += 1e6
    assert shows(strangers, 100) == 20


def test_what_was_good_never_counts(strangers: Strangers) -> None:
    assert shows(strangers, 1000, good=True) == 1000
    assert shows(strangers, 100) == 20


def test_an_address_that_is_refused_is_so_whatever_it_shows(strangers: Strangers) -> None:
    shows(strangers, 20)
    assert shows(strangers, 1, good=True) == 0


def test_a_refusal_says_when_to_come_again(strangers: Strangers, clock: Clock) -> None:
    shows(strangers, 20)
    clock.now_s += 1
    with pytest.raises(QuotaExceeded) as refused:
        asyncio.run(strangers.admit(HOME))
    assert (refused.value.status, refused.value.code) == (429, "too_many_failures")
    assert refused.value.retry_after_s == pytest.approx(2.0)
    clock.now_s += 1.9
    with pytest.raises(QuotaExceeded) as refused:
        asyncio.run(strangers.admit(HOME))
    assert refused.value.retry_after_s == 1.0
    clock.now_s += 0.11
    assert shows(strangers, 1) == 1


@pytest.mark.parametrize("error", [StoreDown("the key store does not answer"), RuntimeError("a defect")])
def test_only_where_nobody_could_tell_it_is_no_failure(strangers: Strangers, error: Exception) -> None:
    async def scene() -> None:
        for _ in range(20):
            trial = await strangers.admit(HOME)
            with pytest.raises(type(error)), trial:
                raise error

    asyncio.run(scene())
    assert shows(strangers, 1) == isinstance(error, StoreDown)


def test_addresses_are_judged_by_themselves_and_those_of_long_ago_are_forgotten(
    strangers: Strangers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Strangers, "REMEMBERED", 3)
    assert shows(strangers, 21) == 20
    assert [shows(strangers, 1, Origin(f"192.0.2.{n}")) for n in (1, 2)] == [1, 1]
    assert shows(strangers, 1) == 0
    assert [shows(strangers, 1, Origin(f"192.0.2.{n}")) for n in (3, 4, 5)] == [1, 1, 1]
    assert shows(strangers, 1) == 1


def test_a_new_configuration_forgets_no_failure(strangers: Strangers) -> None:
    shows(strangers, 20)
    revised = strangers.revised(PROXIES)
    assert shows(revised, 1) == 0
    assert shows(revised, 1, Origin("10.0.0.1", "192.0.2.7")) == 0


def test_of_whom_nobody_knows_the_address_nobody_is_refused(strangers: Strangers) -> None:
    assert shows(strangers, 100, Origin()) == 100


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Crowd:
    """Many who show something at once, and get to know what it was worth when the test says so."""

    def __init__(self, strangers: Strangers, worth: Sequence[bool]) -> None:
        self.asked = 0
        self.answer = asyncio.Event()
        self.tasks = [asyncio.create_task(self._show(strangers, good)) for good in worth]

    async def _show(self, strangers: Strangers, good: bool) -> bool:
        try:
            with await strangers.admit(HOME) as trial:
                self.asked += 1
                await self.answer.wait()
                trial.proven = good
        except QuotaExceeded:
            return False
        return True

    async def ends(self) -> list[bool]:
        """Answer all; who was looked at."""
        self.answer.set()
        return await asyncio.gather(*self.tasks)


def test_a_thousand_bad_ones_at_once_get_no_further_than_twenty(strangers: Strangers) -> None:
    async def scene() -> tuple[int, list[bool]]:
        crowd = Crowd(strangers, [False] * 1000)
        await settle()
        return crowd.asked, await crowd.ends()

    asked, ends = asyncio.run(scene())
    assert asked == 20
    assert ends == [True] * 20 + [False] * 980


def test_a_thousand_good_ones_at_once_all_get_through(strangers: Strangers) -> None:
    async def scene() -> tuple[int, list[bool]]:
        crowd = Crowd(strangers, [True] * 1000)
        await settle()
        return crowd.asked, await crowd.ends()

    asked, ends = asyncio.run(scene())
    assert asked == 20
    assert all(ends)


def test_who_leaves_while_it_waits_takes_no_place_with_it(strangers: Strangers) -> None:
    async def scene() -> list[bool]:
        crowd = Crowd(strangers, [True] * 40)
        await settle()
        for task in crowd.tasks[25:40]:
            task.cancel()
        await settle()
        crowd.tasks = crowd.tasks[:25]
        return await crowd.ends()

    assert asyncio.run(scene()) == [True] * 25
    assert shows(strangers, 100) == 20


def test_who_leaves_as_its_turn_comes_leaves_it_to_the_next(strangers: Strangers) -> None:
    async def scene() -> int:
        trials = [await strangers.admit(HOME) for _ in range(20)]
        waiting = [asyncio.create_task(strangers.admit(HOME)) for _ in range(2)]
        await settle()
        trials[0].end(failed=False)
        waiting[0].cancel()
        await settle()
        assert [task.done() and not task.cancelled() for task in waiting] == [False, True]
        for trial in (*trials[1:], waiting[1].result()):
            trial.end(failed=False)
        return sum([await show(strangers) for _ in range(100)])

    assert asyncio.run(scene()) == 20


def test_a_client_that_leaves_while_it_is_looked_at_has_failed(strangers: Strangers) -> None:
    async def scene() -> None:
        crowd = Crowd(strangers, [True] * 20)
        await settle()
        for task in crowd.tasks:
            task.cancel()
        await settle()

    asyncio.run(scene())
    assert shows(strangers, 1) == 0


@given(st.lists(st.sampled_from(["good", "bad", "cancel", "down", "wait"]), max_size=120))
def test_whatever_happens_no_more_fail_than_may_and_nobody_waits_for_ever(steps: list[str]) -> None:
    async def scene() -> None:
        clock = Clock()
        strangers = Strangers(clock=clock)
        tasks, ends, failed = list[asyncio.Task[None]](), list[asyncio.Future[bool]](), 0

        async def come() -> None:
            nonlocal failed
            with await strangers.admit(HOME) as trial:
                end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                ends.append(end)
                failed += 1
                trial.proven = await end
                failed -= trial.proven

        for step in steps:
            tasks.append(asyncio.create_task(come()))
            await asyncio.sleep(0)
            open_ = [end for end in ends if not end.done()]
            if step == "cancel":
                tasks[len(tasks) // 2].cancel()
            elif step == "wait":
                clock.now_s += EVERY_S
            elif step == "down" and open_:
                failed -= 1
                open_[0].set_exception(StoreDown("down"))
            elif open_:
                open_[0].set_result(step == "good")
            assert failed <= AT_ONCE + (clock.now_s - 1000) / EVERY_S
        while open_ := [end for end in ends if not end.done()]:
            for end in open_:
                end.set_result(False)
            await settle()
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        expected = (QuotaExceeded, StoreDown, asyncio.CancelledError)
        assert all(outcome is None or isinstance(outcome, expected) for outcome in outcomes)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "203.0.113.9, 198.51.100.1, 192.168.1.1,10.9.9.9", "198.51.100.1"),
        ("192.168.1.2", "198.51.100.1", "192.168.1.2"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.4, 10.0.0.5", "10.0.0.4"),
        ("10.1.2.3", "198.51.100.1, unknown", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1, ", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1:4711", "198.51.100.1"),
        ("10.1.2.3", "[2001:db8:1:2::9]:4711", "20010db800010002/64"),
        ("10.1.2.3", ", ".join(["198.51.100.1"] + ["10.0.0.1"] * 100), "10.0.0.1"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2::1", "", "20010db800010002/64"),
        ("2001:db8:1:2:ffff::1", "", "20010db800010002/64"),
        ("2001:db8:1:3::1", "", "20010db800010003/64"),
        ("fd00::1", "2001:db8::5", "20010db800000000/64"),
        ("fe80::1%eth0", "", "fe80000000000000/64"),
        ("", "198.51.100.1", ""),
        ("nonsense", "198.51.100.1", ""),
    ],
)
def test_the_address_is_the_last_one_that_is_no_proxy_of_ours(
    peer: str, forwarded: str, address: str
) -> None:
    assert Strangers(PROXIES).address_of(Origin(peer, forwarded)) == address


@given(st.text(max_size=100), st.text(max_size=100))
def test_whatever_the_header_holds_there_is_an_address(peer: str, forwarded: str) -> None:
    strangers = Strangers(PROXIES)
    assert strangers.address_of(Origin("10.0.0.1", forwarded))
    assert isinstance(strangers.address_of(Origin(peer, forwarded)), str)

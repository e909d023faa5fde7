"""The arithmetic of the four meters, on round numbers."""

from __future__ import annotations

import pytest

from gateway.quotas.counting import Ask, Counter, Meter, MeterKind, Told
from gateway.quotas.meters import LATE_MS, NEVER_MS, Tally, take, tally_of

START_MS = 1_790_000_000_000
WINDOW = Meter("window", 100, 60_000, steps=6)
BUCKET = Meter("bucket", 100, 1000)
PERIOD = Meter("period", 100)
SEATS = Meter("seats", 100)
ALL = [WINDOW, BUCKET, PERIOD, SEATS]
every_meter = pytest.mark.parametrize("meter", ALL, ids=lambda meter: meter.kind)


class Scene:
    """One counter, and a time that goes on; `ms` counts from a time at which a slot of any window begins."""

    def __init__(self, meter: Meter, ends_in_ms: int = 60_000) -> None:
        self.counter = Counter("some", meter, START_MS + ends_in_ms)
        self.limit = meter.limit
        self.tally: Tally = tally_of(self.counter, START_MS)
        self.at(0)

    def at(self, ms: int) -> Scene:
        self.tally.move(START_MS + ms, self.limit)
        return self

    def take(self, need: int = 0, wish: int = 0, *, over: bool = False) -> Told:
        return take([(Ask(self.counter, need, wish, over=over), self.tally)]).told[0]

    @property
    def taken(self) -> int:
        return self.tally.taken


@every_meter
def test_the_limit_can_be_taken_and_not_one_more(meter: Meter) -> None:
    scene = Scene(meter)
    assert scene.take(99).granted == 99
    refused = scene.take(2)
    assert (refused.granted, refused.taken, refused.limit) == (0, 99, 100)
    assert refused.frees_ms > 0
    assert scene.take(1).taken == 100


@every_meter
def test_what_is_given_back_at_once_is_free_again(meter: Meter) -> None:
    scene = Scene(meter)
    told = scene.take(100)
    scene.tally.give_back(told.slot, 40)
    assert scene.taken == 60
    assert scene.take(40).granted == 40


@every_meter
def test_nothing_is_ever_taken_less_than_nothing(meter: Meter) -> None:
    scene = Scene(meter)
    told = scene.take(10)
    scene.tally.give_back(told.slot, 40)
    assert scene.taken == 0


@every_meter
def test_what_was_used_beyond_is_charged_beyond_the_limit(meter: Meter) -> None:
    scene = Scene(meter)
    told = scene.take(100)
    scene.tally.give_back(told.slot, -30)
    assert scene.taken == 130
    assert scene.take(1).granted == 0


@every_meter
def test_what_only_measures_is_taken_beyond_the_limit(meter: Meter) -> None:
    scene = Scene(meter)
    scene.take(90)
    told = scene.take(20, over=True)
    assert (told.granted, told.taken) == (20, 110)
    assert told.frees_ms > 0


@every_meter
def test_who_needs_nothing_is_never_refused(meter: Meter) -> None:
    scene = Scene(meter)
    scene.take(200, over=True)
    told = scene.take(0)
    assert (told.granted, told.taken, told.frees_ms) == (0, 200, 0)


@every_meter
def test_more_than_the_limit_never_has_room(meter: Meter) -> None:
    assert Scene(meter).take(101).frees_ms == NEVER_MS


@every_meter
def test_nothing_taken_is_whole_at_once(meter: Meter) -> None:
    assert Scene(meter).take(0).whole_ms == 0


@pytest.mark.parametrize(("kind", "share"), [("window", 32), ("period", 128), ("seats", 32)])
def test_a_small_part_of_what_is_left_may_be_had_in_advance(kind: MeterKind, share: int) -> None:
    scene = Scene(Meter(kind, 3300, 60_000))
    assert scene.take(100, wish=1000).granted == 100 + 3200 // share
    assert scene.take(100, wish=5).granted == 100 + 5
    assert scene.take(2980, wish=1000).granted == 2980


def test_a_bucket_lends_nothing() -> None:
    told = Scene(Meter("bucket", 3300, 60_000)).take(100, wish=1000)
    assert (told.granted, told.valid_ms) == (100, 0)


def test_a_window_slides_slot_by_slot() -> None:
    scene = Scene(WINDOW)
    first = scene.take(30)
    assert (first.valid_ms, first.whole_ms) == (10_000, 70_000)
    scene.at(25_000).take(50)
    # The first slot is half out at 65 s, and still counts.
    assert scene.at(65_000).taken == 80
    assert scene.at(69_999).taken == 80
    assert scene.at(70_000).taken == 50
    assert scene.at(89_999).taken == 50
    assert scene.at(90_000).taken == 0


def test_a_window_is_free_when_enough_of_its_oldest_slots_are_out() -> None:
    scene = Scene(WINDOW)
    scene.take(30)
    scene.at(25_000).take(50)
    scene.at(30_000).take(20)
    assert scene.take(30).frees_ms == 40_000
    assert scene.take(31).frees_ms == 60_000
    assert scene.take(81).frees_ms == scene.take(0).whole_ms == 70_000


def test_a_window_takes_back_only_into_the_slot_it_came_from() -> None:
    scene = Scene(WINDOW)
    old = scene.take(30)
    young = scene.at(25_000).take(50)
    scene.tally.give_back(old.slot, 40)
    assert scene.taken == 50
    scene.at(70_000).tally.give_back(old.slot, 20)
    scene.tally.give_back(old.slot, -20)
    scene.tally.give_back(young.slot + 100, 20)
    assert scene.taken == 50
    scene.tally.give_back(young.slot, 20)
    assert scene.taken == 30


def test_more_used_of_an_older_slot_leaves_with_it() -> None:
    scene = Scene(WINDOW)
    old = scene.take(30)
    scene.at(25_000).take(10)
    scene.tally.give_back(old.slot, -20)
    assert scene.taken == 60
    assert scene.at(70_000).taken == 10


def test_a_window_that_cannot_be_divided_evenly_counts_rather_too_long() -> None:
    scene = Scene(Meter("window", 100, 1000, steps=60))  # in steps of 17 ms
    start_ms = -START_MS % 17
    scene.at(start_ms + 16).take(100)
    assert scene.at(start_ms + 1016).taken == 100
    assert scene.at(start_ms + 1017).taken == 0


def test_a_window_of_few_milliseconds_has_steps_of_one() -> None:
    scene = Scene(Meter("window", 100, 10, steps=60))
    scene.take(100)
    assert scene.at(10).taken == 100
    assert scene.at(11).taken == 0


def test_a_window_that_nobody_looked_at_for_long_is_empty() -> None:
    scene = Scene(WINDOW)
    scene.take(100)
    assert scene.at(10**9).taken == 0
    assert scene.take(100).granted == 100


def test_a_bucket_flows_back_without_losing_a_part_of_one() -> None:
    scene = Scene(Meter("bucket", 7, 1000))
    scene.take(7)
    assert [scene.at(ms).taken for ms in (1, 142, 143, 285, 286)] == [7, 7, 6, 6, 5]
    scene = Scene(Meter("bucket", 7, 1000))
    scene.take(7)
    for ms in range(1, 1000):
        scene.at(ms)
    assert scene.taken == 1
    assert scene.at(1000).taken == 0


def test_a_bucket_says_to_the_millisecond_when_it_has_room() -> None:
    scene = Scene(Meter("bucket", 7, 1000))
    assert scene.take(7).whole_ms == 1000
    refused = scene.take(1)
    assert refused.frees_ms == 143
    assert scene.at(142).take(1).granted == 0
    assert scene.at(143).take(1).granted == 1


def test_a_bucket_never_holds_more_than_its_limit() -> None:
    scene = Scene(BUCKET)
    scene.take(10)
    assert scene.at(5000).take(101).granted == 0
    assert scene.take(100).granted == 100


def test_what_has_flowed_back_into_a_bucket_is_not_given_back_again() -> None:
    scene = Scene(BUCKET)
    old = scene.take(100)
    scene.at(400).tally.give_back(old.slot, 100)
    assert scene.taken == 0
    scene.take(100)
    scene.tally.give_back(old.slot, 100)
    assert scene.taken == 100


def test_what_was_owed_to_a_bucket_first_is_worked_off_first() -> None:
    scene = Scene(BUCKET)
    scene.take(50)
    young = scene.take(40)
    assert scene.at(500).taken == 40
    scene.tally.give_back(young.slot, 40)
    assert scene.taken == 0


def test_a_bucket_takes_back_what_others_have_not_taken_since() -> None:
    scene = Scene(BUCKET)
    old = scene.take(60)
    scene.at(300).take(40)
    # Of the 60, 30 have flowed back.
    scene.tally.give_back(old.slot, 60)
    assert scene.taken == 40


def test_a_forgotten_bucket_takes_nothing_back() -> None:
    scene = Scene(BUCKET)
    old = scene.take(10)
    scene.tally = tally_of(scene.counter, START_MS + 1000)
    scene.at(1000).take(50)
    scene.tally.give_back(old.slot, 10)
    assert scene.taken == 50


def test_a_bucket_whose_limit_is_nothing_is_never_whole() -> None:
    scene = Scene(BUCKET)
    scene.take(50)
    scene.limit = 0
    scene.at(10**6)
    assert scene.take(0).whole_ms == NEVER_MS
    assert scene.take(1).frees_ms == NEVER_MS


def test_a_period_holds_until_its_end_and_a_little_longer() -> None:
    scene = Scene(PERIOD)
    told = scene.take(60)
    assert told.valid_ms == told.whole_ms == scene.take(50).frees_ms == 60_000
    assert scene.at(60_000 + LATE_MS - 1).taken == 60
    assert scene.at(60_000 + LATE_MS).taken == 0


def test_another_limit_counts_what_was_taken_before() -> None:
    scene = Scene(BUCKET)
    scene.take(90)
    scene.limit = 80
    refused = scene.at(0).take(1)
    assert (refused.granted, refused.taken, refused.limit) == (0, 90, 80)
    scene.limit = 200
    assert scene.at(0).take(110).granted == 110


def pairs(*asked: tuple[Scene, Ask]) -> list[tuple[Ask, Tally]]:
    return [(ask, scene.tally) for scene, ask in asked]


def test_a_refusal_takes_nothing_of_any_but_of_what_only_measures() -> None:
    full, free, measured = Scene(WINDOW), Scene(BUCKET), Scene(PERIOD)
    full.take(100)
    verdict = take(
        pairs(
            (free, Ask(free.counter, 10, 100)),
            (full, Ask(full.counter, 1)),
            (measured, Ask(measured.counter, 10, 100, over=True)),
        )
    )
    assert not verdict.granted
    assert [told.granted for told in verdict.told] == [0, 0, 10]
    assert [told.frees_ms for told in verdict.told] == [0, 70_000, 0]
    assert [free.taken, full.taken, measured.taken] == [0, 100, 10]


def test_two_asks_for_one_counter_count_together() -> None:
    scene = Scene(WINDOW)
    ask = Ask(scene.counter, 60)
    assert not take(pairs((scene, ask), (scene, ask))).granted
    assert scene.taken == 0
    assert take(pairs((scene, Ask(scene.counter, 1, 50)), (scene, Ask(scene.counter, 99)))).granted
    assert scene.taken == 100

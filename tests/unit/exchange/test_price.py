"""What a model costs: kinds that do not overlap, lengths, classes of service, to the femto-dollar."""

from __future__ import annotations

import timeit
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Cost, Price, Rates, Schedule, Usage
from gateway.exchange.price import ANY_TIER, KIND_OF

RATES = Rates(
    input=1_000,
    output=10_000,
    cached=100,
    cache_write=1_250,
    cache_write_1h=2_000,
    reasoning=20_000,
    audio_input=3_000,
    audio_output=30_000,
    image_input=5_000,
    image_output=50_000,
    cached_audio=300,
    cached_image=500,
    search=7_000_000,
    character=11,
    audio_hour=3_600_000,
)
PRICE = Price.flat("v", RATES)
tokens = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), Cost()),
        (Usage(10, 3), Cost(input=10_000, output=30_000)),
        (Usage(10, 3, cached_tokens=4), Cost(input=6_000, cached=400, output=30_000)),
        (Usage(10, 0, 4, 5, 2), Cost(input=1_000, cached=400, cache_write=3 * 1_250 + 2 * 2_000)),
        (Usage(0, 3, reasoning_tokens=2), Cost(output=10_000, reasoning=40_000)),
        (Usage(10, 0, audio_input_tokens=4), Cost(input=6_000, audio_input=12_000)),
        (Usage(10, 0, image_input_tokens=4), Cost(input=6_000, image_input=20_000)),
        (Usage(0, 9, audio_output_tokens=4), Cost(output=50_000, audio_output=120_000)),
        (Usage(0, 9, image_output_tokens=9), Cost(image_output=450_000)),
        (
            Usage(0, 9, reasoning_tokens=2, audio_output_tokens=3),
            Cost(output=40_000, reasoning=40_000, audio_output=90_000),
        ),
        (Usage(searches=2), Cost(other=14_000_000)),
        (Usage(characters=3), Cost(other=33)),
        (Usage(audio_s=2.5), Cost(other=2_500)),
    ],
)
def test_each_kind_costs_what_is_its_own(usage: Usage, cost: Cost) -> None:
    assert PRICE.cost(usage) == cost


@pytest.mark.parametrize(
    ("cached", "cost"),
    [
        (6, Cost(cached=600, audio_input=9_000, image_input=5_000)),
        (7, Cost(cached=600 + 300, audio_input=6_000, image_input=5_000)),
        (10, Cost(cached=600 + 3 * 300 + 500)),
    ],
)
def test_what_was_cached_is_text_first_then_sound_then_images(cached: int, cost: Cost) -> None:
    usage = Usage(10, 0, cached, audio_input_tokens=3, image_input_tokens=1)
    assert PRICE.cost(usage) == cost


def test_hosts_that_count_more_of_a_kind_than_of_all_cost_nothing_below_zero() -> None:
    beyond = Usage(1, 1, 5, 3, 9, 9, 9, 9, 9, 9)
    assert min(PRICE.cost(beyond)) == 0
    assert PRICE.cost(beyond).cached == 4 * RATES.cached + RATES.cached_audio
    assert PRICE.cost(beyond).cache_write == 3 * RATES.cache_write_1h
    text = Usage(1, 1, 5, 3, 9, 9)
    assert PRICE.cost(text) == Cost(0, 500, 6_000, reasoning=20_000)


@given(st.builds(Usage, tokens, tokens, *[st.integers(0, 10**6)] * 8))
def test_without_kinds_of_their_own_all_tokens_cost_what_input_and_output_do(usage: Usage) -> None:
    price = Price.flat("v", Rates.plain(7, 11))
    plain = usage.input_tokens * 7 + usage.output_tokens * 11
    cached = usage.cached_tokens + usage.cache_write_tokens
    if cached <= usage.input_tokens:
        assert sum(price.cost(usage)) == plain
    else:
        assert sum(price.cost(usage)) == plain + 7 * (cached - usage.input_tokens)


@given(tokens, tokens, st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_saved_is_what_it_would_have_cost_without_a_cache(
    fresh: int, output: int, cached: int, written: int, image: bool
) -> None:
    usage = Usage(fresh + cached + written, output, cached, written, written // 2, image_input_tokens=image)
    without = msgspec.structs.replace(usage, cached_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0)
    assert PRICE.saved(usage) == sum(PRICE.cost(without)) - sum(PRICE.cost(usage))


def test_a_request_costs_once_where_something_was_used() -> None:
    price = Price.flat("v", msgspec.structs.replace(RATES, request=5))
    assert price.cost(Usage()).other == 0
    assert [price.cost(usage).other for usage in (Usage(1), Usage(0, 1))] == [5, 5]
    assert price.cost(Usage(searches=1)).other == 5 + RATES.search
    assert price.plainly(0, 1_000_000) == price.at_most(0, 0) + 10_000 == 10_001


@pytest.mark.parametrize(("ms", "cost"), [(1, 1), (499, 499), (3_600_000, 3_600_000)])
def test_sound_is_billed_to_the_millisecond(ms: int, cost: int) -> None:
    assert PRICE.cost(Usage(audio_s=ms / 1000)).other == cost


def test_sound_is_rounded_once_to_the_nearest_and_of_two_to_the_even() -> None:
    half = Price.flat("v", Rates.of({"audio_hour": 1_800_000}))
    assert [half.cost(Usage(audio_s=ms / 1000)).other for ms in (1, 2, 3, 5, 7)] == [0, 1, 2, 2, 4]


def test_the_length_of_the_prompt_decides_for_all_of_its_tokens() -> None:
    longer = Rates.plain(2_000, 3_000)
    price = Price("v", Schedule(Rates.plain(1_000, 2_000), ((100, longer), (200, Rates.plain(4_000, 5_000)))))
    costs = [sum(price.cost(Usage(length, 1))) for length in (100, 101, 200, 201)]
    assert costs == [102_000, 205_000, 403_000, 809_000]


def test_the_class_of_service_decides_and_an_unknown_one_is_the_standard() -> None:
    half = Schedule(Rates.plain(1, 1), ((10, Rates.plain(2, 2)),))
    price = Price("v", Schedule(Rates.plain(2, 2)), {"batch": half})
    tiers = ("", "batch", "priority")
    assert [sum(price.cost(Usage(5, 0, tier=tier))) for tier in tiers] == [10, 5, 10]
    assert sum(price.cost(Usage(11, 0, tier="batch"))) == 22


def test_the_most_is_over_all_kinds_of_text_in_the_class_that_is_asked_for() -> None:
    dear = Schedule(Rates.plain(2_000_000, 2_000_000, written=3_000_000))
    price = Price("v", Schedule(Rates.plain(1_000_000, 1_000_000)), {"priority": dear})
    assert price.at_most(10, 1, ANY_TIER) == price.at_most(10, 1, "priority") == 32
    assert price.at_most(10, 1) == price.at_most(10, 1, "flex") == price.plainly(10, 1) == 11


def test_nano_dollars_are_rounded_up() -> None:
    assert Cost(1).nanousd == 1
    assert Cost(1_000_000).nanousd == 1
    assert Price.flat("v", Rates.plain(1, 0)).of(Usage(1_000_001)) == 2


def test_what_is_not_known_of_a_kind_is_that_of_the_wider_one() -> None:
    rates = Rates.of({"input": 1, "output": 2, "cached": 3, "cache_write": 4})
    told = msgspec.structs.asdict(rates)
    assert {name: told[name] for name in KIND_OF} == {
        **dict.fromkeys(("input", "audio_input", "image_input"), 1),
        **dict.fromkeys(("output", "reasoning", "audio_output", "image_output"), 2),
        **dict.fromkeys(("cached", "cached_audio", "cached_image"), 3),
        **dict.fromkeys(("cache_write", "cache_write_1h"), 4),
    }
    assert (rates.search, rates.character, rates.audio_hour, rates.request) == (0, 0, 0, 0)


@given(tokens, tokens, st.decimals(0, 1000, places=9), st.decimals(0, 1000, places=9))
def test_a_price_to_the_billionth_is_exact(
    read: int, written: int, per_in: Decimal, per_out: Decimal
) -> None:
    price = Price.flat("v", Rates.plain(int(per_in * 10**9), int(per_out * 10**9)))
    exact = (read * per_in + written * per_out) * 10**9
    assert sum(price.cost(Usage(read, written))) == exact


def test_the_cost_of_text_takes_less_than_what_was_promised() -> None:
    usage = Usage(1000, 100, 400)
    best_s = min(timeit.repeat(lambda: PRICE.cost(usage), number=2000, repeat=20)) / 2000
    assert best_s < 15e-6, f"{best_s * 1e6:.2f} us"  # 0.8 us; ten times that is a change of its nature

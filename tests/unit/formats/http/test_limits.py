"""Headers of limits: the names and the notations that SDKs read, and which limit is told of several."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Format
from gateway.formats.http.limits import Left, duration, limit_headers

NOW_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z
MINUTE = Left("requests", 60, 59, 1000)


def told(*limits: Left, format_: Format = "chat") -> dict[str, str]:
    lines = limit_headers(limits, format_, NOW_MS)
    found = {name.decode(): value.decode() for name, value in lines}
    assert len(found) == len(lines)
    return found


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (12, "12ms"),
        (999, "999ms"),
        (1000, "1s"),
        (55_492, "55.492s"),
        (59_990, "59.99s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (86_391_360, "23h59m51.36s"),
        (3_600_000, "1h0m0s"),
        (30 * 86_400_000, "720h0m0s"),
    ],
)
def test_durations_are_written_as_openai_does(ms: int, text: str) -> None:
    assert duration(ms) == text


@given(st.integers(0, 10**11))
def test_a_duration_says_exactly_how_long(ms: int) -> None:
    units = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
    parts = re.findall(r"([\d.]+)(ms|[hms])", duration(ms))
    assert "".join(map("".join, parts)) == duration(ms)
    assert sum(Fraction(number) * units[unit] for number, unit in parts) == ms


@pytest.mark.parametrize("format_", ["chat", "responses", "embeddings", "gemini"])
def test_openais_names(format_: Format) -> None:
    assert told(MINUTE, Left("tokens", 10_000, 9_000, 6_000), format_=format_) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "10000",
        "x-ratelimit-remaining-tokens": "9000",
        "x-ratelimit-reset-tokens": "6s",
    }


@pytest.mark.parametrize("format_", ["messages", "count_tokens"])
def test_anthropics_names(format_: Format) -> None:
    limits = [MINUTE, Left("input_tokens", 100, 40, 500), Left("output_tokens", 200, 100, 60_001)]
    assert told(*limits, format_=format_) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:21Z",
        "anthropic-ratelimit-tokens-limit": "100",
        "anthropic-ratelimit-tokens-remaining": "40",
        "anthropic-ratelimit-tokens-reset": "2026-09-21T14:13:21Z",
        "anthropic-ratelimit-input-tokens-limit": "100",
        "anthropic-ratelimit-input-tokens-remaining": "40",
        "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:13:21Z",
        "anthropic-ratelimit-output-tokens-limit": "200",
        "anthropic-ratelimit-output-tokens-remaining": "100",
        "anthropic-ratelimit-output-tokens-reset": "2026-09-21T14:14:21Z",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Left("requests", 1000, 10, 5), Left("requests", 60, 59, 5)),  # 1 % of it against 98 %
        (Left("requests", 0, 0, 5), Left("requests", 60, 1, 5)),
        (Left("requests", 60, -3, 5), Left("requests", 60, 0, 5)),
        (Left("requests", 60, 60, 0), Left("requests", 1000, 1000, 0)),
        (Left("requests", 1000, 0, 3_600_000), Left("requests", 60, 0, 1000)),
    ],
    ids=["by its part", "of zero", "beyond it", "both untouched", "both used up"],
)
def test_of_several_limits_the_tightest_is_told(one: Left, other: Left) -> None:
    assert told(one, other) == told(other, one) == told(one)


def test_nothing_left_is_never_less_than_nothing() -> None:
    assert told(Left("requests", 60, -3, 5))["x-ratelimit-remaining-requests"] == "0"


def test_an_openai_client_hears_of_input_and_output_as_tokens() -> None:
    limits = Left("tokens", 1000, 900, 1), Left("output_tokens", 50, 5, 2)
    assert told(*limits)["x-ratelimit-limit-tokens"] == "50"
    assert told(*limits, format_="messages")["anthropic-ratelimit-tokens-limit"] == "50"


@pytest.mark.parametrize("format_", ["chat", "messages"])
def test_money_and_calls_at_the_same_time_have_no_headers(format_: Format) -> None:
    assert told(Left("nanousd", 10, 1, 1), Left("calls", 4, 3, 0), format_=format_) == {}

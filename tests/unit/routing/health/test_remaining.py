"""What headers say of the remaining rate, as each provider says it."""

from __future__ import annotations

import pytest

from gateway.exchange import Headers
from gateway.routing.health.remaining import Told, told_by

DATE = (b"date", b"Sat, 21 Nov 2026 12:00:00 GMT")


def spent_for(headers: Headers) -> float | None:
    told = told_by(headers)
    return None if told is None else told.spent_s


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (b"1s", 1.0),
        (b"6m0s", 60.0),
        (b"120ms", 0.12),
        (b"7.66s", 7.66),
        (b"0m12.5s", 12.5),
        (b"1h2m3s", 60.0),
        (b"1d", 60.0),
        (b"55", 55.0),
        (b"11.38", 11.38),
        (b"0", 0.0),
        (b"0s", 0.0),
        (b"1795262412", 12.0),
        (b"1795262412500", 12.5),
        (b"2026-11-21T12:00:09Z", 9.0),
        (b"2026-11-21T13:00:09+01:00", 9.0),
        (b"2026-11-21T11:00:00Z", 0.0),
        (b"Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        (b"soon", 1.0),
        (b"", 1.0),
        (b"-5", 1.0),
        (b"nan", 1.0),
        (b"inf", 1.0),
        (b"9" * 400, 1.0),
        (b"9999999999999999999999", 60.0),
        (b"\xff\xfe", 1.0),
    ],
)
def test_a_reset_is_read_however_it_is_written(reset: bytes, seconds: float) -> None:
    headers = [DATE, (b"x-ratelimit-remaining-tokens", b"0"), (b"x-ratelimit-reset-tokens", reset)]
    assert spent_for(headers) == pytest.approx(seconds)


def test_a_time_of_day_without_a_date_is_as_if_nobody_had_said() -> None:
    reset = (b"anthropic-ratelimit-requests-reset", b"2026-11-21T12:00:09Z")
    assert spent_for([(b"anthropic-ratelimit-requests-remaining", b"0"), reset]) == 1.0


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [
        (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
        (b"X-RateLimit-Remaining-Tokens", b"X-RateLimit-Reset-Tokens"),
        (b"X-RATELIMIT-REMAINING", b"X-RATELIMIT-RESET"),
        (b"x-ratelimit-remaining-tokens-minute", b"x-ratelimit-reset-tokens-minute"),
        (b"x-ratelimit-remaining-requests-day", b"x-ratelimit-reset-requests-day"),
        (b"anthropic-ratelimit-output-tokens-remaining", b"anthropic-ratelimit-output-tokens-reset"),
    ],
)
def test_every_spelling_is_known(remaining: bytes, reset: bytes) -> None:
    assert told_by([DATE, (remaining, b"0"), (reset, b"12")]) == Told(12.0, 0.0)
    assert told_by([DATE, (remaining, b"3"), (reset, b"12")]) == Told(0.0, 0.0)


def test_mistral_tells_no_reset() -> None:
    assert spent_for([(b"x-ratelimit-remaining-req-minute", b"0")]) == 1.0


def test_a_remainder_that_is_not_known_is_none_of_nothing() -> None:
    headers = [(b"x-ratelimit-remaining-tokens", b"-1"), (b"x-ratelimit-reset-tokens", b"0")]
    assert spent_for(headers) == 0.0


def test_of_several_limits_the_one_that_lasts_longest_counts() -> None:
    headers = [
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", b"2s"),
        (b"x-ratelimit-remaining-tokens", b"0"),
        (b"x-ratelimit-reset-tokens", b"30s"),
        (b"x-ratelimit-remaining", b"5"),
    ]
    assert spent_for(headers) == 30.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"Retry-After", b"7"), (b"retry-after-ms", b"6500")], 6.5),
        ([DATE, (b"retry-after", b"Sat, 21 Nov 2026 12:00:30 GMT")], 30.0),
    ],
)
def test_retry_after_is_a_rest(headers: Headers, seconds: float) -> None:
    assert told_by(headers) == Told(None, seconds)


def test_answers_that_tell_nothing_tell_nothing() -> None:
    assert told_by([]) is None
    assert told_by([(b"retry-after", b"later")]) is None
    same_lengths = [(b"x" * len(name), b"0") for name in (b"retry-after", b"x-ratelimit-remaining-tokens")]
    assert told_by([DATE, (b"content-length", b"0"), *same_lengths]) is None

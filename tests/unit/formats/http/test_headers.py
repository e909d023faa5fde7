"""Which header lines pass, and how long an upstream asks to wait."""

from __future__ import annotations

import pytest

from gateway.formats.http.headers import relayed_headers, retry_after_s


def test_only_named_lines_pass_in_lower_case() -> None:
    upstream = [
        (b"Content-Type", b"text/event-stream"),
        (b"X-Request-ID", b"req_1"),
        (b"Retry-After", b"3"),
        (b"X-Should-Retry", b"false"),
        (b"Set-Cookie", b"session=1"),
        (b"Server", b"cloudflare"),
        (b"openai-organization", b"our-org"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"12"),
        (b"Connection", b"close"),
        (b"x-forebay-call-id", b"forged"),
    ]
    assert relayed_headers(upstream, [(b"x-forebay-call-id", b"call_1")]) == [
        (b"content-type", b"text/event-stream"),
        (b"x-request-id", b"req_1"),
        (b"retry-after", b"3"),
        (b"x-should-retry", b"false"),
        (b"x-forebay-call-id", b"call_1"),
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"X-RateLimit-Remaining-Requests", b"x-upstream-ratelimit-remaining-requests"),
        (b"anthropic-ratelimit-tokens-limit", b"x-upstream-anthropic-ratelimit-tokens-limit"),
        (b"RateLimit-Reset", b"x-upstream-ratelimit-reset"),
    ],
)
def test_an_upstreams_limits_are_told_apart_from_the_gateways(name: bytes, shown: bytes) -> None:
    assert relayed_headers([(name, b"7")], []) == [(shown, b"7")]


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], None),
        ([(b"Retry-After", b"7")], 7.0),
        ([(b"retry-after", b"0")], 0.0),
        ([(b"retry-after", b" 1.5 ")], 1.5),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"1")], 0.25),
        ([(b"retry-after-ms", b"soon"), (b"retry-after", b"1")], 1.0),
        ([(b"retry-after", b"Fri, 31 Dec 2027 23:59:59 GMT")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"1e300")], None),
        ([(b"retry-after", b"")], None),
    ],
)
def test_a_wait_is_read_in_seconds(lines: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after_s(lines) == seconds

"""Faults that are an HTTP status: what providers say when they cannot, or will not."""

from __future__ import annotations

import time
from email.utils import formatdate

from rig import chat
from rig.faults.fault import Answered, Falls, Fault, Final, Told, both
from rig.faults.wire import HTML, TEXT, WORDS, well
from rig.gateway import SECRETS
from rig.script import Answer, Header, plain
from rig.upstream import Seen

_LIMITED = "upstream_rate_limited"


def _refused(status: int, own: str, words: str, *headers: Header) -> Answer:
    return plain(chat.error(words, "the_type", own), status, headers=headers)


def _status(name: str, status: int, code: str, own: str, words: str, *headers: Header) -> Fault:
    told = Told(status, code, own, words, headers)
    return both(name, _refused(status, own, words, *headers), Falls(told))


def _one_is_refused(seen: Seen, _: int) -> Answer:
    """The first of two credentials was withdrawn."""
    if seen.headers["authorization"].endswith(SECRETS["RIG_KEY_1"]):
        return _refused(401, "invalid_api_key", "this key was withdrawn")
    return well(WORDS, streamed=bool(seen.json().get("stream")))


_IN_A_WHILE: Header = ("retry-after", formatdate(time.time() + 60, usegmt=True))

FAULTS = [
    _status("429_in_seconds", 429, _LIMITED, "rate_limit_exceeded", "slow down", ("retry-after", "7")),
    _status("429_until_a_date", 429, _LIMITED, "rate_limit_exceeded", "slow down", _IN_A_WHILE),
    _status("429_in_ms", 429, _LIMITED, "rate_limit_exceeded", "slow down", ("retry-after-ms", "7000")),
    _status("429_for_no_time", 429, _LIMITED, "rate_limit_exceeded", "slow down"),
    _status("429_quota", 429, "upstream_quota_spent", "insufficient_quota", "check your plan and billing"),
    _status("402_payment", 402, "upstream_quota_spent", "pay_first", "the account is empty"),
    _status("500_json", 500, "upstream_failed", "engine_exploded", "an internal fault"),
    both("500_empty", plain(b"", 500), Falls(Told(500, "upstream_failed"))),
    both("502_html", plain(HTML, 502, content_type="text/html"), Falls(Told(502, "upstream_failed"))),
    _status("503", 503, "upstream_overloaded", "no_capacity", "no replica is ready", ("retry-after", "3")),
    _status("504", 504, "upstream_timeout", "gateway_timeout", "the engine took too long"),
    _status("529", 529, "upstream_overloaded", "too_busy", "too many calls"),
    _status("408", 408, "upstream_timeout", "request_timeout", "the request took too long"),
    both("401_on_one_of_two_keys", _one_is_refused, Answered(TEXT), backend="two_keys", own_backend=True),
    both(
        "401_on_every_key",
        _refused(401, "invalid_api_key", "no such key"),
        Falls(Told(401, "upstream_refused_credential", "invalid_api_key", "no such key")),
        backend="one_key",
        own_backend=True,
    ),
    both(
        "403",
        _refused(403, "no_access", "this project has no access"),
        Falls(Told(403, "upstream_refused_credential", "no_access", "this project has no access")),
        backend="one_key",
        own_backend=True,
    ),
    _status("404_unknown_model", 404, "upstream_unknown_model", "model_not_found", "there is no such model"),
    both(
        "400_context_length",
        _refused(400, "context_length_exceeded", "too many tokens for the window"),
        Falls(Told(400, "context_length_exceeded", words="too many tokens for the window"), to="large"),
    ),
    both(
        "400_content_filter",
        _refused(400, "content_filter", "the prompt was filtered"),
        Falls(Told(400, "content_filter", words="the prompt was filtered"), to="lenient"),
    ),
    both(
        "400_plain",
        _refused(400, "bad_temperature", "temperature must be less than 2"),
        Final(Told(400, "upstream_rejected", "bad_temperature", "temperature must be less than 2")),
    ),
    both(
        "422",
        _refused(422, "bad_seed", "seed must be a number"),
        Final(Told(422, "upstream_rejected", "bad_seed", "seed must be a number")),
    ),
]

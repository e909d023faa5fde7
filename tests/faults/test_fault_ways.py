"""Faults under what else a route may declare: retries, deadlines, hedges, streams held or gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from rig import chat
from rig.faults import answers, refusals, streams
from rig.faults.fault import (
    DEADLINE_MS,
    FIRST_TOKEN_MS,
    Answered,
    Breaks,
    Case,
    Falls,
    Fault,
    Final,
    Told,
    both,
)
from rig.faults.hearing import DIALECTS, Heard
from rig.faults.place import FALLBACKS, LIMITS, SHORT, Place, model_of, running_place
from rig.faults.verdicts import check, check_wait
from rig.faults.wire import BEGUN, BEGUN_TEXT, SPARE_TEXT, SSE_TYPE, STREAM, TEXT, WORDS, stream, well
from rig.gateway import PATIENT
from rig.script import Answer, Cut, Gate, Pause, Step, plain, sse
from rig.upstream import Seen

SOON_MS = 50
SOON = Told(429, "upstream_rate_limited", "rate_limit_exceeded", "slow down")
EXPLODED = Told(500, "upstream_failed", "engine_exploded", "an internal fault")
BROKEN = Told(502, "stream_broken")


def answered(seen: Seen) -> Answer:
    return well(WORDS, streamed=bool(seen.json().get("stream")))


def flap(seen: Seen, turn: int) -> Answer:
    failing = plain(chat.error("an internal fault", "the_type", "engine_exploded"), 500)
    return answered(seen) if turn % 2 else failing


def rest_a_little(seen: Seen, turn: int) -> Answer:
    body = chat.error("slow down", "the_type", "rate_limit_exceeded")
    refusal = plain(body, 429, headers=[("retry-after-ms", str(SOON_MS))])
    return answered(seen) if turn else refusal


FLAPS = both("flaps", flap, Falls(EXPLODED))
RESTS = both("rests_a_little", rest_a_little, Falls(SOON))
EXPLODES = sse(chat.error("the engine exploded", "server_error", "engine_exploded"), done=False)
WAITING: list[Gate] = []
"""Of those that start late."""


def start_late(*_: object) -> Answer:
    WAITING.append(gate := Gate())
    return stream(gate, Pause(0.1), STREAM)


def explode_before_them(*_: object) -> Answer:
    """An error that comes first, however busy the machine is: only then those that start late may."""

    def steps() -> Iterator[Step]:
        yield from EXPLODES
        for gate in WAITING:
            gate.open()

    return Answer(200, SSE_TYPE, steps(), "chunked")


STARTS_LATE = Fault("starts_late", None, Case(start_late, Answered(TEXT)))
EXPLODES_FIRST = Fault("explodes_first", None, Case(explode_before_them, Falls(EXPLODED)))
REFUSES_PREFILL = both(
    "refuses_prefill",
    plain(chat.error("the last message must be the user's", "invalid_request_error", "no_prefill"), 400),
    Final(Told(400, "upstream_rejected", "no_prefill")),
)
_UNASKED = next(one for one in answers.FAULTS if one.name == "an_answer_that_nobody_asked_for")
SAYS_MORE = replace(_UNASKED, name="says_more", backend="faulty", own_backend=False)
# The client of a held stream hears nothing before its break: these do not wait for that.
HELD = Falls(EXPLODED)
CLOSED_EARLY = Fault("closed_early", None, Case(stream(BEGUN, Pause(0.1), Cut.FIN), HELD))
EXPLODES_EARLY = Fault("explodes_early", None, Case(stream(BEGUN, Pause(0.1), EXPLODES), HELD))
OWN = [
    *(SAYS_MORE, FLAPS, RESTS, STARTS_LATE, EXPLODES_FIRST, REFUSES_PREFILL),
    *(CLOSED_EARLY, EXPLODES_EARLY),
]
KNOWN = {fault.name: fault for fault in [*OWN, *refusals.FAULTS, *answers.FAULTS, *streams.FAULTS]}


def playing(fault: Fault) -> dict[str, str]:
    """A target that does this, whatever was asked for."""
    return {"backend": "faulty", "model": model_of(fault, "chat", stream=True, terms="next")}


MOST_RETRIES = 10
"""They take 3 s on the average, of which the deadline leaves room for a part."""
RETRY = {"backoff_ms": 20, "max_backoff_ms": 20, "max_retry_after_ms": 200, "budget_percent": 100}
CONTINUE = {"on_break": "continue"}
ASKED = {"backend": "faulty"}
GOES_ON = {"backend": "well", "model": "goes-on"}
WAYS: dict[str, dict[str, Any]] = {
    "again": {"retry": RETRY | {"attempts": 1}},
    "held": {"stream": {"hold_tokens": 20, "hold_ms": 10_000}, "fallbacks": FALLBACKS},
    "hedged": {"targets": [ASKED, {"backend": "well"}], "hedge": {"after_ms": 80, "max_percent": 100}},
    "hedgedbadly": {
        "targets": [ASKED, playing(EXPLODES_FIRST)],
        "hedge": {"after_ms": 80, "max_percent": 100},
    },
    "continued": {"targets": [ASKED, GOES_ON], "stream": CONTINUE},
    "continuedbadly": {"targets": [ASKED, playing(REFUSES_PREFILL)], "stream": CONTINUE},
    "continuednowhere": {"targets": [ASKED, {"backend": "well", "model": "answers"}], "stream": CONTINUE},
}
OFTEN = {
    "limits": LIMITS | SHORT["first_token"] | SHORT["deadline"],
    "retry": RETRY | {"attempts": MOST_RETRIES, "backoff_ms": 600, "max_backoff_ms": 600},
}
TRIED_OFTEN = ["500_json", "never_answers"]


def often(fault: str, dialect: str, *, stream: bool) -> str:
    """A way for one case alone: what a route may spend on retries, one call may take."""
    return f"often_{fault}_{dialect}_{stream}"


for case in product(TRIED_OFTEN, DIALECTS):
    WAYS |= {often(*case, stream=stream): OFTEN for stream in (False, True)}
MODELS = {"goes-on": {"prefill": True}, "next-*": {"prefill": True}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ways")
    with running_place(folder, KNOWN.values(), WAYS, models=MODELS, breaker=PATIENT) as running:
        yield running


class Asked:
    """A call, what was heard of it, and the requests that it made."""

    def __init__(self, place: Place, fault: str, terms: str, *, dialect: str = "chat", stream: bool) -> None:
        place.forget()
        model = model_of(KNOWN[fault], dialect, stream=stream, terms=terms)
        place.turns.pop(model, None)
        self.heard: Heard = place.ask(KNOWN[fault], dialect, stream=stream, terms=terms)
        self.attempts = place.attempts(model)
        self.others = [seen for seen in (*place.faulty.seen, *place.well.seen) if seen not in self.attempts]
        check_wait(self.heard)


stream_and_whole = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
in_each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@stream_and_whole
@in_each_dialect
@pytest.mark.parametrize("fault", ["flaps", "rests_a_little"])
def test_a_retry_finds_it_well_again(place: Place, fault: str, dialect: str, *, stream: bool) -> None:
    asked = Asked(place, fault, "again", dialect=dialect, stream=stream)
    check(asked.heard, Answered(TEXT), fallback=False)
    first, second = asked.attempts
    if fault == "rests_a_little":
        assert second.at_s - first.at_s >= SOON_MS / 1000


@stream_and_whole
def test_a_primary_that_flaps_is_never_seen_to(place: Place, *, stream: bool) -> None:
    heard = [place.ask(FLAPS, "chat", stream=stream, terms="backed") for _ in range(4)]
    for one, verdict in zip(heard, [Answered(SPARE_TEXT), Answered(TEXT)] * 2, strict=True):
        check(one, verdict, fallback=False)


@stream_and_whole
def test_who_asks_for_a_long_rest_is_left_alone(place: Place, *, stream: bool) -> None:
    asked = Asked(place, "429_in_seconds", "again", stream=stream)
    verdict = KNOWN["429_in_seconds"].case(stream=stream)
    assert verdict is not None
    check(asked.heard, verdict.verdict, fallback=False)
    assert len(asked.attempts) == 1


@stream_and_whole
@in_each_dialect
@pytest.mark.parametrize("fault", TRIED_OFTEN)
def test_no_try_begins_after_the_deadline(place: Place, fault: str, dialect: str, *, stream: bool) -> None:
    """They are counted: when one of them began, a busy machine decides."""
    least, most = (2, MOST_RETRIES) if fault == "500_json" else (1, 1 + DEADLINE_MS // FIRST_TOKEN_MS)
    for _ in range(3):  # on a machine that stands still the deadline may pass before the second try
        way = often(fault, dialect, stream=stream)
        asked = Asked(place, fault, way, dialect=dialect, stream=stream)
        if len(asked.attempts) >= least:
            break
    case = KNOWN[fault].case(stream=stream)
    assert case is not None
    check(asked.heard, case.verdict, fallback=False)
    assert least <= len(asked.attempts) <= most


@in_each_dialect
@pytest.mark.parametrize("fault", ["closed_early", "explodes_early"])
def test_an_early_break_of_a_held_stream_is_never_seen(place: Place, fault: str, dialect: str) -> None:
    asked = Asked(place, fault, "held", dialect=dialect, stream=True)
    check(asked.heard, Answered(SPARE_TEXT), fallback=False)


@in_each_dialect
def test_a_hedge_answers_for_one_that_is_silent(place: Place, dialect: str) -> None:
    asked = Asked(place, "never_answers", "hedged", dialect=dialect, stream=True)
    check(asked.heard, Answered(SPARE_TEXT), fallback=False)


@in_each_dialect
def test_a_hedges_error_does_not_win(place: Place, dialect: str) -> None:
    asked = Asked(place, "starts_late", "hedgedbadly", dialect=dialect, stream=True)
    check(asked.heard, Answered(TEXT), fallback=False)
    assert len(asked.others) == 1


@in_each_dialect
def test_a_broken_stream_goes_on_elsewhere(place: Place, dialect: str) -> None:
    asked = Asked(place, "closed_after_3_tokens", "continued", dialect=dialect, stream=True)
    check(asked.heard, Answered(BEGUN_TEXT + SPARE_TEXT), fallback=False)
    [seen] = asked.others
    last = seen.json()["messages"][-1]
    assert (last["role"], last["content"]) == ("assistant", BEGUN_TEXT.rstrip())


@in_each_dialect
@pytest.mark.parametrize(("terms", "others"), [("continuedbadly", 1), ("continuednowhere", 0)])
def test_a_continuation_that_fails_is_never_seen(place: Place, terms: str, others: int, dialect: str) -> None:
    """Refused by a model that takes no prefill, or not asked of one that may not: it is unseen either way."""
    asked = Asked(place, "closed_after_3_tokens", terms, dialect=dialect, stream=True)
    check(asked.heard, Breaks(BEGUN_TEXT, BROKEN), fallback=False)
    assert len(asked.others) == others


@in_each_dialect
def test_half_a_tool_call_is_not_gone_on_with(place: Place, dialect: str) -> None:
    asked = Asked(place, "cut_inside_a_tool_call", "continued", dialect=dialect, stream=True)
    check(asked.heard, Breaks("", BROKEN), fallback=False)
    assert asked.others == []


@stream_and_whole
def test_an_answer_that_nobody_asked_for_is_not_the_next_calls(place: Place, *, stream: bool) -> None:
    """It waits on a connection that the gateway may use again."""
    asked = Asked(place, "says_more", "lone", stream=stream)
    check(asked.heard, Answered(TEXT), fallback=False)
    # What comes when the next request is on its way is that one's answer: HTTP/1.1 has no other order.
    assert asked.attempts[0].answered.wait(30)
    for terms in ("lone", "backed", "again"):
        asked = Asked(place, "a_body_in_tiny_pieces", terms, stream=stream)
        check(asked.heard, Answered(TEXT), fallback=False)

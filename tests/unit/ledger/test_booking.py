"""What a call that has ended is booked as."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, Failed
from gateway.exchange import SPENT, Attempt, Call, Caller, Envelope, Price, Rates, Record, Usage
from gateway.ledger.booking import Ended, entries_of, estimate, rebooked
from gateway.ledger.entries import MEASURES, Entry, reversal_of

PRICE = Price.flat("own:gpt@1", Rates.plain(1_000_000_000, 4_000_000_000, 100_000_000))
CALLER = Caller("acme", "key-1", tags=("gold", "eu"), team="search")
MEMBERS = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]')}


def a_record(*attempts: Attempt, **given: Any) -> Record:
    call = Call("chat", CALLER, Envelope("fast"), MEMBERS, {})
    facts: dict[str, Any] = {
        "tenant": "acme",
        "key": "key-1",
        "model": "fast",
        "route": "fast",
        "status": 200,
    }
    facts |= {"ending": "finished", "call": call, "attempts": list(attempts)}
    return Record("call_1", "chat", 100.0, **(facts | given))


def an_attempt(usage: Usage | None = None, **given: Any) -> Attempt:
    return Attempt("openai", "gpt", 100.5, usage=usage, price=PRICE, **given)


def booked(record: Record, ended_s: float = 104.0) -> list[Entry]:
    return entries_of(Ended(record, ended_s, 1_795_000_000_000, ("ann", "talk-1", "openai/gpt")))


def test_a_plain_call_is_one_entry_with_all_that_is_known_of_it() -> None:
    attempt = an_attempt(Usage(1000, 101, cached_tokens=400, reasoning_tokens=60), seconds=0.25)
    attempt.first_token_s, attempt.finish, attempt.answered_model = 0.5, "stop", "gpt-2026"
    attempt.queued_s, attempt.connect_s = 0.125, 0.0625
    (entry,) = booked(a_record(attempt, stream=True))
    assert (entry.call, entry.entry, entry.revision, entry.attempt) == ("call_1", "charge", 0, 1)
    assert (entry.calls, entry.attempts, entry.time) == (1, 1, 1_795_000_000_000)
    assert (entry.tenant, entry.team, entry.key, entry.tags) == ("acme", "search", "key-1", ("gold", "eu"))
    assert (entry.user, entry.conversation, entry.decision) == ("ann", "talk-1", "openai/gpt")
    assert (entry.asked_model, entry.backend, entry.model) == ("fast", "openai", "gpt")
    assert (entry.answered_model, entry.finish, entry.why) == ("gpt-2026", "stop", "first")
    assert (entry.input_tokens, entry.output_tokens, entry.cached_tokens) == (1000, 101, 400)
    assert entry.cost_input == 600 * 1_000_000_000
    assert entry.cost_cached == 400 * 100_000_000
    assert entry.cost_output == 41 * 4_000_000_000
    assert entry.cost_reasoning == 60 * 4_000_000_000
    assert entry.cost == 600 * 10**9 + 40 * 10**9 + 404 * 10**9
    assert entry.saved == 400 * 900_000_000
    assert (entry.price, entry.confidence, entry.waste) == ("own:gpt@1", "reported", "")
    assert (entry.queue_ms, entry.connect_ms, entry.attempt_ms) == (125.0, 62.5, 250.0)
    assert (entry.first_token_ms, entry.total_ms) == (1000.0, 4000.0)
    assert entry.output_per_s == round(100 / 3, 3)


def test_the_attempt_that_answered_speaks_for_the_call_and_the_others_are_waste() -> None:
    failed = an_attempt(Usage(10, 1), cause="upstream_failed")
    answered = an_attempt(Usage(10, 5), why="fallback")
    first, second = booked(a_record(failed, answered))
    assert [(one.attempt, one.calls, one.attempts, one.waste) for one in (first, second)] == [
        (1, 0, 1, "failed"),
        (2, 1, 1, ""),
    ]
    assert (second.why, first.cause) == ("fallback", "upstream_failed")


def test_of_a_call_that_failed_the_last_attempt_speaks() -> None:
    record = a_record(an_attempt(cause="a"), an_attempt(cause="b"), ending="failed", status=502)
    record.error = Failed("no")
    assert [(one.calls, one.cause, one.error) for one in booked(record)] == [
        (0, "a", "upstream_failed"),
        (1, "b", "upstream_failed"),
    ]


def test_a_call_that_was_turned_away_is_an_entry_without_an_attempt() -> None:
    record = a_record(ending="refused", status=400)
    record.error = BadRequest("no")
    (entry,) = booked(record)
    assert (entry.calls, entry.attempts, entry.attempt, entry.backend) == (1, 0, 0, "")
    assert (entry.status, entry.error, entry.cost, entry.confidence) == (400, "invalid_request", 0, "")
    assert (entry.waste, entry.why, entry.cache) == ("", "", "")


def test_an_earlier_answer_is_of_a_cache() -> None:
    record = a_record()
    assert booked(record)[0].cache == "", "words that were written for the case are not"
    record.cache = "hit"
    (entry,) = booked(record)
    assert (entry.cache, entry.attempts, entry.calls) == ("stale", 0, 1)


@pytest.mark.parametrize(
    ("cause", "ending", "waste"),
    [
        ("", "finished", ""),
        ("", "client_gone", "cancelled"),
        ("", "broken", "failed"),
        ("interrupted", "finished", "hedged"),
        ("interrupted", "client_gone", "cancelled"),
        ("upstream_timeout", "finished", "failed"),
    ],
)
def test_what_nobody_had_anything_of_is_waste(cause: str, ending: str, waste: str) -> None:
    (entry,) = booked(a_record(an_attempt(Usage(5, 5), cause=cause), ending=ending))
    assert entry.waste == waste


@pytest.mark.parametrize("purpose", ["shadow", "classify"])
def test_what_we_ask_for_ourselves_is_paid_and_is_no_call(purpose: str) -> None:
    (entry,) = booked(a_record(an_attempt(Usage(5, 5)), purpose=purpose, made_for="call_0"))
    assert (entry.calls, entry.attempts, entry.waste, entry.made_for) == (0, 1, "shadow", "call_0")
    assert entry.cost > 0


def test_without_a_price_the_cost_is_nought_and_the_version_empty() -> None:
    attempt = an_attempt(Usage(5, 5))
    attempt.price = None
    (entry,) = booked(a_record(attempt))
    assert (entry.cost, entry.price, entry.confidence, entry.input_tokens) == (0, "", "reported", 5)


def test_names_and_numbers_that_nobody_can_mean_are_bounded() -> None:
    attempt = an_attempt(Usage(1 << 60, 1 << 60))
    attempt.answered_model = "x" * 1000
    (entry,) = booked(a_record(attempt, model="y" * 1000))
    assert entry.input_tokens == entry.output_tokens == 1 << 40
    assert (len(entry.answered_model), len(entry.asked_model)) == (200, 200)
    assert entry.cost < 10**38 // 2


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, number) for name in SPENT for number in (-500_000, 10**200, 10**400)),
        *(("audio_s", number) for number in (1e308, float("inf"), float("-inf"), float("nan"))),
    ],
)
def test_whatever_an_amount_is_the_call_is_booked(name: str, number: float) -> None:
    sane = Usage(9, 7, audio_s=1.5)
    (entry,) = booked(a_record(an_attempt(msgspec.structs.replace(sane, **{name: number}))))
    most = 1000 << 40 if name == "audio_s" else 1 << 40
    measure = "audio_ms" if name == "audio_s" else name
    assert getattr(entry, measure) == (most if number > 0 else 0)
    assert all(0 <= getattr(entry, each) < 10**38 for each in MEASURES if each != "saved")
    (plain,) = booked(a_record(an_attempt(sane)))
    others = {"input_tokens", "output_tokens", "audio_ms"} - {measure}
    assert {each: getattr(entry, each) for each in others} == {each: getattr(plain, each) for each in others}


def test_an_estimate_is_booked_and_taken_back_once_it_was_counted() -> None:
    told, untold = an_attempt(Usage(7, 7), cause="x"), an_attempt(transcript=lambda: "four")
    record = a_record(told, untold)
    estimate([untold], record.call)
    before = booked(record)
    assert [entry.confidence for entry in before] == ["reported", "estimated"]
    assert before[1].input_tokens == len(MEMBERS["messages"]) // 4
    untold.usage = Usage(11, 2, origin="counted")
    back, again = rebooked(Ended(record, 104.0, 1, ("", "", "")), before)
    assert back == reversal_of(before[1])
    assert (again.entry, again.revision, again.attempt, again.calls) == ("rebooking", 1, 2, 1)
    assert (again.input_tokens, again.confidence) == (11, "counted")


def test_what_was_counted_as_it_was_estimated_is_still_booked_as_counted() -> None:
    untold = an_attempt(transcript=lambda: "")
    record = a_record(untold)
    estimate([untold], record.call)
    before = booked(record)
    assert untold.usage is not None
    untold.usage = msgspec.structs.replace(untold.usage, origin="counted")
    assert [entry.confidence for entry in rebooked(Ended(record, 1.0, 1, ("", "", "")), before)] == [
        "estimated",
        "counted",
    ]


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_an_entry_and_its_reversal_sum_up_to_nothing(asked: int, said: int) -> None:
    (entry,) = booked(a_record(an_attempt(Usage(asked, said))))
    back = reversal_of(entry)
    assert {getattr(entry, name) + getattr(back, name) for name in MEASURES} == {0}
    assert back.entry == "reversal"
    unlike = {name for name in Entry.__struct_fields__ if getattr(entry, name) != getattr(back, name)}
    assert unlike <= {*MEASURES, "entry"}


def test_the_sum_of_the_kinds_is_the_cost() -> None:
    usage = Usage(*(900, 800, 100, 90, 40, 70, 60, 50, 40, 30, 20, 3, 11), audio_s=1.25, origin="reported")
    (entry,) = booked(a_record(an_attempt(usage)))
    kinds = [name for name in Entry.__struct_fields__ if name.startswith("cost_")]
    assert len(kinds) == 10
    assert sum(getattr(entry, name) for name in kinds) == entry.cost > 0
    assert entry.audio_ms == 1250

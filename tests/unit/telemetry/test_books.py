"""Each ended call entered once, with what it used."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from unit.stand_ins import books_into, call, record

from gateway.errors import Failed
from gateway.exchange import SPENT, Attempt, Record, Usage
from gateway.telemetry.books import Books


def words(text: str) -> int:
    return len(text.split())


def tried(**fields: Any) -> list[Attempt]:
    """One attempt, as the record of a call has it."""
    return [Attempt("b", "m", 0.1, **fields)]


def entered(*records: Record, count: Callable[[str], int] = words) -> list[dict[str, Any]]:
    """Enter calls, close the books, and give the lines written."""
    stream = io.StringIO()

    async def scene() -> None:
        async with books_into(stream, count) as books:
            for ended in records:
                books.enter(ended)

    asyncio.run(scene())
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_a_call_is_one_line_with_all_that_is_known() -> None:
    ended = record(tenant="acme", key="key_1", model="fast", route="fast", stream=True, status=200)
    ended.ending = "finished"
    ended.attempts = [
        Attempt("a", "m", 0.1, seconds=0.002, cause="upstream_overloaded"),
        Attempt("b", "m", 0.1, "next", usage=Usage(10, 2, cached_tokens=8, reasoning_tokens=1)),
    ]
    ended.first_byte_s = 0.25
    (line,) = entered(ended)
    expected = {
        "event": "call",
        "level": "info",
        "request_id": "call_1",
        "tenant": "acme",
        "key": "key_1",
        "model": "fast",
        "route": "fast",
        "backend": "b",
        "stream": True,
        "status": 200,
        "ending": "finished",
        "first_byte_ms": 250.0,
        "input_tokens": 10,
        "output_tokens": 2,
        "cached_tokens": 8,
        "reasoning_tokens": 1,
        "tokens": "reported",
        "causes": ["a: upstream_overloaded"],
        "attempts": [
            {
                "backend": "a",
                "model": "m",
                "why": "first",
                "duration_ms": 2.0,
                "cause": "upstream_overloaded",
            },
            {
                "backend": "b",
                "model": "m",
                "why": "next",
                "duration_ms": 0.0,
                "input_tokens": 10,
                "output_tokens": 2,
            },
        ],
    }
    assert {name: line[name] for name in expected} == expected
    assert "error" not in line


def test_every_field_of_a_line_has_its_own_value() -> None:
    amounts = {name: number for number, name in enumerate(SPENT, 1)}
    ended = record(purpose="shadow", made_for="call_0", rule="code", likeness=0.98765, status=200)
    ended.translated_to, ended.dropped, ended.ending = "messages", ("seed",), "finished"
    ended.attempts = tried(usage=Usage(**amounts), skipped_events=99)
    (line,) = entered(ended)
    expected = amounts | {
        "event": "shadow",
        "made_for": "call_0",
        "rule": "code",
        "likeness": 0.988,
        "translated_to": "messages",
        "dropped": ["seed"],
        "skipped_events": 99,
        "tokens": "reported",
        "backend": "b",
    }
    assert {name: line[name] for name in expected} == expected
    assert set(line) - set(expected) == {
        *("time", "level", "request_id", "status", "ending", "duration_ms", "format")
    }


def test_what_is_nothing_is_not_in_the_line() -> None:
    usage = [Usage(0, 1, audio_s=0.0 * number) for number in (1, 2)]
    (line,) = entered(record(attempts=[*tried(usage=usage[0]), *tried(usage=usage[1])]))
    names = (*SPENT, "causes", "likeness", "dropped")
    assert {name: line[name] for name in names if name in line} == {"output_tokens": 2}


def test_a_failed_call_says_why_and_is_a_warning() -> None:
    ended = record(status=502, ending="failed", error=Failed("no", detail="host 10.0.0.1"))
    (line,) = entered(ended)
    assert line["level"] == "warning"
    assert line["error"] == "upstream_failed: no (host 10.0.0.1)"


@pytest.mark.parametrize("ending", ["finished", "broken", "client_gone", "failed"])
def test_without_reported_usage_the_tokens_are_counted(ending: Any) -> None:
    ended = record(status=200, ending=ending, call=call())
    ended.attempts = tried(transcript=lambda: "three words generated")
    (line,) = entered(ended)
    assert line["tokens"] == "counted"
    assert line["output_tokens"] == 3
    assert line["input_tokens"] == 1 + 4  # "hi", and what a template adds to a message


def test_what_is_counted_keeps_its_class_of_service() -> None:
    ended = record(status=200, ending="finished", call=call())
    ended.attempts = tried(transcript=lambda: "word", tier="priority")
    entered(ended)
    usage = ended.attempts[0].usage
    assert usage is not None
    assert (usage.origin, usage.tier) == ("counted", "priority")


@pytest.mark.parametrize("ending", ["refused", "failed", "bug"])
def test_what_generated_nothing_is_not_counted(ending: Any) -> None:
    (line,) = entered(record(status=400, ending=ending, call=call(), attempts=tried()))
    assert "tokens" not in line


def test_each_attempt_is_counted_and_their_sum_is_the_calls() -> None:
    ended = record(status=200, ending="finished", call=call())
    ended.attempts = [
        *tried(cause="stream_broken", transcript=lambda: "three words generated"),
        *tried(usage=Usage(7, 2), transcript=lambda: "x"),
        *tried(cause="upstream_unreachable"),
    ]
    (line,) = entered(ended)
    assert (line["input_tokens"], line["output_tokens"], line["tokens"]) == (5 + 7, 3 + 2, "counted")
    assert [attempt.usage and attempt.usage.origin for attempt in ended.attempts] == [
        "counted",
        "reported",
        None,
    ]


def test_what_was_reported_is_not_counted_again() -> None:
    def never(_text: str) -> int:
        raise AssertionError("counted")

    (line,) = entered(
        record(ending="finished", attempts=tried(usage=Usage(1, 1), transcript=lambda: "x")), count=never
    )
    assert (line["input_tokens"], line["tokens"]) == (1, "reported")


def test_counting_happens_in_a_thread() -> None:
    threads: list[str] = []

    def count(_text: str) -> int:
        threads.append(threading.current_thread().name)
        return 1

    entered(record(ending="finished", call=call(), attempts=tried(transcript=lambda: "x")), count=count)
    assert threads
    assert threading.current_thread().name not in threads


def test_a_count_that_fails_still_enters_the_call_once(caplog: pytest.LogCaptureFixture) -> None:
    def count(_text: str) -> int:
        raise RuntimeError("the tokenizer broke")

    lines = entered(
        record(ending="finished", call=call(), attempts=tried(transcript=lambda: "x")), count=count
    )
    assert len(lines) == 1
    assert "tokens" not in lines[0]
    assert [entry.getMessage() for entry in caplog.records] == ["usage not counted"]


def test_every_call_is_entered_exactly_once_whatever_its_end() -> None:
    endings: list[Any] = ["finished", "broken", "client_gone", "refused", "failed", "bug"]
    records = [
        Record(f"call_{number}", "chat", 0.0, ending=ending, attempts=tried(transcript=transcript))
        for number, (ending, transcript) in enumerate(
            (ending, transcript) for ending in endings for transcript in (None, lambda: "text")
        )
    ]
    assert sorted(line["request_id"] for line in entered(*records)) == sorted(r.call_id for r in records)


def test_long_names_and_errors_are_cut() -> None:
    (line,) = entered(record(model="m" * 5000, ending="failed", error=Failed("e" * 5000)))
    assert len(line["model"]) == 200
    assert len(line["error"]) == 1000


def test_a_defect_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with books_into(io.StringIO()) as books:
            books.report(ValueError("broken"), record(route="fast"))

    asyncio.run(scene())
    (entry,) = caplog.records
    assert (entry.levelno, entry.getMessage()) == (logging.ERROR, "internal error")
    assert entry.exc_info is not None
    assert (vars(entry)["request_id"], vars(entry)["route"]) == ("call_1", "fast")


def test_a_call_is_in_the_ledger_when_enter_returns_and_again_once_it_was_counted() -> None:
    told, untold = record(), record()
    told.attempts = tried(usage=Usage(1, 1))
    untold.attempts = tried(transcript=lambda: "three more words")
    seen: list[tuple[str, int]] = []

    def book(ended: Record, _ended_s: float, uncounted: Any) -> Callable[[], None] | None:
        seen.append(("booked", len(uncounted)))
        if not uncounted:
            return None
        return lambda: seen.append(("again", (ended.attempts[0].usage or Usage()).output_tokens))

    async def scene() -> None:
        async with books_into(io.StringIO(), words, book=book) as books:
            books.enter(told)
            assert seen == [("booked", 0)]
            books.enter(untold)
            assert seen == [("booked", 0), ("booked", 1)]

    asyncio.run(scene())
    assert seen == [("booked", 0), ("booked", 1), ("again", 3)]


def test_a_call_that_cannot_be_booked_is_reported_and_entered_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def book(*_: Any) -> None:
        raise ValueError("a defect")

    stream = io.StringIO()

    async def scene() -> None:
        async with books_into(stream, words, book=book) as books:
            books.enter(record(tenant="acme"))

    asyncio.run(scene())
    assert json.loads(stream.getvalue())["tenant"] == "acme"
    assert "a defect" in caplog.text


def test_what_one_listener_cannot_make_of_a_call_does_not_cost_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[str] = []

    def deaf(_record: Record, _ended_s: float) -> None:
        raise ValueError("a defect")

    async def scene() -> None:
        books = Books(words, (deaf, lambda ended, _: heard.append(ended.call_id)))
        books.enter(record())
        await books.close()

    asyncio.run(scene())
    assert heard == ["call_1"]
    assert "a defect" in caplog.text

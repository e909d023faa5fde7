"""One line for each call: what it tells, what it does not, and that nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from select import PIPE_BUF
from typing import Any

import pytest

from gateway.errors import Rejected
from gateway.exchange import Attempt, Record, Trace
from gateway.telemetry import access_log
from gateway.telemetry.access_log import AccessLine, AccessLog
from gateway.telemetry.logs import pieces, set_up


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Slow(io.StringIO):
    """A stream that takes a text in parts, and lets others in between."""

    def write(self, text: str) -> int:
        for at in range(0, len(text), 100):
            super().write(text[at : at + 100])
            time.sleep(0)
        return len(text)


class Stuck(io.StringIO):
    """A stream whose reader stalls until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        assert self.free.wait(30)
        return super().write(text)


@pytest.fixture
def restored() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def line(**fields: Any) -> AccessLine:
    given: dict[str, Any] = {
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "event": "call",
        "level": "info",
        "request_id": "call_1",
        "status": 200,
        "ending": "finished",
        "duration_ms": 12.5,
        "format": "chat",
    }
    return AccessLine(**{**given, **fields})


def test_access_lines_are_json_in_their_order() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for number in range(50):
        log._outlet.put(line(request_id=f"call_{number}"))
    log.close()
    told = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [entry["request_id"] for entry in told] == [f"call_{number}" for number in range(50)]
    assert told[0]["time"] == "2026-01-02T03:04:05Z"
    assert "input_tokens" not in told[0]


def test_an_access_line_cannot_be_forged_by_a_models_name() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    log._outlet.put(line(model='x"}\n{"event": "call"'))
    log.close()
    assert len(stream.getvalue().splitlines()) == 1
    assert json.loads(stream.getvalue())["model"] == 'x"}\n{"event": "call"'


def test_on_a_terminal_a_models_name_draws_nothing() -> None:
    stream = Terminal()
    log = AccessLog(stream)
    log._outlet.put(line(model="\x1b[2Jgone\rfor ever\n12:00:00 200 finished"))
    log.close()
    assert "\x1b[2J" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_an_access_line_says_what_happened() -> None:
    stream = Terminal()
    log = AccessLog(stream)
    log._outlet.put(line(model="fast", backend="local", input_tokens=3, output_tokens=4, tokens="reported"))
    log._outlet.put(line(status=404, ending="refused", model="x", error="model_not_found: no"))
    log.close()
    first, second = stream.getvalue().splitlines()
    assert "fast -> local" in first
    assert "3+4 tokens" in first
    assert "404 refused" in second
    assert second.endswith("model_not_found: no")


def test_a_stalled_reader_stalls_nobody_and_the_last_line_is_not_lost() -> None:
    stream = Stuck()
    log = AccessLog(stream)
    log._outlet.put(line(request_id="call_1"))
    assert stream.writing.wait(30)
    log._outlet.put(line(request_id="call_2"))
    closing = threading.Thread(target=log.close)
    closing.start()
    while not log._outlet._batches.closed:
        closing.join(0.001)
    stream.free.set()
    closing.join(30)
    assert "call_2" in stream.getvalue()


def test_of_lines_that_nobody_reads_the_oldest_are_lost_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_log, "_MOST_WAITING", 5)
    stream = Stuck()
    log = AccessLog(stream)
    log._outlet.put(line(request_id="call_0"))
    assert stream.writing.wait(30)
    for number in range(1, 21):
        log._outlet.put(line(request_id=f"call_{number}"))
    assert len(log._outlet._batches.waiting) == 5
    stream.free.set()
    log.close()
    first, told, *last = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert first["request_id"] == "call_0"
    assert [entry["request_id"] for entry in last] == [f"call_{number}" for number in range(16, 21)]
    assert (told["event"], told["lines"]) == ("lines of the log were lost", 15)
    assert (told["level"], told["writer"]) == ("warning", "access-log")


def test_half_a_character_costs_no_line() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    log._outlet.put(line(error="cannot open \udc80.pem", causes=["b: \ud800"]))
    log._outlet.put(line(request_id="call_2"))
    log.close()
    odd, plain = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (odd["error"], odd["causes"], odd["time"]) == ("cannot open ?.pem", ["b: ?"], plain["time"])
    assert plain["request_id"] == "call_2"


def test_a_line_that_cannot_be_written_does_not_end_the_log() -> None:
    class Failing(io.StringIO):
        failures = 1

        def write(self, text: str) -> int:
            if self.failures:
                self.failures -= 1
                raise OSError("disk full")
            return super().write(text)

    stream = Failing()
    log = AccessLog(stream)
    log._outlet.put(line(request_id="call_1"))
    waiting = threading.Event()
    for _ in range(3000):
        if not stream.failures:
            break
        waiting.wait(0.01)
    log._outlet.put(line(request_id="call_2"))
    log.close()
    assert "call_2" in stream.getvalue()


def test_lines_of_a_batch_go_out_whole_in_pieces_that_a_pipe_takes_at_once() -> None:
    lines = [b"x" * size + b"\n" for size in (10, 4000, 100, 9000, 5)]
    found = list(pieces(lines))
    assert [line for piece in found for line in piece] == lines
    assert [len(piece) for piece in found] == [2, 1, 1, 1]
    assert all(len(b"".join(piece)) <= PIPE_BUF or len(piece) == 1 for piece in found)


def test_an_access_line_and_another_one_never_cut_each_other() -> None:
    stream = Slow()
    set_up("info", stream)
    access = AccessLog(stream)
    for number in range(200):
        access._outlet.put(line(request_id=f"call_{number}", model="m" * 200))
    for number in range(50):
        logging.getLogger("forebay").info("line %d", number)
    access.close()
    logging.getLogger().handlers[0].close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 250


def entered(record: Record) -> dict[str, Any]:
    stream = io.StringIO()
    log = AccessLog(stream)
    log.enter(record, 2.0)
    log.close()
    written: dict[str, Any] = json.loads(stream.getvalue())
    return written


def test_a_line_tells_where_the_call_stands_in_its_trace() -> None:
    record = Record("call_1", "chat", 1.0)
    assert "trace_id" not in entered(record)
    record.trace = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    told = entered(record)
    assert (told["trace_id"], told["span_id"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def test_what_others_said_is_written_without_secrets() -> None:
    secret = "sk-proj-Zq81mNpo0cXv7TbU2yRk"
    record = Record("call_1", "chat", 1.0, model=f"my-{secret}")
    record.attempts = [Attempt("one", f"my-{secret}", 1.0), Attempt("two", "known", 1.0)]
    record.dropped = (f"metadata.{secret}",)
    record.error = Rejected(f"no model my-{secret}", detail="ask bob@example.com")
    told = entered(record)
    assert told["model"] == "my-[secret]"
    assert told["attempts"][0]["model"] == "my-[secret]"
    assert told["dropped"] == ["metadata.[secret]"]
    assert told["error"] == "upstream_rejected: no model my-[secret] (ask [email])"


def test_who_is_known_by_an_address_is_not_named_by_it() -> None:
    assert entered(Record("call_1", "chat", 1.0, key="sub:bob@example.com"))["key"] == "sub:[email]"
    assert entered(Record("call_1", "chat", 1.0, key="key_IN3rPjFitVIUXAFL"))["key"] == "key_IN3rPjFitVIUXAFL"

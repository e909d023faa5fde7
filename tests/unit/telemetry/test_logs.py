"""Lines for machines and lines for people, and what is in none of them."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from rig.gateway import eventually

from gateway.exchange import Credential
from gateway.telemetry import logs
from gateway.telemetry.logs import revise, set_up, take_over
from gateway.texts.redactor import Redactor


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    written()
    root.handlers[:] = handlers
    root.setLevel(level)


def written() -> None:
    """Wait until all lines so far are written."""
    logging.getLogger().handlers[0].close()


def logged(stream: io.StringIO, message: str, *values: object, **details: Any) -> str:
    set_up("info", stream)
    logging.getLogger("forebay.test").error(message, *values, **details)
    written()
    return stream.getvalue()


@pytest.mark.usefixtures("restored")
def test_a_line_is_one_json_object() -> None:
    text = logged(io.StringIO(), "it is\nso: %s", extra={"request_id": "call_1", "count": 3})
    assert text.count("\n") == 1
    told = json.loads(text)
    assert (told["event"], told["level"], told["logger"]) == ("it is\nso: %s", "error", "forebay.test")
    assert (told["request_id"], told["count"]) == ("call_1", 3)
    assert datetime.fromisoformat(told["time"]).tzinfo is not None


@pytest.mark.usefixtures("restored")
def test_a_traceback_is_one_member_of_the_line() -> None:
    try:
        raise ValueError("broken\nhere")
    except ValueError as error:
        text = logged(io.StringIO(), "internal error", exc_info=error)
    assert text.count("\n") == 1
    assert "ValueError: broken\nhere" in json.loads(text)["traceback"]


@pytest.mark.usefixtures("restored")
def test_what_json_does_not_know_is_written_as_its_text() -> None:
    credential = Credential("openai#1", "sk-very-secret")
    text = logged(io.StringIO(), "x", extra={"odd": object, "credential": credential, "error": OSError("no")})
    assert json.loads(text)["odd"] == "<class 'object'>"
    assert json.loads(text)["error"] == "no"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "stream",
    [
        io.StringIO,
        Terminal,
    ],
)
def test_a_secret_is_not_written_with_its_credential(stream: type[io.StringIO]) -> None:
    credential = Credential("openai#1", "sk-very-secret")
    text = logged(stream(), f"using {credential}", extra={"credential": credential})
    assert "openai#1" in text
    assert "sk-very-secret" not in text


@pytest.mark.usefixtures("restored")
def test_on_a_terminal_a_line_is_for_people() -> None:
    text = logged(Terminal(), "it is so", extra={"count": 3})
    assert "it is so" in text
    assert "count=3" in text
    assert not text.startswith("{")


@pytest.mark.usefixtures("restored")
def test_the_level_is_kept() -> None:
    stream = io.StringIO()
    set_up("warning", stream)
    logging.getLogger("forebay.test").info("not news")
    logging.getLogger("uvicorn.error").info("not news")
    written()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("chatty", ["httpx", "alembic", "uvicorn.error"])
@pytest.mark.usefixtures("restored")
def test_what_libraries_say_at_info_is_no_news(chatty: str) -> None:
    stream = io.StringIO()
    set_up("info", stream)
    logging.getLogger("forebay.test").info("news")
    logging.getLogger(chatty).info("not news")
    logging.getLogger(chatty).warning("trouble")
    written()
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["news", "trouble"]


SECRET = "sk-proj-Zq81mNpo0cXv7TbU2yRk"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_secrets_are_taken_out_of_events_fields_and_tracebacks(stream: type[io.StringIO]) -> None:
    try:
        raise ValueError(f"cannot open postgres://forebay:x9y8z7@db/x with {SECRET}")
    except ValueError as error:
        text = logged(
            stream(),
            f"told bob@example.com of {SECRET}",
            extra={"url": f"http://h/v1?key={SECRET}", "error": KeyError(SECRET), "number": 7},
            exc_info=error,
        )
    assert "told [email] of [secret]" in text
    assert "postgres://[secret]@db/x with [secret]" in text
    assert SECRET not in text
    assert "x9y8z7" not in text


@pytest.mark.usefixtures("restored")
def test_what_is_taken_out_and_the_level_change_at_run_time() -> None:
    stream = io.StringIO()
    set_up("warning", stream)
    log = logging.getLogger("forebay.test")
    log.info("not news")
    revise("debug", Redactor(["email"], ["PRJ-[0-9]+"]).clean)
    log.debug("PRJ-17 for bob@example.com, +49 30 1234567")
    revise("error", Redactor().clean)
    log.warning("not news")
    log.error("+49 30 1234567")
    written()
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["[redacted] for [email], +49 30 1234567", "[phone]"]


@pytest.mark.usefixtures("restored")
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_python_itself_has_to_say_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    stream = io.StringIO()
    set_up("info", stream)

    def fail() -> None:
        raise ValueError(SECRET)

    try:
        take_over()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn(SECRET, UserWarning, stacklevel=1)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    finally:
        logging.captureWarnings(capture=False)
    written()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert SECRET not in stream.getvalue()
    assert [line["event"] for line in lines][1:] == ["ValueError was not expected"]
    assert "UserWarning: [secret]" in lines[0]["event"]
    assert "ValueError: [secret]" in lines[1]["traceback"]


class Unspeakable:
    def __str__(self) -> str:
        raise KeyError(SECRET)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_half_a_character_costs_no_line_and_hides_no_secret(
    stream: type[io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    text = logged(stream(), f"\udc80 {SECRET}", extra={"file": f"\ud800.pem {SECRET}"})
    text += logged(stream(), "no key in %s", "\udc80.pem")
    assert text.encode().count(b"\n") == 2
    assert SECRET not in text
    assert "[secret]" in text
    assert "no key in ?.pem" in text
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_of_a_line_that_cannot_be_made_it_is_told_where_that_was_and_nothing_else(
    stream: type[io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    text = logged(stream(), f"{SECRET} %s %d", SECRET)
    text += logged(stream(), "x", extra={"bad": Unspeakable()})
    assert text.count("a line of the log cannot be made") == 2
    assert text.count("test_logs:") == 2
    assert SECRET not in text
    assert capsys.readouterr().err == ""


@pytest.fixture
def pipe() -> Iterator[tuple[int, Any]]:
    """A pipe: where it is read, and the stream that is written."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield reader, stream
        os.close(reader)


@pytest.mark.usefixtures("restored")
def test_a_pipe_that_nobody_reads_stalls_nobody_and_costs_the_oldest_lines(
    pipe: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, stream = pipe
    monkeypatch.setattr(logs, "_MOST_LINES", 50)
    set_up("info", stream)
    log = logging.getLogger("forebay.test")
    began_s = time.monotonic()
    log.warning("stalls %s", "x" * (1 << 20))
    [sink] = logging.getLogger().handlers
    assert isinstance(sink, logs._Sink)
    waiting = sink._outlet._batches.waiting
    assert eventually(lambda: not waiting)  # the thread has it, and stands in the pipe
    for number in range(500):
        log.warning("line %d", number)
    assert time.monotonic() - began_s < 30  # whoever waited for the pipe would wait for ever

    text = bytearray()

    def read() -> None:
        while piece := os.read(reader, 1 << 16):
            text.extend(piece)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert eventually(lambda: b"line 499" in text and b"were lost" in text, 20)
    written()
    told = [json.loads(line) for line in text.splitlines()]
    stream.close()
    reading.join(5)
    kept = [line["event"] for line in told if line["event"].startswith("line ")]
    [lost] = [line["lines"] for line in told if line["event"] == "lines of the log were lost"]
    assert kept[-50:] == [f"line {number}" for number in range(450, 500)]
    assert len(kept) + lost == 500


DYING = """
import logging, os, sys, time
from gateway.telemetry.logs import set_up, take_over
set_up("info", sys.stderr)
take_over()
log = logging.getLogger("forebay")
{ends}
"""


def dying(ends: str, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DYING.format(ends=ends)], stderr=subprocess.PIPE, **how)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("log.error('the last'); sys.exit(3)", 3),
        ("log.error('the last'); raise OSError", 1),
        ("log.error('the last'); time.sleep(0.3); os._exit(4)", 4),
        ("import atexit; logging.shutdown(); atexit.register(log.error, 'the last')", 0),
    ],
)
def test_the_last_line_of_a_process_that_dies_gets_out(ends: str, code: int) -> None:
    process = dying(ends)
    _, text = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the last" in [json.loads(line)["event"] for line in text.splitlines()]


def test_a_process_whose_lines_nobody_reads_ends_all_the_same() -> None:
    process = dying("log.error('x' * (1 << 20)); log.error('behind it'); sys.exit(3)")
    try:
        assert process.wait(60) == 3
    finally:
        process.kill()
        process.communicate()

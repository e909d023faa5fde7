"""Lines for machines and lines for people, and what is in none of them."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from gateway.exchange import Credential
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
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(stream: io.StringIO, message: str, **details: Any) -> str:
    set_up("info", stream)
    logging.getLogger("forebay.test").error(message, **details)
    return stream.getvalue()


@pytest.mark.usefixtures("restored")
def test_a_line_is_one_json_object() -> None:
    written = logged(io.StringIO(), "it is\nso: %s", extra={"request_id": "call_1", "count": 3})
    assert written.count("\n") == 1
    told = json.loads(written)
    assert (told["event"], told["level"], told["logger"]) == ("it is\nso: %s", "error", "forebay.test")
    assert (told["request_id"], told["count"]) == ("call_1", 3)
    assert datetime.fromisoformat(told["time"]).tzinfo is not None


@pytest.mark.usefixtures("restored")
def test_a_traceback_is_one_member_of_the_line() -> None:
    try:
        raise ValueError("broken\nhere")
    except ValueError as error:
        written = logged(io.StringIO(), "internal error", exc_info=error)
    assert written.count("\n") == 1
    assert "ValueError: broken\nhere" in json.loads(written)["traceback"]


@pytest.mark.usefixtures("restored")
def test_what_json_does_not_know_is_written_as_its_text() -> None:
    credential = Credential("openai#1", "sk-very-secret")
    written = logged(
        io.StringIO(), "x", extra={"odd": object, "credential": credential, "error": OSError("no")}
    )
    assert json.loads(written)["odd"] == "<class 'object'>"
    assert json.loads(written)["error"] == "no"


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
    written = logged(stream(), f"using {credential}", extra={"credential": credential})
    assert "openai#1" in written
    assert "sk-very-secret" not in written


@pytest.mark.usefixtures("restored")
def test_on_a_terminal_a_line_is_for_people() -> None:
    written = logged(Terminal(), "it is so", extra={"count": 3})
    assert "it is so" in written
    assert "count=3" in written
    assert not written.startswith("{")


@pytest.mark.usefixtures("restored")
def test_the_level_is_kept() -> None:
    stream = io.StringIO()
    set_up("warning", stream)
    logging.getLogger("forebay.test").info("not news")
    logging.getLogger("uvicorn.error").info("not news")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("chatty", ["httpx", "alembic", "uvicorn.error"])
@pytest.mark.usefixtures("restored")
def test_what_libraries_say_at_info_is_no_news(chatty: str) -> None:
    stream = io.StringIO()
    set_up("info", stream)
    logging.getLogger("forebay.test").info("news")
    logging.getLogger(chatty).info("not news")
    logging.getLogger(chatty).warning("trouble")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["news", "trouble"]


SECRET = "sk-proj-Zq81mNpo0cXv7TbU2yRk"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_secrets_are_taken_out_of_events_fields_and_tracebacks(stream: type[io.StringIO]) -> None:
    try:
        raise ValueError(f"cannot open postgres://forebay:x9y8z7@db/x with {SECRET}")
    except ValueError as error:
        written = logged(
            stream(),
            f"told bob@example.com of {SECRET}",
            extra={"url": f"http://h/v1?key={SECRET}", "error": KeyError(SECRET), "number": 7},
            exc_info=error,
        )
    assert "told [email] of [secret]" in written
    assert "postgres://[secret]@db/x with [secret]" in written
    assert SECRET not in written
    assert "x9y8z7" not in written


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
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert SECRET not in stream.getvalue()
    assert [line["event"] for line in lines][1:] == ["ValueError was not expected"]
    assert "UserWarning: [secret]" in lines[0]["event"]
    assert "ValueError: [secret]" in lines[1]["traceback"]

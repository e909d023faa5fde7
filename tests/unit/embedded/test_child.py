"""Children that are tied to this process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.embedded.child import start_child, stop_child

UP = "import os, signal; os.write(1, b'up')\n"
OBEDIENT = UP + "signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + UP + "while 1: signal.pause()"


def test_a_child_runs_its_command_with_its_environment_and_output_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.environ['NAME'], file=sys.stderr); sys.exit(7)"
    with log.open("wb") as out:
        child = start_child([sys.executable, "-c", code], env={"NAME": "value"}, log=out)
    assert child.wait(60) == 7
    assert log.read_text() == "value\n"


def test_a_child_gets_the_descriptors_it_is_passed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    reader, writer = os.pipe()
    code = f"import os; os.write({writer}, b'hello')"
    with log.open("wb") as out:
        child = start_child([sys.executable, "-c", code], pass_fds=[writer], log=out)
    os.close(writer)
    assert os.read(reader, 100) == b"hello"
    os.close(reader)
    assert child.wait(60) == 0


def test_a_child_leads_its_own_process_group(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        child = start_child([sys.executable, "-c", "import os; print(os.getpgrp() == os.getpid())"], log=out)
    assert child.wait(60) == 0
    assert log.read_text() == "True\n"


def test_a_command_that_does_not_exist_ends_with_127(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        assert start_child(["/no/such/command"], log=out).wait(60) == 127
    assert "/no/such/command" in log.read_text()


@pytest.mark.parametrize(
    ("code", "expected"),
    [(OBEDIENT, -signal.SIGTERM), (STUBBORN, -signal.SIGKILL)],
    ids=["obedient", "stubborn"],
)
def test_a_child_is_stopped_gently_then_by_force(code: str, expected: int) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as out:
        child = start_child([sys.executable, "-c", code], log=out)
    assert os.read(reader, 2) == b"up"
    os.close(reader)
    assert stop_child(child, grace_s=0.2) == expected
    assert stop_child(child, grace_s=0.2) == expected

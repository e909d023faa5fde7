"""A child that is kept is started again, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from rig.gateway import eventually

from gateway.embedded import keeper as module
from gateway.embedded.keeper import Keeper

CHILD = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(60)
"""


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_is_started_again_when_it_dies_and_not_after_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    log = tmp_path / "pids"
    keeper = Keeper("a child", [sys.executable, "-c", CHILD, str(log)], grace_s=5.0)
    keeper.start()
    try:
        assert eventually(lambda: len(pids(log)) == 1)
        os.kill(pids(log)[0], signal.SIGKILL)
        assert eventually(lambda: len(pids(log)) == 2)
        assert is_alive(pids(log)[1])
    finally:
        keeper.stop()
    assert not is_alive(pids(log)[1])
    assert len(pids(log)) == 2


def test_one_that_cannot_be_started_is_tried_again_until_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper("a child", ["/nonexistent/program"])
    keeper.start()
    assert eventually(lambda: "started again" in caplog.text)
    keeper.stop()
    keeper.stop()
    assert "a child ended with exit code 127" in caplog.text

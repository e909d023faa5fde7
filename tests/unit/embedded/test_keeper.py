"""A child that is kept is started again, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.gateway import eventually

from gateway.embedded import keeper as module
from gateway.embedded.keeper import SUPERFLUOUS, Keeper, Program

CHILD = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
print("a child of this name", flush=True)
time.sleep(60)
"""
SECOND = """
import sys
with open(sys.argv[1], "a") as file:
    file.write("1\\n")
sys.exit(int(sys.argv[2]))
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
    keeper = Keeper(Program("a child", [sys.executable, "-c", CHILD, str(log)], grace_s=5.0))
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


class Odd(Keeper):
    """Answers when it is told to; `other` names what runs elsewhere."""

    is_well = False
    other: str | None = None

    def answers(self, pid: int) -> bool:
        return self.is_well and pid > 0

    def elsewhere(self) -> str | None:
        return self.other


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Odd]:
    argv = [sys.executable, "-c", CHILD, str(tmp_path / "pids")]
    keeper = Odd(Program("a child", argv, log=tmp_path / "logs" / "log"))
    yield keeper
    keeper.stop()


def test_it_is_ready_when_it_answers_and_says_what_it_does_until_then(odd: Odd) -> None:
    assert odd.state() == (False, "not started")
    odd.start()
    said: list[str] = []
    for _ in range(5):
        with pytest.raises(TimeoutError, match=r"^a child is not ready after 1.2 s: starting$"):
            odd.wait_ready(1.2, said.append)
        if said:  # on a busy machine the end may come before the second that was waited for
            break
    assert said == ["starting"]
    odd.is_well = True
    odd.wait_ready(30)
    is_ready, text = odd.state()
    assert is_ready
    assert is_alive(int(text.removeprefix("ready, process ")))
    odd.stop()
    assert odd.state() == (False, "stopped")


def test_what_runs_elsewhere_is_used_and_taken_over_from(odd: Odd, tmp_path: Path) -> None:
    odd.is_well, odd.other = True, "the other one"
    odd.start()
    odd.wait_ready(30)
    assert odd.state() == (True, "ready, the other one")
    assert not pids(tmp_path / "pids")
    odd.other = None
    assert eventually(lambda: odd.state() == (True, f"ready, process {(pids(tmp_path / 'pids') or [0])[0]}"))


def test_a_superfluous_one_leaves_its_work_to_the_other_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tries = tmp_path / "tries"
    keeper = Odd(Program("a child", [sys.executable, "-c", SECOND, str(tries), str(SUPERFLUOUS)]))
    keeper.start()
    assert eventually(lambda: len(pids(tries)) >= 2)
    keeper.other = "the other one"
    keeper.wait_ready(30)
    keeper.stop()
    assert not caplog.text


def test_about_a_megabyte_of_its_output_is_kept(
    odd: Odd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.01)
    path = tmp_path / "logs" / "log"
    path.parent.mkdir()
    path.write_bytes(b"x" * module.LOG_BYTES)
    odd.start()
    assert eventually(lambda: len(pids(tmp_path / "pids")) == 1)
    assert path.read_bytes() == b"a child of this name\n"
    os.kill(pids(tmp_path / "pids")[0], signal.SIGKILL)
    assert eventually(lambda: len(pids(tmp_path / "pids")) == 2)
    assert path.read_bytes() == b"a child of this name\n" * 2


def test_one_that_cannot_be_started_is_tried_again_until_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper(Program("a child", ["/nonexistent/program"]))
    keeper.start()
    assert eventually(lambda: "started again" in caplog.text)
    keeper.stop()
    keeper.stop()
    assert "a child ended with exit code 127" in caplog.text

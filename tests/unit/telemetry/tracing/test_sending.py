"""The thread that sends spans: again while the receiver is away, within bounds, and never for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from rig.gateway import eventually

from gateway.telemetry.otlp import Answer, Receiver, Taken
from gateway.telemetry.tracing import sending
from gateway.telemetry.tracing.sending import BATCH_SPANS, Made, Sender

LONG_S = 60.0
"""What nobody may wait for. Beside it, what a busy machine takes is short: less than `SHORT_S`."""
SHORT_S = 20.0
HERE, THERE = Receiver("http://here:4318"), Receiver("http://there:4318")


class Line:
    """A receiver that does as it is told."""

    def __init__(self) -> None:
        self.answers: list[Taken] = ["taken"]
        """The last one holds."""
        self.sent: list[list[str]] = []
        self.tries = 0
        self.rejects = 0
        """So many spans of each batch that is taken."""
        self.open = threading.Event()
        self.open.set()
        self.closed = False

    def send(self, calls: Sequence[bytes]) -> Answer:
        self.tries += 1
        assert self.open.wait(LONG_S)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == "taken":
            self.sent.append([name for call in calls for name in call.decode().split()])
        if answer == "taken" and self.rejects:
            return Answer(answer, "it rejects a part: too long", self.rejects)
        return Answer(answer, "" if answer == "taken" else f"it is {answer}")

    def close(self) -> None:
        self.closed = True


def spans(*names: str) -> Made:
    """The spans of a call, by their names."""
    return Made(len(names), " ".join(names).encode())


@contextmanager
def sender_to(
    line: Line, most: int = 16, opens: Callable[[Receiver], Line] | None = None
) -> Iterator[Sender]:
    """A sender that hardly pauses."""
    sender = Sender(HERE, most, opens or (lambda _: line), draw=lambda: 2.0 - 0.002)
    try:
        yield sender
    finally:
        line.open.set()
        sender.close(LONG_S)


def test_what_waits_goes_out_in_batches_of_whole_calls() -> None:
    line = Line()
    line.open.clear()
    with sender_to(line, most=1000) as sender:
        sender.put(spans("first"))
        assert eventually(lambda: line.tries == 1)
        for number in range(500):
            sender.put(spans(*[f"{number}"] * 9))
        line.open.set()
        assert eventually(lambda: sender.sent == 4501)
    assert [len(batch) for batch in line.sent] == [1, 2052, 2052, 396]
    assert max(len(batch) for batch in line.sent) < BATCH_SPANS + 9
    assert (sender.failed, sender.dropped, line.closed) == (0, 0, True)


def test_a_batch_is_sent_again_until_it_is_taken_and_the_log_tells_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line()
    line.answers = ["away", "away", "away", "taken"]
    with caplog.at_level(logging.INFO, "forebay"), sender_to(line) as sender:
        sender.put(spans("a"))
        assert eventually(lambda: sender.sent == 1)
        sender.put(spans("b"))
        assert eventually(lambda: sender.sent == 2)
        assert sender.problem == ""
    assert line.sent == [["a"], ["b"]]
    assert [record.message for record in caplog.records] == ["traces are not taken", "traces are taken again"]
    assert vars(caplog.records[0])["receiver"] == "here"
    assert vars(caplog.records[0])["problem"] == "it is away"


def test_what_a_receiver_will_never_take_does_not_keep_it_from_the_rest() -> None:
    line = Line()
    line.answers = ["refused", "taken"]
    with sender_to(line) as sender:
        sender.put(spans("bad", "bad"))
        assert eventually(lambda: sender.failed == 2)
        sender.put(spans("good"))
        assert eventually(lambda: sender.sent == 1)


def test_what_is_rejected_of_a_batch_has_failed_and_the_log_tells_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line()
    line.rejects = 2
    with caplog.at_level(logging.INFO, "forebay"), sender_to(line) as sender:
        for _ in range(3):
            before = sender.sent
            sender.put(spans("a", "b", "c"))
            assert eventually(lambda before=before: sender.sent == before + 1)
        assert (sender.sent, sender.failed) == (3, 6)
        assert sender.problem == "it rejects a part: too long"
        line.rejects = 0
        sender.put(spans("d"))
        assert eventually(lambda: sender.sent == 4)
        assert sender.problem == ""
        line.rejects = 100
        sender.put(spans("e"))
        assert eventually(lambda: sender.failed == 7)
    assert [record.message for record in caplog.records] == ["a part of the spans is not taken"]
    assert vars(caplog.records[0])["problem"] == "it rejects a part: too long"
    assert vars(caplog.records[0])["spans"] == 2


def test_a_batch_that_is_not_taken_for_long_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_TRIED_S", 0.0)
    line = Line()
    line.answers = ["away", "taken"]
    with sender_to(line) as sender:
        sender.put(spans("old"))
        assert eventually(lambda: sender.failed == 1)
        sender.put(spans("new"))
        assert eventually(lambda: sender.sent == 1)


def test_the_oldest_calls_make_room_and_are_counted() -> None:
    line = Line()
    line.open.clear()
    with sender_to(line, most=16) as sender:
        sender.put(spans("sending"))
        assert eventually(lambda: line.tries == 1)
        for number in range(20):
            sender.put(spans(f"{number}", f"{number}"))
        assert (sender.waiting, sender.dropped) == (16, 8)
        line.open.set()
        assert eventually(lambda: sender.sent == 33)
    assert line.sent[1][0] == "4"


def test_an_error_of_a_library_is_a_receiver_that_is_away() -> None:
    line = Line()
    opened = iter([ImportError("none", name="grpc"), OSError("secret"), None])

    def opens(_: Receiver) -> Line:
        if (error := next(opened)) is not None:
            raise error
        return line

    with sender_to(line, opens=opens) as sender:
        sender.put(spans("a"))
        assert eventually(lambda: sender.sent == 1)


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries there is at least half of this."""
    monkeypatch.setattr(sending, "_FIRST_PAUSE_S", 2 * LONG_S)
    monkeypatch.setattr(sending, "_LONGEST_PAUSE_S", 2 * LONG_S)


@pytest.mark.usefixtures("long_pauses")
def test_another_receiver_gets_what_the_former_one_has_not_taken() -> None:
    here, there = Line(), Line()
    here.answers = ["away"]
    sender = Sender(HERE, 16, lambda receiver: here if receiver == HERE else there)
    sender.put(spans("a"))
    assert eventually(lambda: sender.problem)
    sender.revise(THERE, 16)
    assert eventually(lambda: sender.sent == 1, SHORT_S)  # the pause was over at once
    assert (here.closed, there.sent) == (True, [["a"]])
    sender.close(LONG_S)
    assert there.closed


@pytest.mark.usefixtures("long_pauses")
def test_an_end_sends_what_waits_but_waits_for_no_receiver_that_is_away() -> None:
    line = Line()
    sender = Sender(HERE, 16, lambda _: line)
    for name in "abc":
        sender.put(spans(name))
    sender.close(LONG_S)
    assert (sender.sent, sender.dropped, line.closed) == (3, 0, True)

    away = Line()
    away.answers = ["away"]
    sender = Sender(HERE, 16, lambda _: away)
    sender.put(spans("a"))
    assert eventually(lambda: sender.problem)
    sender.put(spans("b"))
    began_s = time.monotonic()
    sender.close(LONG_S)
    assert time.monotonic() - began_s < SHORT_S
    assert (sender.sent, sender.dropped) == (0, 2)


def test_an_end_waits_no_longer_than_it_is_told_for_one_that_hangs() -> None:
    line = Line()
    line.open.clear()
    sender = Sender(HERE, 16, lambda _: line)
    sender.put(spans("a"))
    assert eventually(lambda: line.tries == 1)
    began_s = time.monotonic()
    sender.close(0.2)
    assert 0.2 <= time.monotonic() - began_s < SHORT_S
    assert (line.closed, sender.dropped) == (True, 1)
    line.open.set()

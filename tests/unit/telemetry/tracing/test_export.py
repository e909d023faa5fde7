"""From ended calls to a receiver: what is kept arrives, the rest does not, one odd call harms no other."""

from __future__ import annotations

import logging
import subprocess
import sys

import msgspec
import pytest
from rig.gateway import eventually
from rig.programs.otlp import Collector, running_collector
from unit.telemetry.tracing.calls import ENDED_S, TRACE, attempt, ended

from gateway.exchange import Record
from gateway.telemetry.otlp import Receiver
from gateway.telemetry.tracing.export import Traces
from gateway.telemetry.tracing.settings import TraceSettings, Value

UNSAMPLED = msgspec.structs.replace(TRACE, sampled=False)


def settings_of(collector: Collector) -> TraceSettings:
    return TraceSettings(receiver=Receiver(collector.url, timeout_s=1.0))


def test_what_is_kept_arrives_and_the_end_waits_for_it() -> None:
    with running_collector() as collector:
        traces = Traces()
        traces.revise(settings_of(collector))
        for number in range(50):
            trace = TRACE if number % 5 == 0 else UNSAMPLED
            traces.write(ended(attempt(), model=f"m{number}", trace=trace), ENDED_S)
        assert traces.state() == (True, "the receiver takes spans")
        traces.close()
    roots = [span.name for span in collector.spans if span.kind == "server"]
    assert roots == [f"chat m{number}" for number in range(0, 50, 5)]
    assert (traces.sent, traces.failed, traces.dropped) == (len(collector.spans), 0, 0)


def test_without_a_receiver_nothing_is_kept_and_no_thread_runs() -> None:
    program = (
        "import sys, threading\n"
        "from gateway.telemetry.tracing.export import Traces\n"
        "from gateway.telemetry.tracing.settings import TraceSettings\n"
        "traces = Traces()\n"
        "traces.revise(TraceSettings())\n"
        "print(traces.state(), threading.active_count(), 'opentelemetry' in sys.modules)\n"
        "traces.close()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "(True, 'no receiver') 1 False\n"


def test_one_odd_call_costs_no_other_its_spans(caplog: pytest.LogCaptureFixture) -> None:
    def notes(record: Record) -> dict[str, Value]:
        if record.model == "odd":
            raise ValueError(record.model)
        return {}

    with running_collector() as collector, caplog.at_level(logging.ERROR, "forebay"):
        traces = Traces()
        traces.revise(msgspec.structs.replace(settings_of(collector), notes=notes))
        for model in ("a", "odd", "b"):
            traces.write(ended(attempt(), model=model), ENDED_S)
        traces.close()
    assert [span.name for span in collector.spans if span.kind == "server"] == ["chat a", "chat b"]
    assert traces.dropped == 1
    assert [record.message for record in caplog.records] == ["the spans of a call are lost"]


def test_a_receiver_that_is_taken_away_and_given_back_gets_calls_again() -> None:
    with running_collector() as collector:
        traces = Traces()
        traces.revise(settings_of(collector))
        traces.revise(TraceSettings())
        traces.write(ended(attempt(), model="unseen"), ENDED_S)
        assert traces.state() == (True, "no receiver")
        traces.revise(settings_of(collector))
        traces.write(ended(attempt(), model="seen"), ENDED_S)
        collector.wait_for("chat seen")
        traces.close()
    assert "chat unseen" not in {span.name for span in collector.spans}


def test_the_state_says_what_is_wrong() -> None:
    with running_collector() as collector:
        collector.status = 403
        traces = Traces()
        traces.revise(settings_of(collector))
        traces.write(ended(attempt()), ENDED_S)
        assert eventually(lambda: not traces.state()[0])
        assert "it answers with 403" in traces.state()[1]
        traces.close()
        assert traces.dropped == 10


def test_a_batch_that_a_receiver_will_never_take_has_failed() -> None:
    with running_collector() as collector:
        collector.status = 400
        traces = Traces()
        traces.revise(settings_of(collector))
        traces.write(ended(attempt()), ENDED_S)
        assert eventually(lambda: traces.failed == 10)
        traces.close()

"""Load by wrk on one server, and on several in turn; nothing is believed that had a single error."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.answers import Kind
from harness.children import HOST, LOAD_CPU, BenchError
from harness.targets import Target

MARK = "BENCH-RESULT "
WARM_UP_S = 1

_DONE = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '%s{"requests":%%d,"duration_us":%%d,"bytes":%%d,"p50_us":%%d,"p99_us":%%d,' ..
    '"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw in one go. `failures` counts errors by their kind, zeros left out."""

    requests: int
    duration_s: float
    received_bytes: int
    p50_ms: float
    p99_ms: float
    failures: Mapping[str, int]

    @property
    def per_s(self) -> float:
        """Whole answers a second."""
        return self.requests / self.duration_s


@dataclass(frozen=True)
class Rounds:
    """The rounds of one server: medians over them."""

    loads: Sequence[Load]

    def median(self, value: Callable[[Load], float]) -> float:
        """The median of `value` over the rounds."""
        return statistics.median(map(value, self.loads))

    @property
    def per_s(self) -> float:
        """Median of the rounds' answers a second."""
        return self.median(lambda load: load.per_s)

    @property
    def p50_ms(self) -> float:
        """Median of the rounds' median latencies."""
        return self.median(lambda load: load.p50_ms)

    @property
    def p99_ms(self) -> float:
        """Median of the rounds' 99th percentiles."""
        return self.median(lambda load: load.p99_ms)


@dataclass(frozen=True)
class Effort:
    """How hard and how long: `connections` at once, `rounds` of `seconds` for each server."""

    connections: int
    rounds: int
    seconds: int


def wrk_script(body: bytes, headers: Mapping[str, str]) -> str:
    """A Lua script for wrk that sends `body` and prints one line that `parse_wrk` reads."""
    lines = [
        'wrk.method = "POST"',
        *(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()),
    ]
    lines.append(f"wrk.body = [==[{body.decode()}]==]")
    return "\n".join(lines) + _DONE % MARK


def parse_wrk(output: str) -> Load:
    """Read the line that `wrk_script` prints; raises `BenchError` when it is not there."""
    for line in output.splitlines():
        if line.startswith(MARK):
            seen = json.loads(line.removeprefix(MARK))
            kinds = ("connect", "read", "write", "status", "timeout")
            return Load(
                requests=seen["requests"],
                duration_s=seen["duration_us"] / 1e6,
                received_bytes=seen["bytes"],
                p50_ms=seen["p50_us"] / 1e3,
                p99_ms=seen["p99_us"] / 1e3,
                failures={kind: seen[kind] for kind in kinds if seen[kind]},
            )
    raise BenchError(f"wrk gave no result: {output[-500:]}")


def check_load(load: Load, name: str, answer_bytes: int) -> None:
    """Raise `BenchError` for any failed answer, or if the mean answer was shorter than the checked one."""
    if load.failures:
        raise BenchError(f"{name} failed under load: {dict(load.failures)} beside {load.requests} answers")
    if load.received_bytes < 0.95 * answer_bytes * load.requests:
        mean = load.received_bytes // load.requests
        raise BenchError(f"{name}: answers of {mean} bytes under load, {answer_bytes} before it")


def put_load(target: Target, kind: Kind, connections: int, seconds: int) -> Load:
    """One run of wrk on its core; it ends by itself."""
    answer = target.fetch(kind)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder, "ask.lua")
        script.write_text(wrk_script(target.body(kind), target.headers(kind)))
        argv = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        argv += [
            "--timeout",
            "10s",
            "-s",
            str(script),
            f"http://{HOST}:{target.port}{target.asks[kind].path}",
        ]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60)
    load = parse_wrk(ran.stdout + ran.stderr)
    check_load(load, target.name, len(answer))
    return load


@contextmanager
def flooded(target: Target, connections: int, seconds: int) -> Iterator[None]:
    """Have wrk ask as fast as it is answered, whatever the answers are, for at most so long."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder, "flood.lua")
        script.write_text(wrk_script(target.body("json"), target.headers("json")))
        argv = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s"]
        url = f"http://{HOST}:{target.port}{target.asks['json'].path}"
        with subprocess.Popen([*argv, str(script), url], stdout=subprocess.DEVNULL) as wrk:
            try:
                time.sleep(1.0)  # it has been told by now that it asks too much
                yield
            finally:
                wrk.terminate()


Turn = Callable[[Target], AbstractContextManager[object]]
"""Surrounds each load on a target: what has to be so while it is measured."""


def compare(
    targets: Sequence[Target], kind: Kind, effort: Effort, turn: Turn = nullcontext
) -> dict[str, Rounds]:
    """Load the targets in turn, to and fro, so that what drifts drifts for all. Keys are their names."""
    loads: dict[str, list[Load]] = {target.name: [] for target in targets}
    for target in targets:
        with turn(target):
            put_load(target, kind, effort.connections, WARM_UP_S)
    for index in range(effort.rounds):
        for target in targets if index % 2 == 0 else reversed(targets):
            with turn(target):
                load = put_load(target, kind, effort.connections, effort.seconds)
            if not load.requests:
                raise BenchError(f"{target.name} gave no whole answer in {effort.seconds} s")
            loads[target.name].append(load)
    return {name: Rounds(seen) for name, seen in loads.items()}

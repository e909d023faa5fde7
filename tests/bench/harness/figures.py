"""The figures of `make bench`: each starts what it needs, measures, and gives rows of the table."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import targets
from harness.answers import Kind
from harness.children import HOST, LOAD_CPU, BenchError, Child
from harness.chunks import chunk_rows
from harness.ledger import aside, booking_rows, keeping_up_rows, metering
from harness.limits import admission_rows, open_entrance, redis
from harness.load import Effort, Rounds, compare, flooded, put_load
from harness.planning import plan_rows
from harness.table import Row
from harness.targets import Target
from harness.telemetry import loop_lag_ms, tell, telling_rows

CONNECTIONS = 32
OPEN_STREAMS = 1000
LATE_MS = 250
PROMPT_BYTES = 1_000_000
SETTLE_S = 1.0
SOAK_CALLS = (50_000, 500_000)


@dataclass(frozen=True)
class Bench:
    """A run's surroundings. `start_gateway` starts what the column Forebay shows."""

    upstream_port: int
    folder: Path
    rounds: int
    seconds: int
    start_gateway: Callable[[int, Path], tuple[Target, Child]]

    @property
    def direct(self) -> Target:
        """The fake upstream itself."""
        return targets.direct(self.upstream_port)

    @contextmanager
    def gateway(self) -> Iterator[tuple[Target, Child]]:
        """The gateway, started anew on its own folder, ready."""
        with started(self.start_gateway(self.upstream_port, self.folder)) as ready:
            yield ready

    @contextmanager
    def floor(self) -> Iterator[tuple[Target, Child]]:
        """The floor, started anew, ready."""
        with started(targets.floor(self.upstream_port, self.folder)) as ready:
            yield ready

    @contextmanager
    def both(self) -> Iterator[tuple[Target, Target]]:
        """Floor and gateway, ready."""
        with self.floor() as (floor, _), self.gateway() as (gateway, _):
            yield floor, gateway

    def effort(self, connections: int) -> Effort:
        """The run's rounds at this many connections."""
        return Effort(connections, self.rounds, self.seconds)


@contextmanager
def started(pair: tuple[Target, Child]) -> Iterator[tuple[Target, Child]]:
    """Start a server and wait until it is ready."""
    target, child = pair
    with child:
        child.ready_s(target.port, target.ready_path)
        yield target, child


def throughput(bench: Bench, kind: Kind, noun: str, goal_percent: int) -> list[Row]:
    """Whole answers a second on one core, as a share of the floor's."""
    with bench.both() as (floor, gateway):
        seen = compare([floor, gateway], kind, bench.effort(CONNECTIONS))
    upstream = compare([bench.direct], kind, Effort(CONNECTIONS, 1, bench.seconds))["direct"]
    ratio = seen[gateway.name].per_s / seen[floor.name].per_s
    goal, met = f">= {goal_percent} %", ratio * 100 >= goal_percent
    what = f"{noun} on one core, {CONNECTIONS} connections"
    return [
        Row(
            what,
            _rate(seen[floor.name]),
            _rate(seen[gateway.name]),
            f"{ratio:.0%}".replace("%", " %"),
            goal,
            met,
        ),
        Row(f"{noun} of the fake upstream itself", _rate(upstream), ""),
    ]


def _rate(rounds: Rounds) -> str:
    return f"{rounds.per_s:,.0f}/s, p99 {rounds.p99_ms:.1f} ms"


def calls(bench: Bench) -> list[Row]:
    """Calls a second."""
    return throughput(bench, "json", "calls", 70)


def streams(bench: Bench) -> list[Row]:
    """Streams of 64 chunks a second."""
    return throughput(bench, "sse", "streams of 64 chunks", 75)


def latency(bench: Bench) -> list[Row]:
    """What a call takes longer than without a gateway, one connection at a time."""
    with bench.both() as (floor, gateway):
        seen = compare([bench.direct, floor, gateway], "json", bench.effort(1))
    rows: list[Row] = []
    limits: list[tuple[str, float, Callable[[Rounds], float]]] = [
        ("p50", 0.35, lambda rounds: rounds.p50_ms),
        ("p99", 2.0, lambda rounds: rounds.p99_ms),
    ]
    for name, limit_ms, value in limits:
        base_ms, floor_ms, ours_ms = (value(seen[key]) for key in ("direct", floor.name, gateway.name))
        added_ms = ours_ms - base_ms
        what, compared = (
            f"latency {name}, 1 connection, over direct",
            f"+{added_ms:.2f} ms (floor +{floor_ms - base_ms:.2f})",
        )
        goal = f"<= +{limit_ms} ms"
        rows.append(Row(what, f"{base_ms:.2f} ms", f"{ours_ms:.2f} ms", compared, goal, added_ms <= limit_ms))
    return rows


def raw_request(target: Target, kind: Kind) -> bytes:
    """The request as bytes for a raw socket."""
    body = target.body(kind)
    headers = {"host": HOST, **target.headers(kind), "content-length": str(len(body))}
    lines = [
        f"POST {target.asks[kind].path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def hold_streams(target: Target, child: Child | None, hold_s: float) -> tuple[dict[str, float], int]:
    """Hold `OPEN_STREAMS` paced streams; return what the client saw and the server's memory meanwhile."""
    target.fetch("paced")
    argv = ["taskset", "-c", str(LOAD_CPU), sys.executable, "-m", "harness.paced"]
    argv += [str(target.port), str(OPEN_STREAMS), str(hold_s)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=targets.BENCH
    ) as client:
        try:
            client.stdin.write(raw_request(target, "paced"))
            client.stdin.close()
            rss_bytes = 0
            if client.stdout.readline() and child:
                for _ in range(4):
                    time.sleep(hold_s / 5)
                    rss_bytes = max(rss_bytes, child.rss_bytes())
            last, complaint = client.stdout.read(), client.stderr.read()
        finally:
            client.kill()
    seen: dict[str, float] = json.loads(last or b"{}")
    if not seen or seen["failed"]:
        raise BenchError(
            f"{target.name}: streams broke among {OPEN_STREAMS} open ones: {seen} {complaint.decode()[-500:]}"
        )
    return seen, rss_bytes


def paced(bench: Bench) -> list[Row]:
    """A thousand open streams at a chunk every 20 ms: gaps at the client, memory per stream."""
    hold_s = max(5.0, float(bench.seconds))
    control, _ = hold_streams(bench.direct, None, hold_s)
    with bench.floor() as (target, child):
        floor, floor_kb = _hold_warm(target, child, hold_s)
    with bench.gateway() as (target, child):
        ours, ours_kb = _hold_warm(target, child, hold_s)
    what = f"{OPEN_STREAMS:,} open streams, a chunk each 20 ms"
    late, waiting = int(ours["late_gaps"]), int(OPEN_STREAMS - ours["open"] + ours["unfinished"])
    verdict = f"{late:,} over {LATE_MS} ms" + (f"; {waiting} never began or ended" if waiting else "")
    met = not late and not waiting
    return [
        Row(f"{what}: longest gap", _gap(floor), _gap(ours), verdict, f"none > {LATE_MS} ms", met),
        Row(f"{what}: direct, as a control", _gap(control), ""),
        Row(
            f"{what}: memory per stream",
            f"{floor_kb:.0f} KB",
            f"{ours_kb:.0f} KB",
            "",
            "<= 60 KB",
            ours_kb <= 60,
        ),
    ]


def _hold_warm(target: Target, child: Child, hold_s: float) -> tuple[dict[str, float], float]:
    put_load(target, "paced", CONNECTIONS, 2)
    before_bytes = child.settled_rss_bytes()
    seen, rss_bytes = hold_streams(target, child, hold_s)
    return seen, (rss_bytes - before_bytes) / OPEN_STREAMS / 1000


def _gap(seen: dict[str, float]) -> str:
    return f"{seen['gap_max_ms']:.0f} ms (p99 {seen['gap_p99_ms']} ms)"


def start(bench: Bench) -> list[Row]:
    """Time from exec to ready, with and without state from before, and memory at rest."""
    floor_rss_bytes, floor_s = _start_once(*targets.floor(bench.upstream_port, bench.folder))
    _start_once(*bench.start_gateway(bench.upstream_port, bench.folder / "start-warm-up"))
    first = [
        _start_once(*bench.start_gateway(bench.upstream_port, bench.folder / f"start-{index}"))
        for index in range(5)
    ]
    again = [
        _start_once(*bench.start_gateway(bench.upstream_port, bench.folder / "start-0")) for _ in range(5)
    ]
    rows = []
    for what, runs in (("empty state", first), ("state from before", again)):
        ready_s = statistics.median(seconds for _, seconds in runs)
        name = f"start to ready, {what}, median of 5"
        rows.append(Row(name, f"{floor_s:.2f} s", f"{ready_s:.2f} s", "", "<= 1.5 s", ready_s <= 1.5))
    rss_mb = statistics.median(rss for rss, _ in first) / 1e6
    rows.append(
        Row(
            "memory at rest (RSS)",
            f"{floor_rss_bytes / 1e6:.0f} MB",
            f"{rss_mb:.0f} MB",
            "",
            "<= 120 MB",
            rss_mb <= 120,
        )
    )
    return rows


def _start_once(target: Target, child: Child) -> tuple[int, float]:
    with child:
        ready_s = child.ready_s(target.port, target.ready_path)
        time.sleep(SETTLE_S)
        return child.rss_bytes(), ready_s


def prompt(bench: Bench) -> list[Row]:
    """CPU time of a call with a prompt of a megabyte."""
    spent_ms: list[float] = []
    with ExitStack() as stack:
        for pair in (stack.enter_context(bench.floor()), stack.enter_context(bench.gateway())):
            spent_ms.append(_cpu_ms_per_call(*pair, calls=40 * bench.rounds))
    floor_ms, ours_ms = spent_ms
    compared = f"+{ours_ms - floor_ms:.2f} ms"
    return [
        Row(
            "CPU time of a call with a 1 MB prompt",
            f"{floor_ms:.2f} ms",
            f"{ours_ms:.2f} ms",
            compared,
            "<= 3 ms",
            ours_ms <= 3,
        )
    ]


def _cpu_ms_per_call(target: Target, child: Child, calls: int) -> float:
    connection = http.client.HTTPConnection(HOST, target.port, timeout=30)
    body = target.body("json", PROMPT_BYTES)

    def send(times: int) -> None:
        for _ in range(times):
            connection.request("POST", target.asks["json"].path, body, target.headers("json"))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                raise BenchError(f"{target.name} answered a 1 MB prompt with {answer.status}: {text[:300]!r}")
            targets.check_answer(target, "json", text)

    send(10)
    before_s = child.cpu_s()
    send(calls)
    connection.close()
    return (child.cpu_s() - before_s) / calls * 1e3


def soak(bench: Bench) -> list[Row]:
    """Memory after many calls against memory after the first ones."""
    sizes_bytes: list[int] = []
    with bench.gateway() as (target, child):
        done = 0
        for wanted in SOAK_CALLS:
            while done < wanted:
                done += put_load(target, "json", CONNECTIONS, 5).requests
            sizes_bytes.append(child.settled_rss_bytes())
    early, late = sizes_bytes
    grown = (late - early) / early * 100
    what = f"memory after {SOAK_CALLS[1]:,} calls against {SOAK_CALLS[0]:,}"
    return [
        Row(
            what,
            f"{early / 1e6:.0f} MB",
            f"{late / 1e6:.0f} MB",
            f"{grown:+.1f} %",
            "within 10 %",
            abs(grown) <= 10,
        )
    ]


def translation(bench: Bench) -> list[Row]:
    """What translating costs: a client of Anthropic's dialect and one of OpenAI's at the same upstream."""
    rows: list[Row] = []
    with bench.gateway() as (relayed, _):
        translated = targets.in_messages(relayed)
        for kind, noun in (("json", "calls"), ("sse", "streams of 64 chunks")):
            seen = compare([relayed, translated], kind, bench.effort(CONNECTIONS))
            ours, base = seen[translated.name], seen[relayed.name]
            ratio = ours.per_s / base.per_s
            goal, met = (">= 50 %", ratio >= 0.5) if kind == "json" else ("", None)
            shown = f"{ratio:.0%}".replace("%", " %")
            what = f"{noun}, translated, against relayed (in place of the floor)"
            rows.append(Row(what, _rate(base), _rate(ours), shown, goal, met))
    return [*rows, *chunk_rows()]


def limits(bench: Bench) -> list[Row]:
    """What limits cost a call; and calls a second with six of them in a Redis, against none."""
    with redis(bench.folder) as url, bench.gateway() as (free, _):
        pair = targets.gateway(bench.upstream_port, bench.folder / "limited", url)
        (bench.folder / "limited").mkdir(exist_ok=True)
        with started(pair) as (target, _):
            limited = replace(target, name="Forebay, limited")
            seen = compare([free, limited], "json", bench.effort(CONNECTIONS))
    ratio = seen[limited.name].per_s / seen[free.name].per_s
    row = Row(
        "calls on one core with 6 limits in a Redis, against none (in place of the floor)",
        _rate(seen[free.name]),
        _rate(seen[limited.name]),
        f"{ratio:.0%}".replace("%", " %"),
        ">= 80 %",
        ratio >= 0.8,
    )
    return [row, *admission_rows(bench.folder)]


def ledger(bench: Bench) -> list[Row]:
    """What metering costs a call, and calls a second with it, against without; whether the meter keeps up."""
    with bench.gateway() as (free, _):
        pair = targets.gateway(bench.upstream_port, bench.folder / "metered", ledger=True)
        with started(pair) as (target, child), aside(child) as engine:
            metered = replace(target, name="Forebay, metered")
            seen = compare([free, metered], "json", bench.effort(CONNECTIONS))
            own, engines = (one.memory_info().rss for one in (child.process, engine))
    ratio = seen[metered.name].per_s / seen[free.name].per_s
    what = "calls on one core with the ledger, against without (in place of the floor)"
    shown = f"{ratio:.0%}".replace("%", " %")
    rows = [Row(what, _rate(seen[free.name]), _rate(seen[metered.name]), shown, ">= 90 %", ratio >= 0.9)]
    memory = f"{own / 1e6:.0f} MB"
    rows.append(
        Row("memory of the metered gateway, beside its ClickHouse", f"{engines / 1e6:.0f} MB", memory)
    )
    _, plan_call = open_entrance(bench.folder / "readers")
    rows += booking_rows(bench.folder, plan_call().demand.signals.readers)
    state = bench.folder / "keeping-up" / "state"
    targets.gateway(bench.upstream_port, state.parent, ledger=True)  # for its configuration
    with metering(state):
        return [*rows, *keeping_up_rows(state)]


def telemetry(bench: Bench) -> list[Row]:
    """Calls a second with metrics and some traces, against without; and how late the event loop gets."""
    pairs = []
    for name, everything in (("silent", False), ("telling", True)):
        target, child = targets.gateway(bench.upstream_port, bench.folder / name)
        tell(bench.folder / name / "config", bench.upstream_port, everything=everything)
        pairs.append((replace(target, name=f"Forebay, {name}"), child))
    with started(pairs[0]) as (silent, _), started(pairs[1]) as (telling, _):
        seen = compare([silent, telling], "json", bench.effort(CONNECTIONS))
        return telling_rows(seen[silent.name], seen[telling.name], loop_lag_ms(telling.port))


def flood(bench: Bench) -> list[Row]:
    """What one tenant's calls take longer while another one goes on asking beyond its limit."""
    target, child = bench.start_gateway(bench.upstream_port, bench.folder)
    key = targets.add_flooder(bench.folder / "config")
    with started((target, child)):
        asks = {"json": replace(target.asks["json"], headers={"authorization": f"Bearer {key}"})}
        flooding = replace(target, asks=asks)
        alone: list[float] = []
        beside: list[float] = []
        for _ in range(bench.rounds):
            alone.append(put_load(target, "json", 1, bench.seconds).p50_ms)
            with flooded(flooding, CONNECTIONS, bench.seconds + 2):
                beside.append(put_load(target, "json", 1, bench.seconds).p50_ms)
    before_ms, during_ms = statistics.median(alone), statistics.median(beside)
    added = (during_ms / before_ms - 1) * 100
    what = f"latency p50 while another tenant floods over {CONNECTIONS} connections (floor: alone)"
    shown = f"{added:+.0f} %"
    return [Row(what, f"{before_ms:.2f} ms", f"{during_ms:.2f} ms", shown, "<= +10 %", added <= 10)]


def failing(bench: Bench) -> list[Row]:
    """What a call takes longer when one of two deployments fails every call; both routes share a gateway."""
    with bench.gateway() as (gateway, _):
        healthy, halved = targets.in_pairs(gateway)
        seen = compare([healthy, halved], "json", bench.effort(CONNECTIONS))
    base_ms, ours_ms = (seen[target.name].p50_ms for target in (healthy, halved))
    added = ours_ms / base_ms - 1
    what = f"latency p50, {CONNECTIONS} connections, one of two deployments failing, over both well"
    shown = f"{added * 100:+.0f} %"
    return [Row(what, f"{base_ms:.2f} ms", f"{ours_ms:.2f} ms", shown, "<= +10 %", added <= 0.1)]


def plan(bench: Bench) -> list[Row]:
    """Deciding where a call goes, in the process itself."""
    return plan_rows(bench.folder)


FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "calls": calls,
    "streams": streams,
    "latency": latency,
    "paced": paced,
    "start": start,
    "prompt": prompt,
    "translation": translation,
    "failing": failing,
    "plan": plan,
    "limits": limits,
    "flood": flood,
    "ledger": ledger,
    "telemetry": telemetry,
}

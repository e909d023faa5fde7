"""`make bench-peers`: the gateway beside other gateways, under the same load in one run.

    python tests/bench/peers.py [--only NAME] [--without-gateway] [--envs DIR] [--rounds N] [--write]

Peers are installed on first use below DIR (default: forebay-bench in the user's cache folder). A peer that
cannot be installed or started is left out and named. Exit status: 0, or 2 without a result to trust.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import targets
from harness.answers import Kind
from harness.children import LOAD_CPU, BenchError, Child, free_port, require_machine
from harness.fakeupstream import fake_upstream
from harness.figures import CONNECTIONS, started
from harness.load import Effort, Rounds, compare, put_load
from harness.machine import machine_lines, version_line
from harness.peers import PEERS, Peer
from harness.table import render_table, write_section
from harness.targets import ROOT, Target

HEADER = (
    "server",
    f"calls/s, {CONNECTIONS} connections",
    "of Forebay's",
    "streams/s",
    "of Forebay's",
    "added p50",
    "added p99",
    "memory after",
)

AWAKE_S = 1.0


@dataclass
class Field:
    """The servers that run, and what was measured of each. `absent` names those that do not, and why."""

    targets: list[Target] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    calls: dict[str, Rounds] = field(default_factory=dict)
    streams: dict[str, Rounds] = field(default_factory=dict)
    single: dict[str, Rounds] = field(default_factory=dict)

    @contextmanager
    def turn(self, target: Target) -> Iterator[None]:
        """Only this server runs; the others are paused."""
        child = self.children.get(target.name)
        if child:
            child.resume()
            # Its timers that fell due in the pause fire now: let them, so that they are not measured.
            time.sleep(AWAKE_S)
        try:
            yield
        finally:
            if child:
                child.pause()


def arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forebay-bench"
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="Measure the gateway beside other gateways.")
    parser.add_argument("--only", action="append", choices=names, help="a peer; may be repeated")
    parser.add_argument("--without-gateway", action="store_true", help="the floor and the peers only")
    parser.add_argument(
        "--envs", type=Path, default=cache, help=f"where peers are installed (default {cache})"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each load (default 3)")
    parser.add_argument("--seconds", type=int, default=6, help="seconds of a round (default 6)")
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.without_gateway):
        parser.error("--write keeps whole runs only")
    return asked


def enter(field: Field, stack: ExitStack, pair: tuple[Target, Child]) -> None:
    """Start a server, check each kind of its answers, and let it take part."""
    target, child = stack.enter_context(started(pair))
    for kind in ("json", "sse"):
        target.fetch(kind)
    child.pause()
    field.targets.append(target)
    field.children[target.name] = child


def enter_peer(field: Field, stack: ExitStack, peer: Peer, place: tuple[Path, int, Path]) -> None:
    """The same for a peer, which is left out when it cannot be had. `place`: envs, upstream port, folder."""
    envs, upstream_port, folder = place
    try:
        env = peer.ensure_installed(envs)
        enter(field, stack, peer.start(env, upstream_port, folder))
    except BenchError as error:
        print(f"bench: without {peer.name}: {error}", file=sys.stderr)
        field.absent.append(peer.name)
        return
    field.versions.append(f"- {peer.name} {peer.version(env)}: {peer.what}")


def measure(field: Field, direct: Target, rounds: int, seconds: int) -> None:
    """Three loads on every server in turn."""
    loads: list[tuple[dict[str, Rounds], Kind, int]] = [
        (field.calls, "json", CONNECTIONS),
        (field.streams, "sse", CONNECTIONS),
        (field.single, "json", 1),
    ]
    for target in field.targets:
        # Node and LiteLLM answer faster once they have answered for a while: that is their real speed.
        with field.turn(target):
            put_load(target, "json", CONNECTIONS, 2 * seconds)
    for seen, kind, connections in loads:
        print(f"measuring {kind} at {connections} ...", file=sys.stderr, flush=True)
        seen.update(compare([direct, *field.targets], kind, Effort(connections, rounds, seconds), field.turn))


def lines(field: Field) -> list[tuple[str, ...]]:
    """The table's lines: direct, then the servers as they were entered."""
    measure_of = "Forebay" if "Forebay" in field.calls else "floor"
    ours = (field.calls[measure_of].per_s, field.streams[measure_of].per_s)
    return [_line(field, name, ours) for name in field.calls]


def _line(field: Field, name: str, ours: tuple[float, float]) -> tuple[str, ...]:
    calls, streams, single = field.calls[name], field.streams[name], field.single[name]
    base = field.single["direct"]
    own = name == "direct"
    child = field.children.get(name)
    return (
        "the fake upstream itself" if own else name,
        f"{calls.per_s:,.0f} (p99 {calls.p99_ms:.1f} ms)",
        f"{calls.per_s / ours[0]:.2f} x",
        f"{streams.per_s:,.0f} (p99 {streams.p99_ms:.1f} ms)",
        f"{streams.per_s / ours[1]:.2f} x",
        f"({base.p50_ms:.2f} ms)" if own else f"+{single.p50_ms - base.p50_ms:.2f} ms",
        f"({base.p99_ms:.2f} ms)" if own else f"+{single.p99_ms - base.p99_ms:.2f} ms",
        f"{child.rss_bytes() / 1e6:,.0f} MB" if child else "",
    )


def run(asked: argparse.Namespace, machine: list[str]) -> str:
    """Start everything, measure, and give the section as Markdown."""
    field, asked_for = Field(), asked.only or [peer.name for peer in PEERS]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        port = free_port()
        upstream = stack.enter_context(fake_upstream(folder / "nginx", port))
        upstream.ready_s(port, "/readyz")
        enter(field, stack, targets.floor(port, folder))
        if not asked.without_gateway:
            enter(field, stack, targets.gateway(port, folder))
        for peer in PEERS:
            if peer.name in asked_for:
                enter_peer(field, stack, peer, (asked.envs, port, folder))
        measure(field, targets.direct(port), asked.rounds, asked.seconds)
        header = (
            HEADER
            if not asked.without_gateway
            else tuple(c.replace("Forebay's", "the floor's") for c in HEADER)
        )
        table = render_table(header, lines(field))
    command = " ".join(["python tests/bench/peers.py", *sys.argv[1:]])
    head = [
        "## Beside other gateways",
        "",
        *machine,
        version_line(),
        *field.versions,
        f"- Command: `{command}`",
    ]
    if field.absent:
        head.append(f"- Not measured (not installed or not started here): {', '.join(field.absent)}")
    return "\n".join([*head, "", table])


def main() -> int:
    """Measure and print; keep the result if asked to."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_machine()
        machine = machine_lines()
        os.sched_setaffinity(0, {LOAD_CPU})
        text = run(asked, machine)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(text)
    if asked.write:
        write_section(ROOT / "docs" / "benchmarks.md", "peers", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: what the gateway costs, against its goals, in one table.

    python tests/bench/run.py [--only NAME] [--rounds N] [--seconds S] [--soak] [--noise] [--write]

Exit status: 0 all goals met, 1 a goal missed, 2 no result that could be trusted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from harness import targets
from harness.children import LOAD_CPU, BenchError, Child, free_port, require_machine
from harness.fakeupstream import fake_upstream
from harness.figures import FIGURES, Bench, soak
from harness.machine import machine_lines, version_line
from harness.table import HEADER, Row, render_table, write_section
from harness.targets import ROOT, Target

DOCUMENT = ROOT / "docs" / "benchmarks.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure what the gateway costs, against the floor and its goals."
    )
    parser.add_argument(
        "--only", action="append", choices=[*FIGURES, "soak"], help="a figure; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each load (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of a round (default 4)")
    parser.add_argument("--soak", action="store_true", help="add memory over half a million calls (minutes)")
    parser.add_argument(
        "--noise", action="store_true", help="measure the floor against itself: the harness's noise"
    )
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.noise):
        parser.error("--write keeps whole runs of the gateway only")
    return asked


def floor_again(upstream_port: int, folder: Path) -> tuple[Target, Child]:
    """The floor in the gateway's place."""
    folder.mkdir(parents=True, exist_ok=True)
    return targets.floor(upstream_port, folder, "Forebay")


def measure(asked: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Run the figures that were asked for; return their rows, and the figures that gave no true number."""
    figures = FIGURES | ({"soak": soak} if asked.soak or "soak" in (asked.only or []) else {})
    rows: list[Row] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        with fake_upstream(folder / "nginx", port) as upstream:
            upstream.ready_s(port, "/readyz")
            bench = Bench(
                port, folder, asked.rounds, asked.seconds, floor_again if asked.noise else targets.gateway
            )
            for figure in asked.only or figures:
                print(f"measuring {figure} ...", file=sys.stderr, flush=True)
                try:
                    rows += figures[figure](bench)
                except BenchError as error:
                    print(f"bench: {figure}: {error}", file=sys.stderr)
                    failed.append(figure)
    return rows, failed


def section(rows: list[Row], machine: list[str], command: str) -> str:
    """The whole result as Markdown."""
    lines = ["## Against the floor", "", *machine, version_line(), f"- Command: `{command}`", ""]
    return "\n".join([*lines, render_table(HEADER, [row.cells() for row in rows])])


def main() -> int:
    """Measure, print, and say in the exit status whether the goals are met."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_machine()
        machine = machine_lines()
        os.sched_setaffinity(0, {LOAD_CPU})
        rows, failed = measure(asked)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = section(rows, machine, " ".join(["python tests/bench/run.py", *sys.argv[1:]]))
    print(text, flush=True)
    if failed:
        print(f"bench: no result for: {', '.join(failed)}", file=sys.stderr)
        return 2
    if asked.write:
        write_section(DOCUMENT, "bench", text)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The table of results, and the sections of docs/benchmarks.md that hold the last run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER = ("what", "floor or direct", "Forebay", "ratio or added", "goal", "met?")
SECTIONS = ("bench", "peers")

INTRODUCTION = """\
# Benchmarks

`make bench` and `make bench-peers` measure on your machine and print these tables; the sections below are
what they wrote the last time they were asked to keep the result. Absolute numbers belong to the machine they
were taken on: compare ratios, which come from one run each.

How it is measured:

- The server under test has core 0 for itself (`taskset`), with one worker. The load (wrk, or a raw-socket
  client for paced streams) and the fake upstream (nginx answering from its configuration) share core 1.
  Everything listens on the loopback interface.
- The **floor** is the least that a gateway on this stack can cost: Litestar, uvicorn and aiohttp forwarding
  the call and doing nothing else (`tests/bench/floor.py`). **Direct** is the fake upstream alone.
- A **translated** call is one of Anthropic's Messages API to the same gateway, whose upstream speaks OpenAI's
  chat completions; it is compared with the relayed call. What a chunk costs is taken in the process itself,
  from the upstream's bytes to the client's, for every pair of formats.
- **Planning** is the plan stage alone, in the process itself, on calls whose bodies were read: up to the
  targets in their order. Only the last rule applies, so that each is asked; each call has a text of its own.
  "Reading its text" means that rules ask for tasks and languages, and that sensitive data is detected.
- The route of which **one deployment fails** every call (with a 500) is compared with one of the same gateway
  whose two deployments are well.
- Servers are loaded in turn, to and fro, for several rounds; a number is the median of its rounds, and a p99
  the median of the rounds' p99.
- Each answer is checked before the load (status, text, every chunk of a stream). A single failed answer under
  load, or answers shorter than the checked one, and the run fails without a number.
- Every figure is taken from processes started anew for it. Beside other gateways, all but the one under load
  are paused, so that none is slowed by what another does in the background.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where nothing was promised."""

    what: str
    reference: str
    forebay: str
    compared: str = ""
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The line's six cells."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        return (self.what, self.reference, self.forebay, self.compared, self.goal, verdict)


def render_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it can be read as plain text too."""
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    ruled = [header, ["-" * width for width in widths], *lines]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in ruled
    )


def section_marks(name: str) -> tuple[str, str]:
    """The comments between which a generated section stands."""
    return f"<!-- {name}: generated, do not edit -->", f"<!-- {name}: end -->"


def replace_section(text: str, name: str, section: str) -> str:
    """`text` with the section `name` replaced, or added at its end."""
    begin, end = section_marks(name)
    block = f"{begin}\n{section.strip()}\n{end}"
    before, found, rest = text.partition(begin)
    if not found:
        return f"{text.rstrip()}\n\n{block}\n"
    return before + block + rest.partition(end)[2]


def write_section(path: Path, name: str, section: str) -> None:
    """Put the section into the document, which is begun with its introduction if it is not there yet."""
    text = path.read_text() if path.exists() else INTRODUCTION
    # Their order in the document does not hang on which was run first.
    for known in SECTIONS:
        text = text if section_marks(known)[0] in text else replace_section(text, known, "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(replace_section(text, name, section))

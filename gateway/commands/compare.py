"""`forebay diff`: say which of the calls that were recorded would go elsewhere under another routing.yaml.

Both sides are asked anew, in a world where all is well, with the same chance for each call: so a difference
is one of the configurations, not of the weather. What cannot be judged by what was recorded is counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from pathlib import Path

import msgspec

from gateway.commands.asking import names_of
from gateway.commands.explain import printable, usd
from gateway.compose.reading import load_config, with_all_keys
from gateway.compose.rehearsal import rehearse
from gateway.errors import ConfigError, GatewayError
from gateway.exchange import Moment, Usage
from gateway.routing.decisions import Decision
from gateway.routing.plans import Considered, Routing
from gateway.routing.routes import Deployment
from gateway.routing.signals.recall import recall
from gateway.routing.signals.signals import Unrecorded
from gateway.stages.plan import make_plan

_NOW_S = 1e6
_SHOWN = 20

_decoder = msgspec.json.Decoder(Decision)


class Side(msgspec.Struct, frozen=True):
    """Where a call goes under one configuration, and what it costs there; None: no price is known."""

    route: str
    rule: str
    target: str
    """Empty: it is turned away."""
    denied: str = ""
    cost_nanousd: int | None = 0

    def __str__(self) -> str:
        """Say it in a few words."""
        rule = f" by rule {self.rule}" if self.rule else ""
        return f"turned away ({self.denied}){rule}" if self.denied else f"{self.target or 'fallbacks'}{rule}"


class Group(msgspec.Struct):
    """The calls of one route, as it was."""

    calls: int = 0
    moved: int = 0
    old_nanousd: int = 0
    new_nanousd: int = 0
    unpriced: int = 0
    """Calls without a price on one of the sides: neither side counts them."""
    moves: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, old: Side, new: Side) -> None:
        """Count a call."""
        self.calls += 1
        if (old.route, old.rule, old.target, old.denied) != (new.route, new.rule, new.target, new.denied):
            self.moved += 1
            route = f" of route {new.route}" if new.route != old.route else ""
            self.moves[f"{old} -> {new}{route}"] += 1
        if old.cost_nanousd is None or new.cost_nanousd is None:
            self.unpriced += 1
        else:
            self.old_nanousd += old.cost_nanousd
            self.new_nanousd += new.cost_nanousd


class Report(msgspec.Struct):
    """What came of the comparison."""

    routes: dict[str, Group] = {}
    unjudged: Counter[str] = msgspec.field(default_factory=Counter)
    """Calls that could not be judged, by the reason."""


def run(args: argparse.Namespace) -> int:
    """Run the command; 0: it was compared. Raises ConfigErrors, ConfigError."""
    environ = with_all_keys() if args.all_keys else None

    def opened(place: Path) -> Routing:
        if place.is_dir():
            return rehearse(load_config(place, environ=environ))
        return rehearse(load_config(args.config, place, environ))

    files = args.calls or sorted((args.state / "decisions").glob("*.jsonl"))
    if not files:
        raise ConfigError(str(args.state / "decisions"), 0, "", "there are no recorded calls")
    report = compare(decisions_of(files), opened(args.old), opened(args.new))
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_told(report)) + "\n")
    return 0


def decisions_of(files: list[Path]) -> Iterator[Decision]:
    """Read the calls of clients from files of the log. Raises ConfigError for a line that is none."""
    for path in files:
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.endswith(b"\n"):  # else it is being written
                        decision = _decoded(line, path, number)
                        if decision.purpose == "call":
                            yield decision
        except OSError as error:
            raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from None


def _decoded(line: bytes, path: Path, number: int) -> Decision:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), number, "", f"this is no recorded call: {error}") from None


def compare(decisions: Iterator[Decision], old: Routing, new: Routing) -> Report:
    """Ask both sides where each call goes."""
    report = Report(routes={})
    for decision in decisions:
        if not decision.facts:
            report.unjudged["it never came to routing"] += 1
            continue
        try:
            before, after = side(decision, old), side(decision, new)
        except (Unrecorded, msgspec.ValidationError) as error:
            report.unjudged[str(error)] += 1
            continue
        report.routes.setdefault(before.route or decision.model, Group()).add(before, after)
    return report


def side(decision: Decision, routing: Routing) -> Side:
    """Plan a recorded call. Raises Unrecorded when it takes more than was recorded."""
    moment = Moment(_NOW_S, decision.time.timestamp(), _chance(decision.call))
    try:
        plan = make_plan(recall(decision.facts, routing.readers), routing, moment)
    except GatewayError as error:
        seen = error.considered
        if isinstance(seen, Considered):
            return Side(seen.route.name, seen.rule, "", error.code)
        return Side("", "", "", error.code)
    candidates = plan.choice.candidates
    target = names_of(candidates)[0] if candidates else ""
    nanousd = _cost(candidates[0].deployment, _usage(decision)) if candidates else None
    return Side(plan.route.name, plan.rule, target, cost_nanousd=nanousd)


def _chance(call: str) -> Callable[[], float]:
    """Draw numbers that are always the same for a call."""
    turns = count()

    def draw() -> float:
        digest = blake2b(f"{call} {next(turns)}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) / (1 << 48)

    return draw


def _usage(decision: Decision) -> Usage | None:
    """What the attempt that gave the answer used; None: there was none, or nobody knows."""
    answered = [tried for tried in decision.attempts if not tried.cause]
    used = answered[-1].usage if answered else Usage()
    return used if used != Usage() else None


def _cost(deployment: Deployment, usage: Usage | None) -> int | None:
    if usage is None or deployment.price is None:
        return None
    return deployment.price.of(usage)


def _told(report: Report) -> Iterator[str]:
    total = Group()
    for name, group in sorted(report.routes.items()):
        yield f"{printable(name)}: {_summary(group)}"
        for move, calls in group.moves.most_common(_SHOWN):
            yield f"  {calls:6} {printable(move)}"
        for field in ("calls", "moved", "old_nanousd", "new_nanousd", "unpriced"):
            setattr(total, field, getattr(total, field) + getattr(group, field))
    yield f"all: {_summary(total)}"
    for reason, calls in report.unjudged.most_common(_SHOWN):
        yield f"not judged: {calls} calls, because {reason}"


def _summary(group: Group) -> str:
    change = group.new_nanousd - group.old_nanousd
    cost = f"{usd(group.old_nanousd)} -> {usd(group.new_nanousd)} ({'+' if change >= 0 else ''}{usd(change)})"
    unpriced = f", {group.unpriced} without a price or usage" if group.unpriced else ""
    return f"{group.moved} of {group.calls} calls go elsewhere, {cost}{unpriced}"

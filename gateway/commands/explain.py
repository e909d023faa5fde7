"""`forebay explain`: say why a call went where it went, or where one that is written down would go.

Nothing is sent, and no running gateway is asked: it reads what was kept on disk, or the configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import random
from time import monotonic, time
from typing import Any

import msgspec

from gateway.commands.asking import Asked, call_of, names_of
from gateway.compose.reading import Config, load_config, with_all_keys
from gateway.compose.rehearsal import rehearse
from gateway.errors import BadRequest, GatewayError
from gateway.exchange import Moment
from gateway.routing.choice import choose
from gateway.routing.decisions import Decision, Option, Passed, Tried, option
from gateway.routing.plans import Considered, Plan
from gateway.routing.routes import Limits, Step
from gateway.routing.signals.recall import snapshot
from gateway.stages.plan import make_plan
from gateway.telemetry.decisions import find_line

_NANOUSD = 1_000_000_000
_ABOUT = ("model", "format", "stream", "caller", "headers")
"""Facts that every call has, and that are shown elsewhere or not at all."""


class Outlook(msgspec.Struct, omit_defaults=True):
    """Where a call would go."""

    route: str = ""
    rule: str = ""
    candidates: tuple[Option, ...] = ()
    left_out: tuple[Passed, ...] = ()
    fallbacks: tuple[str, ...] = ()
    limits: Mapping[str, float] = {}
    facts: Mapping[str, Any] = {}
    denied: str = ""


def run(args: argparse.Namespace) -> int:
    """Run the command; 0: explained, 1: there is no such call, 2: it cannot be read. Raises ConfigErrors."""
    if args.call is not None:
        return _explain_kept(args.call, args.state, as_json=args.json)
    try:
        config = load_config(args.config, environ=with_all_keys() if args.all_keys else None)
        seen = outlook(read_call(args.file), config)
    except (OSError, ValueError, LookupError, BadRequest) as error:
        sys.stderr.write(f"{args.file}: {error}\n")
        return 2
    sys.stdout.write(_json(seen) if args.json else "\n".join(_told_ahead(seen)) + "\n")
    return 0


def _explain_kept(call: str, state: Path, *, as_json: bool) -> int:
    line = find_line(state / "decisions", msgspec.json.encode({"call": call})[1:-1])
    if line is None:
        sys.stderr.write(
            f"{state / 'decisions'}: there is no call {call}; the oldest are removed, "
            "and server.decisions says which are kept\n"
        )
        return 1
    decision = msgspec.json.decode(line, type=Decision)
    sys.stdout.write(_json(decision) if as_json else "\n".join(_told(decision)) + "\n")
    return 0


def read_call(place: str) -> Asked:
    """Read a call: its body with what comes beside it, or a bare body. Raises OSError, ValueError."""
    text = sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8")
    given = msgspec.json.decode(text)
    if isinstance(given, dict) and "body" not in given:
        given = {"body": given}
    return msgspec.convert(given, Asked)


def outlook(asked: Asked, config: Config) -> Outlook:
    """Plan a call in a world where all is well. Raises BadRequest; LookupError for an unknown tenant."""
    moment = Moment(monotonic(), time(), random)
    call, routing = call_of(asked, config), rehearse(config)
    try:
        plan = make_plan(call, routing, moment)
    except GatewayError as error:
        seen = error.considered
        known = _outlook(seen) if isinstance(seen, Considered) else Outlook()
        known.denied = f"{error.status} {error.code}: {error.message}"
        return known
    known = _outlook(Considered(plan.route, plan.demand.signals, plan.rule, plan.choice))
    known.fallbacks = tuple(_step(step, plan, moment) for step in plan.way.steps)
    known.limits = _limits(plan.way.limits)
    return known


def _outlook(seen: Considered) -> Outlook:
    facts = snapshot(seen.signals)
    return Outlook(
        route=seen.route.name,
        rule=seen.rule,
        candidates=tuple(map(option, seen.choice.candidates)),
        left_out=tuple(Passed(left.name, left.reason) for left in seen.choice.left_out),
        facts={name: value for name, value in facts.items() if name not in _ABOUT},
    )


def _step(step: Step, plan: Plan, moment: Moment) -> str:
    """Describe a fallback: after what, and who or what follows."""
    after = f"after {', '.join(sorted(step.on))}: " if step.on else "after other failures: "
    if step.answer:
        return f"{after}the answer {step.answer!r}"
    if step.cached_s is not None:
        return f"{after}an answer from before, at most {step.cached_s:g} s old"
    targets, strategy = step.targets or plan.way.targets, step.strategy or plan.way.strategy
    choice = choose(targets, strategy, plan.demand, moment)
    shorter = "with a shorter call " if step.shorten is not None else ""
    left = "".join(f"; not {one.name}: {one.reason}" for one in choice.left_out)
    return f"{after}{shorter}{', '.join(names_of(choice.candidates)) or 'nobody'}{left}"


def _limits(limits: Limits) -> Mapping[str, float]:
    """Show what a call may take, in the words of routing.yaml."""
    shown = {
        "max_first_token_ms": _times(limits.first_token_s, 1000),
        "max_latency_ms": _times(limits.latency_s, 1000),
        "max_gap_ms": _times(limits.gap_s, 1000),
        "max_cost_usd": _times(limits.cost_nanousd, 1 / _NANOUSD),
        "deadline_ms": _times(limits.deadline_s, 1000),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _json(shown: Decision | Outlook) -> str:
    return msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n"


def _told(decision: Decision) -> Iterator[str]:
    when = decision.time.strftime("%Y-%m-%d %H:%M:%S UTC")
    error = f", {decision.error}" if decision.error else ""
    yield f"{decision.call}  {when}  {decision.status} {decision.ending} in {decision.ms:g} ms{error}"
    if decision.made_for:
        yield f"  made for   {decision.made_for} ({decision.purpose})"
    yield f"  asked by   {decision.tenant or 'nobody known'} {decision.key}".rstrip()
    yield f"  model      {printable(decision.model) or '-'}"
    yield from _way(decision.route, decision.rule)
    yield from _table("tried", map(_try, decision.attempts))
    yield from _table("candidates", map(_option, decision.candidates))
    yield from _table("left out", (f"{left.target}: {left.reason}" for left in decision.left_out))
    yield from _table("looked at", _facts(decision.facts))


def _told_ahead(seen: Outlook) -> Iterator[str]:
    if seen.denied:
        yield f"  turned away: {seen.denied}"
    yield from _way(seen.route, seen.rule)
    yield from _table("candidates", map(_option, seen.candidates))
    yield from _table("left out", (f"{left.target}: {left.reason}" for left in seen.left_out))
    yield from _table("fallbacks", seen.fallbacks)
    yield from _table("limits", (f"{name} {value:g}" for name, value in seen.limits.items()))
    yield from _table("looked at", _facts(seen.facts))


def _way(route: str, rule: str) -> Iterator[str]:
    yield f"  route      {route or '-'}"
    yield f"  rule       {rule or 'none'}"


def _table(title: str, rows: Iterator[str] | Sequence[str]) -> Iterator[str]:
    for i, row in enumerate(rows):
        yield f"  {'' if i else title:10} {printable(row)}"


def _try(tried: Tried) -> str:
    what = f"{tried.cause} after {tried.ms:g} ms" if tried.cause else f"answered in {tried.ms:g} ms"
    spent = f", {tried.input_tokens}+{tried.output_tokens} tokens" if tried.input_tokens else ""
    return f"{tried.target} ({tried.why}) {what}{spent}{cost(tried.cost_nanousd)}"


def _option(one: Option) -> str:
    score = "" if one.score is None else f", score {one.score:g}"
    return f"{one.target}{cost(one.cost_nanousd)}{score}"


def _facts(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in facts.items()
        if name not in _ABOUT and value not in (None, "", [], {})
    ]


def cost(nanousd: int | None) -> str:
    """Write what something costs behind something else; an unknown price is not mentioned."""
    return "" if nanousd is None else f", {usd(nanousd)}"


def usd(nanousd: int) -> str:
    """Write an amount in dollars, without trailing zeros but of the cents."""
    sign, whole = "-" if nanousd < 0 else "", abs(nanousd)
    text = f"{whole // _NANOUSD}.{whole % _NANOUSD:09d}".rstrip("0")
    cents = len(text) - text.index(".") - 1
    return f"{sign}${text}{'0' * max(2 - cents, 0)}"


def printable(text: str) -> str:
    """Make a text that a client chose fit for a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)

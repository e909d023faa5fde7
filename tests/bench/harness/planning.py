"""What the plan stage costs: from a call whose body was read to who gets it, in the process itself.

Everything is real but the upstreams: the configuration is read from its file, every condition is compiled
and asked, each call has a text of its own, and only the last rule holds.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

from gateway.compose.reading import load_config
from gateway.compose.rehearsal import rehearse
from gateway.exchange import Call, Caller, Moment
from gateway.formats.envelope import decode_envelope, decode_members
from gateway.routing.plans import Plan, Routing
from gateway.stages.plan import make_plan
from harness.answers import compact
from harness.children import BenchError
from harness.table import Row

GOALS_US = {5: 25.0, 50: 60.0}
"""By how many rules the route has."""
TARGETS = 4
CALLS = 400
ROUNDS = 15

_CALLER = Caller("bench", "bench", (("*",),), tags=("internal",))
_HEADERS = {
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 1.109.1",
    "x-team": "search",
    "x-forebay-user": "user-17",
}
_METADATA = {"stage": "production", "feature": "answers"}

_UNMET: Sequence[dict[str, Any]] = (
    {"tenant": ["bench"], "headers": {"x-team": "research-*"}},
    {"metadata": {"stage": "staging-*"}, "has_not": ["images"]},
    {"hours": {"start": "00:00", "end": "24:00"}, "prompt_tokens": {"min": 8000}},
    {"has": ["tools"]},
    {"share": {"percent": 0, "by": "user"}},
    {"tags": ["external"], "key": ["batch-*"]},
    {"max_tokens": {"min": 2000}},
)
"""Conditions that do not hold, though some of their parts do."""
_UNMET_BY_TEXT: Sequence[dict[str, Any]] = (
    {"task": ["code"], "language": ["de", "fr"]},
    {"sensitivity": ["personal"]},
)
_MET: dict[str, Any] = {
    "hours": {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
    "headers": {"x-team": "*"},
    "metadata": {"feature": "answers"},
    "has_not": ["tools", "images"],
    "prompt_tokens": {"max": 4000},
    "share": {"percent": 100, "by": "user"},
}
"""What holds: everything of it is asked."""

_TASKS = {
    "code": {"keywords": ["function", "stack trace", "refactor", "compile"], "patterns": [r"\bdef \w+\("]},
    "classification": {"keywords": ["classify", "categorize", "which category"]},
    "extraction": {"keywords": ["extract", "list all", "as json"]},
    "lookup": {"words": {"max": 200}},
}
_PRICE = {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}
_LABELS = {
    "personal": {"detect": ["email", "phone", "iban"], "only": {"self_hosted": True}},
    "payment": {"detect": ["card"], "only": {"self_hosted": True}},
    "secret": {"detect": ["secret"], "only": {"self_hosted": True}},
}


def routing_of(*, by_text: bool) -> dict[str, Any]:
    """routing.yaml: for each goal a route with so many rules, of which the last one holds.

    `by_text`: tasks, languages and sensitive data are told by what the call says, too.
    """
    names = [f"host-{index}" for index in range(TARGETS)]
    backends = {name: {"base_url": f"http://127.0.0.1:9/{name}", "region": "eu-west"} for name in names}
    unmet = [*_UNMET_BY_TEXT, *_UNMET] if by_text else _UNMET
    met = _MET | {"task": ["lookup"]} if by_text else _MET
    routes = {f"rules-{count}": _route([*islice(cycle(unmet), count - 1), met]) for count in GOALS_US}
    written = {"backends": backends, "routes": routes}
    return written | {"tasks": _TASKS, "sensitivity": {"labels": _LABELS}} if by_text else written


def _route(conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    targets = [{"backend": f"host-{index}", "model": "gpt-4o-mini"} for index in range(TARGETS)]
    rules = [{"name": f"{index}", "when": when, "targets": targets} for index, when in enumerate(conditions)]
    return {"rules": [rule | {"strategy": "weighted", "limits": {"max_cost_usd": 0.05}} for rule in rules]}


def bodies(model: str) -> list[bytes]:
    """Two turns of a kilobyte together, each call with words of its own."""
    told = "The mill's head race was dug in 1871; it still carries three cubic metres of water each second. "
    return [
        compact(
            {
                "model": model,
                "messages": [
                    {"role": "system", "content": "You are the guide of a museum. " + told * 3},
                    {"role": "user", "content": f"Visitor {index} asks: who built it, and why? " + told * 5},
                ],
                "temperature": 0.2,
                "metadata": _METADATA,
            }
        ).encode()
        for index in range(CALLS)
    ]


def calls(model: str) -> list[Call]:
    """The calls, read as far as the pipeline reads them before it plans."""
    read = [decode_members(body) for body in bodies(model)]
    return [Call("chat", _CALLER, decode_envelope(members), members, _HEADERS) for members in read]


def open_routing(folder: Path, *, by_text: bool) -> Routing:
    """Compile routing.yaml in `folder`, with the health of its deployments; nothing is sent."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    written = {
        "routing.yaml": routing_of(by_text=by_text),
        "policies/tenants.yaml": {"tenants": {"bench": {}}},
        "policies/prices.yaml": {"models": {"*": _PRICE}},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content))
    return rehearse(load_config(folder))


def check_plan(plan: Plan, count: int) -> None:
    """Raise `BenchError` unless every rule was asked, and everybody can take the call."""
    if plan.rule != str(count - 1) or len(plan.choice.candidates) != TARGETS:
        raise BenchError(f"the plan is not the one to be measured: rule {plan.rule!r}, {plan.choice}")


def median_us(routing: Routing, asked: Sequence[Call]) -> float:
    """The median time of a plan in microseconds, of the round that was disturbed least."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        spent_ns: list[int] = []
        for call in asked:
            started_ns = time.perf_counter_ns()
            make_plan(call, routing, Moment.now())
            spent_ns.append(time.perf_counter_ns() - started_ns)
        rounds.append(statistics.median(spent_ns) / 1000)
    return min(rounds)


def plan_rows(folder: Path) -> list[Row]:
    """A row for each size of a route: without, and with conditions on what the text of a call says."""
    rows: list[Row] = []
    for by_text, (count, goal_us) in product((False, True), GOALS_US.items()):
        routing, asked = open_routing(folder / f"plan-{by_text}", by_text=by_text), calls(f"rules-{count}")
        check_plan(make_plan(asked[0], routing, Moment.now()), count)
        spent_us = median_us(routing, asked)
        what = f"planning a call of 1 KB: {count} rules, {TARGETS} targets"
        what += ", reading its text" if by_text else ""
        rows.append(Row(what, "", f"{spent_us:.1f} us", "", f"<= {goal_us:.0f} us", spent_us <= goal_us))
    return rows

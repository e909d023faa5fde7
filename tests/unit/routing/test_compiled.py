"""From routing.yaml to routes: units, inheritance, and what is shared by whom."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config.located import load
from gateway.config.resolve import load_presets, resolve
from gateway.config.routing import RoutingSpec
from gateway.exchange import Caller, Moment
from gateway.routing.canary import Canaries
from gateway.routing.compiled import Making, compile_routes
from gateway.routing.routes import Limits, Route, Rule, Shorten, StreamTerms, Way
from gateway.routing.table import Routes

NAMES = ("a", "b", "c")
HEAD = "backends:\n" + "".join(f"  {name}: {{base_url: 'http://{name}'}}\n" for name in NAMES)
NOW = Moment(0.0, 0.0, lambda: 0.5)


def compiled(folder: Path, routes: str, canaries: Canaries | None = None) -> Routes:
    file = folder / "routing.yaml"
    file.write_text(HEAD + routes)
    return routes_of(file, canaries)


def routes_of(file: Path, canaries: Canaries | None = None, env: dict[str, str] | None = None) -> Routes:
    resolved = resolve(load(file, RoutingSpec, env or {}), load_presets(), env or {})
    sites: Any = {name: SimpleNamespace(name=name) for name in resolved.backends}
    return compile_routes(resolved.routes, Making(sites, canaries or Canaries()))


def found(routes: Routes, name: str) -> Route:
    route = routes.find(name)
    assert route is not None
    return route


def way(route: Route | Rule) -> Way:
    assert route.way is not None
    return route.way


def targets(of: Any) -> list[str]:
    return [f"{target.site.name}/{target.model or '*'}" for target in of.targets]


def test_the_worked_example_compiles_to_what_it_says() -> None:
    file = Path(__file__).parent / "worked_example.yaml"
    route = found(routes_of(file, env={"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}), "auto")
    said = {
        rule.name: (targets(way(rule)), [targets(step) for step in way(rule).steps], way(rule).limits)
        for rule in route.rules
    }
    assert said == {
        "classification": (
            ["anthropic/claude-haiku-4-5"],
            [["openai/gpt-4o-mini"]],
            Limits(latency_s=0.5, cost_nanousd=1_000_000),
        ),
        "complex reasoning": (
            ["anthropic/claude-sonnet-4-5"],
            [["openai/gpt-4o"]],
            Limits(latency_s=5.0, cost_nanousd=50_000_000),
        ),
    }
    for task, expected in (
        ("classification", "classification"),
        ("complex_reasoning", "complex reasoning"),
        ("", None),
    ):
        signals: Any = SimpleNamespace(task=task)
        assert next((rule.name for rule in route.rules if rule.holds(signals, NOW)), None) == expected
    assert targets(way(route)) == ["openai/gpt-4o-mini"]


WHOLE = """
routes:
  fast:
    description: Any.
    aliases: [quick]
    answer_model: route
    targets: [{backend: a, model: m, priority: 2, weight: 3, when: {stream: true}}, {backend: b}]
    strategy: weighted
    limits: {max_first_token_ms: 300, max_latency_ms: 2500, max_gap_ms: 1500, max_cost_usd: 0.07,
             deadline_ms: 30000}
    retry: {attempts: 3, backoff_ms: 100, max_backoff_ms: 800, max_retry_after_ms: 2000, budget_percent: 10}
    fallbacks:
      - {on: [context_length], shorten: {keep_turns: 3, to_percent: 60}}
      - {targets: [{backend: c}], strategy: {kind: sticky, by: key}}
      - {cached: {max_age_s: 60}}
      - {answer: Later, on: [quota, busy]}
    hedge: {after_ms: 250, max_percent: 5}
    stream: {on_break: continue, hold_tokens: 5, hold_ms: 200}
    canary: {target: {backend: c, model: new}, share: {percent: 100}}
    shadow: {target: {backend: c}, percent: 25, compare: true}
"""


def test_every_field_of_a_route_arrives_in_its_unit(tmp_path: Path) -> None:
    route = found(compiled(tmp_path, WHOLE), "quick")
    sent = way(route)
    assert (route.name, route.description, route.aliases, route.names_itself) == (
        "fast",
        "Any.",
        ("quick",),
        True,
    )
    assert targets(sent) == ["a/m", "b/fast"]
    first, second = sent.targets
    assert (first.priority, first.weight, second.priority, second.weight, second.when) == (
        2,
        3.0,
        0,
        1.0,
        None,
    )
    assert first.when is not None
    assert first.when(SimpleNamespace(stream=True), NOW)
    assert sent.limits == Limits(0.3, 2.5, 1.5, 70_000_000, 30.0)
    retry = sent.retry
    assert (retry.attempts, retry.backoff_s, retry.max_backoff_s, retry.max_retry_after_s) == (
        3,
        0.1,
        0.8,
        2.0,
    )
    assert sent.stream == StreamTerms("continue", 5, 0.2)


def test_every_step_hedge_and_target_beside_arrives(tmp_path: Path) -> None:
    sent = way(found(compiled(tmp_path, WHOLE), "fast"))
    shorter, others, cached, canned = sent.steps
    assert (shorter.on, shorter.shorten, shorter.targets, shorter.strategy) == (
        {"context_length"},
        Shorten(3, 0.6),
        (),
        None,
    )
    assert (others.on, targets(others)) == (frozenset(), ["c/fast"])
    assert others.strategy is not None
    assert (cached.cached_s, cached.shorten) == (60.0, None)
    assert (canned.answer, canned.on, canned.cached_s) == ("Later", {"quota", "busy"}, None)
    assert sent.hedge is not None
    assert (sent.hedge.after_s, sent.hedge.percentile) == (0.25, None)
    assert sent.canary is not None
    assert sent.canary.target.model == "new"
    assert sent.canary.takes(SimpleNamespace(caller=Caller("t", "k")), NOW)
    assert sent.canary.watch.rolled_back(0.0) == ""
    assert sent.shadow is not None
    assert (sent.shadow.target.model, sent.shadow.share, sent.shadow.compare) == ("fast", 0.25, True)
    beside = {id(sent.canary.target), id(sent.shadow.target), *map(id, others.targets)}
    assert {id(target) for target in sent.everywhere} == beside | set(map(id, sent.targets))


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    sent = way(found(compiled(tmp_path, "routes: {r: {targets: [{backend: a}]}}"), "r"))
    assert sent.limits == Limits()
    assert (sent.retry.attempts, sent.retry.backoff_s) == (1, 0.2)
    assert (sent.steps, sent.hedge, sent.stream, sent.canary, sent.shadow) == (
        (),
        None,
        StreamTerms(),
        None,
        None,
    )


RULES = """
routes:
  auto:
    targets: [{backend: a, model: big}]
    limits: {deadline_ms: 9000, max_cost_usd: 0.5}
    retry: {attempts: 4}
    fallbacks: [{answer: Sorry.}]
    stream: {on_break: restart}
    canary: {target: {backend: c, model: new}, share: {percent: 10}}
    shadow: {target: {backend: b, model: new}, percent: 1}
    rules:
      - {name: old, when: {tenant: [old]}, deny: Gone.}
      - {name: other, when: {tenant: [other]}, use: small}
      - {name: cheap, when: {tenant: [cheap]}, limits: {max_cost_usd: 0.01}}
      - {name: own, when: {tenant: [own]}, targets: [{backend: b}], fallbacks: []}
  small:
    rules: [{name: all, targets: [{backend: b, model: tiny}]}]
  "any/*": {targets: [{backend: a}], rules: [{name: s, when: {stream: true}, targets: [{backend: b}]}]}
"""


def rules(folder: Path, name: str = "auto") -> dict[str, Rule]:
    return {rule.name: rule for rule in found(compiled(folder, RULES), name).rules}


def test_a_rule_without_targets_keeps_all_of_the_route_but_what_it_says(tmp_path: Path) -> None:
    route, cheap = found(compiled(tmp_path, RULES), "auto"), rules(tmp_path)["cheap"]
    assert targets(way(cheap)) == targets(way(route)) == ["a/big"]
    assert way(cheap).limits == Limits(cost_nanousd=10_000_000, deadline_s=9.0)
    assert way(route).limits == Limits(cost_nanousd=500_000_000, deadline_s=9.0)
    assert way(cheap).retry.attempts == 4
    assert [step.answer for step in way(cheap).steps] == ["Sorry."]
    assert way(cheap).stream.on_break == "restart"
    assert way(cheap).canary is not None
    assert way(cheap).shadow is not None


def test_a_rule_with_targets_does_not_get_what_stands_beside_those_of_the_route(tmp_path: Path) -> None:
    own = way(rules(tmp_path)["own"])
    assert targets(own) == ["b/auto"]
    assert (own.canary, own.shadow) == (None, None)
    assert own.steps == ()
    assert (own.retry.attempts, own.limits.deadline_s) == (4, 9.0)


def test_a_rule_may_turn_away_or_go_by_another_route(tmp_path: Path) -> None:
    by_name = rules(tmp_path)
    assert (by_name["old"].deny, by_name["old"].way, by_name["old"].use) == ("Gone.", None, "")
    assert (by_name["other"].use, by_name["other"].way, by_name["other"].deny) == ("small", None, "")


def test_a_route_of_rules_alone_has_no_way_of_its_own(tmp_path: Path) -> None:
    small = found(compiled(tmp_path, RULES), "small")
    assert small.way is None
    assert targets(way(small.rules[0])) == ["b/tiny"]
    assert small.rules[0].holds(SimpleNamespace(), NOW)


def test_a_pattern_passes_the_requested_name_on(tmp_path: Path) -> None:
    route = found(compiled(tmp_path, RULES), "any/thing")
    assert targets(way(route)) == ["a/*"]
    assert targets(way(route.rules[0])) == ["b/*"]


def test_a_route_has_one_allowance_of_retries_for_all_its_ways(tmp_path: Path) -> None:
    routes = compiled(tmp_path, RULES)
    auto = found(routes, "auto")
    assert {id(way(rule).retry.allowance) for rule in auto.rules if rule.way} == {
        id(way(auto).retry.allowance)
    }
    assert way(found(routes, "any/x")).retry.allowance is not way(auto).retry.allowance


def test_the_share_of_retries_is_the_one_that_is_written(tmp_path: Path) -> None:
    text = "routes: {r: {targets: [{backend: a}], retry: {budget_percent: 50}}}"
    allowance = way(found(compiled(tmp_path, text), "r")).retry.allowance
    while allowance.take():
        pass
    allowance.pay_in()
    assert not allowance.take()
    allowance.pay_in()
    assert allowance.take()


def test_hedged_calls_are_counted_by_tenant_and_a_bounded_number_of_them_is_kept(tmp_path: Path) -> None:
    text = """
routes:
  r:
    targets: [{backend: a}, {backend: b}]
    hedge: {after_percentile: 95}
    rules: [{name: x, when: {stream: true}, limits: {deadline_ms: 1}}]
"""
    route = found(compiled(tmp_path, text), "r")
    hedge, other = way(route).hedge, way(route.rules[0]).hedge
    assert hedge is not None
    assert other is not None
    assert (hedge.after_s, hedge.percentile) == (None, 95.0)
    acme = hedge.allowance("acme")
    assert hedge.allowance("acme") is other.allowance("acme") is acme
    assert hedge.allowance("other") is not acme
    for number in range(2000):
        hedge.allowance(f"t{number}")
    assert hedge.allowance("acme") is not acme


@pytest.mark.parametrize(
    ("written", "nanousd"),
    [
        ("0.001", 1_000_000),
        ("0.07", 70_000_000),
        ("0.29", 290_000_000),
        ("1e-9", 1),
        ("1e-12", 1),
        ("12.345678912", 12_345_678_912),
    ],
)
def test_dollars_are_exact_to_the_nano(tmp_path: Path, written: str, nanousd: int) -> None:
    text = f"routes: {{r: {{targets: [{{backend: a}}], limits: {{max_cost_usd: {written}}}}}}}"
    assert way(found(compiled(tmp_path, text), "r")).limits.cost_nanousd == nanousd


def test_a_canary_that_did_badly_stays_out_when_the_rest_of_the_file_changes(tmp_path: Path) -> None:
    before = Canaries()
    text = RULES.replace("own]}", "own]}, canary: {target: {backend: a, model: x}, share: {percent: 5}}")
    compiled(tmp_path, text, before)
    assert set(before.watches) == {"auto", "auto/own"}
    for _ in range(50):
        before.watch("auto", before.watches["auto"][0]).note("baseline", ok=True, latency_s=1, now_s=1.0)
        before.watch("auto", before.watches["auto"][0]).note("canary", ok=False, latency_s=1, now_s=1.0)
    after = found(compiled(tmp_path, text.replace("Gone.", "Bye."), Canaries(before)), "auto")
    by_name = {rule.name: way(rule).canary for rule in after.rules if rule.way}
    told = {name: canary.watch.rolled_back(2.0) for name, canary in by_name.items() if canary is not None}
    assert told["cheap"]
    assert told["own"] == ""


def test_the_same_calls_belong_to_a_canary_whichever_rule_holds(tmp_path: Path) -> None:
    auto = found(compiled(tmp_path, RULES.replace("percent: 10", "percent: 50")), "auto")
    cheap = next(rule for rule in auto.rules if rule.name == "cheap")
    one, other = way(auto).canary, way(cheap).canary
    assert one is not None
    assert other is not None
    calls: list[Any] = [SimpleNamespace(caller=Caller("t", f"k{number}")) for number in range(100)]
    taken = [one.takes(call, NOW) for call in calls]
    assert taken == [other.takes(call, NOW) for call in calls]
    assert {True, False} <= set(taken)

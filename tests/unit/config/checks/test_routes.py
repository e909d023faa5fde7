"""Routes that cannot be meant: each contradiction is said once, at its line, with what to do."""

import pytest

from gateway.config.located import load
from gateway.config.resolve import validate
from gateway.config.routing import RoutingSpec

BACKENDS = "backends: {alpha: {base_url: 'http://a'}, beta: {base_url: 'http://b'}}\n"
GIVE = "give one of use, deny, and targets, limits or other fields of a route"


@pytest.fixture
def problems(tmp_path):
    def _problems(text: str) -> list[str]:
        file = tmp_path / "routing.yaml"
        file.write_text(BACKENDS + text)
        return [str(error).removeprefix(f"{file}:") for error in validate(load(file, RoutingSpec, {}), {})]

    return _problems


def route(fields: str) -> str:
    """A route `r` with a target on line 4, and further fields from line 5 on."""
    lines = "".join(f"    {line}\n" for line in fields.splitlines())
    return "routes:\n  r:\n    targets: [{backend: alpha, model: m}, {backend: beta, model: m}]\n" + lines


def test_a_route_with_everything_is_fine(problems):
    text = """
tasks: {code: {keywords: [python]}, other: {description: all else}}
classifier: {route: small}
sensitivity: {labels: {pii: {detect: [email], patterns: ['\\bID-\\d+']}}}
routes:
  r:
    aliases: [quick]
    targets:
      - {backend: alpha, weight: 2}
      - {backend: beta, weight: 0, when: {headers: {x-a: "*"}}}
    strategy: {kind: sticky, by: prefix, prefix_chars: 100}
    limits: {deadline_ms: 100}
    fallbacks:
      - {on: [quota, busy], targets: [{backend: alpha, model: x}], strategy: cheapest}
      - {shorten: {}}
      - {answer: Sorry., on: [timeout]}
      - {cached: {}}
      - {answer: Later.}
    hedge: {after_percentile: 95}
    stream: {hold_tokens: 3, hold_ms: 10}
    canary: {target: {backend: alpha, model: new}, share: {percent: 5}}
    shadow: {target: {backend: alpha}, percent: 5}
    rules:
      - {name: a, when: {task: [code], sensitivity: [pii, restricted]}, use: small}
      - {name: b, when: {has: [tools], has_not: [images], prompt_tokens: {min: 1, max: 1}}, deny: "No."}
      - {name: c, when: {hours: {zone: Europe/Berlin, start: "22:00", end: "06:00"}}, strategy: {kind: score}}
      - {name: d, unless: {stream: true}, strategy: {kind: fastest, explore: 0.1}, targets: [{backend: beta}]}
      - {name: e, limits: {max_cost_usd: 0.1}}
  small: {targets: [{backend: alpha}]}
  "gpt-*": {rules: [{name: all, use: small}]}
"""
    assert problems(text) == []


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("fallbacks: [{targets: [{backend: alpha}, {backend: alfa}]}]", "fallbacks[0].targets[1]"),
        ("canary: {target: {backend: alfa}, share: {percent: 1}}", "canary.target"),
        ("shadow: {target: {backend: alfa}, percent: 1}", "shadow.target"),
        ("rules: [{name: x, targets: [{backend: alfa}]}]", "rules[0].targets[0]"),
        (
            "rules: [{name: x, fallbacks: [{targets: [{backend: alfa}]}]}]",
            "rules[0].fallbacks[0].targets[0]",
        ),
        ("rules: [{name: x, shadow: {target: {backend: alfa}, percent: 1}}]", "rules[0].shadow.target"),
    ],
)
def test_a_backend_that_is_not_there_is_found_wherever_it_is_named(problems, place, where):
    assert problems(route(place)) == [
        f'5 routes.r.{where}: there is no backend "alfa", did you mean "alpha"?'
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("rules: [{name: x}]", f"rules[0]: nothing says what it does, {GIVE}"),
        ("rules: [{name: x, use: s, deny: no}]", f"rules[0]: it has use and deny, {GIVE}"),
        (
            "rules: [{name: x, deny: no, retry: {}}]",
            f"rules[0]: it has deny and a way of its own (targets, limits, ...), {GIVE}",
        ),
        (
            "rules:\n  - {name: x, when: {stream: true}, use: s}\n  - {name: x, deny: no}",
            '7 rules[1].name: rule 1 of the route has the name "x" too, each needs its own',
        ),
        (
            "rules:\n  - {name: x, use: s}\n  - {name: y, when: {stream: true}, deny: no}",
            '7 rules[1]: it is never reached: "x" before it has no conditions, put it before that',
        ),
        (
            "rules: [{name: x, use: s, unless: {}}]",
            "rules[0].unless: it has no conditions: the rule never holds, give some, or remove it",
        ),
        (
            "rules: [{name: x, use: sss}]",
            'rules[0].use: there is no route "sss", known: g*, r, s',
        ),
        (
            "rules: [{name: x, use: also}]",
            'rules[0].use: there is no route "also", it is another name of "s": use that',
        ),
        (
            "rules: [{name: x, use: g*}]",
            'rules[0].use: "g*" is a pattern, name a route that is none',
        ),
        ("rules: [{name: x, use: r}]", "rules[0].use: routes use each other: r > r, break the circle"),
        (
            "fallbacks: [{on: [quota]}]",
            "fallbacks[0]: nothing says what to do, give one of targets, shorten, cached, answer",
        ),
        (
            "fallbacks: [{answer: no, cached: {}}]",
            "fallbacks[0]: it has cached and answer, give one of targets, shorten, cached, answer",
        ),
        (
            "fallbacks: [{answer: no, strategy: weighted}]",
            "fallbacks[0].strategy: it has no effect without targets, remove it",
        ),
        (
            "fallbacks: [{answer: no, on: [quota, busy, quota]}]",
            "fallbacks[0].on[2]: quota is here twice, remove one of them",
        ),
        (
            "fallbacks:\n  - {answer: no}\n  - {cached: {}}",
            "7 fallbacks[1]: it is never reached: a step before it answers every time, put it before that",
        ),
        (
            "fallbacks: [{targets: [{backend: alpha, weight: 2}]}]",
            (
                "fallbacks[0].targets[0].weight: a weight has no effect on priority, "
                "it is for weighted and sticky"
            ),
        ),
        (
            "hedge: {}",
            "hedge: nothing says after which delay, give one of after_ms and after_percentile",
        ),
        (
            "hedge: {after_ms: 1, after_percentile: 90}",
            "hedge: it has two delays, give one of after_ms and after_percentile",
        ),
        (
            "stream: {hold_ms: 5}",
            "stream.hold_ms: it has no effect without hold_tokens, say how many to hold back at most",
        ),
        (
            "retry: {backoff_ms: 9000}",
            "retry.backoff_ms: 9000 is more than max_backoff_ms 5000, pauses only grow",
        ),
        (
            "canary: {target: {backend: beta, model: m}, share: {percent: 1}}",
            "canary.target: it is the same as target 2, name the new deployment",
        ),
        (
            "rules: [{name: x, canary: {target: {backend: alpha, model: m}, share: {percent: 1}}}]",
            "rules[0].canary.target: it is the same as target 1, name the new deployment",
        ),
        (
            "strategy: {kind: weighted, by: key}",
            "strategy.by: it has no effect on weighted, it is for sticky: remove it",
        ),
        (
            "strategy: {kind: sticky, explore: 0.5}",
            "strategy.explore: it has no effect on sticky, it is for fastest and score: remove it",
        ),
        (
            "strategy: {kind: sticky, prefix_chars: 5}",
            "strategy.prefix_chars: it has no effect by user, write `by: prefix`",
        ),
        (
            "strategy: {kind: score, weights: {cost: 0, latency: 0, errors: 0}}",
            "strategy.weights: all weights are 0, raise one of them",
        ),
        (
            "rules: [{name: x, strategy: {kind: cheapest, weights: {cost: 2}}}]",
            "rules[0].strategy.weights: it has no effect on cheapest, it is for score: remove it",
        ),
        (
            "aliases: [s]",
            'aliases[0]: "s" is the name of another route, remove it',
        ),
        ("aliases: [r]", 'aliases[0]: "r" is the name of its route, remove it'),
        ("aliases: [a, a]", 'aliases[1]: route r has the alias "a" too, remove one of them'),
    ],
)
def test_each_contradiction_is_said_in_one_line(problems, fields, expected):
    line, said = expected.split(" ", 1) if expected[0].isdigit() else ("5", expected)
    more = "  s: {targets: [{backend: alpha}], aliases: [also]}\n  g*: {targets: [{backend: alpha}]}\n"
    assert problems(route(fields) + more) == [f"{line} routes.r.{said}"]


def test_an_alias_of_two_routes_is_located_at_the_second(problems):
    text = """routes:
  a: {targets: [{backend: alpha}], aliases: [x]}
  b: {targets: [{backend: alpha}], aliases: [y, x]}
"""
    assert problems(text) == ['4 routes.b.aliases[1]: route a has the alias "x" too, remove one of them']


def test_routes_that_use_each_other_are_shown_as_a_circle(problems):
    text = """routes:
  a: {targets: [{backend: alpha}], rules: [{name: x, use: b}]}
  b: {rules: [{name: x, when: {stream: true}, use: c}, {name: y, use: d}]}
  c: {rules: [{name: x, use: a}]}
  d: {targets: [{backend: alpha}]}
"""
    assert problems(text) == [
        "3 routes.a.rules[0].use: routes use each other: a > b > c > a, break the circle",
        "4 routes.b.rules[0].use: routes use each other: b > c > a > b, break the circle",
        "5 routes.c.rules[0].use: routes use each other: c > a > b > c, break the circle",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("routes: {}", "2 routes: there is no route, name at least one model"),
        ("routes: {r: {}}", "2 routes.r: nothing says where its calls go, give targets, or rules"),
        (
            "routes: {r: {rules: [{name: x, limits: {deadline_ms: 1}}]}}",
            "2 routes.r.rules[0]: neither it nor its route has targets, give targets to one of them",
        ),
        (
            "routes: {r: {limits: {}, rules: [{name: x, deny: Gone.}]}}",
            "2 routes.r.limits: it has no effect: no call of the route is sent, give targets, or remove it",
        ),
        (
            "routes: {r: {strategy: weighted, targets: [{backend: alpha, weight: 0}]}}",
            "2 routes.r.targets: all weights are 0, raise one of them",
        ),
        (
            "routes: {r: {targets: [{backend: alpha, weight: 3}]}}",
            "2 routes.r.targets[0].weight: a weight has no effect on priority, it is for weighted and sticky",
        ),
        (
            (
                "routes: {r: {targets: [{backend: alpha}], "
                "canary: {target: {backend: alpha, model: r}, share: {percent: 1}}}}"
            ),
            "2 routes.r.canary.target: it is the same as target 1, name the new deployment",
        ),
        (
            "routes: {r: {targets: [{backend: alpha}]}}\ntasks: {t: {}}\nclassifier: {route: s}",
            '4 classifier.route: there is no route "s", known: r',
        ),
        (
            "routes: {r*: {targets: [{backend: alpha}]}}\ntasks: {t: {}}\nclassifier: {route: r*}",
            '4 classifier.route: "r*" is a pattern, name a route that is none',
        ),
    ],
)
def test_what_holds_for_the_whole_of_a_route_or_file(problems, text, expected):
    assert problems(text) == [expected]


def test_a_rule_weighs_by_the_strategy_that_it_inherits(problems):
    text = "strategy: weighted\nrules: [{name: x, targets: [{backend: alpha, weight: 5}]}]"
    assert problems(route(text)) == []


def test_all_problems_are_reported_in_the_order_of_lines(problems):
    text = """routes:
  r: {targets: [{backend: alfa}], rules: [{name: x, when: {task: [kode]}, deny: no}]}
tasks: {code: {patterns: ["("]}}
sensitivity: {header: "a b"}
"""
    assert [line.split()[0] for line in problems(text)] == ["3", "3", "4", "5"]

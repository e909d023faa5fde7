"""policies/budgets.yaml: money for a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.config.ways import RouteSpec
from gateway.errors import ConfigErrors
from gateway.policy import budgets
from gateway.policy.budgets import MOST_USD, AlertsSpec, Budgets, BudgetsSpec
from gateway.quotas.counting import Meter
from gateway.quotas.periods import Period
from gateway.quotas.rules import Line, Rule, Rules, Scope

ROOT = Path(__file__).parents[3]
ROUTES = {"fast": RouteSpec(aliases=("quick",)), "local": RouteSpec(), "gpt-*": RouteSpec()}
NOON_MS = int(datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp() * 1000)

Compiled = Callable[[str], Budgets]
Problems = Callable[[str], list[str]]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    def _compiled(text: str) -> Budgets:
        (tmp_path / "budgets.yaml").write_text(text)
        env = {"SECRET": "hush", "NOTHING": ""}
        return budgets.compile(load(tmp_path / "budgets.yaml", BudgetsSpec, env), ROUTES, {"free"})

    return _compiled


@pytest.fixture
def problems(compiled: Compiled, tmp_path: Path) -> Problems:
    def _problems(text: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            compiled(text)
        return [str(error).removeprefix(f"{tmp_path}/budgets.yaml:") for error in caught.value.errors]

    return _problems


def rule(got: Budgets) -> Rule:
    (only,) = got.rules
    return only


def test_a_budget_is_all_that_is_written(compiled: Compiled) -> None:
    got = rule(
        compiled("""
budgets:
  search:
    for: {team: [search]}
    per: [tenant]
    usd: 500
    every: month
    timezone: Europe/Berlin
    over: {downgrade: local}
    alerts: [100, 120, 80]
    fail: open
    shadow: true
""")
    )
    assert got.holds_for(Scope("acme", "search"))
    assert not got.holds_for(Scope("acme"))
    assert (got.name, got.kind, got.per, got.timezone) == ("search", "budget", ("tenant",), "Europe/Berlin")
    assert (got.over, got.downgrade, got.alerts) == ("downgrade", "local", (80, 100, 120))
    assert (got.fail, got.shadow) == ("open", True)
    assert got.lines == (Line("nanousd", Meter("period", 500 * 10**9), "$500 per month", Period("month")),)


def test_users_are_looked_up_where_a_budget_is_for_some(compiled: Compiled) -> None:
    for user, looks in (("user: [ann]", True), ("team: [a]", False)):
        got = compiled(f"budgets: {{b: {{usd: 1, every: day, for: {{{user}}}}}}}")
        assert Rules(got.rules).looks_at_users is looks


def test_by_default_nothing_passes_that_is_not_covered(compiled: Compiled) -> None:
    got = rule(compiled("budgets: {b: {usd: 1, every: day}}"))
    assert (got.over, got.downgrade, got.fail, got.shadow) == ("deny", "", "closed", False)
    assert got.alerts == (50, 80, 100)


@pytest.mark.parametrize(
    ("written", "nanousd", "text"),
    [
        ("500", 500 * 10**9, "$500 per day"),
        ('"500"', 500 * 10**9, "$500 per day"),
        ("0", 0, "$0 per day"),
        ("0.1", 10**8, "$0.1 per day"),
        ("1234.567890123", 1_234_567_890_123, "$1,234.567890123 per day"),
        ("0.000000001", 1, "$0.000000001 per day"),
        ("8999999.999999999", 8_999_999_999_999_999, "$8,999,999.999999999 per day"),
        ("'0.500000000000'", 5 * 10**8, "$0.500000000000 per day"),
    ],
)
def test_money_is_exact_to_the_nano_dollar(compiled: Compiled, written: str, nanousd: int, text: str) -> None:
    (line,) = rule(compiled(f"budgets: {{b: {{usd: {written}, every: day}}}}")).lines
    assert (line.meter.limit, line.text) == (nanousd, text)


def test_the_largest_budget_is_exact_as_a_float() -> None:
    assert MOST_USD * budgets.NANOUSD < 2**53


@pytest.mark.parametrize(
    ("unit", "span_h", "steps", "text"),
    [
        ("hour", 1, 60, "$5 in any 60 minutes"),
        ("day", 24, 96, "$5 in any 24 hours"),
        ("week", 168, 84, "$5 in any 7 days"),
        ("month", 720, 120, "$5 in any 30 days"),
    ],
)
def test_a_rolling_budget_is_a_window(
    compiled: Compiled, unit: str, span_h: int, steps: int, text: str
) -> None:
    (line,) = rule(compiled(f"budgets: {{b: {{usd: 5, every: {unit}, rolling: true}}}}")).lines
    assert line == Line("nanousd", Meter("window", 5 * 10**9, span_h * 3_600_000, steps), text)
    assert line.meter.span_ms % steps == 0


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("per: [tenant]", ""),
        ("per: [key]", ""),
        ("for: {tenant: [acme]}", ""),
        ("for: {tenant: [acme, beta]}", "UTC"),
        ("for: {tenant: ['a*']}", "UTC"),
        ("per: [route]", "UTC"),
        ("per: [route], timezone: Asia/Tokyo", "Asia/Tokyo"),
        ("per: [tenant], timezone: Asia/Tokyo", "Asia/Tokyo"),
    ],
)
def test_a_tenants_calendar_counts_where_only_that_tenant_does(
    compiled: Compiled, written: str, zone: str
) -> None:
    assert rule(compiled(f"budgets: {{b: {{usd: 5, every: day, {written}}}}}")).timezone == zone


def test_tenants_of_different_time_zones_share_one_counter(compiled: Compiled) -> None:
    rules = Rules(compiled("budgets: {b: {usd: 5, every: day}}").rules)
    counters = {
        held.counter(NOON_MS)
        for zone in ("UTC", "Asia/Tokyo", "America/New_York")
        for held in rules.of(Scope(zone, timezone=zone))
    }
    assert len(counters) == 1


def test_alerts_go_where_it_is_written(compiled: Compiled) -> None:
    got = compiled("alerts: {url: 'https://hooks.example.com/a?b=c', secret: '${SECRET}'}")
    assert got == Budgets((), AlertsSpec(url="https://hooks.example.com/a?b=c", secret="hush"))
    assert "hush" not in repr(got)
    assert compiled("budgets: {}").alerts is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("usd: 5", ': the required field "every" is missing'),
        ("every: day", ': the required field "usd" is missing'),
        ("usd: 5, every: year", '.every: "year" is not a known value, known: day, hour, month, week'),
        ("usd: 0.0000000001, every: day", ".usd: finer than a billionth of a dollar, round it"),
        (
            "usd: 9000000.000000001, every: day",
            ".usd: more than 9,000,000 dollars, that much cannot be counted to the nano-dollar",
        ),
        (
            "usd: 5, every: day, timezone: Mars/Base",
            (
                '.timezone: there is no time zone "Mars/Base", '
                "write one of the IANA database, like Europe/Berlin or UTC"
            ),
        ),
        (
            "usd: 5, every: day, timezone: UTC, rolling: true",
            ".timezone: it has no effect: a rolling budget knows no calendar, remove it",
        ),
        ("usd: 5, every: day, alerts: [50, 50]", ".alerts[1]: 50 % is here twice, remove one of them"),
        (
            "usd: 5, every: day, alerts: [50, 120]",
            (
                ".alerts[1]: 120 % are never reached: nothing passes beyond 100 %, "
                "write `over: warn`, or remove it"
            ),
        ),
        ("usd: 5, every: day, alerts: [0]", '.alerts[0]: "0" is out of range, it must be at least 1'),
        (
            "usd: 5, every: day, over: {downgrade: locla}",
            '.over.downgrade: there is no route "locla", did you mean "local"?',
        ),
        (
            "usd: 5, every: day, over: {downgrade: quick}",
            '.over.downgrade: there is no route "quick", it is another name of "fast": use that',
        ),
        (
            "usd: 5, every: day, over: {downgrade: gpt-*}",
            '.over.downgrade: "gpt-*" is a pattern, name a route that is none',
        ),
        (
            "usd: 5, every: day, for: {route: [local]}, over: {downgrade: local}",
            ".over.downgrade: it is for calls of this very route, name a cheaper one",
        ),
        (
            "usd: 5, every: day, for: {model: [local]}, over: {downgrade: local}",
            ".over.downgrade: it is for calls of this very route, name a cheaper one",
        ),
        (
            "usd: 5, every: day, over: block",
            '.over: "block" is not a known value, known: deny, warn',
        ),
        ("usd: 5, every: day, per: [key, key]", ".per[1]: key is here twice, remove one of them"),
        (
            "usd: 5, every: day, for: {model: [fats]}",
            '.for.model[0]: no route takes calls for "fats", did you mean "fast"?',
        ),
    ],
)
def test_what_a_budget_cannot_be_is_located(problems: Problems, written: str, problem: str) -> None:
    assert problems(f"budgets:\n  b: {{{written}}}\n") == [f"2 budgets.b{problem}"]


@pytest.mark.parametrize("written", ["-5", "5e2", "1_000", "$5", "5 USD", ".5", "10000000", "nan", "0x10"])
def test_what_is_no_plain_amount_is_refused(problems: Problems, written: str) -> None:
    (problem,) = problems(f"budgets:\n  b:\n    every: day\n    usd: {written}\n")
    assert problem.startswith("4 budgets.b.usd: this text is not allowed here, it must match ")


@pytest.mark.parametrize("over", ["warn", "{downgrade: local}"])
def test_what_lets_calls_pass_may_go_beyond_the_whole(compiled: Compiled, over: str) -> None:
    got = rule(compiled(f"budgets: {{b: {{usd: 5, every: day, alerts: [150], over: {over}}}}}"))
    assert got.alerts == (150,)


def test_a_downgrade_may_be_covered_by_the_same_budget(compiled: Compiled) -> None:
    text = "for: {route: [fast, local]}, over: {downgrade: local}"
    assert rule(compiled(f"budgets: {{b: {{usd: 5, every: day, {text}}}}}")).downgrade == "local"


def test_a_name_is_that_of_one_limit(problems: Problems) -> None:
    assert problems("budgets:\n  free: {usd: 1, every: day}\n") == [
        "2 budgets.free: policies/quotas.yaml has a quota of this name, rename one of them"
    ]


@pytest.mark.parametrize("url", ["ftp://x", "https://", "hooks.example.com", "https://x:99999/", "http://[x"])
def test_alerts_need_an_address(problems: Problems, url: str) -> None:
    text = f"alerts:\n  secret: ${{SECRET}}\n  url: '{url}'\n"
    assert problems(text) == ["3 alerts.url: this is not an http(s) URL, write https://host/path"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("hush", 'a secret stands in the file, use "${VAR}" or "${file:/path}"'),
        ("${NOTHING}", "must not be empty"),
        ("${NOWHERE}", "the environment variable NOWHERE is not set, "),
    ],
)
def test_alerts_are_signed(problems: Problems, written: str, problem: str) -> None:
    (told,) = problems(f"alerts:\n  url: https://x\n  secret: {written}\n")
    assert told.startswith(f"3 alerts.secret: {problem}")


def test_where_the_routes_are_not_known_a_downgrade_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "budgets.yaml").write_text("budgets: {b: {usd: 5, every: day, over: {downgrade: x}}}")
    got = budgets.compile(load(tmp_path / "budgets.yaml", BudgetsSpec, {}), None)
    assert rule(got).downgrade == "x"


def test_without_the_file_nothing_is_limited() -> None:
    assert budgets.compile(None, ROUTES) == Budgets()


def test_the_file_that_ships_limits_nobody() -> None:
    assert budgets.compile(load(ROOT / "policies/budgets.yaml", BudgetsSpec, {}), {}) == Budgets()


def test_the_example_that_ships_is_what_may_be_written(compiled: Compiled) -> None:
    text = (ROOT / "policies/budgets.yaml").read_text().partition("#   budgets:\n")[2]
    example = "\n".join(line.removeprefix("#   ") for line in text.partition("\nbudgets:")[0].splitlines())
    example = example.replace("ALERT_SECRET", "SECRET").replace("#\nalerts", "\nalerts")
    got = compiled(f"budgets:\n{example}\n")
    assert [one.name for one in got.rules] == ["acme", "search-team", "each-key"]
    assert got.alerts is not None

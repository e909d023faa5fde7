"""policies/quotas.yaml: rates, calls at the same time, sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.config.ways import RouteSpec
from gateway.errors import ConfigErrors
from gateway.policy import quotas
from gateway.policy.quotas import RATES, SEATS, SIZES, QuotaSpec, QuotasSpec
from gateway.quotas.counting import Meter
from gateway.quotas.rules import Line, Rule, Rules, Scope

ROOT = Path(__file__).parents[3]
ROUTES = {"fast": RouteSpec()}

Compiled = Callable[[str], tuple[Rule, ...]]
Problems = Callable[[str], list[str]]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    def _compiled(text: str) -> tuple[Rule, ...]:
        (tmp_path / "quotas.yaml").write_text(text)
        return quotas.compile(load(tmp_path / "quotas.yaml", QuotasSpec, {}), ROUTES)

    return _compiled


@pytest.fixture
def problems(compiled: Compiled, tmp_path: Path) -> Problems:
    def _problems(text: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            compiled(text)
        return [str(error).removeprefix(f"{tmp_path}/quotas.yaml:") for error in caught.value.errors]

    return _problems


def lines(rules: tuple[Rule, ...]) -> tuple[Line, ...]:
    (rule,) = rules
    return rule.lines


def test_a_quota_is_all_that_is_written(compiled: Compiled) -> None:
    (rule,) = compiled("""
quotas:
  free:
    for: {tags: [free], route: ["f*"]}
    per: [user]
    requests_per_minute: 60
    concurrent_streams: 1
    max_prompt_tokens: 5
    max_output_tokens: 7
    over_output: cap
    fail: closed
""")
    assert rule.holds_for(Scope("acme", route="fast", tags=("free",)))
    assert not rule.holds_for(Scope("acme", route="fast", tags=("gold",)))
    assert (rule.name, rule.kind, rule.per) == ("free", "quota", ("tenant", "user"))
    assert (rule.fail, rule.shadow, rule.over, rule.alerts) == ("closed", False, "deny", ())
    assert (rule.most_prompt_tokens, rule.most_output_tokens, rule.caps_output) == (5, 7, True)
    assert rule.lines == (
        Line("requests", Meter("window", 60, 60_000, 60), "60 requests per minute"),
        Line("streams", Meter("seats", 1), "1 concurrent stream"),
    )


def test_what_is_left_out_does_not_limit(compiled: Compiled) -> None:
    (rule,) = compiled("quotas: {q: {requests_per_day: 1000, shadow: true}}")
    assert (rule.fail, rule.shadow, rule.per) == ("local", True, ())
    assert (rule.most_prompt_tokens, rule.most_output_tokens, rule.caps_output) == (None, None, False)
    assert rule.lines == (Line("requests", Meter("window", 1000, 86_400_000, 96), "1,000 requests per day"),)


@pytest.mark.parametrize("name", RATES)
def test_a_sliding_window_has_steps_of_whole_milliseconds(compiled: Compiled, name: str) -> None:
    (line,) = lines(compiled(f"quotas: {{q: {{{name}: 7}}}}"))
    assert (line.meter.kind, line.meter.limit) == ("window", 7)
    assert line.meter.span_ms % line.meter.steps == 0
    assert name == f"{line.metric}_per_{line.text.rpartition(' ')[2]}"


def test_every_amount_of_the_file_is_compiled() -> None:
    numbers = {name for name in QuotaSpec.__struct_fields__ if name.endswith(("second", "minute", "day"))}
    assert RATES.keys() == numbers
    assert {*SEATS, *SIZES} == {
        name for name in QuotaSpec.__struct_fields__ if name.startswith(("concurrent_", "max_"))
    }


@pytest.mark.parametrize(
    ("written", "meter"),
    [
        ("requests_per_minute: 60", Meter("bucket", 60, 60_000)),
        ("requests_per_minute: 60, burst: 0.1", Meter("bucket", 6, 6_000)),
        ("tokens_per_day: 1000000, burst: 0.05", Meter("bucket", 50_000, 4_320_000)),
        ("requests_per_second: 7, burst: 0.5", Meter("bucket", 3, 429)),
        ("requests_per_second: 0, burst: 0.5", Meter("bucket", 0, 1_000)),
    ],
)
def test_a_bucket_holds_its_burst_and_is_refilled_at_the_written_rate(
    compiled: Compiled, written: str, meter: Meter
) -> None:
    (line,) = lines(compiled(f"quotas: {{q: {{{written}, algorithm: bucket}}}}"))
    assert line.meter == meter


@pytest.mark.parametrize("amount", [5, 7, 59, 60, 61, 999_983])
@pytest.mark.parametrize("burst", ["1", "0.999", "0.5", "0.333"])
def test_no_bucket_is_refilled_faster_than_written(compiled: Compiled, amount: int, burst: str) -> None:
    text = f"quotas: {{q: {{requests_per_minute: {amount}, algorithm: bucket, burst: {burst}}}}}"
    (line,) = lines(compiled(text))
    assert line.meter.limit * 60_000 <= amount * line.meter.span_ms
    assert line.meter.limit <= amount * float(burst)


def test_counters_keep_their_names_when_amounts_are_edited(compiled: Compiled) -> None:
    names = [
        {held.prefix for held in Rules(compiled(text)).of(Scope("acme"))}
        for text in (
            "quotas: {q: {requests_per_minute: 1, tokens_per_day: 5, concurrent_calls: 3}}",
            "quotas: {q: {requests_per_minute: 2, tokens_per_day: 0, concurrent_calls: 1}}",
        )
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 3


@pytest.mark.parametrize(
    ("written", "looks"), [("for: {user: [a]}", True), ("per: [user]", True), ("for: {team: [a]}", False)]
)
def test_users_are_looked_up_where_a_quota_needs_them(compiled: Compiled, written: str, looks: bool) -> None:
    assert Rules(compiled(f"quotas: {{q: {{requests_per_day: 1, {written}}}}}")).looks_at_users is looks


def test_nothing_may_be_let_through(compiled: Compiled) -> None:
    (line,) = lines(compiled("quotas: {q: {concurrent_streams: 0}}"))
    assert (line.meter, line.text) == (Meter("seats", 0), "0 concurrent streams")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("for: {tenant: [a]}", ": it limits nothing, give an amount, such as requests_per_minute"),
        ("shadow: true", ": it limits nothing, give an amount, such as requests_per_minute"),
        ("max_prompt_tokens: 5, per: [key]", ".per: it has no effect: nothing is counted, remove it"),
        (
            "max_prompt_tokens: 5, max_output_tokens: 5, shadow: true",
            (
                ".shadow: it has no effect on max_prompt_tokens and max_output_tokens, "
                "give them a quota of their own"
            ),
        ),
        (
            "tokens_per_day: 5, over_output: cap",
            ".over_output: it has no effect without max_output_tokens, say how many",
        ),
        (
            "tokens_per_day: 5, burst: 0.5",
            ".burst: it has no effect on a sliding window, write `algorithm: bucket`",
        ),
        (
            "concurrent_calls: 5, algorithm: bucket",
            ".algorithm: it has no effect: there is no rate, remove it",
        ),
        (
            "requests_per_second: 4, algorithm: bucket, burst: 0.2",
            ".burst: of requests_per_second 4 it is less than 1: nothing would pass, raise it",
        ),
        ("tokens_per_day: -1", '.tokens_per_day: "-1" is out of range, it must be at least 0'),
        ("max_output_tokens: 0", '.max_output_tokens: "0" is out of range, it must be at least 1'),
        (
            "tokens_per_day: 5, algorithm: bucket, burst: 1.5",
            '.burst: "1.5" is out of range, it must be at most 1',
        ),
        ("tokens_per_day: 5, for: {tenant: []}", ".for.tenant: must not be empty"),
        ("tokens_per_day: 5, for: {tenat: [a]}", '.for: unknown field "tenat", did you mean "tenant"?'),
        (
            "tokens_per_day: 5, for: {route: [fats]}",
            '.for.route[0]: there is no route "fats", did you mean "fast"?',
        ),
    ],
)
def test_what_a_quota_cannot_be_is_located(problems: Problems, written: str, problem: str) -> None:
    assert problems(f"quotas:\n  q: {{{written}}}\n") == [f"2 quotas.q{problem}"]


def test_all_problems_come_in_line_order(problems: Problems) -> None:
    text = "quotas:\n  a:\n    tokens_per_day: 5\n    burst: 0.5\n    for: {route: [x]}\n  b: {}\n"
    assert [line.split()[0:2] for line in problems(text)] == [
        ["4", "quotas.a.burst:"],
        ["5", "quotas.a.for.route[0]:"],
        ["6", "quotas.b:"],
    ]


@pytest.mark.parametrize("name", ["a:b", "", "-x", "a b", "x" * 65])
def test_a_name_has_no_signs_that_divide_names_of_counters(problems: Problems, name: str) -> None:
    (problem,) = problems(f'quotas:\n  "{name}": {{requests_per_day: 1}}\n')
    assert "this text is not allowed here" in problem


def test_without_the_file_nothing_is_limited() -> None:
    assert quotas.compile(None, ROUTES) == ()


def test_the_file_that_ships_limits_nobody() -> None:
    assert quotas.compile(load(ROOT / "policies/quotas.yaml", QuotasSpec, {}), {}) == ()


def test_the_example_that_ships_is_what_may_be_written(compiled: Compiled) -> None:
    text = (ROOT / "policies/quotas.yaml").read_text().partition("#   quotas:\n")[2].partition("\nquotas:")[0]
    example = "\n".join(line.removeprefix("#   ") for line in text.splitlines())
    assert [rule.name for rule in compiled(f"quotas:\n{example}\n")] == [
        "free",
        "each-user",
        "provider",
        "tried-out",
    ]

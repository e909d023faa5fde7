"""`forebay quota` and `forebay budget`: what they show and do, and how they refuse."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import time
from collections.abc import Callable

import pytest
from unit.admission.rules import ACME, CALLERS, RULES, USD, Store

from gateway.admission.standing import Standing
from gateway.admission.steering import Order, perform
from gateway.commands.limits import budget, options, quota
from gateway.commands.limits.limiting import Reach
from gateway.errors import StoreDown
from gateway.policy.tenants import StaticKey
from gateway.quotas.rules import Scope
from gateway.server.control import NotRunning, Refused

KEYS = [StaticKey("key_1", "acme", b"", ("*",), None, team="blue")]
COMMANDS = {"quota": quota, "budget": budget}
Command = Callable[..., str]


@pytest.fixture
def store() -> Store:
    return Store()


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="forebay")
    options.register(parser.add_subparsers(dest="command", required=True))
    return parser.parse_args(arguments)


@pytest.fixture
def forebay(store: Store, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `forebay quota ...`; gives what it wrote, after checking its exit status."""

    def do(order: Order) -> list[Standing]:
        return asyncio.run(perform(order, RULES, store))

    def run(*arguments: str, status: int = 0, order: Callable[[Order], list[Standing]] = do) -> str:
        args, out = parsed(*arguments), io.StringIO()
        reach = Reach(order, CALLERS, lambda: KEYS)
        assert COMMANDS[args.command].run(args, reach, out) == status
        errors = capsys.readouterr().err
        assert (errors == "") == (status == 0)
        assert (out.getvalue() == "") == (status != 0)
        return out.getvalue() + errors

    return run


def take(store: Store, scope: Scope, rule: str, amount: int) -> None:
    asyncio.run(store.take(scope, rule, amount))


def test_show_has_a_line_for_each_limit(forebay: Command, store: Store) -> None:
    take(store, ACME, "paid", 125 * USD // 2)
    said = forebay("quota", "show", "--tenant", "acme", "--user", "ann", "--team", "blue").splitlines()
    assert [re.split(r" {2,}", line) for line in said] == [
        ["RULE", "FOR", "LIMIT", "TAKEN", "LEFT", "RESETS"],
        ["free", "tenant acme, user ann", "60 requests per minute", "0", "60", "-"],
        ["free", "tenant acme, user ann", "100,000 tokens per minute", "0", "100,000", "-"],
        ["teams", "tenant acme, team blue", "4 calls at the same time", "0", "4", "-", "only measures"],
        ["paid", "tenant acme", "$500 per month", "$62.50", "$437.50", "2026-11-01T00:00:00Z"],
        ["shared", "all", "$10 in any 60 minutes", "$0.00", "$10.00", "-"],
    ]
    assert {line[: said[0].index("FOR")].rstrip() for line in said[1:]} == {"free", "teams", "paid", "shared"}


def test_show_without_a_tenant_shows_each(forebay: Command) -> None:
    rows = json.loads(forebay("quota", "show", "--format", "json"))
    assert [(row["rule"], row["per"]) for row in rows] == [
        ("paid", {"tenant": "acme"}),
        ("shared", {}),
        ("paid", {"tenant": "beta"}),
    ]


def test_a_key_is_known_with_its_tenant_and_its_team(forebay: Command) -> None:
    rows = json.loads(forebay("quota", "show", "--key", "key_1", "--format", "json"))
    assert {"rule": "teams", "per": {"tenant": "acme", "team": "blue"}}.items() <= rows[2].items()


def test_a_tokens_subject_needs_its_tenant(forebay: Command) -> None:
    assert "name the tenant too" in forebay("quota", "show", "--key", "sub:ann", status=2)
    assert "tenant beta, team -" in forebay("quota", "show", "--key", "sub:ann", "--tenant", "beta")


def test_reset_says_what_was_taken(forebay: Command, store: Store) -> None:
    take(store, ACME, "paid", 5 * USD)
    said = forebay("quota", "reset", "paid", "--tenant", "acme")
    assert said == "paid, tenant acme: $5.00 of $500 per month were taken, now none\n"
    assert "$0.00" in forebay("budget", "show", "--tenant", "acme").splitlines()[1]


def test_reset_of_all_tenants(forebay: Command) -> None:
    assert "say which with --tenant" in forebay("quota", "reset", "paid", status=2)
    assert len(forebay("quota", "reset", "paid", "--all").splitlines()) == 2
    assert "leave out --tenant" in forebay("quota", "reset", "paid", "--all", "--tenant", "acme", status=2)


def test_budgets_are_shown_with_where_they_are_going(forebay: Command, store: Store) -> None:
    take(store, ACME, "paid", 300 * USD)
    said = forebay("budget", "show", "--tenant", "acme").splitlines()
    assert said[0].split() == ["BUDGET", "FOR", "LIMIT", "SPENT", "LEFT", "ENDS", "EXPECTED", "SPENT", "BY"]
    assert said[1].split() == [
        *("paid", "tenant", "acme", "$500", "per", "month", "$300.00", "$200.00"),
        *("2026-11-01T00:00:00Z", "$620.00", "2026-10-26T00:00:00Z"),
    ]
    assert said[2].split()[-2:] == ["-", "-"]


def test_a_budget_is_set_and_shown_as_it_is_then(forebay: Command) -> None:
    said = forebay("budget", "set", "paid", "--usd", "700.000000001", "--tenant", "acme")
    assert "$700.000000001 instead of $500 per month" in said
    assert "$500 per month" in forebay("budget", "set", "paid", "--as-written", "--tenant", "acme")


def test_too_much_to_count_is_refused(forebay: Command) -> None:
    said = forebay("budget", "set", "paid", "--usd", "9000001", "--tenant", "acme", status=2)
    assert said == "forebay budget: more than 9,000,000 dollars cannot be counted to the nano-dollar\n"


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "1,000", "0.0000000001", "\u0667", "12345678"])
def test_what_is_no_amount_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("budget", "set", "paid", f"--usd={text}")
    assert "is no amount in dollars: write 700 or 0.25" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("2027-01-31", 1_801_353_600_000),
        ("2027-01-31T18:00:00Z", 1_801_418_400_000),
        ("2027-01-31t18:00:00+02:00", 1_801_411_200_000),
    ],
)
def test_times_are_read(text: str, unix_ms: int) -> None:
    assert options.time_ms(text) == unix_ms


def test_a_time_from_now_is_read() -> None:
    assert abs(options.time_ms("12h") - (time.time() + 43_200) * 1000) < 5000


@pytest.mark.parametrize("text", ["soon", "2027-02-30", "12x", "1.5h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no time|is not a duration"):
        options.time_ms(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tenant", "acne"), 'there is no tenant "acne"; did you mean "acme"?'),
        (("--key", "nope"), 'no key has the id "nope"'),
        (("--key", "key_1", "--tenant", "beta"), "key_1 is a key of tenant acme, not of beta"),
    ],
)
def test_whom_nobody_knows_is_refused(forebay: Command, arguments: tuple[str, ...], said: str) -> None:
    assert said in forebay("quota", "show", *arguments, status=2)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreDown("Redis does not answer"), 1),
        (NotRunning("no gateway runs with --state here"), 1),
        (Refused("the store does not answer", is_down=True), 1),
        (Refused("no such rule"), 2),
    ],
)
def test_what_goes_wrong_elsewhere_is_one_line(forebay: Command, error: Exception, status: int) -> None:
    def order(_: Order) -> list[Standing]:
        raise error

    said = forebay("quota", "show", "--tenant", "acme", status=status, order=order)
    assert said == f"forebay quota: {error}\n"


def test_without_any_limit_there_is_a_line_too(forebay: Command) -> None:
    assert forebay("quota", "show", order=lambda _: []) == "no limit holds\n"
    assert forebay("budget", "show", order=lambda _: []) == "no budget holds\n"

"""The rules that `forebay slo rules` writes, checked and played by Prometheus' own promtool."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.gateway import prepared_folder
from rig.programs.lacking import lacking

ROOT = Path(__file__).parents[3]
PROMISES = {
    "objectives": {
        "answered": {"of": "availability", "target_percent": 99.9},
        "quick-start": {"of": "first_token", "within_ms": 2000, "target_percent": 95, "routes": ["fast"]},
        "short": {"of": "duration", "within_ms": 60000, "target_percent": 50},
        "cheap": {"of": "cost", "at_most_usd": 0.05, "target_percent": 99, "classes": ["free"], "days": 7},
    }
}
ROUTING = {
    "backends": {"only": {"base_url": "http://127.0.0.1:9/v1", "credentials": ["${RIG_KEY_1}"]}},
    "routes": {"fast": {"targets": [{"backend": "only", "model": "m"}]}},
}
MINUTES = 400
CALM, WELL, SLOW_BURN = f"0+0x{MINUTES}", f"0+100x{MINUTES}", f"0+1x{MINUTES}"


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if (program := shutil.which("promtool")) is None:
        lacking("promtool (Debian's package prometheus)")
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "slo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin", "RIG_KEY_1": "-"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rules of `PROMISES`."""
    made = tmp_path_factory.mktemp("slo") / "config"
    prepared_folder(made, ROUTING, {"slo": PROMISES})
    assert command("rules", "--config", str(made), "--out", str(made / "rules.yml")) == ""
    return made


def test_promtool_accepts_every_rule(folder: Path) -> None:
    done = promtool("check", "rules", "rules.yml", folder=folder)
    assert done.returncode == 0, done.stderr
    rules = [
        rule
        for group in yaml.safe_load((folder / "rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout
    alerts = [rule for rule in rules if rule.get("alert") == "ForebaySloBurn"]
    # Half of the calls may be slow: only at 1 time as fast, and not at 3 or more, can that burn.
    assert len(alerts) == 4 + 4 + 1 + 4
    assert {rule["annotations"]["runbook_url"] for rule in alerts} == {"docs/runbooks/slo-burn.md"}


def test_promtool_accepts_the_rules_of_what_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(command("rules", "--config", str(ROOT)))
    done = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def series(objective: str, good: str, bad: str) -> list[dict[str, str]]:
    labels = f'objective="{objective}", instance="a"'
    return [
        {"series": f'forebay_slo_calls_total{{outcome="{outcome}", {labels}}}', "values": values}
        for outcome, values in (("good", good), ("bad", bad))
    ]


def burn(objective: str, severity: str, long: str, short: str) -> dict[str, str]:
    return {"severity": severity, "objective": objective, "long": long, "short": short}


def played(
    folder: Path, given: Sequence[dict[str, str]], minute: int, alert: str, expected: Sequence[dict[str, str]]
) -> subprocess.CompletedProcess[str]:
    """Play series, a value a minute, and compare the labels of one alert that fires then."""
    rules = yaml.safe_load((folder / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)  # promtool would have them all compared
    (folder / "bare.yml").write_text(yaml.safe_dump(rules))
    test: dict[str, Any] = {
        "rule_files": ["bare.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": list(given),
                "alert_rule_test": [
                    {
                        "eval_time": f"{minute}m",
                        "alertname": alert,
                        "exp_alerts": [{"exp_labels": labels} for labels in expected],
                    }
                ],
            }
        ],
    }
    (folder / "played.yml").write_text(yaml.safe_dump(test))
    return promtool("test", "rules", "played.yml", folder=folder)


def check(folder: Path, given: Sequence[dict[str, str]], minute: int, *expected: dict[str, str]) -> None:
    done = played(folder, given, minute, "ForebaySloBurn", expected)
    assert done.returncode == 0, done.stdout + done.stderr


PAGE_SOON, PAGE = ("page", "1h", "5m"), ("page", "6h", "30m")
TICKET, TICKET_LATE = ("ticket", "1d", "2h"), ("ticket", "3d", "6h")


def test_an_outage_pages_within_minutes(folder: Path) -> None:
    outage = series("answered", f"0+100x60 6000+0x{MINUTES}", f"0+0x60 0+100x{MINUTES}")
    check(folder, outage, 60)
    all_of_them = [burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)]
    check(folder, outage, 63, *all_of_them)


def test_a_slow_burn_is_a_ticket_and_no_page(folder: Path) -> None:
    slow = series("answered", WELL, f"0+0.4x{MINUTES}")  # 4 times as fast as promised
    check(folder, slow, 390, burn("answered", *TICKET), burn("answered", *TICKET_LATE))


def test_what_keeps_its_promise_wakes_nobody(folder: Path) -> None:
    kept = series("answered", WELL, f"0+0.05x{MINUTES}")
    for minute in (30, 120, 390):
        check(folder, kept, minute)


def test_an_outage_that_is_over_stops_paging(folder: Path) -> None:
    over = series("answered", "0+100x60 6000+0x10 6000+100x300", "0+0x60 0+100x10 1000+0x300")
    check(folder, over, 66, *(burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))
    # The last bad call leaves windows of 5 and 30 minutes at 75 and 100; then it is quiet for as long.
    check(folder, over, 79, *(burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))
    check(folder, over, 82, *(burn("answered", *one) for one in (PAGE, TICKET, TICKET_LATE)))
    check(folder, over, 128, *(burn("answered", *one) for one in (PAGE, TICKET, TICKET_LATE)))
    check(folder, over, 132, *(burn("answered", *one) for one in (TICKET, TICKET_LATE)))


def test_one_that_comes_and_goes_stays_on(folder: Path) -> None:
    waves = " ".join(["0x60", *(f"{300 * n}+100x3 {300 * (n + 1)}x6" for n in range(20))])
    flaps = series("answered", f"0+100x{MINUTES}", waves)
    for minute in range(72, 120, 3):
        done = played(
            folder,
            flaps,
            minute,
            "ForebaySloBurn",
            [burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)],
        )
        assert done.returncode == 0, done.stdout


def test_few_calls_wake_nobody(folder: Path) -> None:
    check(folder, series("answered", CALM, "0x100 1+0x1 2+0x100"), 110)


def test_few_bad_calls_wake_nobody(folder: Path) -> None:
    # One of ten in an hour: a hundred times as fast as promised, and nothing to get up for.
    one = series("answered", "0+1x100 100x100", "0x99 1x100")
    check(folder, one, 101)
    four = series("answered", "0+1x100 100x100", "0x99 4x100")
    check(folder, four, 101, *(burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))


def test_few_calls_keep_on_what_has_begun(folder: Path) -> None:
    # Twelve bad ones at once, and then one in eight minutes: on seven in an hour nothing would begin.
    rare = " ".join(f"{12 + n}x7" for n in range(20))
    given = series("quick-start", CALM, f"0x60 {rare}")
    check(folder, given, 150, *(burn("quick-start", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))
    check(folder, series("quick-start", CALM, "0x60 " + " ".join(f"{n}x7" for n in range(20))), 125)


def test_other_promises_and_other_thresholds_do_not_mix(folder: Path) -> None:
    given = [
        *series("answered", WELL, CALM),
        *series("quick-start", WELL, f"0+1000x{MINUTES}"),
        *series("short", WELL, f"0+80x{MINUTES}"),  # 44 % are too long, and half of them may be
    ]
    check(folder, given, 120, *(burn("quick-start", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))


def test_gateways_are_added_up(folder: Path) -> None:
    two = series("answered", WELL, f"0+0x{MINUTES}")
    two += [{**one, "series": one["series"].replace('"a"', '"b"')} for one in series("answered", CALM, WELL)]
    check(folder, two, 120, *(burn("answered", *one) for one in (PAGE_SOON, PAGE, TICKET, TICKET_LATE)))


@pytest.mark.parametrize(
    ("alert", "metric", "wrong", "well", "labels"),
    [
        (
            "ForebayBreakerOpen",
            'forebay_breakers{backend="b", state="open"}',
            1,
            0,
            {"severity": "ticket", "backend": "b"},
        ),
        (
            "ForebayBackendDown",
            'forebay_backend_up{instance="a", backend="b"}',
            0,
            1,
            {"severity": "page", "instance": "a", "backend": "b"},
        ),
        (
            "ForebayLedgerLag",
            'forebay_ledger_lag_seconds{instance="a"}',
            900,
            20,
            {"severity": "ticket", "instance": "a"},
        ),
        (
            "ForebayConfigReloadFailed",
            'forebay_config_reload_ok{instance="a"}',
            0,
            1,
            {"severity": "ticket", "instance": "a"},
        ),
    ],
)
def test_a_part_that_fails_is_told_and_one_that_works_is_not(
    folder: Path, alert: str, metric: str, wrong: int, well: int, labels: dict[str, str]
) -> None:
    failing = played(folder, [{"series": metric, "values": f"{wrong}x20"}], 15, alert, [labels])
    assert failing.returncode == 0, failing.stdout + failing.stderr
    working = played(folder, [{"series": metric, "values": f"{well}x20"}], 15, alert, [])
    assert working.returncode == 0, working.stdout + working.stderr


def test_a_gateway_that_tells_nothing_is_missed(folder: Path) -> None:
    there = {"series": "forebay_calls_in_flight", "values": "0x30"}
    gone = {"series": "forebay_calls_in_flight", "values": "0x5 _x30"}
    assert played(folder, [there], 20, "ForebayNoMetrics", []).returncode == 0
    missed = played(folder, [gone], 20, "ForebayNoMetrics", [{"severity": "page"}])
    assert missed.returncode == 0, missed.stdout + missed.stderr

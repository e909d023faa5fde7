"""Events say in words what they are about, how urgent it is, and where to read on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway import __main__ as command_line
from gateway.telemetry.events import KINDS, OVER, words_of
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.webhooks import new_event

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs/runbooks"
BUDGET = {
    "rule": "acme",
    "level": 80,
    "text": "$500 per month",
    "spent_usd": "400.0171",
    "per": {"team": "x"},
}
SECTIONS = ["What it means", "See", "Mitigate", "Verify"]


@pytest.mark.parametrize(
    ("kind", "data", "summary"),
    [
        ("budget", BUDGET, "acme of team x has reached 80 % (US$ 400.0171 of $500 per month)"),
        (
            "quota",
            {"rule": "free", "level": 100, "text": "60 requests per minute", "taken": 60, "per": {}},
            "free has reached 100 % (60 of 60 requests per minute)",
        ),
        ("surge", {"tenant": "acme", "key": "k"}, "key k of acme calls much more often than usual"),
        (
            "spend_anomaly",
            {
                "tenant": None,
                "scope": "all tenants",
                "cost_usd": "9",
                "hour": "H",
                "low_usd": "1",
                "high_usd": "2",
            },
            "all tenants spent US$ 9 in the hour from H, usually 1 to 2",
        ),
        ("backend_down", {"summary": "backend gpu is down"}, "backend gpu is down"),
        ("slo_burn", {}, "slo burn"),
        ("slo_burn_over", {"objective": "fast-answers"}, "over: calls miss fast-answers"),
        ("backend_down_over", {"summary": "backend gpu is down"}, "over: backend gpu is down"),
    ],
)
def test_an_event_says_in_a_sentence_what_happened(kind: str, data: dict[str, Any], summary: str) -> None:
    assert new_event(kind, data)["summary"] == summary


def test_its_data_can_say_how_urgent_it_is_and_its_end_is_not_urgent() -> None:
    assert words_of("slo_burn", {}).severity == "page"
    assert words_of("slo_burn", {"severity": "ticket"}).severity == "ticket"
    assert words_of("slo_burn_over", {"severity": "page"}).severity == "info"


@pytest.mark.parametrize(
    "runbooks", ["https://wiki.example.com/forebay", "https://wiki.example.com/forebay/"]
)
def test_its_runbook_is_where_the_configuration_says(runbooks: str) -> None:
    event = new_event("breaker_open" + OVER, {}, runbooks)
    assert event["runbook"] == "https://wiki.example.com/forebay/breaker-open.md"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_page_with_all_that_is_needed(kind: str) -> None:
    page = ROOT / words_of(kind, {}).runbook
    text = page.read_text()
    assert f"`{kind}`" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert f"]({page.name})" in (PAGES / "README.md").read_text()


def test_each_page_is_that_of_an_event() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {kind.page for kind in KINDS.values()} | {"README"}


def commands() -> list[tuple[str, list[str]]]:
    """The lines of shell blocks and of the text that begin with `forebay`, by page."""
    return [
        (page.name, found.split("#")[0].split())
        for page in sorted(PAGES.glob("*.md"))
        for found in re.findall(r"(?:^|`)forebay ([a-z][^`\n|]*)", page.read_text(), re.MULTILINE)
    ]


def test_pages_name_only_commands_that_there_are() -> None:
    parser = command_line._parser()
    assert len(commands()) > 10
    for page, words in commands():
        plain = [re.sub(r"^[A-Z_]+$", "1", word).strip("\"'") for word in words]
        try:
            parser.parse_args(plain)
        except SystemExit as refused:
            raise AssertionError(f"{page}: forebay {' '.join(words)}") from refused


def test_pages_ask_only_for_metrics_that_there_are() -> None:
    told = Metrics().render().decode()
    known = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    asked = {name for page in PAGES.glob("*.md") for name in re.findall(r"forebay_\w+", page.read_text())}
    assert asked
    assert {name for name in asked if name.removesuffix("_bucket") not in known} == set()


def test_pages_ask_only_for_attributes_that_spans_have() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "gateway/telemetry/tracing").glob("*.py"))
    asked = {
        name for page in PAGES.glob("*.md") for name in re.findall(r"span\.(forebay[.\w]+)", page.read_text())
    }
    assert asked
    assert {name for name in asked if f'"{name}"' not in sources} == set()

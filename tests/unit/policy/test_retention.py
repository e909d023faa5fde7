"""policies/retention.yaml: days by table, and what of users is written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.located import load
from gateway.errors import ConfigErrors
from gateway.policy import retention
from gateway.policy.retention import Retention, RetentionSpec

ROOT = Path(__file__).parents[3]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Retention]:
    def _compiled(text: str) -> Retention:
        (tmp_path / "retention.yaml").write_text(text)
        return retention.compile(load(tmp_path / "retention.yaml", RetentionSpec, {}))

    return _compiled


def test_the_file_of_the_project_says_the_defaults() -> None:
    written = retention.compile(load(ROOT / "policies/retention.yaml", RetentionSpec, {}))
    assert written == retention.compile(None)
    assert written.days == {"ledger": 100, "usage_minute": 14, "usage_hour": 400, "usage_day": None}
    assert written.users == "keep"


def test_days_are_given_by_table_and_null_is_for_ever(compiled: Callable[[str], Retention]) -> None:
    days = compiled("raw_days: 40\nminute_days: 1\nhour_days: null\nday_days: null").days
    assert days == {"ledger": 40, "usage_minute": 1, "usage_hour": None, "usage_day": None}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("raw_days: 500", "hour_days: shorter than raw_days"),
        ("raw_days: null", "hour_days: shorter than raw_days"),
        ("minute_days: 401", "hour_days: shorter than minute_days"),
        ("day_days: 399", "day_days: shorter than hour_days"),
        ("hour_days: null\nday_days: 400", "day_days: shorter than hour_days"),
        ("raw_days: 34", "raw_days"),
        ("minute_days: 0", "minute_days"),
        ("raw_days: 1.5", "raw_days"),
        ("users: hash", "users"),
        ("row_days: 100", "row_days"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    compiled: Callable[[str], Retention], text: str, complaint: str
) -> None:
    with pytest.raises(ConfigErrors, match=complaint):
        compiled(text)


def test_users_are_kept_dropped_or_given_a_pseudonym(compiled: Callable[[str], Retention]) -> None:
    assert compiled("users: keep").of("acme", "ann@acme.example") == "ann@acme.example"
    assert compiled("users: drop").of("acme", "ann@acme.example") == ""
    digest = compiled("users: digest")
    ann = digest.of("acme", "ann@acme.example")
    assert len(ann) == 24
    assert "ann" not in ann
    assert digest.of("acme", "ann@acme.example") == ann
    assert digest.of("acme", "bob@acme.example") != ann
    assert digest.of("other", "ann@acme.example") != ann
    assert digest.of("acme", "") == ""
    assert digest.of("acme", "\ud800")

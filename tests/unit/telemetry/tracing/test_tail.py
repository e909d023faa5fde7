"""Which ended calls leave spans, and why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.telemetry.tracing.calls import ENDED_S, TRACE, attempt, ended

from gateway.telemetry.tracing.settings import TraceSettings
from gateway.telemetry.tracing.tail import kept_for

UNSAMPLED = msgspec.structs.replace(TRACE, sampled=False)
ALL = TraceSettings(slower_than_s=10.0, is_canary=lambda record: record.route == "birds")
NONE = TraceSettings(errors=False, fallbacks=False, canaries=False, is_canary=lambda _: True)


@pytest.mark.parametrize(
    ("attempts", "members", "why"),
    [
        ([attempt()], {}, ""),
        ([attempt()], {"trace": TRACE}, "sampled"),
        ([attempt()], {"trace": None, "ending": "bug"}, ""),
        ([attempt(cause="upstream_failed")], {"ending": "failed", "status": 502}, "error"),
        ([attempt()], {"ending": "broken"}, "error"),
        ([], {"ending": "bug", "status": 500}, "error"),
        ([], {"ending": "refused", "status": 503}, "error"),
        ([], {"ending": "refused", "status": 429}, ""),
        ([attempt()], {"ending": "client_gone", "status": 499}, ""),
        ([attempt(cause="upstream_failed"), attempt(why="next")], {}, "fallback"),
        ([attempt(cause="interrupted"), attempt(why="hedge")], {}, "fallback"),
        ([attempt(why="fallback")], {}, "fallback"),
        ([attempt(cause="upstream_failed")], {}, "fallback"),
        ([], {}, "fallback"),
        ([attempt()], {"started_s": ENDED_S - 10.1}, "slow"),
        ([attempt()], {"started_s": ENDED_S - 9.9}, ""),
        ([attempt()], {"route": "birds"}, "canary"),
    ],
)
def test_what_somebody_will_ask_about_is_kept(attempts: list[Any], members: dict[str, Any], why: str) -> None:
    record = ended(*attempts, **({"trace": UNSAMPLED} | members))
    assert kept_for(record, ENDED_S, ALL) == why
    assert kept_for(record, ENDED_S, NONE) == ("sampled" if why == "sampled" else "")

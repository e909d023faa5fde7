"""The class of service that a call asks for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from unit.stand_ins import call

from gateway.exchange import Format
from gateway.exchange.price import ANY_TIER
from gateway.formats.request.tier import tier_asked


@pytest.mark.parametrize(
    ("format_", "members", "tier"),
    [
        ("chat", {}, ""),
        ("chat", {"service_tier": None}, ""),
        ("chat", {"service_tier": 7}, ""),
        ("chat", {"service_tier": "default"}, ""),
        ("chat", {"service_tier": "auto"}, ANY_TIER),
        ("responses", {"service_tier": "auto"}, ANY_TIER),
        ("responses", {"service_tier": "priority"}, "priority"),
        ("chat", {"service_tier": "flex"}, "flex"),
        ("messages", {"service_tier": "auto"}, ""),
        ("messages", {"service_tier": "standard_only"}, ""),
        ("messages", {"speed": "fast"}, "fast"),
        ("messages", {"service_tier": "auto", "speed": "fast"}, "fast"),
        ("messages", {"speed": "standard"}, ""),
        ("gemini", {"serviceTier": "PRIORITY"}, "priority"),
        ("gemini", {"service_tier": "standard"}, ""),
        ("converse", {"serviceTier": {"type": "flex"}}, "flex"),
        ("converse", {"serviceTier": {"type": "default"}}, ""),
        ("converse", {"performanceConfig": {"latency": "optimized"}}, "optimized"),
        ("converse", {"performanceConfig": [1]}, ""),
    ],
)
def test_each_format_names_it_in_its_own_way(format_: Format, members: dict[str, Any], tier: str) -> None:
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in members.items()}
    asked = call(format_)
    asked = msgspec.structs.replace(asked, members={**asked.members, **raw})
    assert tier_asked(asked) == tier
    written = msgspec.structs.replace(asked, members={**asked.members, **members})
    assert tier_asked(written) == tier


def test_what_cannot_be_read_is_the_standard_one() -> None:
    asked = msgspec.structs.replace(call(), members={"service_tier": msgspec.Raw(b'"\xff"')})
    assert tier_asked(asked) == ""

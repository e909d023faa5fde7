"""Errors of ClickHouse, and what they mean."""

from __future__ import annotations

import pytest

from gateway.errors import BadQuery, BadRows, GatewayFault, StoreDown
from gateway.stores.clickhouse import faults


@pytest.mark.parametrize(
    ("code", "name", "inserting", "asking"),
    [
        (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", BadRows, BadQuery),
        (53, "TYPE_MISMATCH", BadRows, BadQuery),
        (407, "DECIMAL_OVERFLOW", BadRows, BadQuery),
        (691, "UNKNOWN_ELEMENT_OF_ENUM", BadRows, BadQuery),
        (16, "NO_SUCH_COLUMN_IN_TABLE", StoreDown, BadQuery),
        (60, "UNKNOWN_TABLE", StoreDown, BadQuery),
        (81, "UNKNOWN_DATABASE", StoreDown, StoreDown),
        (62, "SYNTAX_ERROR", StoreDown, BadQuery),
        (164, "READONLY", StoreDown, BadQuery),
        (159, "TIMEOUT_EXCEEDED", StoreDown, StoreDown),
        (202, "TOO_MANY_SIMULTANEOUS_QUERIES", StoreDown, StoreDown),
        (241, "MEMORY_LIMIT_EXCEEDED", StoreDown, StoreDown),
        (242, "TABLE_IS_READ_ONLY", StoreDown, StoreDown),
        (243, "NOT_ENOUGH_SPACE", StoreDown, StoreDown),
        (252, "TOO_MANY_PARTS", StoreDown, StoreDown),
        (285, "TOO_FEW_LIVE_REPLICAS", StoreDown, StoreDown),
        (319, "UNKNOWN_STATUS_OF_INSERT", StoreDown, StoreDown),
        (516, "AUTHENTICATION_FAILED", StoreDown, StoreDown),
        (999, "KEEPER_EXCEPTION", StoreDown, StoreDown),
        (None, "", StoreDown, StoreDown),
        (424_242, "NEVER_HEARD_OF", StoreDown, BadQuery),
    ],
)
def test_rows_are_given_up_only_where_they_are_at_fault(
    code: int | None, name: str, inserting: type[GatewayFault], asking: type[GatewayFault]
) -> None:
    text = f"Code: {code}. DB::Exception: cannot parse 'ann@acme.example' ({name})"
    insert, query = faults.of_insert(code, text), faults.of_query(code, text)
    assert (type(insert), type(query)) == (inserting, asking)
    for error in (insert, query):
        assert "ann@acme.example" not in error.message
        if code is not None:
            assert f"code {code}, {name}" in error.message
            assert "ann@acme.example" in error.detail


def test_codes_are_found_in_texts() -> None:
    assert faults.code_in("Received Code: 60. DB::Exception: no table") == 60
    assert faults.code_in("connection refused") is None

"""What an error of ClickHouse means for whoever asked: try again, these rows never, or this question never.

Source: ClickHouse's src/Common/ErrorCodes.cpp.
"""

from __future__ import annotations

import re

from gateway.errors import BadQuery, BadRows, GatewayFault, StoreDown

UNKNOWN_TABLE, UNKNOWN_DATABASE = 60, 81

_OF_ROWS = frozenset({
    *(6, 7, 19, 20, 26, 27, 32, 33, 34, 38, 41, 43, 50, 53, 69, 70, 72, 98, 117, 129, 131),
    *(190, 261, 271, 321, 349, 407, 421, 441, 467, 469, 636, 649, 675, 676, 691, 713),
})  # fmt: skip
"""What cannot be parsed, is out of range, or of the wrong type. Not a missing column: that table is old."""

_FOR_NOW = frozenset({
    *(3, 74, 75, 76, 84, 87, 159, 160, 161, 173, 192, 193, 194, 201, 202, 203, 204, 205, 206, 207),
    *(208, 209, 210, 215, 225, 228, 232, 234, 236, 238, 241, 242, 243, 244, 246, 252, 254, 264, 265, 269),
    *(275, 278, 279, 285, 286, 289, 290, 295, 297, 298, 299, 300, 305, 319, 335, 364, 369, 373, 394, 401),
    *(412, 415, 416, 425, 439, 443, 459, 473, 478, 479, 492, 493, 497, 499, 516, 519, 525, 528, 529, 590),
    *(592, 598, 609, 643, 668, 692, 705, 722, 723, 733, 734, 735, 736, 999, 1000, 1001, 1002),
})  # fmt: skip
"""Out of memory, disk, time, parts, replicas or patience; not let in; shutting down."""

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z][A-Z_0-9]+)\)")
_LONGEST = 300


def code_in(text: str) -> int | None:
    """Find the code in an error's text."""
    found = _CODE.search(text)
    return int(found[1]) if found else None


def of_insert(code: int | None, text: str) -> GatewayFault:
    """Say what a refused insert means. What is not known to be the rows' fault is tried again."""
    if code in _OF_ROWS:
        return BadRows(f"ClickHouse refuses the rows: {_short(code, text)}", detail=text[:_LONGEST])
    return StoreDown(f"ClickHouse takes no rows: {_short(code, text)}", detail=text[:_LONGEST])


def of_query(code: int | None, text: str) -> GatewayFault:
    """Say what a refused question means."""
    if code is None or code in _FOR_NOW or code == UNKNOWN_DATABASE:
        return StoreDown(f"ClickHouse does not answer: {_short(code, text)}", detail=text[:_LONGEST])
    return BadQuery(f"ClickHouse refuses the question: {_short(code, text)}", detail=text[:_LONGEST])


def _short(code: int | None, text: str) -> str:
    """Give the code and its name: the rest may quote rows, and goes to the log alone."""
    if code is None:
        return "no answer"
    name = _NAME.findall(text)
    return f"code {code}, {name[-1]}" if name else f"code {code}"

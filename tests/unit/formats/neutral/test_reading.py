"""JSON of upstreams that msgspec does not read."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadAnswer
from gateway.formats.neutral.reading import read_answer, without_halves

UNITS = st.text(st.sampled_from([*'a\\u"\ud83d\ude00\udbff\udc00\ud7ff\ue000', "\U0001f600"]), max_size=8)


@given(UNITS)
def test_half_a_pair_is_read_as_a_replacement_and_all_else_as_it_is(said: str) -> None:
    written = json.dumps({"a": said}).encode()
    whole = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert len(whole.encode("utf-16")) == len(said.encode("utf-16", "surrogatepass"))
    assert json.loads(without_halves(written))["a"] == whole
    assert len(without_halves(written)) == len(written)
    assert read_answer(written, dict[str, str]) == {"a": whole}


@pytest.mark.parametrize(
    "body", [b'{"a": "\\ud83d', b'{"a": "\\ud83d"', b'{"a": "\\ud83', b'{"a": "\xff\\ud83d"}']
)
def test_what_is_not_whole_stays_no_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="not whole JSON"):
        read_answer(body, dict[str, str])


def test_a_type_that_is_wrong_is_told_as_such() -> None:
    with pytest.raises(BadAnswer, match="not what its format promises"):
        read_answer(b'{"b": "\\ud83d", "a": 1}', dict[str, str])
    assert msgspec.json.decode(without_halves(b'"\\ud83d"')) == "\ufffd"

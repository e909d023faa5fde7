"""Objects of a JSON array, told apart while they arrive."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Broken
from gateway.formats.gemini.arrays import ArrayFramer

VALUES = st.recursive(
    st.text(alphabet='a"\\{}[],:é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='"{\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(alphabet='x"}', max_size=3), VALUES, max_size=3), max_size=5)


@given(OBJECTS, st.integers(1, 9), st.sampled_from([None, 1]))
def test_the_objects_are_the_same_however_they_arrive(
    objects: list[dict], step: int, indent: int | None
) -> None:
    body = json.dumps(objects, indent=indent).encode()
    framer = ArrayFramer(1 << 16)
    found = [each for at in range(0, len(body), step) for each in framer.feed(body[at : at + step])]
    assert [json.loads(each) for each in found] == objects
    assert not framer.inside


def test_half_an_object_is_known_to_be_one() -> None:
    framer = ArrayFramer(100)
    assert framer.feed(b'[{"a": {}}, {"b": "}') == [b'{"a": {}}']
    assert framer.inside


def test_an_object_beyond_the_limit_is_broken() -> None:
    framer = ArrayFramer(100)
    with pytest.raises(Broken):
        framer.feed(b'[{"a": "' + b"x" * 100)

"""Positions in bytes and in characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.formats.gemini.citations import encode_citations, place, spans_of
from gateway.formats.gemini.types import Candidate
from gateway.formats.neutral.parts import Citation, Text

TEXTS = st.text(alphabet="aé中😀", max_size=20)


@given(TEXTS, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6))
def test_positions_that_are_written_are_read_again(text: str, pairs: list[tuple[int, int]]) -> None:
    cut = [tuple(sorted((min(a, len(text)), min(b, len(text))))) for a, b in pairs]
    cited = tuple(Citation(f"https://{i}", start=start, end=end) for i, (start, end) in enumerate(cut))
    metadata = encode_citations([(0, Text(text, citations=cited))])
    found = place(spans_of(Candidate(grounding_metadata=metadata)), text)
    assert [(each.url, each.start, each.end) for each in found] == [
        (each.url, each.start, each.end) for each in cited
    ]


def test_ten_thousand_positions_take_one_pass() -> None:
    text = "é" * 100_000
    cited = tuple(Citation("https://a", start=i, end=i + 10) for i in range(10_000))
    metadata = encode_citations([(0, Text(text, citations=cited))])
    assert len(place(spans_of(Candidate(grounding_metadata=metadata)), text)) == 10_000


def test_texts_without_sources_have_none() -> None:
    assert encode_citations([(0, Text("a"))]) is None
    assert spans_of(Candidate()) == []

"""Google's sources of an answer, to citations and back.

Google counts positions in bytes of UTF-8, everyone else in characters. Must not know answers or streams.
Source: Gemini API reference, "GroundingMetadata", "CitationMetadata" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gateway.formats.gemini.types import (
    Candidate,
    GroundingChunk,
    GroundingMetadata,
    GroundingSupport,
    Segment,
    Source,
)
from gateway.formats.neutral.parts import Citation, Text


class Span(msgspec.Struct, frozen=True):
    """A citation, not yet placed: which part of the content it is about, from which byte to which."""

    citation: Citation
    part: int = 0
    start: int | None = None
    end: int | None = None


def spans_of(candidate: Candidate) -> list[Span]:
    """List the citations of a candidate."""
    recited = candidate.citation_metadata
    found = [
        Span(
            Citation(source.uri or "", source.title or "", origin="gemini"),
            0,
            source.start_index or 0,
            source.end_index,
        )
        for source in (recited and (recited.citation_sources or recited.citations)) or []
    ]
    if candidate.grounding_metadata is not None:
        found += _grounded(candidate.grounding_metadata)
    return found


def _grounded(metadata: GroundingMetadata) -> Iterator[Span]:
    sources = [_citation(chunk) for chunk in metadata.grounding_chunks or []]
    if not metadata.grounding_supports:
        yield from (Span(source) for source in sources)
    for support in metadata.grounding_supports or []:
        segment = support.segment or Segment()
        for index in support.grounding_chunk_indices or []:
            if 0 <= index < len(sources):
                yield Span(
                    sources[index], segment.part_index or 0, segment.start_index or 0, segment.end_index
                )


def _citation(chunk: GroundingChunk) -> Citation:
    source = chunk.web or chunk.retrieved_context or chunk.maps or Source()
    return Citation(source.uri or "", source.title or "", source.text or "", origin="gemini")


def place(spans: Sequence[Span], text: str) -> list[Citation]:
    """Give citations their positions in a text, in characters."""
    chars = _chars_at(text, {at for span in spans for at in (span.start, span.end) if at is not None})
    return [
        msgspec.structs.replace(span.citation, start=chars[span.start or 0], end=chars[span.end])
        if span.end is not None
        else span.citation
        for span in spans
    ]


def _chars_at(text: str, offsets: set[int]) -> dict[int, int]:
    """Say how many characters stand before each byte; in one pass, however many are asked for."""
    data = text.encode()
    found, done, chars = {0: 0}, 0, 0
    for offset in sorted(offsets):
        chars += len(data[done : max(done, offset)].decode(errors="ignore"))
        done = max(done, offset)
        found[offset] = chars
    return found


def _bytes_at(text: str, offsets: set[int]) -> dict[int, int]:
    """Say how many bytes stand before each character; in one pass."""
    found, done, size = dict[int, int](), 0, 0
    for offset in sorted(offsets):
        size += len(text[done : max(done, offset)].encode())
        done = max(done, offset)
        found[offset] = size
    return found


def encode_citations(texts: Sequence[tuple[int, Text]]) -> GroundingMetadata | None:
    """Write the citations of texts, each with its part's number; None where there are none."""
    sources = dict[tuple[str, str, str], int]()
    supports = list[GroundingSupport]()
    for number, text in texts:
        asked = {at for each in text.citations for at in (each.start, each.end) if at is not None}
        sizes = _bytes_at(text.text, asked)
        for each in text.citations:
            source = (each.url, each.title, each.text)
            index = sources.setdefault(source, len(sources))
            if each.start is not None and each.end is not None:
                segment = Segment(
                    part_index=number or None,
                    start_index=sizes[each.start] or None,
                    end_index=sizes[each.end],
                    text=text.text[each.start : each.end],
                )
                supports.append(GroundingSupport(segment=segment, grounding_chunk_indices=[index]))
    if not sources:
        return None
    chunks = [_chunk(*source) for source in sources]
    return GroundingMetadata(grounding_chunks=chunks, grounding_supports=supports or None)


def _chunk(url: str, title: str, text: str) -> GroundingChunk:
    source = Source(uri=url or None, title=title or None, text=text or None)
    return GroundingChunk(retrieved_context=source) if text else GroundingChunk(web=source)

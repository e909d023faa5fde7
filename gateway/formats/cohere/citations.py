"""Cohere's citations, which stand beside the content and point into it, as citations of a text.

Source: Cohere API reference, "Chat: citations" (checked 2026-11), recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.formats.cohere.types import Citation
from gateway.formats.neutral import parts as neutral
from gateway.formats.neutral.parts import Part, Text

LOOSE = "cohere_citations"
"""Where `raw` of a turn or a choice keeps citations of what is not a text: of thinking, of a plan."""

OF_TEXT = frozenset({None, "", "TEXT_CONTENT"})


def read_citation(seen: Citation) -> neutral.Citation:
    """Read one; its first source gives the URL, the title and the words."""
    document = _document_in(seen.sources)
    return neutral.Citation(
        url=_text_in(document, "url"),
        title=_text_in(document, "title"),
        text=_text_in(document, "text") or _text_in(document, "snippet") or _text_in(document, "content"),
        start=seen.start,
        end=seen.end,
        origin="cohere",
        raw=msgspec.to_builtins(seen),
    )


def attach(parts: Sequence[Part], citations: Iterable[Citation]) -> tuple[list[Part], Any]:
    """Put each citation to its text among the content `parts`; the second value keeps those without one.

    Without a `content_index` the first text is meant: only newer models say it.
    """
    first = next((i for i, part in enumerate(parts) if isinstance(part, Text)), -1)
    found: dict[int, list[neutral.Citation]] = {}
    loose = []
    for seen in citations:
        at = first if seen.content_index is None else seen.content_index
        if seen.type in OF_TEXT and 0 <= at < len(parts) and isinstance(parts[at], Text):
            found.setdefault(at, []).append(read_citation(seen))
        else:
            loose.append(msgspec.to_builtins(seen))
    attached = list(parts)
    for at, its in found.items():
        attached[at] = msgspec.structs.replace(parts[at], citations=tuple(its))
    return attached, {LOOSE: loose} if loose else None


def write_citation(citation: neutral.Citation, words: str, index: int) -> Any:
    """Write one as Cohere wrote it, or build it from another's; `words` are those of the answer."""
    if citation.origin == "cohere" and citation.raw is not None:
        return citation.raw
    named = {"title": citation.title, "url": citation.url, "text": citation.text}
    source = {
        "type": "document",
        "id": citation.url or citation.title,
        "document": {name: value for name, value in named.items() if value},
    }
    cited = words[citation.start or 0 : citation.end] if citation.end is not None else ""
    return Citation(citation.start, citation.end, cited, [source], "TEXT_CONTENT", index)


def loose_in(raw: Any) -> list[Any]:
    """Return the citations that `attach` kept in `raw`."""
    kept = raw.get(LOOSE) if isinstance(raw, dict) else None
    return kept if isinstance(kept, list) else []


def _document_in(sources: Any) -> Any:
    source = sources[0] if isinstance(sources, list) and sources else None
    if not isinstance(source, dict):
        return None
    return source.get("document") or source.get("tool_output")


def _text_in(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""

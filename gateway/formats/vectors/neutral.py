"""What is asked of an embedding model and what it gives, whatever the wire format. Data only."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.exchange import Usage

Truncation = Literal["", "none", "start", "end"]
"""What becomes of a text that is too long: it is refused, or loses its start or its end ("" not said)."""


class Texts(msgspec.Struct, frozen=True, gc=False):
    """Texts to embed, and how. Either `texts` or `tokens` (the ids of each text's tokens) is set.

    `input_type` says what for: a key of `embeddings.INPUT_TYPES`, "" not said.
    """

    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    input_type: str = ""
    truncate: Truncation = ""


class Vectors(msgspec.Struct, frozen=True, gc=False):
    """A vector for each text, in their order. `usage` None: the upstream told none."""

    vectors: list[list[float]]
    usage: Usage | None = None
    model: str = ""

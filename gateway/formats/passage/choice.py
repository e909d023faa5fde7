"""Choose how an attempt is made: relayed where the upstream speaks the client's format, else translated."""

from __future__ import annotations

from gateway.exchange import Call, Format
from gateway.formats.passage.relayed import relayed
from gateway.formats.passage.seam import Passage, Terms
from gateway.formats.passage.translated import translated


def open_passage(call: Call, wire: Format, model: str, terms: Terms) -> Passage:
    """Open the passage of `call` to an upstream that speaks `wire` and has its model under `model`.

    Raises BadRequest or Unsupported when the call cannot be translated.
    """
    if call.format == wire:
        return relayed(call, terms)
    return translated(call, wire, model, terms)

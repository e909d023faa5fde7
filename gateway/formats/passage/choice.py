"""Choose how an attempt is made: relayed where the upstream speaks the client's format, else translated.

An answer that has to be written anew is translated into its own format; where its request is one that the
codec cannot read, it is relayed all the same, and can then not be gone on with by another upstream.
"""

from __future__ import annotations

from gateway.errors import ClientError
from gateway.exchange import Call, Format
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.relayed import relayed
from gateway.formats.passage.seam import Passage, Terms
from gateway.formats.passage.translated import rewritten, translated


def open_passage(call: Call, wire: Format, model: str, terms: Terms) -> Passage:
    """Open the passage of `call` to an upstream that speaks `wire` and has its model under `model`.

    Raises BadRequest or Unsupported when the call cannot be translated.
    """
    if call.format != wire:
        return translated(call, wire, model, terms)
    passage = relayed(call, terms)
    if not terms.rewritten or wire not in CODECS:
        return passage
    try:
        return rewritten(passage, model)
    except ClientError:
        return passage

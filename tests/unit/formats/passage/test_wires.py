"""In which wire formats an upstream can get a call."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway.exchange import Format
from gateway.formats.passage.codecs import CODECS
from gateway.formats.passage.wires import GENERATIVE, TRANSLATED_TO, wires_for


def test_the_own_format_wins_alone() -> None:
    assert wires_for("chat", ("responses", "chat", "messages")) == ("chat",)


def test_others_are_tried_in_the_upstreams_order() -> None:
    assert wires_for("messages", ("embeddings", "responses", "chat")) == ("responses", "chat")


@pytest.mark.parametrize("format_", ["completions", "moderations", "speech", "images", "gemini_count"])
def test_what_is_only_relayed_is_never_translated(format_: Format) -> None:
    assert wires_for(format_, tuple(f for f in get_args(Format) if f != format_)) == ()


def test_every_generative_format_has_a_codec() -> None:
    assert set(CODECS) == set(GENERATIVE)
    assert set(TRANSLATED_TO["chat"]) == set(GENERATIVE)

"""Images that tools give back, for formats whose results are words."""

from __future__ import annotations

import pytest

from gateway.errors import Unsupported
from gateway.exchange import Format
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import Media, Text, ToolCall, ToolResult

ONE, TWO = (Media("image", "image/png", data=data) for data in ("aQ==", "ag=="))
ASKED = (
    Turn("user", (Text("look"),)),
    Turn("assistant", (ToolCall("a", "see"), ToolCall("b", "see"))),
)
RESULTS = (
    Turn("tool", (ToolResult("a", (Text("here"), ONE)),)),
    Turn("tool", (ToolResult("b", (TWO,)),)),
)


@pytest.mark.parametrize("target", ["chat", "cohere", "ollama"])
@pytest.mark.parametrize("more", [(), (Turn("assistant", (Text("ah"),)), Turn("user", (Text("and?"),)))])
def test_images_follow_all_results_as_the_users(target: Format, more: tuple[Turn, ...]) -> None:
    fitting, dropped = fit(Conversation((*ASKED, *RESULTS, *more)), "messages", target)
    assert dropped == ()
    assert [turn.role for turn in fitting.turns[:5]] == ["user", "assistant", "tool", "tool", "user"]
    assert fitting.turns[5:] == more
    first, second, shown = fitting.turns[2:5]
    assert first.parts == (
        ToolResult("a", (Text("here"), Text("[The image is shown in the next message.]"))),
    )
    assert second.parts == (ToolResult("b", (Text("[The image is shown in the next message.]"),)),)
    assert [part for part in shown.parts if isinstance(part, Media)] == [ONE, TWO]
    assert "tool call b" in str(shown.parts[2])


@pytest.mark.parametrize("target", ["responses", "gemini", "converse"])
def test_formats_with_a_place_for_them_keep_them_there(target: Format) -> None:
    asked = Conversation((*ASKED, *RESULTS))
    assert fit(asked, "messages", target)[0] == asked


def test_a_document_is_refused_where_not_even_a_user_could_show_it() -> None:
    paper = Media("file", "application/pdf", data="aQ==")
    asked = Conversation((*ASKED, Turn("tool", (ToolResult("a", (paper,)),))))
    with pytest.raises(Unsupported, match="document"):
        fit(asked, "messages", "ollama")

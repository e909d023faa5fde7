"""Sources of answers: annotations, and the lists that search engines put beside the choices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.formats.chat.codec import CODEC
from gateway.formats.envelope import decode_members
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.events import join
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import Citation, Part, Text

HEADING = Heading("abc", "fast", 1_700_000_000, Conversation(()))
FOUND = [{"title": "A", "url": "https://a", "date": None, "snippet": "is so"}, {"url": "https://b"}]
OWN = {"type": "url_citation", "url_citation": {"url": "https://c", "start_index": 0, "end_index": 1}}


def answered(message: dict[str, Any], **members: Any) -> Completion:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return CODEC.decode_answer(json.dumps({"id": "1", "choices": [choice], **members}).encode())


def streamed(delta: dict[str, Any], **members: Any) -> Completion:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    first = {"id": "1", "choices": choices, **members}
    last = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **members}
    decoder = CODEC.stream_decoder(1 << 16)
    events = [
        event for one in (first, last) for event in decoder.feed(b"data: %s\n\n" % json.dumps(one).encode())
    ]
    return join(events + decoder.close())


def sources(parts: tuple[Part, ...]) -> list[tuple[str, str, str]]:
    return [
        (one.url, one.title, one.text) for part in parts if isinstance(part, Text) for one in part.citations
    ]


@pytest.mark.parametrize("said", [answered, streamed])
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"search_results": FOUND}, [("https://a", "A", "is so"), ("https://b", "", "")]),
        ({"citations": ["https://a", "https://b"]}, [("https://a", "", ""), ("https://b", "", "")]),
        ({"citations": ["https://a"], "search_results": FOUND[1:]}, [("https://b", "", "")]),
        ({"citations": [1, None, ""], "search_results": {"url": "x"}}, []),
        ({"search_results": [7, {"url": 8}]}, []),
    ],
)
def test_listed_sources_belong_to_the_text_and_go_back_into_their_list(
    said: Any, members: dict[str, Any], expected: Any
) -> None:
    completion = said({"content": "So [1]."}, **members)
    assert sources(completion.choices[0].parts) == expected
    written = json.loads(CODEC.encode_answer(completion, HEADING))
    assert {name: written[name] for name in members} == members
    assert "annotations" not in written["choices"][0]["message"]


@pytest.mark.parametrize("said", [answered, streamed])
def test_sources_that_the_text_names_itself_count_alone(said: Any) -> None:
    completion = said({"content": "C", "annotations": [OWN]}, citations=["https://c", "https://d"])
    assert sources(completion.choices[0].parts) == [("https://c", "", "")]


@pytest.mark.parametrize("said", [answered, streamed])
def test_an_answer_without_words_has_no_sources(said: Any) -> None:
    assert sources(said({"refusal": "No."}, citations=["https://a"]).choices[0].parts) == []


def test_the_sources_of_an_earlier_answer_stay_here_and_are_named_elsewhere() -> None:
    earlier = {"role": "assistant", "content": "C", "annotations": [OWN]}
    body = json.dumps({"messages": [earlier, {"role": "user", "content": "Go on."}]}).encode()
    conversation = CODEC.decode_request(decode_members(body))
    assert fit(conversation, "chat", "messages")[1] == ("messages.annotations",)
    members = CODEC.encode_request(conversation)
    assert members.keys() == {"messages"}
    assert members["messages"][0] == earlier


def test_the_sources_of_another_format_are_not_sent_to_hosts_which_might_refuse_them() -> None:
    text = Text("C", citations=(Citation("https://c", origin="messages"),))
    (message,) = CODEC.encode_request(Conversation((Turn("assistant", (text,)),)))["messages"]
    assert message == {"role": "assistant", "content": "C"}

"""What is remembered of a stream."""

from __future__ import annotations

import sys

import pytest

from gateway.errors import Failed, Overloaded
from gateway.exchange import Usage
from gateway.formats.neutral.completion import Choice, Completion, Finish
from gateway.formats.neutral.events import (
    Began,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
)
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.passage.heard import Heard, says_nothing


def test_words_usage_and_end_are_remembered() -> None:
    heard = Heard()
    heard.add([Began("x"), Opened(0, Reasoning("hm")), Grew(0, "m"), Grew(0, "c2ln", "signature"), Closed(0)])
    assert (heard.finished, heard.done, heard.usage) == (False, False, None)
    heard.add([Opened(1, Text("Hi")), Grew(1, " you"), Closed(1), Opened(2, ToolCall("c", "f", "{"))])
    heard.add([Grew(2, "}", "arguments"), Closed(2), Metered(Usage(1)), Metered(Usage(2)), Finished("stop")])
    assert heard.text() == "hmmHi youf{}"
    assert (heard.finished, heard.done, heard.fault, heard.usage) == (True, False, None, Usage(2))
    heard.add([Ended()])
    assert heard.done


@pytest.mark.parametrize(
    "event",
    [
        *(Opened(0, Text("a")), Opened(0, Refusal("no")), Opened(0, Reasoning("hm")), Grew(0, "a")),
        *(Opened(0, ToolCall("c", "f")), Opened(0, Media("audio")), Grew(0, "sig", "signature")),
        *(Opened(0, Opaque("messages", "x", {})), Grew(0, "", "opaque", value={})),
        *(Finished("length"), Finished("content_filter"), Finished("tool_calls"), Finished("refusal")),
    ],
)
def test_a_stream_begins_with_what_says_something(event: Event) -> None:
    heard = Heard()
    heard.add([Began("x"), Opened(0, Text("")), Opened(1, Reasoning()), Grew(0, ""), Metered(Usage(1))])
    heard.add([Closed(0), Finished("stop"), Finished("error"), Faulted(Failed("x")), Ended()])
    assert not heard.begun
    heard.add([event])
    assert heard.begun


def test_the_first_fault_counts() -> None:
    heard = Heard()
    heard.add([Faulted(first := Overloaded("busy")), Faulted(Failed("x"))])
    assert heard.fault is first


@pytest.mark.parametrize(
    ("part", "finish", "nothing"),
    [
        *((Text(""), "stop", True), (Text("a"), "stop", False), (Text(""), "length", False)),
        *(
            (Reasoning(), "stop", True),
            (Reasoning(encrypted="x"), "stop", False),
            (Refusal("no"), None, False),
        ),
        *((Text(""), "content_filter", False), (Text(""), None, True), (ToolCall("c", "f"), "stop", False)),
    ],
)
def test_an_answer_with_neither_words_nor_a_reason_says_nothing(
    part: Part, finish: Finish | None, *, nothing: bool
) -> None:
    assert says_nothing(Completion((Choice((part,), finish),))) is nothing
    assert says_nothing(Completion((Choice((), finish), Choice((part,), finish)))) is nothing


def test_a_long_stream_takes_little_more_than_its_letters() -> None:
    heard = Heard()
    for _ in range(100):
        heard.add([Grew(0, "word ") for _ in range(1000)])
    assert heard.text() == "word " * 100_000
    kept = sum(map(sys.getsizeof, heard._words))
    assert kept < 2 * len("word ") * 100_000


def test_a_call_is_open_until_it_is_closed() -> None:
    heard = Heard()
    heard.add([Opened(0, ToolCall("c", "f")), Opened(1, ToolCall("d", "g")), Closed(0)])
    assert heard.calling
    heard.add([Closed(1)])
    assert not heard.calling


def test_all_choices_have_to_end() -> None:
    heard = Heard()
    heard.add([Opened(0, Text("a")), Opened(1, Text("b"), 1), Finished("stop")])
    assert not heard.finished
    heard.add([Finished("stop", choice=1)])
    assert heard.finished
    asked = Heard(2)
    asked.add([Opened(0, Text("a")), Finished("stop")])
    assert (asked.finished, asked.has_all) == (False, False)


def test_a_call_is_open_until_its_arguments_are_whole() -> None:
    heard = Heard()
    heard.add([Opened(0, ToolCall("c", "f")), Opened(1, ToolCall("d", "g", "free", custom=True))])
    assert (heard.calling, heard.amid_call) == (True, True)
    heard.add(Grew(0, letter, "arguments") for letter in '{"a": 1' + " " * 5000)
    assert heard.amid_call
    heard.add([Grew(0, "}", "arguments")])
    assert (heard.calling, heard.amid_call) == (True, False)

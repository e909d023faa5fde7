"""What is remembered of a stream."""

from __future__ import annotations

import sys

from gateway.exchange import Usage
from gateway.formats.neutral.events import Began, Closed, Ended, Finished, Grew, Metered, Opened
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall
from gateway.formats.passage.heard import Heard


def test_words_usage_and_end_are_remembered() -> None:
    heard = Heard()
    heard.add([Began("x"), Opened(0, Reasoning("hm")), Grew(0, "m"), Grew(0, "c2ln", "signature"), Closed(0)])
    assert (heard.finished, heard.done, heard.usage) == (False, False, None)
    heard.add([Opened(1, Text("Hi")), Grew(1, " you"), Closed(1), Opened(2, ToolCall("c", "f", "{"))])
    heard.add([Grew(2, "}", "arguments"), Closed(2), Metered(Usage(1)), Metered(Usage(2)), Finished("stop")])
    assert heard.text() == "hmmHi youf{}"
    assert (heard.finished, heard.done, heard.failed, heard.usage) == (True, False, False, Usage(2))
    heard.add([Ended()])
    assert heard.done


def test_a_long_stream_takes_little_more_than_its_letters() -> None:
    heard = Heard()
    for _ in range(100):
        heard.add([Grew(0, "word ") for _ in range(1000)])
    assert heard.text() == "word " * 100_000
    kept = sum(map(sys.getsizeof, heard._words))
    assert kept < 2 * len("word ") * 100_000

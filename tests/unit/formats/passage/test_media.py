"""The events of images and transcripts."""

from __future__ import annotations

import pytest
from rig.script import sse

from gateway.formats.passage.media import MediaEvents

PARTIAL, DONE, WORDS = (
    sse({"type": kind}, done=False)[0]
    for kind in ("image_generation.partial_image", "image_generation.completed", "transcript.text.done")
)


@pytest.mark.parametrize("together", [False, True])
def test_a_stream_of_images_is_whole_when_all_came_that_were_asked_for(*, together: bool) -> None:
    stream = MediaEvents(1000, 2)
    for piece in [PARTIAL + DONE + PARTIAL] if together else [PARTIAL, DONE, PARTIAL]:
        assert stream.feed(piece) == piece
        assert (stream.finished, stream.done) == (False, False)
    stream.feed(DONE)
    assert (stream.finished, stream.done) == (True, True)


def test_the_first_of_two_images_is_not_all() -> None:
    stream = MediaEvents(1000, 2)
    stream.feed(DONE)
    stream.close()
    assert (stream.finished, stream.mend(), stream.fault) == (False, b"", None)


def test_a_transcript_is_one() -> None:
    stream = MediaEvents(1000)
    stream.feed(WORDS)
    assert stream.done

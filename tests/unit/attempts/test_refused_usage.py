"""An answer that is of no use is charged with what it says it used, and the call goes on."""

from __future__ import annotations

import json

import pytest
from rig import chat
from unit.attempts.scenes import Script, Upstream, answered, call, causes, on_skipping_clock, plan, record
from unit.stand_ins import WHOLE

from gateway.exchange import Record, Usage


def tried(body: dict[str, object]) -> Record:
    """A call whose first target answers so."""

    async def scene() -> Record:
        of, seen = call(), record()
        refused, good = Upstream("refused", Script(json.dumps(body).encode())), Upstream("good")
        assert await answered(of, plan(of, refused, good), seen) == WHOLE
        refused.assert_idle()
        return seen

    return on_skipping_clock(scene())


@pytest.mark.parametrize("choices", [[], None])
def test_what_a_refused_answer_used_is_written_down(choices: list[object] | None) -> None:
    used = {"prompt_tokens": 9000, "completion_tokens": 60_000}
    seen = tried(chat.completion() | {"model": "up", "choices": choices, "usage": used})
    first = seen.attempts[0]
    assert (first.usage, first.answered_model) == (Usage(9000, 60_000), "up")
    assert [cause for _, _, cause in causes(seen)] == ["upstream_bad_answer", ""]


def test_one_that_does_not_say_is_left_to_be_counted() -> None:
    for usage in (None, {"prompt_tokens": 9, "completion_tokens": -60_000}):
        first = tried({"choices": [], "usage": usage}).attempts[0]
        assert first.usage is None
        assert first.transcript is not None

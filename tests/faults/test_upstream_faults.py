"""An upstream that fails at every point: what the client gets, and when the next target helps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import CREDENTIALS
from rig.script import Answer, Cut, Pause, Step, events, plain, sse
from rig.site import BEGUN, JSON_TYPE, SSE_TYPE, STREAM, TIMEOUTS, WHOLE, Site, running_site
from rig.sse import is_done, is_error, json_of, split_events

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1>nginx</body></html>"

stream_and_whole = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def error_in(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert "127.0.0.1" not in error["message"], "where our upstreams are is no client's business"
    return error


def assert_second_answered(response: httpx.Response, *, stream: bool) -> None:
    assert response.status_code == 200, response.text
    assert response.content == (b"".join(STREAM) if stream else WHOLE)


def assert_broken_after(body: bytes, begun: list[bytes]) -> dict[str, Any]:
    """What was begun arrived, then one error event, and no `[DONE]`; gives the error."""
    arrived = split_events(body)
    assert arrived[:-1] == begun
    assert is_error(arrived[-1]), arrived[-1]
    assert not any(map(is_done, arrived))
    return json_of(arrived[-1])["error"]


# Before the first byte


def headed(*steps: Step) -> Callable[[bool], Answer]:
    """An answer that begins well and then does these steps instead of its body."""
    return lambda stream: Answer(
        200, SSE_TYPE if stream else JSON_TYPE, steps, "chunked" if stream else "length"
    )


def always(answer: Answer) -> Callable[[bool], Answer]:
    return lambda _: answer


NO_ANSWER: dict[str, tuple[Callable[[bool], Answer], int]] = {
    "reset before the head": (always(Answer(before=[Cut.RESET])), 502),
    "closed before the head": (always(Answer(before=[Cut.FIN])), 502),
    "reset in the head": (always(Answer(before=[b"HTTP/1.1 200 OK\r\ncontent-", Cut.RESET])), 502),
    "a head that is not HTTP": (always(Answer(before=[b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cut.FIN])), 502),
    "nothing at all": (always(Answer(before=[Cut.HANG])), 504),
    "reset after the head": (headed(Cut.RESET), 502),
    "closed after the head": (headed(Cut.FIN), 502),
    "silence after the head": (headed(Cut.HANG), 504),
    "an empty body": (headed(), 502),
}
"""How an upstream fails without a byte of a body, and the status for a client with no other target."""


@stream_and_whole
@pytest.mark.parametrize("fault", NO_ANSWER)
def test_without_another_target_the_client_gets_an_error(site: Site, *, fault: str, stream: bool) -> None:
    script, status = NO_ANSWER[fault]
    site.first.answer_with(script(stream))
    error = error_in(site.ask("one", stream=stream), status)
    assert error["type"] == "upstream_error"


@stream_and_whole
@pytest.mark.parametrize("fault", NO_ANSWER)
def test_before_the_first_byte_the_next_target_answers(
    site: Site, tmp_path: Path, *, fault: str, stream: bool
) -> None:
    if not fault.endswith(("before the head", "in the head")):
        check_that_the_second_answers(site, fault, stream=stream)
        return
    # On a connection from the pool this may be one that was closed while idle, and is tried anew: take a
    # gateway that has none.
    with running_site(tmp_path / "new") as new:
        new.reset()
        check_that_the_second_answers(new, fault, stream=stream)


def check_that_the_second_answers(site: Site, fault: str, *, stream: bool) -> None:
    site.first.answer_with(NO_ANSWER[fault][0](stream))
    assert_second_answered(site.ask("two", stream=stream), stream=stream)
    assert len(site.first.seen) == 1
    assert len(site.second.seen) == 1


@stream_and_whole
@pytest.mark.parametrize(("route", "status"), [("dead", 502), ("silent", 504)])
def test_no_connection_is_an_error_or_the_next_targets_turn(
    site: Site, *, route: str, status: int, stream: bool
) -> None:
    error_in(site.ask(route, stream=stream), status)
    assert_second_answered(site.ask(f"{route}-then-second", stream=stream), stream=stream)


@pytest.mark.parametrize("cut", [Cut.FIN, Cut.RESET, Cut.HANG])
def test_a_whole_answer_that_is_cut_goes_to_the_next_target(site: Site, cut: Cut) -> None:
    """Nothing of an answer that is not streamed goes out before all of it is there."""
    half = WHOLE[: len(WHOLE) // 2]
    site.first.answer_with(Answer(200, JSON_TYPE, [half, cut]))
    assert_second_answered(site.ask("two", stream=False), stream=False)
    error_in(site.ask("one", stream=False), 504 if cut is Cut.HANG else 502)


@pytest.mark.parametrize("body", [HTML, b"", b"{", b'"text"'], ids=["html", "empty", "cut", "text"])
def test_a_success_that_is_no_json_object_is_a_failure(site: Site, body: bytes) -> None:
    site.first.answer_with(plain(body))
    assert_second_answered(site.ask("two", stream=False), stream=False)
    error_in(site.ask("one", stream=False), 502)


@stream_and_whole
@pytest.mark.parametrize("status", [401, 403])
def test_where_our_credentials_are_refused_the_next_answers(
    own_site: Site, *, status: int, stream: bool
) -> None:
    own_site.first.answer_with(plain(chat.error("no"), status))
    assert_second_answered(own_site.ask("two", stream=stream), stream=stream)
    asked = len(own_site.first.seen)
    assert asked == len(CREDENTIALS), "once with each"
    assert_second_answered(own_site.ask("two", stream=stream), stream=stream)
    again = len(own_site.first.seen) - asked
    # A 403 that all of them get may be about the request: it takes none of them out. A 401 takes out all but
    # the last: the backend is not given up.
    assert again == (1 if status == 401 else asked)


@stream_and_whole
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_a_failing_upstreams_turn_goes_to_the_next(site: Site, *, status: int, stream: bool) -> None:
    site.first.answer_with(plain(chat.error("no"), status))
    assert_second_answered(site.ask("two", stream=stream), stream=stream)


@stream_and_whole
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_refusal_of_the_request_itself_is_final(site: Site, *, status: int, stream: bool) -> None:
    refusal = json.dumps(chat.error("no such thing", code="x"), indent=3).encode()
    site.first.answer_with(plain(refusal, status))
    response = site.ask("two", stream=stream)
    assert (response.status_code, response.content) == (status, refusal)
    assert site.second.seen == []


@stream_and_whole
def test_when_all_targets_fail_the_last_one_is_heard(site: Site, *, stream: bool) -> None:
    site.first.answer_with(plain(chat.error("the first is full"), 503))
    site.second.answer_with(plain(chat.error("the second is full"), 529))
    response = site.ask("two", stream=stream)
    assert error_in(response, 529)["message"] == "the second is full"


# Errors in other shapes

SHAPES = {
    "text": ({"code": "Client error", "error": "Incorrect key"}, "Incorrect key"),
    "message": ({"id": "9f", "message": "invalid request: no model"}, "invalid request: no model"),
    "detail": ({"detail": "Not found"}, "Not found"),
    "flat": ({"object": "error", "message": "too long", "type": "BadRequest", "code": 400}, "too long"),
    "list": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
}


@stream_and_whole
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [400, 500])
def test_an_error_of_another_shape_becomes_openais(
    site: Site, *, shape: str, status: int, stream: bool
) -> None:
    body, message = SHAPES[shape]
    site.first.answer_with(plain(body, status))
    error = error_in(site.ask("one", stream=stream), status)
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]


@stream_and_whole
@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_a_page_of_a_proxy_becomes_an_error_object(site: Site, *, content_type: str, stream: bool) -> None:
    site.first.answer_with(plain(HTML, 502, content_type=content_type))
    error = error_in(site.ask("one", stream=stream), 502)
    assert "<" not in error["message"]


@stream_and_whole
@pytest.mark.parametrize("status", [429, 503])
def test_the_clients_backoff_is_the_upstreams_word(own_site: Site, *, status: int, stream: bool) -> None:
    told = [("retry-after", "7"), ("x-should-retry", "false"), ("x-ratelimit-reset-requests", "7s")]
    own_site.first.answer_with(plain(chat.error("slow down"), status, headers=told))
    response = own_site.ask("one", stream=stream)
    assert error_in(response, status)["message"] == "slow down"
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("7", "false")
    assert response.headers["x-upstream-ratelimit-reset-requests"] == "7s"


# After the first byte


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("cut", [Cut.FIN, Cut.RESET, Cut.HANG])
def test_no_retry_after_the_first_byte(site: Site, cut: Cut, framing: Any) -> None:
    # The pause lets the pieces arrive before a reset discards what was not read yet.
    site.first.answer_with(events([*BEGUN, Pause(0.2), cut], framing=framing))
    error = assert_broken_after(site.ask("two", stream=True).content, BEGUN)
    assert error["code"] == ("upstream_timeout" if cut is Cut.HANG else "stream_broken")
    assert site.second.seen == []


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_stream_that_ends_in_order_but_unfinished_is_broken(site: Site, framing: Any) -> None:
    site.first.answer_with(events(BEGUN, framing=framing))
    assert_broken_after(site.ask("two", stream=True).content, BEGUN)


def test_talk_of_the_end_is_not_the_end(site: Site) -> None:
    """A text about `[DONE]` and finish reasons, generated by a model, does not finish a stream."""
    said = 'data: [DONE]\n\n"finish_reason":"stop"'
    begun = sse(chat.chunk({"content": said}), done=False)
    site.first.answer_with(events(begun))
    assert_broken_after(site.ask("one", stream=True).content, begun)


def test_an_error_event_of_the_upstream_is_the_last_word(site: Site) -> None:
    spoken = [*BEGUN, *sse(chat.error("out of memory"), done=False)]
    # The pause lets the beginning go out: before that another target would be asked.
    site.first.answer_with(events([*BEGUN, Pause(0.2), spoken[-1]]))
    assert split_events(site.ask("two", stream=True).content) == spoken


def test_a_finished_stream_whose_connection_breaks_is_whole(site: Site) -> None:
    site.first.answer_with(events([*STREAM, Pause(0.2), Cut.RESET]))
    assert site.ask("one", stream=True).content == b"".join(STREAM)


def test_a_stream_cut_between_its_finish_and_done_is_broken(site: Site) -> None:
    """Usage may still have been to come: only an orderly end can do without `[DONE]`."""
    site.first.answer_with(events([*STREAM[:-1], Pause(0.2), Cut.RESET]))
    assert_broken_after(site.ask("one", stream=True).content, STREAM[:-1])


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["no line end", "no blank line"])
def test_a_last_event_without_its_blank_line_still_counts(site: Site, end: bytes) -> None:
    body = b"".join(STREAM).rstrip(b"\n") + end
    site.first.answer_with(events([body]))
    assert site.ask("one", stream=True).content.rstrip(b"\n") == body.rstrip(b"\n")


def test_half_an_event_is_not_delivered(site: Site) -> None:
    site.first.answer_with(events([*BEGUN, STREAM[3][:40]]))
    assert_broken_after(site.ask("one", stream=True).content, BEGUN)


def test_a_slow_stream_within_the_limits_is_whole(site: Site) -> None:
    dribble = [step for piece in STREAM for step in (piece[:9], Pause(0.1), piece[9:])]
    site.first.answer_with(events(dribble))
    assert site.ask("one", stream=True).content == b"".join(STREAM)


def test_a_stream_without_end_meets_the_total_limit(site: Site) -> None:
    word = sse(chat.chunk({"content": "la"}), done=False)[0]
    site.first.answer_with(events(step for _ in range(600) for step in (word, Pause(0.1))))
    started_s = time.monotonic()
    response = site.ask("one", stream=True)
    # Without the limit it would take a minute.
    assert TIMEOUTS["total_s"] - 1 < time.monotonic() - started_s < TIMEOUTS["total_s"] + 15
    arrived = split_events(response.content)
    assert set(arrived[:-1]) == {word}
    assert json_of(arrived[-1])["error"]["code"] == "upstream_timeout"


@stream_and_whole
def test_a_connection_that_the_upstream_closed_meanwhile_is_no_failure(site: Site, *, stream: bool) -> None:
    """It says nothing of it: the gateway finds a closed connection in its pool."""
    body = b"".join(STREAM) if stream else WHOLE
    headers = SSE_TYPE if stream else JSON_TYPE
    site.first.answer_with(Answer(200, headers, [body, Cut.FIN], length_bytes=len(body)))
    for _ in range(5):
        response = site.ask("one", stream=stream)
        assert (response.status_code, response.content) == (200, body)

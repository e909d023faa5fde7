"""Searches that are billed: told by answers of each format, relayed and translated, whole and in streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.stand_ins import call

from gateway.exchange import Format, Usage
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import Terms


def opened(client: Format, wire: Format, *, stream: bool = False) -> Any:
    return open_passage(call(client, stream=stream, max_tokens=99), wire, "m", Terms("call_1", 0))


def searched(wire: Format, value: Any) -> int:
    """The searches of a whole answer; the same relayed as translated."""
    body = json.dumps(value).encode()
    other: Format = "messages" if wire == "chat" else "chat"
    found = [opened(client, wire).read(body).usage for client in (wire, other)]
    assert found[0] == found[1]
    assert isinstance(found[0], Usage)
    return found[0].searches


def searched_in(wire: Format, *chunks: Any) -> int:
    """The searches of a stream; the same relayed as translated."""
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    found = []
    for client in (wire, "messages" if wire == "chat" else "chat"):
        stream = opened(client, wire, stream=True).stream(1 << 20)
        stream.feed(body)
        stream.close()
        found.append(stream.usage)
    assert found[0] == found[1]
    assert isinstance(found[0], Usage)
    return found[0].searches


def response(*output: Any, **members: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, **members.pop("usage", {})}
    words = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    return {"status": "completed", "output": [*output, words], "usage": usage, **members}


def search(status: Any = "completed", kind: str | None = "search") -> dict[str, Any]:
    action = {} if kind is None else {"action": {"type": kind}}
    return {"type": "web_search_call", "id": "ws", "status": status, **action}


RESPONSES = [
    (response(), 0),
    (response(search()), 1),
    (response(search(), search(kind="open_page"), search(kind="find_in_page"), search(kind=None)), 2),
    (response(search("failed"), search("in_progress"), search()), 1),
    (response(search(None), {"type": "file_search_call", "id": "f", "status": "completed"}), 1),
    (response(search(), usage={"server_side_tool_usage_details": {"web_search_calls": 4}}), 4),
    (response(usage={"server_side_tool_usage_details": {"web_search_calls": 1, "x_search_calls": 2}}), 3),
    (response(search(), usage={"server_side_tool_usage_details": {"mcp_calls": 4}}), 1),
    (response(usage={"tool_calls_details": {"search_web": {"invocation": 2}}}), 2),
    (response(usage={"tool_calls_details": {"search_web": 2}}), 0),
    (response(search(), tool_usage={"web_search": {"num_requests": 3}}), 3),
    (response(search(), tool_usage={"web_search": {"num_requests": 0}}), 1),
    (response(search(), tool_usage={"web_search": 7}), 1),
]


@pytest.mark.parametrize(("value", "searches"), RESPONSES)
def test_openais_and_xais_searches_are_items_or_counts(value: Any, searches: int) -> None:
    assert searched("responses", value) == searches
    events = [{"type": "response.created", "response": {}}, {"type": "response.completed", "response": value}]
    assert searched_in("responses", *events) == searches


def test_a_usage_object_stays_as_it_came_where_the_answer_is_written_anew() -> None:
    value = response(search(), usage={"total_tokens": 5, "cost": 0.25}, id="r", object="response")
    terms = Terms("call_1", 0, rewritten=True)
    passage = open_passage(call("responses"), "responses", "m", terms)
    written = json.loads(passage.read(json.dumps(value).encode()).body)
    assert written["usage"] == value["usage"]


@pytest.mark.parametrize(
    ("told", "searches"),
    [({"web_search_requests": 2, "web_fetch_requests": 5}, 2), ({}, 0), (None, 0), ("many", 0)],
)
def test_anthropics_searches_are_counted_in_the_usage(told: Any, searches: int) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "server_tool_use": told}
    words = [{"type": "text", "text": "x"}]
    head = {"id": "m", "type": "message", "role": "assistant", "model": "up"}
    assert (
        searched("messages", head | {"content": words, "stop_reason": "end_turn", "usage": usage}) == searches
    )
    begun = {"type": "message_start", "message": head | {"content": [], "usage": {"input_tokens": 3}}}
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    assert searched_in("messages", begun, ending, {"type": "message_stop"}) == searches


@pytest.mark.parametrize(
    ("told", "searches"),
    [
        ({"num_search_queries": 9}, 9),
        ({"server_tool_use": {"web_search_requests": 2}}, 2),
        ({"num_search_queries": "x", "server_tool_use": []}, 0),
        ({"num_search_queries": True}, 0),
        ({"num_search_queries": -1}, 0),
        ({}, 0),
    ],
)
def test_hosts_of_the_chat_dialect_count_them_in_the_usage(told: Any, searches: int) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, **told}
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    assert searched("chat", {"model": "up", "choices": [choice], "usage": usage}) == searches
    delta = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}
    assert searched_in("chat", {"choices": [delta]}, {"choices": [], "usage": usage}) == searches


def grounded(model: str, *queries: Any, **members: Any) -> dict[str, Any]:
    metadata = {"webSearchQueries": list(queries)} if queries else {"searchEntryPoint": {}}
    candidate = {
        "content": {"role": "model", "parts": [{"text": "x"}]},
        "groundingMetadata": metadata,
        **members,
    }
    used = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {"modelVersion": model, "candidates": [candidate], "usageMetadata": used}


@pytest.mark.parametrize(
    ("model", "queries", "searches"),
    [
        ("gemini-2.5-flash", ("a", "b"), 1),
        ("gemini-2.5-flash", (), 0),
        ("gemini-3-pro-preview", ("a", "b"), 2),
        ("gemini-3-pro-preview", ("a", ""), 1),
        ("gemini-3-pro-preview", (), 0),
        ("", ("a", "b"), 2),
    ],
)
def test_google_bills_queries_or_before_gemini_3_answers(model: str, queries: Any, searches: int) -> None:
    last = grounded(model, *queries, finishReason="STOP")
    assert searched("gemini", last) == searches
    early = grounded(model)
    del early["candidates"][0]["groundingMetadata"]
    assert searched_in("gemini", early, last) == searches
    # Told after the tokens were counted, and once more.
    late = {name: value for name, value in last.items() if name != "usageMetadata"}
    assert searched_in("gemini", early, late, last) == searches


def test_what_is_no_metadata_is_no_search() -> None:
    value = grounded("gemini-3", finishReason="STOP")
    value["candidates"][0]["groundingMetadata"] = "x"
    usage = opened("gemini", "gemini").read(json.dumps(value).encode()).usage
    assert usage == Usage(3, 2)

"""Whole answers of the Responses API into completions and back.

An answer that came in this format keeps its own words: its `extra` says `object: response`, and only then
its id, its usage object and the members that repeat the request are taken from it. Any other answer
repeats the request of the client, as OpenAI does.

Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BadAnswer, UpstreamError
from gateway.exchange import Usage
from gateway.formats.errors import told
from gateway.formats.errors.verdicts import fault
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, in_tier, tier_of
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import Part, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import read_answer
from gateway.formats.responses.content import read_logprobs, write_logprobs
from gateway.formats.responses.items import framed, read_item, write_framed
from gateway.formats.responses.output import Names, write_answer_items
from gateway.formats.responses.request import encode_options
from gateway.formats.responses.types import Answer, Content, Frame, Layout
from gateway.formats.responses.usage import SEARCH, is_billed, is_same, read_searches, read_usage, write_usage

_CARRIED = frozenset({"id", "model", "created_at", "output", "status", "error", "incomplete_details"})

_FINISHES: Mapping[str, Finish] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "pause",
}
"""Why an answer is incomplete. A reason that is not here is some limit too."""

CALLS = frozenset({"function_call", "custom_tool_call"})
"""The kinds of items that call a tool of the client."""

_UNFINISHED = frozenset({"queued", "in_progress", "cancelled"})
"""The states of an answer that has not ended. One of another format that told no reason is whole."""

_REASONS: Mapping[Finish, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
"""The words for it here: other formats say "standard" or "on_demand", and typed clients read no others."""

_REPEATED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": False,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What an answer says of a request that said nothing. Sampling parameters are then the upstream's own."""


def decode_answer(body: bytes) -> Completion:
    """Read a whole answer. Raises Failed when it is none, what `verdicts.fault` says when it failed."""
    value = read_answer(body, dict[str, Any])
    try:
        return read_response(value)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the upstream's answer is not what its format promises: {error}") from None


def read_response(value: Any) -> Completion:
    """Read a response object. Raises msgspec.ValidationError, and the error of one that failed."""
    answer = msgspec.convert(value, Answer)
    if answer.status == "failed" or answer.error is not None:
        raise read_error(answer.error)
    if answer.output is None:
        raise msgspec.ValidationError("Object missing required field `output`")
    parts: list[Part] = []
    frames: list[Frame] = []
    logprobs: list[TokenLogprob] = []
    for i, item in enumerate(answer.output):
        _, found, frame = read_item(item, f"output[{i}]")
        logprobs += _take_logprobs(frame)
        parts += found
        frames.append(frame)
    finish, finish_raw = finish_of(answer, parts)
    choice = Choice(
        tuple(parts),
        finish=finish,
        finish_raw=finish_raw,
        logprobs=tuple(logprobs) or None,
        raw=Layout(tuple(frames)),
    )
    return Completion(
        choices=(choice,),
        id=answer.id or "",
        model=answer.model or "",
        created_unix_s=int(answer.created_at or 0),
        usage=read_metered(answer),
        service_tier=answer.service_tier or "",
        extra=read_extra(value),
    )


def read_metered(answer: Answer) -> Usage | None:
    """Read what an answer used, and in which class of service."""
    items = [item for item in answer.output or () if isinstance(item, dict) and item.get("type") == SEARCH]
    done = sum(is_billed(item.get("status"), item.get("action")) for item in items)
    searches = read_searches(answer.usage, done, answer.tool_usage)
    return in_tier(read_usage(answer.usage, searches), tier_of(answer.service_tier))


def read_extra(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that no other format has, and the mark of this one."""
    extra = {name: member for name, member in value.items() if name not in _CARRIED and member is not None}
    return extra | {"object": "response"}


def read_error(error: Any) -> UpstreamError:
    """Read the error of an answer that failed, whatever its shape."""
    code, message, status = told.read_error(error) if isinstance(error, dict | str) else ("", "", 0)
    return fault(code, message or "the upstream's answer failed", status)


def finish_of(answer: Answer, parts: Sequence[Part]) -> tuple[Finish | None, str]:
    """Say why an answer ended, and in whose word; None for one that has not."""
    reason = (answer.incomplete_details and answer.incomplete_details.reason) or ""
    calls = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    return read_ending(answer.status, reason, calls=calls, refused=refused)


def read_ending(status: str | None, reason: str, *, calls: bool, refused: bool) -> tuple[Finish | None, str]:
    """Say why an answer ended, `reason` being why it is incomplete; what it holds is told beside."""
    if status == "incomplete":
        return _FINISHES.get(reason, "length"), reason
    if status not in {None, "completed"}:
        return None, status or ""
    if calls:
        return "tool_calls", "completed"
    return ("refusal" if refused else "stop"), "completed"


def _take_logprobs(frame: Frame) -> list[TokenLogprob]:
    """Take the tokens of a message's texts out of what is left over of them."""
    taken: list[TokenLogprob] = []
    for rest in frame.contents or ():
        if "logprobs" in rest:
            taken += read_logprobs(msgspec.convert({"logprobs": rest.pop("logprobs")}, Content).logprobs)
    return taken


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write a whole answer. A client of this format asks for one choice: the first is written."""
    choice = completion.choices[0] if completion.choices else Choice()
    known = framed(choice.parts, choice.raw)
    if known is None:
        output = write_answer_items(choice.parts, Names(heading.id))
    else:
        output = [write_framed(frame, parts) for frame, parts in known]
    _give_logprobs(output, choice)
    ending = write_ending(choice.finish, choice.finish_raw, output)
    usage = write_usage(completion.usage)
    if is_own(completion.extra) and is_same(read_told_usage(completion.extra), completion.usage):
        usage = completion.extra.get("usage")
    response = write_response(completion, heading) | ending | {"output": output, "usage": usage}
    return msgspec.json.encode(response)


def is_own(extra: Mapping[str, Any]) -> bool:
    """Tell whether an answer came in this format."""
    return extra.get("object") == "response"


def read_told_usage(extra: Mapping[str, Any]) -> Usage | None:
    """Read the usage object that came in this format: it may count what usage here does not."""
    told = {name: extra.get(name) for name in ("usage", "service_tier")}
    return read_metered(msgspec.convert(told, Answer))


def write_response(completion: Completion, heading: Heading) -> dict[str, Any]:
    """Write what a response object says beside its output, ending and usage."""
    own = is_own(completion.extra)
    return {
        "id": completion.id if own and completion.id else f"resp_{heading.id}",
        "object": "response",
        "created_at": completion.created_unix_s or heading.created_unix_s,
        "model": heading.model_of(completion.model),
        "error": None,
        **(completion.extra if own else _repeat(heading.request, completion.service_tier)),
    }


def _repeat(request: Conversation, service_tier: str) -> dict[str, Any]:
    own = any(isinstance(turn.raw, Layout) for turn in request.turns)
    asked = encode_options(msgspec.structs.replace(request, store=None), own=own)
    told = {name: asked[name] for name in _REPEATED if name in asked}
    return {
        **_REPEATED,
        **told,
        "instructions": _instructions(request),
        "reasoning": {"effort": None, "summary": None} | asked.get("reasoning", {}),
        "service_tier": service_tier if service_tier in _TIERS else "default",
        "text": {"format": {"type": "text"}} | asked.get("text", {}),
    }


def _instructions(request: Conversation) -> str | None:
    """Return the instructions; messages that instruct are items, and items are not repeated."""
    first = request.turns[0] if request.turns else None
    if first is None or not isinstance(first.raw, Layout) or first.raw.frames[0].whole != "instructions":
        return None
    return "".join(part.text for part in first.parts if isinstance(part, Text))


def write_ending(
    finish: Finish | None, finish_raw: str, output: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write the status of an answer and, where it is incomplete, why.

    A refusal that stands in the output is a whole answer; one that does not would look like a regular end.
    """
    if finish is None and finish_raw in _UNFINISHED:
        return {"status": finish_raw, "incomplete_details": None}
    if finish == "error":
        failed = {"code": "server_error", "message": "the upstream's answer failed"}
        return {"status": "failed", "error": failed, "incomplete_details": None}
    reason = "" if finish is None else _REASONS.get(finish, "")
    if finish is not None and _FINISHES.get(finish_raw) == finish:
        reason = finish_raw
    told = any(content.get("type") == "refusal" for content in _contents(output))
    if not reason or (finish == "refusal" and told):
        return {"status": "completed", "incomplete_details": None}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def _contents(output: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the parts of all messages."""
    for item in output:
        if item.get("type") == "message" and isinstance(item["content"], list):
            yield from item["content"]


def _give_logprobs(output: Sequence[dict[str, Any]], choice: Choice) -> None:
    """Put the tokens into the texts they make up; the last text takes what is left."""
    tokens = list(choice.logprobs or ())
    texts = [content for content in _contents(output) if content.get("type") == "output_text"]
    start = 0
    for content in texts if tokens else ():
        end, size = start, 0
        while end < len(tokens) and (size < len(content["text"]) or content is texts[-1]):
            size += len(tokens[end].token)
            end += 1
        content["logprobs"] = write_logprobs(tokens[start:end])
        start = end

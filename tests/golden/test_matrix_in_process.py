"""Every conversation from every client's format to every upstream's and back, without a socket."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.conversations import CASES, PARIS, WEATHER, Case, answer, ask
from rig.translation.formats import CLIENTS, FORMATS, codec, events_of, heading, members, stream_of
from rig.translation.gist import answers, can_ask, holds, parameters, tools, turns
from rig.translation.limits import ONE_CHOICE, finishes, tokens
from rig.translation.replay import next_turn
from rig.translation.structure import as_json
from rig.translation.witness.seen import tokens_of

from gateway.errors import Unsupported
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.crossing import crossing_answer, crossing_event, crossing_request
from gateway.formats.neutral.events import join, whole
from gateway.formats.neutral.fields import FIELDS
from gateway.formats.neutral.lifting import TEXT_RESULTS, lift_media
from gateway.formats.neutral.losses import features, fit
from gateway.formats.neutral.parts import Citation, Reasoning, Text, ToolResult

CELLS = [
    pytest.param(case, client, id=f"{case.name}-{client}")
    for case in CASES
    for client in CLIENTS
    if can_ask(client, case.asked)
]
FLOWING = ("whole", "stream")


def asked_by(client: str, case: Case) -> Conversation:
    """What the gateway understands when a client of this format asks."""
    body = as_json(codec(client).encode_request(case.asked)) | {"model": "route-1"}
    return codec(client).decode_request(members(body))


@pytest.mark.parametrize(("case", "client"), CELLS)
def test_a_client_is_understood(case: Case, client: str) -> None:
    understood = asked_by(client, case)
    assert turns(understood) == turns(case.asked)
    assert tools(understood) == tools(case.asked)
    assert parameters(understood, set()).items() >= parameters(case.asked, set()).items()


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize(("case", "client"), CELLS)
def test_a_request_arrives_or_is_refused_by_name(case: Case, client: str, target: str) -> None:
    understood = asked_by(client, case)
    rows = {row for row, _ in features(understood, client, target)}
    missing = {row for row in rows if target not in FIELDS[row].says}
    if any(FIELDS[row].loss == "refuse" for row in missing):
        with pytest.raises(Unsupported) as refusal:
            fit(understood, client, target)
        assert refusal.value.param
        assert refusal.value.status == 400
        return
    kept, dropped = fit(understood, client, target)
    assert bool(dropped) == bool(missing or understood.extra)
    body = as_json(codec(target).encode_request(crossing_request(kept)))
    lost = [fact for fact, row in case.facts if row not in missing and not holds(body, fact)]
    assert not lost, body
    arrived = codec(target).decode_request(members(body | {"model": "model-1"}))
    shown = lift_media(understood) if client != target and target in TEXT_RESULTS else understood
    if shown is not understood:  # Ollama's results are one text each
        shown, arrived = joined_results(shown), joined_results(arrived)
    check_arrived(shown, arrived, missing)


def joined_results(conversation: Conversation) -> Conversation:
    """The same with the texts of each result of a tool as one."""
    return msgspec.structs.replace(
        conversation,
        turns=tuple(
            msgspec.structs.replace(turn, parts=tuple(joined_result(part) for part in turn.parts))
            for turn in conversation.turns
        ),
    )


def joined_result(part: Any) -> Any:
    if not isinstance(part, ToolResult):
        return part
    assert all(isinstance(inner, Text) for inner in part.parts)
    text = "\n".join(inner.text for inner in part.parts if isinstance(inner, Text))
    return msgspec.structs.replace(part, parts=(Text(text),))


def check_arrived(sent: Conversation, arrived: Conversation, missing: set[str]) -> None:
    """The upstream reads what the client said."""
    if "late_system" not in missing:
        assert turns(arrived) == turns(sent)
    assert tools(arrived) == tools(sent)
    wanted = parameters(sent, missing)
    assert {name: parameters(arrived, missing).get(name) for name in wanted} == wanted


def through(completion: Completion, target: str, client: str, flowing: str) -> Completion:
    """An upstream's answer as its client reads it."""
    if flowing == "whole":
        told = codec(target).encode_answer(completion, heading())
        answered = crossing_answer(codec(target).decode_answer(told))
        heard = codec(client).encode_answer(answered, heading())
        return codec(client).decode_answer(heard)
    told = stream_of(target, whole(completion), heading())
    events = [crossing_event(event) for event in events_of(target, [told])]
    heard = stream_of(client, events, heading())
    return join(events_of(client, [heard]))


@pytest.mark.parametrize("flowing", FLOWING)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_an_answer_arrives(case: Case, target: str, client: str, flowing: str) -> None:
    told = case.answered
    if {target, client} & ONE_CHOICE:
        told = Completion(told.choices[:1], usage=told.usage)
    heard = through(told, target, client, flowing)
    assert [merged(one) for one in answers(heard)] == [merged(one) for one in answers(told)]
    allowed = finishes(told, target, client)
    assert all((c.finish or "") in words for c, words in zip(heard.choices, allowed, strict=True)), heard
    assert tokens_of(heard.usage) == tokens(told, target, client)


def merged(one: tuple[str, str, list[Any], str]) -> tuple[str, str, list[Any]]:
    """Formats without refusals say them as text."""
    text, thoughts, calls, refusal = one
    return text + refusal, thoughts, calls


SIGNED = {
    "chat": Reasoning("I look it up.", signature="c2lnbmF0dXJlLTE=", origin="chat"),
    "responses": Reasoning(
        summary=("I look it up.",), encrypted="c2lnbmF0dXJlLTE=", id="rs_1", origin="responses"
    ),
    "messages": Reasoning("I look it up.", signature="c2lnbmF0dXJlLTE=", origin="messages"),
    "converse": Reasoning("I look it up.", signature="c2lnbmF0dXJlLTE=", origin="converse"),
}
"""Thoughts that only the provider that made them can check, in each format that has such."""


@pytest.mark.parametrize("flowing", FLOWING)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("maker", ["messages", "responses", "converse", "gemini", "chat"])
def test_sealed_thoughts_come_back_to_their_maker(maker: str, client: str, flowing: str) -> None:
    """A client that sends back what it got gives the provider its own signature, bare, in its own place."""
    completion = signed_by(maker)
    back = replayed(completion, maker, client, flowing)
    kept, _ = fit(back, client, maker)
    assert holds(as_json(codec(maker).encode_request(kept)), "c2lnbmF0dXJlLTE=")
    assert not holds(as_json(codec(maker).encode_request(kept)), "forebay.")


@pytest.mark.parametrize("flowing", FLOWING)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("other", ["messages", "responses", "gemini", "cohere"])
def test_sealed_thoughts_reach_nobody_else(client: str, other: str, flowing: str) -> None:
    """What another provider sealed is taken out, and said so; the call and its result go on."""
    maker = "gemini" if other != "gemini" else "messages"
    back = replayed(signed_by(maker), maker, client, flowing)
    kept, dropped = fit(back, client, other)
    body = as_json(codec(other).encode_request(kept))
    assert not holds(body, "c2lnbmF0dXJlLTE=")
    assert holds(body, "get_weather")
    assert maker == "gemini" or dropped


def signed_by(maker: str) -> Completion:
    """An answer with a seal of its maker: on its thoughts, or (Gemini) on its call."""
    if maker == "gemini":
        call = type(PARIS)(
            PARIS.id, PARIS.name, PARIS.arguments, signature="c2lnbmF0dXJlLTE=", origin="gemini"
        )
        return answer(call, finish="tool_calls")
    return answer(SIGNED[maker], PARIS, finish="tool_calls")


def replayed(completion: Completion, maker: str, client: str, flowing: str) -> Conversation:
    """The next turn of a client that got this answer from that maker, as the gateway understands it."""
    if flowing == "whole":
        told = codec(maker).encode_answer(completion, heading())
        decoded = codec(maker).decode_answer(told)
    else:
        decoded = join(events_of(maker, [stream_of(maker, whole(completion), heading())]))
    answered = json.loads(codec(client).encode_answer(crossing_answer(decoded), heading()))
    first = as_json(codec(client).encode_request(ask("How is Paris?", tools=(WEATHER,))))
    return codec(client).decode_request(members(next_turn(client, first, answered, "18 degrees")))


def test_the_answer_to_a_sealed_text_is_text() -> None:
    """A signature on words (Gemini) does not hide them from any client."""
    completion = answer(Text("Mild.", signature="c2lnbmF0dXJlLTE="))
    for client in CLIENTS:
        heard = through(completion, "gemini", client, "whole")
        assert [merged(one)[0] for one in answers(heard)] == ["Mild."]


CITED = Text("Paris is mild.", citations=(Citation("https://example.com/w", "Weather", "mild", 0, 14),))
CITING = ("chat", "responses", "messages", "gemini")
"""The formats in which an answer names pages of the web as its sources."""


@pytest.mark.parametrize("flowing", FLOWING)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", CITING)
def test_sources_arrive(target: str, client: str, flowing: str) -> None:
    heard = through(answer(CITED), target, client, flowing)
    citations = [
        (citation.url, citation.title)
        for part in heard.choices[0].parts
        if isinstance(part, Text)
        for citation in part.citations
    ]
    assert citations == [("https://example.com/w", "Weather")]


@pytest.mark.parametrize("flowing", FLOWING)
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
@pytest.mark.parametrize("target", ["chat", "responses", "gemini", "ollama"])
def test_logprobs_arrive(target: str, client: str, flowing: str) -> None:
    case = next(case for case in CASES if case.name == "logprobs")
    (told,) = case.answered.choices
    (heard,) = through(case.answered, target, client, flowing).choices
    assert told.logprobs is not None
    assert heard.logprobs is not None
    assert [(one.token, one.logprob) for one in heard.logprobs] == [
        (one.token, one.logprob) for one in told.logprobs
    ]
    assert [(top.token, top.logprob) for top in heard.logprobs[0].top] == [("Hi", -0.5), ("Yo", -1)]

"""Where a call goes, and why it may not."""

from __future__ import annotations

import pytest
from unit.stand_ins import call, route, routing, target

from gateway.errors import Forbidden, UnknownRoute, Unsupported
from gateway.exchange import Call, Caller, Moment
from gateway.routing.plans import Plan, Routing
from gateway.routing.routes import Target
from gateway.stages import plan

CHAT, ALL = target("chat", formats=("chat",)), target("all")
ROUTES = routing(route("fast", CHAT, ALL), route("talk", CHAT), route("gpt-*", ALL))
NOON = Moment(0.0, 0.0, lambda: 0.5)


def make_plan(asked: Call, routes: Routing) -> Plan:
    return plan.make_plan(asked, routes, NOON)


def targets_of(asked: Call) -> list[Target]:
    return [candidate.target for candidate in make_plan(asked, ROUTES).choice.candidates]


def test_targets_that_speak_the_format_stay_in_their_order() -> None:
    assert targets_of(call("chat")) == [CHAT, ALL]
    assert targets_of(call("embeddings")) == [ALL]
    assert make_plan(call(model="gpt-5"), ROUTES).route.name == "gpt-*"


def test_an_unknown_model_is_a_404_that_names_it() -> None:
    with pytest.raises(UnknownRoute, match="'nope'") as error:
        make_plan(call(model="nope"), ROUTES)
    assert (error.value.status, error.value.param, error.value.code) == (404, "model", "model_not_found")


def test_a_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(UnknownRoute) as error:
        make_plan(call(model="x" * 500), ROUTES)
    assert len(error.value.message) < 250


@pytest.mark.parametrize("layers", [(("best",), ("*",)), (("*",), ("gpt-*",)), (("*",), ())])
def test_a_key_that_may_not_use_the_model_is_a_403(layers: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(Forbidden) as error:
        make_plan(call(caller=Caller("acme", "k", layers)), ROUTES)
    assert (error.value.status, error.value.param) == (403, "model")


def test_a_route_without_a_target_for_the_format_is_the_clients_mistake() -> None:
    with pytest.raises(
        Unsupported, match=r"'talk' can take this call: chat/talk: takes no embeddings calls"
    ) as error:
        make_plan(call("embeddings", model="talk"), ROUTES)
    assert error.value.status == 400


def test_what_speaks_the_format_gets_the_call_relayed_and_what_does_not_translated() -> None:
    both = target("both", formats=("responses", "messages", "embeddings"))
    routes = routing(route("fast", CHAT, both))
    wires = {
        format_: [(one.target, one.wires) for one in make_plan(call(format_), routes).choice.candidates]
        for format_ in ("chat", "messages", "gemini")
    }
    assert wires["chat"] == [(CHAT, ("chat",)), (both, ("responses", "messages"))]
    assert wires["messages"] == [(CHAT, ("chat",)), (both, ("messages",))]
    assert wires["gemini"] == [(CHAT, ("chat",)), (both, ("responses", "messages"))]


def test_the_same_call_has_the_same_plan() -> None:
    first, again = make_plan(call(), ROUTES), make_plan(call(), ROUTES)
    assert (first.route, first.way, first.choice) == (again.route, again.way, again.choice)

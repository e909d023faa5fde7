"""The disconnect hook and the sweep's clock, without sockets."""

from __future__ import annotations

from gateway.server.connection import Disconnect, EdgeState


def test_a_callback_is_called_once() -> None:
    calls: list[str] = []
    hook = Disconnect()
    hook.on_disconnect(lambda: calls.append("gone"))
    assert not hook.gone
    hook.fire()
    hook.fire()
    assert calls == ["gone"]
    assert hook.gone


def test_the_last_callback_takes_the_place_of_the_others() -> None:
    calls: list[str] = []
    hook = Disconnect()
    hook.on_disconnect(lambda: calls.append("first"))
    hook.on_disconnect(lambda: calls.append("second"))
    hook.fire()
    assert calls == ["second"]


def test_a_callback_taken_back_is_not_called() -> None:
    calls: list[str] = []
    hook = Disconnect()
    hook.on_disconnect(lambda: calls.append("gone"))
    hook.on_disconnect(None)
    hook.fire()
    assert not calls


def test_a_callback_that_comes_too_late_is_called_at_once() -> None:
    calls: list[str] = []
    hook = Disconnect()
    hook.fire()
    hook.on_disconnect(lambda: calls.append("gone"))
    assert calls == ["gone"]


def test_a_sweep_over_no_connections_does_nothing() -> None:
    edge = EdgeState(max_connections=1, header_timeout_s=1.0)
    edge.now_s = 100.0
    edge.sweep()
    assert not edge.connections
    assert not edge.lingering

"""What a receiver is told of this process."""

from __future__ import annotations

from gateway.telemetry.otlp import Receiver, resource_of


def test_each_signal_has_its_place() -> None:
    assert Receiver("http://c:4318").url("traces") == "http://c:4318/v1/traces"
    assert Receiver("http://c:4318/otlp").url("metrics") == "http://c:4318/otlp/v1/metrics"
    assert Receiver("http://c:4317", "grpc").url("traces") == "http://c:4317"


def test_a_process_is_one_instance_of_a_named_service() -> None:
    first = resource_of(Receiver()).attributes
    second = resource_of(Receiver(service_name="gate", resource={"service.version": "mine"})).attributes
    assert first["service.name"] == "forebay"
    assert (second["service.name"], second["service.version"]) == ("gate", "mine")
    assert first["service.instance.id"] == second["service.instance.id"] != ""


def test_its_repr_shows_no_secret() -> None:
    receiver = Receiver("http://user:hush@c:4318", headers={"authorization": "hush"})
    assert "hush" not in repr(receiver)

"""Check what is said of the gateway's own listener. Places are relative to `server`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from gateway.config.checks.problems import Problem
from gateway.config.located import quoted
from gateway.config.routing import ServerSpec


def server_problems(spec: ServerSpec) -> Iterator[Problem]:
    """Check that the trusted proxies are networks."""
    for i, network in enumerate(spec.trusted_proxies):
        try:
            ip_network(network)
        except ValueError:
            message = f"{quoted(network)} is neither an address nor a network"
            yield ("trusted_proxies", i), message, "write 10.0.0.0/8, with zeros behind the prefix"

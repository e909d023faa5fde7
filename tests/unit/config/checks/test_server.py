"""What of the listener cannot be meant."""

import pytest

from gateway.config.checks.server import server_problems
from gateway.config.routing import ServerSpec


@pytest.mark.parametrize("network", ["10.0.0.0/8", "192.168.1.1", "fd00::/8", "2001:db8::1", "0.0.0.0/0"])
def test_addresses_and_networks_may_be_trusted(network: str) -> None:
    assert list(server_problems(ServerSpec(trusted_proxies=(network,)))) == []


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0", "proxy.example.com", "", "::1::"])
def test_nothing_else_may(network: str) -> None:
    (problem,) = server_problems(ServerSpec(trusted_proxies=("127.0.0.1", network)))
    where, message, hint = problem
    assert where == ("trusted_proxies", 1)
    assert message == f'"{network}" is neither an address nor a network'
    assert hint == "write 10.0.0.0/8, with zeros behind the prefix"

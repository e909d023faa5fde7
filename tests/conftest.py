"""The fixtures that many tests share: a fake upstream, and a gateway in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rig import recordings
from rig.gateway import CREDENTIALS, ONCE, PATIENT, Gateway, running_gateway
from rig.programs.lacking import lacking
from rig.site import Site, running_site
from rig.upstream import Upstream

MAX_BODY_BYTES = 4 * 1024 * 1024


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("wire") and not recordings.available():
        lacking(f"the recorded provider traffic is not at {recordings.FOLDER}")


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """The fake upstream behind `gateway`, with nothing seen yet."""
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="session")
def gateway(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that need no settings of their own."""
    fake = {"base_url": shared_upstream.base_url, "credentials": CREDENTIALS}
    named = {"backend": "fake", "model": "gpt-4o-mini"}
    routing = {
        "server": {"drain_s": 2, "max_body_bytes": MAX_BODY_BYTES, "header_timeout_s": 3},
        "timeouts": {"connect_s": 10, "first_byte_s": 10, "gap_s": 10, "total_s": 30},
        "breaker": PATIENT,
        "backends": {"fake": fake},
        "routes": {
            "fast": {"targets": [named], "retry": ONCE},
            "renamed": {"answer_model": "route", "targets": [named], "retry": ONCE},
            "any/*": {"targets": [{"backend": "fake"}], "retry": ONCE},
        },
    }
    with running_gateway(tmp_path_factory.mktemp("gateway"), routing) as running:
        yield running


@pytest.fixture(scope="session")
def shared_client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client(headers={"accept-encoding": "identity"}) as client:
        yield client


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """A client that keeps its connections, shows the key and takes no compression."""
    return shared_client


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site for one test, after which its first upstream is left alone for a while."""
    with running_site(tmp_path / "own") as site:
        site.reset()
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """Two upstreams and an impatient gateway: the second is well, the first has no script yet."""
    shared_site.reset()
    return shared_site

"""The place where faults are played, once for each worker of a test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.faults import answers, connecting, native, refusals, streams
from rig.faults.place import Place, running_place


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    known = [*connecting.FAULTS, *refusals.FAULTS, *answers.FAULTS, *streams.FAULTS, *native.FAULTS]
    with running_place(tmp_path_factory.mktemp("place"), known) as place:
        yield place
        bugs = [line for line in place.gateway.lines if '"internal_error"' in line or "Traceback" in line]
        assert bugs == [], "the gateway met something that nobody had expected"


@pytest.fixture
def place(shared_place: Place) -> Place:
    """Upstreams that fail by name, one that is well, and the gateway; nothing of them seen yet."""
    shared_place.forget()
    return shared_place

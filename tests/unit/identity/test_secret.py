"""The secret of an installation: made once, whoever comes at the same time, and for its owner alone."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.identity.secret import kept_secret


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sessions.secret"
    secret = kept_secret(path)
    assert len(secret) == 32
    assert kept_secret(path) == secret
    assert kept_secret(tmp_path / "other") != secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_all_who_come_at_the_same_time_get_the_same_one(tmp_path: Path) -> None:
    for turn in range(20):
        path, found, start = tmp_path / f"{turn}", set[bytes](), threading.Barrier(8)

        def take(path: Path = path, found: set[bytes] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found.add(kept_secret(path))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_holds_no_secret_is_a_clear_refusal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sessions.secret"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a secret of 32 bytes"):
        kept_secret(path)
    assert path.read_bytes() == content

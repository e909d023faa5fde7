"""The place of the embedded engine, as its file tells it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import StoreDown
from gateway.stores.clickhouse.place import Place, place_of


def tell(state_dir: Path, text: str) -> None:
    (state_dir / "clickhouse").mkdir()
    (state_dir / "clickhouse/endpoint.json").write_text(text)


def endpoint(pid: int) -> str:
    known = {"url": "http://127.0.0.1:1", "user": "u", "password": "p", "database": "d", "pid": pid}
    return json.dumps(known)


def test_the_file_tells_it(tmp_path: Path) -> None:
    tell(tmp_path, endpoint(os.getpid()))
    assert place_of(tmp_path) == Place("http://127.0.0.1:1", "u", "p", "d")


def test_without_an_engine_the_store_is_down(tmp_path: Path) -> None:
    with pytest.raises(StoreDown, match="not running"):
        place_of(tmp_path)
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    tell(tmp_path, endpoint(int(gone.stdout)))
    with pytest.raises(StoreDown, match="has ended"):
        place_of(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": 5}'])
def test_a_file_that_is_none_means_that_it_is_down(tmp_path: Path, text: str) -> None:
    tell(tmp_path, text)
    with pytest.raises(StoreDown, match="cannot be found"):
        place_of(tmp_path)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Place("http://127.0.0.1:1", "u", "secret"))
    assert "secret" not in str(Place("http://127.0.0.1:1", "u", "secret"))

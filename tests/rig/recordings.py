"""Reads the recorded provider traffic that lies beside the project.

It is not part of the project: a developer without it skips the tests marked `wire`, CI fails them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "wire"


@dataclass(frozen=True)
class Recording:
    """One exchange: the request's parsed body (None: not recorded) and the answer's bytes."""

    name: str
    provider: str
    api: str
    is_stream: bool
    request: dict[str, Any] | None
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "application/json")


def available() -> bool:
    """Say whether the recordings are there."""
    return FOLDER.is_dir()


@cache
def load(*apis: str) -> tuple[Recording, ...]:
    """All recordings of these wire formats, by name; none when the folder is missing."""
    return tuple(
        _read(path)
        for path in sorted(FOLDER.glob("*/*.json"))
        if path.name.rsplit("-stream-")[0].rsplit("-json-")[0] in apis
    )


def parameters(recordings: Iterable[Recording]) -> list[Any]:
    """Turn recordings into test parameters: one that stands for the missing ones when there are none."""
    params = [pytest.param(recording, id=recording.name) for recording in recordings]
    return params or [pytest.param(None, id="recordings-missing")]


def _read(path: Path) -> Recording:
    raw = json.loads(path.read_text())
    request, response = raw["request"], raw["response"]
    return Recording(
        name=f"{path.parent.name}/{path.stem}",
        provider=raw["provider"],
        api=raw["api"],
        is_stream="-stream-" in path.name,
        request=request["body"] if request else None,
        status=response["status"],
        headers=response["headers"],
        body=base64.b64decode(response["body_b64"]),
    )

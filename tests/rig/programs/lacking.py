"""One rule for what a developer's machine may lack: skip there, loudly, and fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """End the test because `what` is not there: a failure with CI=true in the environment, else a skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(f"NOT TESTED: {what}")

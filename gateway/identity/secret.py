"""A secret of this installation: 32 random bytes in a file that only its owner can read, made once.

Workers that start together get the same one: a file is complete before it has its name, and a name is given
once (link(2) does not replace).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError

_BYTES: Final = 32


def kept_secret(path: Path) -> bytes:
    """Read the secret, or make it; raises ConfigError for a file that holds none, OSError."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        _make(path)
        secret = path.read_bytes()
    if len(secret) != _BYTES:
        raise ConfigError(str(path), 0, "", f"this is not a secret of {_BYTES} bytes", "delete the file")
    return secret


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another worker was first
    finally:
        draft.unlink(missing_ok=True)

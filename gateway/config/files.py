"""What configuration takes from outside: files, environment variables, secrets.

The only module that touches `os.environ`. It knows nothing of YAML or of any Spec. What came from a
variable or a secret file never appears in an error: messages name the reference, not its value.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
MAX_SECRET_BYTES = 64 * 1024

# "$${" is an escaped "${"; the group is None when the closing brace is missing.
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([^{}]*)\})?")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Expanded(msgspec.Struct, frozen=True):
    """A text after expansion. `from_outside`: no part of it but empty defaults stood in the file."""

    text: str
    from_outside: bool


class Unexpandable(Exception):
    """A `${...}` that cannot be replaced; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def environment() -> Mapping[str, str]:
    """Copy the environment variables of this process."""
    return dict(os.environ)


def put_environment(name: str, value: str) -> None:
    """Set an environment variable of this process, for a library that reads nothing else."""
    os.environ[name] = value


def read_text(path: Path) -> str:
    """Read a UTF-8 file of at most 1 MiB; raises ConfigError."""
    try:
        content = _read(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), line, "", "this is not UTF-8 text") from None
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise ConfigError(str(path), line, "", f"a control character, U+{ord(bad.group()):04X}")
    return text


def expand(text: str, env: Mapping[str, str]) -> Expanded:
    """Replace `${VAR}`, `${VAR:-default}` and `${file:/path}`; `$${` stands for a plain `${`.

    As in a shell, the default also takes the place of an empty variable. Raises Unexpandable.
    """
    pieces: list[str] = []
    literal = False
    end = 0
    for match in _REFERENCE.finditer(text):
        piece, written = _piece(match, env)
        pieces += text[end : match.start()], piece
        literal = literal or written or match.start() > end
        end = match.end()
    pieces.append(text[end:])
    return Expanded("".join(pieces), from_outside=end == len(text) > 0 and not literal)


def _piece(match: re.Match[str], env: Mapping[str, str]) -> tuple[str, bool]:
    """Give the replacement of one reference, and whether its text stood in the file."""
    if match.group() == "$${":
        return "${", True
    inside: str | None = match.group(1)
    if inside is not None and inside.startswith("file:"):
        return _secret(Path(inside.removeprefix("file:"))), False
    variable = _VARIABLE.fullmatch(inside) if inside else None
    if variable is None:
        raise Unexpandable('"${" does not begin a reference', 'write "${VAR}", "${file:/path}" or "$${"')
    name, default = variable.group(1), variable.group(2)
    value = env.get(name)
    if default is not None:
        return value or default, not value and bool(default)
    if value is None:
        hint = f'set it, or write "${{{name}:-}}" to go without'
        raise Unexpandable(f"the environment variable {name} is not set", hint)
    return value, False


def _secret(path: Path) -> str:
    if not path.is_absolute():
        raise Unexpandable(f"${{file:{path}}} is not an absolute path", 'begin it with "/"')
    try:
        return _read(path, MAX_SECRET_BYTES).decode().strip()
    except OSError as error:
        why = f"the secret file {path} cannot be read: {error.strerror}"
        raise Unexpandable(why, "check its path") from None
    except ValueError:
        raise Unexpandable(f"the secret file {path} is not UTF-8 text", "check its path") from None


def _read(path: Path, limit_bytes: int) -> bytes:
    """Read a regular file; raises OSError, also when it is larger than `limit_bytes`."""
    # A pipe or a device would block, or never end.
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file")
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except ValueError:  # no file can have this name, as one with U+0000 in it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"larger than {limit_bytes} bytes")
    return content

"""Tell whether the files of a configuration were changed, without reading them.

Asked several times a second, so it only looks at their entries. Links are followed: a file of a mounted
Kubernetes ConfigMap changes by its folder's link.
"""

from __future__ import annotations

import re
from pathlib import Path

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, when it was written, its size, its number."""

_FILE = re.compile(r"\$\{file:([^{}]+)\}")


def files_of(folder: Path) -> list[Path]:
    """List what a configuration is read from: the YAML files, and the secrets that they name."""
    written = [folder / "routing.yaml", *_policies(folder)]
    secrets: set[Path] = set()
    for path in written:
        try:
            if path.is_file():  # a pipe would not end
                secrets.update(Path(name) for name in _FILE.findall(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError):  # whoever reads it in earnest says what is wrong
            continue
    return [*written, *sorted(secrets)]


def _policies(folder: Path) -> list[Path]:
    try:
        return sorted((folder / "policies").glob("*.yaml"))
    except OSError:  # it goes away just now
        return []


class Watched:
    """The files of the configuration in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = files_of(folder)
        self.seen = self.look()
        """What was there when the files were last read."""

    def look(self) -> Fingerprint:
        """Look at the entries of the files; one that is not there counts too."""
        return tuple(_entry(path) for path in (self._folder / "policies", *self._files))

    def renew(self) -> None:
        """Find out anew which files there are, and take note of them: they are about to be read."""
        self.seen = self.look()  # also where what follows fails: an edit is tried once
        self._files = files_of(self._folder)
        self.seen = self.look()


def _entry(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except (OSError, ValueError):  # ValueError: no file can have this name, as one with U+0000 in it
        return str(path), 0, 0, 0
    return str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino

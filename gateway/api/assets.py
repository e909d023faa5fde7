"""The files of the dashboard's page, held in memory: only they have names, so no path leads elsewhere.

An asset has two addresses. Below the version (a digest of all files) it never changes, and a browser keeps it
for good; the page is served with its references there. Without it, a browser asks again each time.
Source: RFC 9110 sections 8.8.3 (`ETag`), 12.5.3 (`Accept-Encoding`); RFC 8246 (`immutable`).
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec

PREFIX: Final = "/dashboard/assets/"
PAGE: Final = "index.html"
_TYPES: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "mjs": "text/javascript",
    "css": "text/css",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain",
    "map": "application/json",
}
"""By suffix; a file of any other kind is not served."""

_PACKED: Final = frozenset({"png", "woff2"})
_WORTH_PACKING_BYTES: Final = 1024
_VERSION_LENGTH: Final = 16


class Asset(msgspec.Struct, frozen=True, gc=False):
    """One file, as it is and gzipped (empty: that would not make it smaller)."""

    media_type: str
    body: bytes
    packed: bytes
    etag: str


class Assets:
    """All files of the page. `version` names exactly these."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        digest = hashlib.sha256()
        for name, body in sorted(contents.items()):
            digest.update(f"{name}\0{len(body)}\0".encode() + body)
        self.version = digest.hexdigest()[:_VERSION_LENGTH]
        self._assets = {name: _asset(name, body) for name, body in contents.items() if name != PAGE}
        self.page: Asset | None = None
        if (page := contents.get(PAGE)) is not None:
            pinned = page.replace(PREFIX.encode(), f"{PREFIX}{self.version}/".encode())
            self.page = _asset(PAGE, pinned)

    def find(self, path: str) -> tuple[Asset, bool] | None:
        """Find a file by its path below `PREFIX`, and tell whether it will never change there."""
        version, _, rest = path.partition("/")
        if version == self.version:
            asset = self._assets.get(rest)
            return None if asset is None else (asset, True)
        asset = self._assets.get(path)
        return None if asset is None else (asset, False)


def read_assets() -> Assets:
    """Read the files that came with this version of the program."""
    return Assets(dict(_contents(files("dashboards") / "web", "")))


def _contents(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _contents(entry, f"{prefix}{entry.name}/")
        elif _suffix(entry.name) in _TYPES:
            yield prefix + entry.name, entry.read_bytes()


def _asset(name: str, body: bytes) -> Asset:
    suffix = _suffix(name)
    packed = b""
    if len(body) >= _WORTH_PACKING_BYTES and suffix not in _PACKED:
        packed = gzip.compress(body, mtime=0)
    if len(packed) >= len(body):
        packed = b""
    return Asset(_TYPES[suffix], body, packed, hashlib.sha256(body).hexdigest()[:32])


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()

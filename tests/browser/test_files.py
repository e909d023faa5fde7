"""The page's files: what is vendored is what it says, and nothing in them needs a weaker policy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "dashboards/web"
VENDOR = WEB / "vendor"
OURS = sorted(path for path in WEB.rglob("*.js") if VENDOR not in path.parents)


def test_each_vendored_file_is_listed_and_is_what_was_published() -> None:
    listed = dict(
        re.findall(
            r"^\s+(\S+)\s+\S+\s+SHA-256 ([0-9a-f]{64})$", (VENDOR / "LICENCES").read_text(), re.MULTILINE
        )
    )
    files = {path.name: path for path in VENDOR.iterdir() if path.name != "LICENCES"}
    assert listed.keys() == files.keys()
    for name, digest in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(WEB)))
def test_modules_make_no_markup_are_short_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text
    assert len(text.splitlines()) <= 400
    assert text.startswith(("/**", "//"))


def test_the_page_names_only_its_own_files() -> None:
    text = (WEB / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert named
    for name in named:
        assert name.startswith("/dashboard/assets/")
        assert (WEB / name.removeprefix("/dashboard/assets/")).is_file()
    assert "style=" not in text
    assert not re.search(r"<script(?![^>]*src=)", text)

"""Whether the files of a configuration were changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.reloading.watch import Watched, files_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "routing.yaml").write_text("backends: {}\n")
    (tmp_path / "policies" / "tenants.yaml").write_text("tenants: {}\n")
    return tmp_path


def replaced(folder: Path) -> None:
    (folder / "new").write_text("backends: {}\n")
    (folder / "new").rename(folder / "routing.yaml")


@pytest.mark.parametrize(
    "edit",
    [
        lambda folder: (folder / "routing.yaml").write_text("backends: {a: {}}\n"),
        lambda folder: (folder / "policies" / "tenants.yaml").write_text("tenants: {a: {}}\n"),
        lambda folder: (folder / "policies" / "prices.yaml").write_text("{}\n"),
        lambda folder: (folder / "policies" / "tenants.yaml").unlink(),
        lambda folder: (folder / "routing.yaml").unlink(),
        replaced,
    ],
)
def test_every_kind_of_edit_is_seen_once(folder: Path, edit: Callable[[Path], object]) -> None:
    watched = Watched(folder)
    assert watched.look() == watched.seen
    edit(folder)
    assert watched.look() != watched.seen
    watched.renew()
    assert watched.look() == watched.seen


def test_what_was_written_while_it_was_read_is_an_edit(folder: Path) -> None:
    watched = Watched(folder)
    watched.renew()
    (folder / "routing.yaml").write_text("backends: {written: {}}\n")
    assert watched.look() != watched.seen


def test_a_secret_that_is_named_in_a_file_is_watched_too(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("one")
    (folder / "routing.yaml").write_text(f"key: ${{file:{secret}}}\n")
    watched = Watched(folder)
    assert secret in files_of(folder)
    secret.write_text("another one")
    assert watched.look() != watched.seen


def test_a_folder_that_is_swapped_by_its_link_is_seen(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "policies").mkdir(parents=True)
        (tmp_path / name / "routing.yaml").write_text("same: words\n")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "first")
    watched = Watched(link)
    (tmp_path / "next").symlink_to(tmp_path / "second")
    (tmp_path / "next").rename(link)
    assert watched.look() != watched.seen


def test_a_file_that_cannot_be_read_as_text_is_still_watched(folder: Path) -> None:
    (folder / "routing.yaml").write_bytes(b"\xff\xfe")
    assert files_of(folder)[0] == folder / "routing.yaml"


@pytest.mark.parametrize("name", ["/run/secrets/\0\0\0", "/run/" + 5000 * "x"])
def test_a_name_that_no_file_can_have_is_of_a_file_that_is_not_there(folder: Path, name: str) -> None:
    watched = Watched(folder)
    (folder / "routing.yaml").write_text(f"key: ${{file:{name}}}\n")
    assert watched.look() != watched.seen
    watched.renew()
    assert (name, 0, 0, 0) in watched.seen
    (folder / "routing.yaml").write_text("backends: {}\n")
    assert watched.look() != watched.seen


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "policies" / "prices.yaml")
    assert folder / "policies" / "prices.yaml" in files_of(folder)

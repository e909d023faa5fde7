"""What is handed out: the wheel holds all that the program reads, and the image's recipe fits the tree.

No container engine is needed: what the recipe says is read, and compared with the project.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway import __main__ as command_line

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gateway", "backends", "dashboards")
BUILT_FROM = (*PACKAGES, "pyproject.toml", "LICENSE", "README.md")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]


def succeed(command: list[str], **where: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def shipped_files() -> set[str]:
    """All files of the packages, data too."""
    return {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools would take what an older build left in the tree.
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    succeed([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(source)])
    (file,) = built.iterdir()
    return file


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it, apart from the tree."""
    folder = tmp_path_factory.mktemp("site")
    succeed([*PIP, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)])
    return folder


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == shipped_files()


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_an_installed_copy_checks_the_shipped_configuration(site: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "routing.yaml", tmp_path)
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    told = succeed([str(site / "bin" / "forebay"), "check"], cwd=tmp_path, env=environment)
    assert "routing.yaml" in told
    where = succeed(
        [sys.executable, "-c", "import gateway; print(gateway.__file__)"], cwd=tmp_path, env=environment
    )
    assert Path(where.strip()).is_relative_to(site)


LOOK_FOR_THE_DASHBOARDS = """
from importlib.resources import files
from gateway.api.assets import read_assets
print(read_assets().page is not None, (files("dashboards") / "sql" / "totals.sql").is_file())
"""


def test_an_installed_copy_has_the_dashboards_page_and_the_sql_of_its_panels(site: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    told = succeed([sys.executable, "-c", LOOK_FOR_THE_DASHBOARDS], cwd=site, env=environment)
    assert told.split() == ["True", "True"]


def test_an_installed_copy_makes_its_database(site: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "routing.yaml", tmp_path)
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    (tmp_path / "state").mkdir()
    forebay = [str(site / "bin" / "forebay"), "keys", "--state", "state"]
    key = succeed([*forebay, "create", "--tenant", "default", "--quiet"], cwd=tmp_path, env=environment)
    assert key.startswith("fb-")
    assert "default" in succeed([*forebay, "list"], cwd=tmp_path, env=environment)


def instructions() -> list[tuple[str, str]]:
    """The image's recipe as pairs of a keyword and its argument, its lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(keyword, rest.strip()) for keyword, rest in (line.split(maxsplit=1) for line in lines)]


def arguments_of(keyword: str) -> list[str]:
    return [rest for found, rest in instructions() if found == keyword]


def copied() -> list[str]:
    """What the recipe takes from the project."""
    lines = [shlex.split(rest) for rest in arguments_of("COPY")]
    return [source for line in lines if not line[0].startswith("--from") for source in line[:-1]]


def test_all_that_the_image_copies_is_there_and_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied()) == let_in
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_image_starts_with_a_command_that_forebay_takes() -> None:
    entry, command = (json.loads(arguments_of(keyword)[-1]) for keyword in ("ENTRYPOINT", "CMD"))
    assert entry == ["forebay"]
    args = command_line._parser().parse_args(command)
    assert args.host == "0.0.0.0"
    assert arguments_of("EXPOSE") == [str(args.port)]
    assert arguments_of("VOLUME") == [str(args.state)]
    assert any(line.endswith(f" {args.config}/routing.yaml") for line in arguments_of("COPY"))
    (check,) = arguments_of("HEALTHCHECK")
    assert f":{args.port}/healthz" in check


def test_the_image_does_not_run_as_root() -> None:
    keywords = [keyword for keyword, _ in instructions()]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", arguments_of("USER")[-1])
    after = keywords[len(keywords) - keywords[::-1].index("USER") :]
    assert "RUN" not in after


def test_every_locked_package_has_a_hash() -> None:
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        for requirement in re.split(r"(?<!\\)\n", file.read_text().strip()):
            assert re.match(r"[\w.\[\],-]+==", requirement), f"{file.name}: {requirement}"
            assert "--hash=sha256:" in requirement, f"{file.name}: {requirement}"


def test_the_lock_has_the_versions_that_the_project_asks_for() -> None:
    asked = re.findall(
        r'^ +"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    locked = dict(
        re.findall(
            r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE
        )
    )
    assert len(asked) > 10
    assert {name.lower(): locked.get(name.lower()) for name, _ in asked} == {
        name.lower(): version for name, version in asked
    }

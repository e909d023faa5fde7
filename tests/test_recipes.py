"""CONTRIBUTING.md's recipes, followed to the letter: its edits are applied to a copy of the tree, which then
has to serve calls; and where a recipe says that few files know something, those files are counted.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rig import chat
from rig.gateway import KEY, Gateway, running_gateway
from rig.script import plain
from rig.upstream import Upstream

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [file for package in ("gateway", "backends") for file in sorted((ROOT / package).rglob("*.py"))]
ASK = {"messages": [{"role": "user", "content": "hi"}]}

_BLOCK = re.compile(r"^```(yaml|python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"(?:# |--- )(\S+)\n")


def recipes() -> list[tuple[str, str, str]]:
    """Every block of CONTRIBUTING.md that changes a file: its kind, the file, what it says."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = []
    for kind, block in _BLOCK.findall(text):
        place = _PLACE.match(block)
        assert place, f"this block does not begin with the name of its file:\n{block}"
        found.append((kind, place[1], block[place.end() :]))
    return found


def edit(source: str, diff: str) -> str:
    """Apply hunks, divided by `@@`, whose lines begin with a blank, `-` or `+`."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        # The last line of a hunk may be the beginning of a line.
        old = "".join(line[1:] for line in lines if line[0] in " -").rstrip("\n")
        new = "".join(line[1:] for line in lines if line[0] in " +").rstrip("\n")
        assert source.count(old) == 1, f"this is not in the file, or not only once:\n{old}"
        source = source.replace(old, new)
    return source


@pytest.fixture(scope="module")
def changed_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages in which all recipes were followed."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("gateway", "backends"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for kind, place, block in recipes():
        file = tree / place
        if kind == "diff":
            file.write_text(edit(file.read_text(encoding="utf-8"), block), encoding="utf-8")
        elif kind == "python":
            assert not file.exists()
            file.write_text(block, encoding="utf-8")
        else:
            with file.open("a", encoding="utf-8") as presets:
                presets.write(block)
    return tree


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        running.answer_with(plain(chat.completion()))
        yield running


@contextlib.contextmanager
def inside(tree: Path) -> Iterator[None]:
    """Start Python processes from another tree than this one."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(tree))
        environment.setenv("PYTHONSAFEPATH", "1")  # or the current directory, this tree, would come first
        yield


@pytest.fixture(scope="module")
def gateway(
    changed_tree: Path, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The changed gateway; the host of the recipe's preset is replaced by an upstream on this machine."""
    secret = {"credentials": ["${RIG_KEY_1}"]}
    routing = {
        "backends": {
            "by-preset": {"preset": "acme", "base_url": upstream.base_url, **secret},
            "by-provider": {"provider": "acme", "base_url": upstream.base_url, **secret},
        },
        "routes": {name: {"targets": [{"backend": name}]} for name in ("by-preset", "by-provider")},
    }
    with inside(changed_tree), running_gateway(tmp_path_factory.mktemp("site"), routing) as running:
        yield running


def test_a_host_is_three_to_six_lines_of_yaml_and_no_code(gateway: Gateway, upstream: Upstream) -> None:
    (block,) = [block for kind, place, block in recipes() if place == "backends/presets.yaml"]
    assert 3 <= len(block.splitlines()) <= 6
    (name,) = yaml.safe_load(block)
    assert name == "acme"
    upstream.seen.clear()
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json=ASK | {"model": "by-preset"}).status_code == 200
    assert upstream.only_request().headers["authorization"] == "Bearer upstream-secret-1"


def test_a_provider_is_one_module_and_its_name_in_two_others(gateway: Gateway, upstream: Upstream) -> None:
    touched = {place for kind, place, block in recipes() if "cme" in block and kind != "yaml"}
    assert touched == {"backends/acme.py", "gateway/config/providers.py", "gateway/compose/lines.py"}
    upstream.seen.clear()
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json=ASK | {"model": "by-provider"}).status_code == 200
    headers = upstream.only_request().headers
    assert headers["x-acme-key"] == "upstream-secret-1"
    assert KEY not in str(headers)


def test_an_endpoint_is_one_module_and_its_lines_in_the_app(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/version").json().keys() == {"version"}
        assert "/version" in client.get("/openapi.json").json()["paths"]


def test_what_the_recipes_write_is_typed_and_in_the_projects_style(changed_tree: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", changed_tree)
    places = sorted({place for kind, place, block in recipes() if kind != "yaml"})
    commands = (
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *places],
        [sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *places],
    )
    for command in commands:
        done = subprocess.run(command, cwd=changed_tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, textwrap.indent(done.stdout + done.stderr, "  ")


def importers(prefix: str) -> set[str]:
    """The source files that import a module, or one below it."""

    def imports(file: Path) -> Iterator[str]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)

    return {
        str(file.relative_to(ROOT))
        for file in SOURCES
        if any(name == prefix or name.startswith(f"{prefix}.") for name in imports(file))
    }


def test_no_file_names_a_provider_class_but_its_module_and_the_composition_root() -> None:
    naming = {file for file in importers("backends") if not file.startswith("backends/")}
    assert naming == {"gateway/compose/lines.py"}


def test_no_file_opens_a_store_but_the_composition_root() -> None:
    # quickstart names the class in an annotation only; `.importlinter` has that as a debt.
    assert importers("gateway.stores.keys_sql") <= {
        "gateway/compose/opening.py",
        "gateway/commands/quickstart.py",
    }
    assert importers("gateway.stores.keys_memory") == set()


def test_no_file_knows_a_policy_but_the_composition_root() -> None:
    kinds = {file.stem for file in (ROOT / "policies").glob("*.yaml")}
    assert kinds
    for kind in kinds:
        assert importers(f"gateway.policy.{kind}") == {"gateway/compose/reading.py"}


def test_no_file_knows_an_endpoint_but_the_app() -> None:
    handlers = {file.stem for file in (ROOT / "gateway/api").glob("*.py")} - {"__init__"}
    # The app also takes a function for call ids from `calls`; `callers` and `assets` are no endpoints.
    for module in handlers - {"app", "calls", "callers", "assets"}:
        assert importers(f"gateway.api.{module}") == {"gateway/api/app.py"}

"""The documents say what is so: their YAML loads, their commands run, their tables fit the code.

What a reader may copy is checked as it stands. A YAML block begins with a comment that names its file; shell
and Python blocks run as they are, with the two variables set that the README tells to set.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rig.gateway import KEY, Gateway, eventually, running_gateway

from backends.scripted import ScriptSpec, StepSpec
from gateway import __main__ as command_line
from gateway import errors
from gateway.commands.scenarios import play
from gateway.compose.reading import load_config, with_all_keys
from gateway.config.located import load
from gateway.config.resolve import load_presets, resolve
from gateway.config.routing import PresetSpec, RoutingSpec
from gateway.exchange import Ending
from gateway.telemetry.access_log import AccessLine
from gateway.telemetry.metrics.families import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
DOCS = [
    file
    for folder in (".", "docs", "dashboards")
    for file in sorted((ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
]
DEMO = ROOT / "docs/demos/scripted"
SOURCES = [file for package in ("gateway", "backends") for file in sorted((ROOT / package).rglob("*.py"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]*))?\)")
_SECTION = re.compile(r"^(\w+):", re.MULTILINE)

REST: dict[str, dict[str, Any]] = {
    "backends": {
        "openai": {"preset": "openai"},
        "anthropic": {"preset": "anthropic"},
        "gemini": {"preset": "gemini"},
        "azure-eu": {"base_url": "https://eu.example.com/v1"},
        "azure-us": {"base_url": "https://us.example.com/v1"},
        "cluster": {"preset": "vllm", "self_hosted": True},
        "cluster-2": {"preset": "vllm", "self_hosted": True},
    },
    "routes": {
        "cluster-only": {"targets": [{"backend": "cluster", "model": "qwen3-8b"}]},
        "tiny": {"targets": [{"backend": "cluster", "model": "qwen3-1b"}]},
    },
    "tasks": {"code": {"keywords": ["python"]}},
}
"""What a fragment of routing.yaml is completed with, where it does not show it itself."""

FILES = {"routing.yaml", *(f"policies/{file.name}" for file in (ROOT / "policies").glob("*.yaml"))}
CHECKED_APART = {
    "backends/presets.yaml": "it ships with the package; a configuration has none",
    "policies/tests/example.yaml": "it is played through the configuration that is shipped",
    "script.yaml": "it is what a backend plays, and has no place of its own",
}
"""YAML that is no part of a configuration, and why; each has its own reader below."""


class Everything(dict[str, str]):
    """An environment in which every variable is set."""

    def get(self, name: str, default: object = None) -> str:
        if name == "VERTEX_KEY_JSON":
            return google_key()
        return "postgresql://db.example.com/forebay" if name == "DATABASE_URL" else f"value-of-{name}"


@cache
def google_key() -> str:
    """The key file of a service account that nobody has; its key can sign."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"client_email": "models@example.com", "token_uri": "https://oauth2.googleapis.com/token"}
    return json.dumps({**account, "private_key": key.decode()})


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def blocks(*kinds: str) -> list[pytest.ParameterSet]:
    """All code blocks of these kinds, with the documents they stand in."""
    return [
        pytest.param(block, id=f"{name_of(file)}-{number}")
        for file in DOCS
        for number, (kind, block) in enumerate(_BLOCK.findall(file.read_text(encoding="utf-8")))
        if kind in kinds
    ]


def rows(document: str, heading: str = "") -> list[list[str]]:
    """The cells of the tables below a heading, without their first two lines; of the whole document."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0] if heading else text
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells for cells in found if cells[0].startswith("`")]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---- YAML


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_loads_as_the_file_it_says_it_is(block: str, tmp_path: Path) -> None:
    first, _, _ = block.partition("\n")
    file, _, path = first.removeprefix("# ").partition(": ")
    if file in CHECKED_APART:
        assert load_apart(file, block, tmp_path)
        return
    assert file in FILES, first
    texts = {"routing.yaml": "", "policies/tenants.yaml": "tenants: {default: {}}"} | {file: block}
    texts["routing.yaml"] = completed(texts["routing.yaml"], path)
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    config = load_config(tmp_path, environ=Everything())
    assert config.resolved.routes
    assert config.resolved.notes == []


def completed(block: str, path: str) -> str:
    """Put a block at its place in routing.yaml (`routes.assistant`), with the sections it does not show."""
    section, _, name = path.partition(".")
    if name:
        beside = {one: entry for one, entry in REST[section].items() if one != name}
        block = f"{name}:\n{textwrap.indent(block, '  ')}" + _lines(beside)
    if section:
        block = f"{section}:\n{textwrap.indent(block, '  ')}"
    shown = _SECTION.findall(block)
    return block + _lines({other: entries for other, entries in REST.items() if other not in shown})


def _lines(entries: Mapping[str, object]) -> str:
    return "".join(f"{json.dumps(name)}: {json.dumps(entry)}\n" for name, entry in entries.items())


def load_apart(file: str, block: str, folder: Path) -> object:
    written = folder / "block.yaml"
    written.write_text(block, encoding="utf-8")
    if file == "script.yaml":
        return load(written, ScriptSpec, {}).value.answers
    if file == "policies/tests/example.yaml":
        results = play(load_config(ROOT, environ=with_all_keys()), [written])
        return results and not any(result.wrong for result in results)
    return load(written, dict[str, PresetSpec], {}).value


def test_what_check_prints_is_what_the_readme_shows(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^routing\.yaml:\d+ .*$", readme, re.MULTILINE)
    (example,) = [block for kind, block in _BLOCK.findall(readme) if kind == "yaml" and "cluster:" in block]
    wrong = example.replace("{backend: openai,", "{backend: opnai,")
    assert wrong != example
    (tmp_path / "routing.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(errors.ConfigErrors) as caught:
        resolve(load(tmp_path / "routing.yaml", RoutingSpec, Everything()), load_presets(), Everything())
    assert str(caught.value).replace(f"{tmp_path}/", "") == shown


# ---- commands


def forebay_commands() -> Iterator[pytest.ParameterSet]:
    for parameter in blocks("bash"):
        for line in str(parameter.values[0]).replace("\\\n", " ").splitlines():
            if re.match(r"forebay |docker exec ", line):
                said = shlex.split(line, comments=True)
                yield pytest.param(said[said.index("forebay") + 1 :], id=line.strip())


@pytest.mark.parametrize("arguments", list(forebay_commands()))
def test_commands_parse(arguments: list[str]) -> None:
    args = command_line._parser().parse_args(arguments)
    assert callable(args.run)


def test_make_has_the_targets_that_are_named() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for file in DOCS
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", file.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= targets


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The scripted demo, with a route `default` for the README's examples."""
    folder = tmp_path_factory.mktemp("demo")
    for script in DEMO.glob("*.yaml"):
        if script.stem != "routing":
            (folder / script.name).write_bytes(script.read_bytes())
    routing = yaml.safe_load((DEMO / "routing.yaml").read_text())
    routing["routes"]["default"] = {"targets": [{"backend": "steady"}]}
    with running_gateway(folder, routing) as running:
        yield running


def run(command: list[str], gateway: Gateway) -> str:
    variables = {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_curl_and_python_work_as_they_stand(demo: Gateway) -> None:
    found = _BLOCK.findall((ROOT / "README.md").read_text())
    (curl,) = [block for kind, block in found if kind == "bash" and "curl" in block]
    whole_and_stream, *others = [block for kind, block in found if kind == "python"]
    said = json.loads(run(["bash", "-c", curl], demo))["choices"][0]["message"]["content"]
    assert "forebay" in said
    assert run([sys.executable, "-c", whole_and_stream], demo).splitlines() == [said, said]
    assert len(others) >= 2
    for python in others:
        assert run([sys.executable, "-c", python], demo).splitlines() == [said]


def test_the_demo_fails_as_its_page_says(demo: Gateway) -> None:
    shaky, safe = [
        block for kind, block in _BLOCK.findall((DEMO / "README.md").read_text()) if "for n in" in block
    ]
    assert run(["bash", "-c", shaky], demo).split() == ["200", "429", "503", "502", "504", "502"]
    assert run(["bash", "-c", safe], demo).split() == ["200"] * 6
    with demo.client() as client:
        for n in range(6):
            answer = client.post(
                "/v1/chat/completions", json={"model": "safe", "stream": True, "messages": []}
            )
            assert answer.text.endswith("data: [DONE]\n\n") == (n != 5)
    assert "stream_broken" in answer.text


def test_the_demo_can_be_started_from_its_folder() -> None:
    resolved = load_config(DEMO).resolved
    for backend in resolved.backends.values():
        assert load(DEMO / backend.script, ScriptSpec, {}).value.answers


# ---- tables


def test_the_tables_of_the_configuration_are_written_from_the_specs() -> None:
    tables = _module(ROOT / "docs/tables.py")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.render(page) == page, "run .venv/bin/python docs/tables.py"
    assert set(re.findall(r"<!-- table: (\S+) -->", page)) == {*tables.SPECS, "presets"}


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scripts_are_described_field_by_field() -> None:
    described = {words(cells[0])[0]: cells[2] for cells in rows("configuration.md", "Scripts")}
    assert tuple(described) == StepSpec.__struct_fields__
    defaults = StepSpec()
    for name, shown in described.items():
        default = getattr(defaults, name)
        assert shown == (f"`{default}`" if isinstance(default, str) and default else shown)
        assert (shown == "none") == (default in ("", {}))


def constructions() -> Iterator[tuple[type[errors.GatewayError], str, set[int]]]:
    """Every place where an error is made: its class, its code, and the statuses it can have."""
    for file in SOURCES:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        namesakes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
        texts = dict(_texts(nodes))
        for node in nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            cls = _ERRORS.get(node.func.id)
            if cls is None or node.func.id in namesakes:
                continue
            given = {word.arg: word.value for word in node.keywords}
            code, status = given.get("code"), given.get("status")
            code_ = texts.get(code.id, cls.code) if isinstance(code, ast.Name) else cls.code
            if isinstance(code, ast.Constant):
                code_ = code.value
            if status is None or isinstance(status, ast.Constant):
                yield cls, code_, {status.value if isinstance(status, ast.Constant) else cls.status}


def _texts(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """The names that a module gives to texts."""
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for name in node.targets:
                if isinstance(name, ast.Name) and isinstance(node.value.value, str):
                    yield name.id, node.value.value


_ERRORS = {
    cls.__name__: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, errors.GatewayError)
}

OF_THE_UPSTREAM = {
    *(errors.Rejected, errors.Refused, errors.UnknownModel, errors.ContextTooLong, errors.Filtered),
    *(errors.Overloaded, errors.RateLimited, errors.QuotaSpent, errors.Failed, errors.TimedOut),
}
"""What an answer of an upstream is read as: these have the upstream's status."""


def test_every_error_has_its_row_with_its_status_and_its_retry() -> None:
    made: dict[str, tuple[type[errors.GatewayError], set[int]]] = {}
    for cls, code, statuses in constructions():
        made[code] = (cls, made.get(code, (cls, set()))[1] | statuses)
    for cls in OF_THE_UPSTREAM:
        made.setdefault(cls.code, (cls, set()))
    table = {
        words(cells[0])[0]: (heading, cells)
        for heading in ("The client", "The upstream", "The gateway")
        for cells in rows("errors.md", heading)
    }
    assert table.keys() == made.keys()
    for code, (cls, statuses) in made.items():
        heading, cells = table[code]
        assert heading == f"The {cls.source}", code
        assert cells[2] == ("no" if cls.retry == "never" else "yes"), code
        shown = {int(number) for number in re.findall(r"\b\d{3}\b", cells[1])}
        assert shown == statuses or (cls in OF_THE_UPSTREAM and shown >= statuses), code


def test_refusals_at_the_connection_have_their_rows() -> None:
    source = (ROOT / "gateway/server/connection.py").read_text(encoding="utf-8")
    made = set(re.findall(r'self\.refuse\(\s*(\d{3}),\s*"(\w+)"', source))
    assert made == {(cells[1], words(cells[0])[0]) for cells in rows("errors.md", "At the connection")}


def test_metrics_are_listed_with_their_labels() -> None:
    there = {
        name: (family.kind, {label.replace(".", "_") for label in family.labels})
        for name, family in FAMILIES.items()
    }
    assert there == {
        words(cells[0])[0]: (cells[1], set(re.findall(r"\w+", cells[2])))
        for cells in rows("operations.md", "Metrics")
        if len(cells) == 4
    }


def test_endings_are_listed() -> None:
    listed = {words(cells[0])[0] for cells in rows("operations.md", "Metrics") if len(cells) == 2}
    assert listed == set(get_args(Ending))


def test_the_fields_of_a_calls_line_are_listed(demo: Gateway) -> None:
    listed = {field for cells in rows("operations.md", "Log") for field in words(cells[0])}
    assert listed == set(AccessLine.__struct_fields__)
    with demo.client() as client:
        client.post("/v1/chat/completions", json={"model": "nope", "messages": []})
    assert eventually(lambda: any(line["event"] == "call" for line in demo.log()))
    for line in demo.log():
        assert line["event"] != "call" or set(line) <= listed


NO_LEDGER = ("", "/panels/{panel}", "/calls", "/calls/{call}", "/statement")
LACKING = {f"/v1/usage{path}": {503} for path in NO_LEDGER} | {"/v1/backends": {403}}
"""What a gateway without a ledger answers, and one that is asked with a key that is no admin's."""


def test_the_endpoints_of_the_readme_are_there(demo: Gateway) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(GET|POST) (/[\w/.:{}]+)`", readme)
    assert len(named) >= 10
    with demo.client() as client:
        for method, path in named:
            answer = client.request(method, path.format(model="safe", panel="totals", call="call_1"))
            assert answer.status_code in LACKING.get(path, {200, 400}), (method, path, answer.text)
        described = client.get("/openapi.json").json()["paths"]
    assert set(described) == {path for _, path in named} - {"/docs", "/openapi.json"}


def test_the_headers_of_the_readme_come(demo: Gateway) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(x-forebay-[a-z-]+|x-request-id)`", readme))
    with demo.client() as client:
        good = client.post("/v1/chat/completions", json={"model": "steady", "messages": []})
        bad = client.post("/v1/chat/completions", json={"model": "nope", "messages": []})
        asked = {
            "model": "steady",
            "max_tokens": 9,
            "top_k": 1,
            "messages": [{"role": "user", "content": "x"}],
        }
        lossy = client.post("/v1/messages", json=asked)
    came = {name for answer in (good, bad, lossy) for name in httpx.Headers(answer.headers)}
    assert {name for name in came if name.startswith("x-")} == named


# ---- links and words


@pytest.mark.parametrize("file", DOCS, ids=name_of)
def test_links_lead_somewhere(file: Path) -> None:
    missing = [
        target
        for target, _ in _LINK.findall(file.read_text(encoding="utf-8"))
        if "://" not in target and not (file.parent / target).exists()
    ]
    assert missing == []


def test_every_document_can_be_found_from_the_readme() -> None:
    found, new = set[Path](), {ROOT / "README.md"}
    while new:
        found |= new
        new = {
            (file.parent / target).resolve()
            for file in new
            for target, _ in _LINK.findall(file.read_text(encoding="utf-8"))
            if target.endswith(".md") and "://" not in target
        } - found
    assert found == set(DOCS)


def test_the_readme_names_every_preset_that_there_is() -> None:
    readme = re.sub(r"[^a-z]", "", (ROOT / "README.md").read_text(encoding="utf-8").lower())
    assert [name for name in load_presets() if name.replace("-", "") not in readme] == []

"""The rules of the tree that no other tool knows; the directions of imports are `.importlinter`'s.

Each test is one rule, and its failure lists every place that breaks it. The tables below are the rules'
data: an entry in one of the exceptions is a debt with its reason, and one that is no longer needed fails.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SUPPRESSIONS = 11
"""How many there are, in gateway, backends and tests together. This number may only fall."""

MAX_BODY_LINES = 50
MAX_PARAMETERS = 5
MAX_STAGE_PARAMETERS = 3
MAX_MODULE_LINES = 400
MAX_PIPELINE_LINES = 120
MAX_ENTRIES = 16

MANY_PARAMETERS = {
    "gateway/errors.py GatewayError.__init__": "all but the message are named, and rarely given",
    "gateway/upstream/answer.py WatchedAnswer.__init__": "put together in three places, always by name",
}
WIDE_FOLDERS = {
    ".": (17, "what the tools and the users of a project look for at its top"),
    "dashboards/sql": (29, "a question each, by its name"),
    "docs/decisions": (22, "one for each decision, by number; they are never removed"),
    "gateway": (29, "the map of the whole: a folder for each job, and the few modules that join them"),
    "tests/rig": (17, "what tests are built of, a module for each part"),
    "tests/unit": (25, "the same paths as in gateway, and what all of them stand on"),
}

PURE = ("gateway/formats", "gateway/routing", "gateway/stages/plan.py", "backends")
"""Where nothing waits, and the same input gives the same result."""
IMPURE_MODULES = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}

HOMES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("gateway/upstream",),
    "yarl": ("gateway/upstream",),
    "httpx": (
        "gateway/upstream",
        "gateway/identity/tokens.py",
        "gateway/telemetry/webhooks.py",
        "gateway/telemetry/otlp.py",
    ),
    "hiredis": ("gateway/stores",),
    "http.client": ("gateway/embedded/local_model.py", "gateway/embedded/clickhouse.py"),
    "urllib.request": (),
    "sqlalchemy": ("gateway/stores",),
    "alembic": ("gateway/stores",),
    "redis": ("gateway/stores",),
    "pybreaker": ("gateway/routing/health/states.py",),
    "aiolimiter": ("gateway/upstream/pacing.py",),
    "genai_prices": ("gateway/policy/pricing/public.py",),
    "re2": ("gateway/texts/patterns.py",),
    "fasttext": ("gateway/routing/signals/language.py",),
    "clickhouse_connect": ("gateway/stores/clickhouse",),
    "chdb": ("gateway/embedded/clickhouse_chdb.py",),
    "lz4": ("gateway/embedded/clickhouse_asks.py", "gateway/stores/clickhouse"),
    "urllib3": ("gateway/stores/clickhouse",),
    "litestar": ("gateway/api",),
    "uvicorn": ("gateway/server/http.py", "gateway/server/connection.py"),
    "httptools": ("gateway/server/connection.py",),
    "uvloop": ("gateway/commands/serve.py",),
    "tiktoken": ("gateway/embedded/tokenizer.py",),
    "xllamacpp": ("gateway/embedded/local_model.py",),
    "prometheus_client": ("gateway/telemetry/metrics/rendering.py",),
    "grpc": ("gateway/telemetry/otlp.py",),
    "opentelemetry": ("gateway/telemetry",),
    "jwt": ("gateway/identity/tokens.py", "gateway/upstream/oauth.py"),
    "botocore": ("gateway/upstream/aws.py",),
    "yaml": ("gateway/config/nodes.py",),
    "brotli": ("gateway/formats/http/compression.py",),
    "backports": ("gateway/formats/http/compression.py", "gateway/embedded/clickhouse_asks.py"),
    "compression": ("gateway/formats/http/compression.py", "gateway/embedded/clickhouse_asks.py"),
    "msgspec": ("gateway", "backends"),
}
"""Where a library may be imported; one that is not here has no home yet. Of Python's own, HTTP clients."""

WORDS_NOT_USED = {
    *("util", "helper", "common", "misc", "manager", "handler", "service", "processor", "base", "core"),
    *("utils", "helpers", "managers", "handlers", "services", "processors", "bases", "cores"),
}

SUPPRESSION = re.compile(r"#\s*(?:noqa|type:|pragma|pylint|mypy:|ruff:|nosec|pyright)", re.IGNORECASE)
REASONED = re.compile(
    r"#\s(?:noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*|type: ignore\[[a-z-]+(?:,[a-z-]+)*\])\s+[-#]\s*\S.{5,}"
)
FOREIGN = re.compile(
    "|".join(  # in pieces, so that this file keeps the rule too
        ("/(?:work|root|Users)" + "/", "py" + r"pi\.org", "registry" + r"\.npmjs", "deb" + r"\.debian\.org")
    )
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def places(*below: str) -> list[str]:
    """The Python files below some folders (or those very files), relative to the root."""
    found: list[Path] = []
    for place in below:
        path = ROOT / place
        found += [path] if path.is_file() else path.rglob("*.py")
    return sorted(str(file.relative_to(ROOT)) for file in found)


OURS = ("gateway", "backends")
SOURCES = places(*OURS)
TESTS = places("tests")


@cache
def text_of(place: str) -> str:
    return (ROOT / place).read_text(encoding="utf-8")


@cache
def nodes_of(place: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(text_of(place), place)))


def imports_of(place: str) -> Iterator[tuple[str, int]]:
    """What a module imports from elsewhere, with the lines: `from a import b` gives `a` and `a.b`."""
    for node in nodes_of(place):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def functions_of(place: str) -> Iterator[tuple[str, Function, bool]]:
    """All functions with their dotted names, and whether they take a `self` or a `cls`."""

    def within(node: ast.AST, prefix: str, *, in_class: bool) -> Iterator[tuple[str, Function, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in child.decorator_list)
                yield prefix + child.name, child, in_class and not static
                yield from within(child, f"{prefix}{child.name}.", in_class=False)
            elif isinstance(child, ast.ClassDef):
                yield from within(child, f"{prefix}{child.name}.", in_class=True)
            else:
                yield from within(child, prefix, in_class=in_class)

    yield from within(nodes_of(place)[0], "", in_class=False)


def parameters(function: Function, *, bound: bool) -> int:
    taken = function.args
    return len(taken.posonlyargs) + len(taken.args) + len(taken.kwonlyargs) - bound


def body_lines(function: Function) -> int:
    """Lines of the body, without its docstring."""
    first = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


@cache
def project_files() -> list[Path]:
    """Every file of the project: all but what `.gitignore` names, and git's own."""
    ignored = {line.strip("/\n") for line in text_of(".gitignore").splitlines()} | {".git"}

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name in ignored or any(path.match(pattern) for pattern in ignored):
                continue
            yield from walk(path) if path.is_dir() else (path,)

    return list(walk(ROOT))


def comments_of(place: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text_of(place)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def words_of(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def none_of(broken: Iterable[str]) -> None:
    """Fail with all the places that break a rule."""
    if found := sorted(set(broken)):
        pytest.fail("\n".join(("", *found)), pytrace=False)


def test_pure_code_neither_waits_nor_looks_at_the_world() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    none_of(
        f"{place}:{line}: {what}"
        for place in places(*PURE)
        for what, line in (
            *((f"imports {name}", line) for name, line in imports_of(place) if name in IMPURE_MODULES),
            *((type(node).__name__, node.lineno) for node in nodes_of(place) if isinstance(node, waiting)),
        )
    )


def test_each_library_is_imported_only_in_its_home() -> None:
    none_of(
        f"{place}:{line}: imports {name}, whose home is {', '.join(homes) or 'nowhere'}"
        for place in SOURCES
        for name, line in imports_of(place)
        if (homes := home_of(name)) is not None and not any(is_below(place, home) for home in homes)
    )


def home_of(module: str) -> tuple[str, ...] | None:
    """The folders and files that may import a module; None: all of them."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        if (homes := HOMES.get(".".join(parts[:length]))) is not None:
            return homes
    return None if parts[0] in sys.stdlib_module_names or parts[0] in OURS else ()


def is_below(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder}/")


def test_only_the_configuration_touches_environment_variables() -> None:
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    none_of(
        f"{place}:{line}: os.{name}"
        for place in SOURCES
        if place != "gateway/config/files.py"
        for name, line in (
            *((n.attr, n.lineno) for n in nodes_of(place) if isinstance(n, ast.Attribute) and is_os(n.value)),
            *((name.removeprefix("os."), line) for name, line in imports_of(place) if name.startswith("os.")),
        )
        if name in names
    )


def is_os(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "os"


def test_function_bodies_fit_on_a_screen() -> None:
    none_of(
        f"{place}:{function.lineno}: {name} has {lines} lines, more than {MAX_BODY_LINES}"
        for place in SOURCES
        for name, function, _ in functions_of(place)
        if (lines := body_lines(function)) > MAX_BODY_LINES
    )


def test_functions_take_few_parameters() -> None:
    many = {
        f"{place} {name}": f"{place}:{function.lineno}: {name} takes {count}, more than {MAX_PARAMETERS}"
        for place in SOURCES
        for name, function, bound in functions_of(place)
        if (count := parameters(function, bound=bound)) > MAX_PARAMETERS
    }
    none_of(text for name, text in many.items() if name not in MANY_PARAMETERS)
    none_of(f"{name}: no exception is needed any more" for name in MANY_PARAMETERS.keys() - many)


def test_a_stage_is_one_public_function_of_at_most_three_parameters() -> None:
    for place in places("gateway/stages"):
        if place.endswith("__init__.py"):
            continue
        public = [
            function
            for name, function, _ in functions_of(place)
            if "." not in name and not name.startswith("_")
        ]
        none_of(f"{place}:{extra.lineno}: {extra.name} is a second stage" for extra in public[1:])
        none_of(
            f"{place}:{stage.lineno}: {stage.name} takes more than {MAX_STAGE_PARAMETERS}"
            for stage in public
            if parameters(stage, bound=False) > MAX_STAGE_PARAMETERS
        )


def test_modules_are_short_and_the_pipeline_shorter() -> None:
    limits = dict.fromkeys(SOURCES, MAX_MODULE_LINES) | {"gateway/pipeline.py": MAX_PIPELINE_LINES}
    none_of(
        f"{place}:{lines}: more than {limits[place]} lines"
        for place in SOURCES
        if (lines := len(text_of(place).splitlines())) > limits[place]
    )


def test_folders_can_be_taken_in_at_a_glance() -> None:
    entries: dict[str, set[str]] = {}
    for file in project_files():
        path = file.relative_to(ROOT)
        for folder, entry in zip(path.parents, (path, *path.parents), strict=False):
            if not entry.name.startswith("."):
                entries.setdefault(str(folder), set()).add(entry.name)
    none_of(
        f"{folder}:1: {len(names)} entries, more than {limit}"
        for folder, names in entries.items()
        if len(names) > (limit := WIDE_FOLDERS.get(folder, (MAX_ENTRIES, ""))[0])
    )
    none_of(
        f"{folder}: {len(entries[folder])} entries: lower its number, {wide}"
        for folder, (wide, _) in WIDE_FOLDERS.items()
        if len(entries[folder]) < wide
    )


def test_names_of_modules_and_classes_say_something() -> None:
    none_of(
        f"{place}:{line}: {name}"
        for place in SOURCES + TESTS
        for name, line in (
            *((part, 1) for part in Path(place).with_suffix("").parts),
            *((node.name, node.lineno) for node in nodes_of(place) if isinstance(node, ast.ClassDef)),
        )
        if words_of(name) & WORDS_NOT_USED
    )


def test_each_module_says_what_it_is_for() -> None:
    none_of(
        f"{place}:1: no docstring"
        for place in SOURCES + TESTS
        if not isinstance(module := nodes_of(place)[0], ast.Module) or not ast.get_docstring(module)
    )


def suppressions() -> list[tuple[str, str]]:
    return [
        (f"{place}:{line}", comment)
        for place in SOURCES + TESTS
        for line, comment in comments_of(place)
        if SUPPRESSION.match(comment)
    ]


def test_each_suppression_has_its_code_and_its_reason() -> None:
    none_of(f"{where}: {comment}" for where, comment in suppressions() if not REASONED.match(comment))


def test_suppressions_only_become_fewer() -> None:
    found = suppressions()
    if len(found) > SUPPRESSIONS:
        none_of(
            f"{where}: {comment} (one of {len(found)}, more than {SUPPRESSIONS})" for where, comment in found
        )


def test_the_project_knows_neither_a_machine_nor_a_package_registry() -> None:
    none_of(
        f"{file.relative_to(ROOT)}:{number}: {found.group()}"
        for file in project_files()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (found := FOREIGN.search(line))
    )


def test_policies_their_modules_and_their_tests_have_the_same_names() -> None:
    data = {file.stem for file in (ROOT / "policies").glob("*.yaml")}
    modules = {file.stem for file in (ROOT / "gateway/policy").glob("*.py")} - {"__init__"}
    tests = {file.stem.removeprefix("test_") for file in (ROOT / "tests/unit/policy").glob("test_*.py")}
    none_of(f"policies/{name}.yaml:1: is missing" for name in (modules | tests) - data)
    none_of(f"gateway/policy/{name}.py:1: is missing" for name in (data | tests) - modules)
    none_of(f"tests/unit/policy/test_{name}.py:1: is missing" for name in (data | modules) - tests)

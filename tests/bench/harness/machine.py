"""What a run ran on: the machine and the versions of what took part."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

BUSY_PERCENT = 10


def cpu_model() -> str:
    """The processor's name, or its architecture where /proc does not say."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def machine_lines() -> list[str]:
    """The machine, as lines of a Markdown list."""
    memory_gib = psutil.virtual_memory().total / 2**30
    busy = psutil.cpu_percent(interval=1)
    warning = " (**the machine was not idle: take the run again**)" if busy > BUSY_PERCENT else ""
    kernel = platform.release().split("-")[0]
    machine = f"{cpu_model()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {kernel}"
    return [
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Machine: {machine}; other load before the run: {busy:.0f} %{warning}",
    ]


def tool_version(*argv: str) -> str:
    """The first thing that looks like a version in what the command prints."""
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    found = re.search(r"\d+\.\d+(\.\d+)*", ran.stdout + ran.stderr)
    return found.group() if found else "unknown"


def version_line() -> str:
    """Versions of everything the gateway and the floor share, as a line of a Markdown list."""
    packages = ("uvicorn", "uvloop", "httptools", "litestar", "aiohttp", "msgspec")
    named = [
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in packages),
    ]
    named += [f"nginx {tool_version('nginx', '-v')}", f"wrk {tool_version('wrk', '-v')}"]
    return "- Versions: " + ", ".join(named)

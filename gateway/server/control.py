"""A Unix socket by which commands on the same machine talk to the running gateway.

A request is one line of JSON, and so is its answer; then the connection ends. It does not know what the
operations do. Who may write to the socket may use them all: it is its user's alone. There is one gateway to a
state folder: it holds a lock on it, so that a socket which a killed one has left is known to be stale.
Sources: unix(7), flock(2).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.errors import GatewayError

SOCKET: Final = "control.sock"
_PATIENCE_S: Final = 5.0
"""For a command to send its line, and to take the answer."""
_ANSWER_WITHIN_S: Final = 30.0
_MOST_BYTES: Final = 1 << 20
_LONGEST_PATH: Final = 100
"""Of a Unix socket: the kernels stop at 104 to 108 bytes."""

Operation = Callable[[msgspec.Raw], Awaitable[object]]
"""Takes JSON, gives what JSON can be written from. Raises ValueError where it refuses, GatewayError."""

log = logging.getLogger("forebay")


class AlreadyRunning(Exception):
    """Another gateway runs on the same state folder."""


class NotRunning(Exception):
    """No gateway runs on the state folder, or none that can be talked to."""


class Refused(ValueError):
    """The gateway did not do what it was asked for; `is_down`: because a store did not answer."""

    def __init__(self, message: str, *, is_down: bool = False) -> None:
        super().__init__(message)
        self.is_down = is_down


class _Request(msgspec.Struct, frozen=True, gc=False):
    operation: str
    arguments: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    kind: Literal["refused", "down", "bug"] = "refused"


class Control:
    """The gateway's end. Open it with `open_control`."""

    def __init__(self, folder: Path, operations: Mapping[str, Operation], lock: int) -> None:
        self._path = folder / SOCKET
        self._operations = operations
        self._lock = lock
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take the place of a socket that a killed gateway has left. Raises OSError."""
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        with _address(self._path) as address:
            sock.bind(address)
        # Before it listens: nobody can have come in by then.
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=_MOST_BYTES)

    async def close(self) -> None:
        """Stop listening, and let another gateway have the folder. Operations under way go on."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = await reader.readline()
            answer = await self._answer(line)
            writer.write(msgspec.json.encode(answer) + b"\n")
            async with asyncio.timeout(_PATIENCE_S):
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:  # it left, is too slow, or its line is too long
            log.debug("a command was not answered: %s", error)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> _Answer:
        try:
            request = msgspec.json.decode(line, type=_Request)
            operation = self._operations.get(request.operation)
            if operation is None:
                return _Answer(error=f"this gateway knows no operation {request.operation!r}: is it older?")
            result = await operation(request.arguments)
            return _Answer(msgspec.Raw(msgspec.json.encode(result)))
        except GatewayError as error:
            return _Answer(error=error.message, kind="down")
        except (ValueError, msgspec.MsgspecError) as error:
            return _Answer(error=str(error))
        except Exception:
            log.exception("a command failed")
            return _Answer(error="the gateway failed; its log says why", kind="bug")


async def open_control(folder: Path, operations: Mapping[str, Operation]) -> Control:
    """Listen on `<folder>/control.sock`. Raises AlreadyRunning, OSError."""
    control = Control(folder, operations, _lock(folder))
    try:
        await control.listen()
    except BaseException:
        await control.close()
        raise
    return control


def _lock(folder: Path) -> int:
    """Make the folder this gateway's until the descriptor is closed. Raises AlreadyRunning, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise AlreadyRunning(f"another gateway runs with --state {folder}") from None
        raise
    return lock


def ask(folder: Path, operation: str, arguments: object, within_s: float = _ANSWER_WITHIN_S) -> bytes:
    """Ask the gateway that runs on `folder`; gives its answer as JSON. Raises NotRunning, Refused."""
    request = _Request(operation, msgspec.Raw(msgspec.json.encode(arguments)))
    try:
        with socket.socket(socket.AF_UNIX) as sock, _address(folder / SOCKET) as address:
            sock.settimeout(within_s)
            sock.connect(address)
            sock.sendall(msgspec.json.encode(request) + b"\n")
            line = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    except TimeoutError:
        raise NotRunning(f"the gateway with --state {folder} does not answer") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(f"no gateway runs with --state {folder}") from None
    except OSError as error:
        raise NotRunning(f"the gateway with --state {folder} cannot be asked: {error}") from None
    if not line.endswith(b"\n"):
        raise NotRunning(f"the gateway with --state {folder} has ended meanwhile")
    answer = msgspec.json.decode(line, type=_Answer)
    if answer.error:
        raise Refused(answer.error, is_down=answer.kind != "refused")
    return bytes(answer.result)


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a name for the socket that is short enough: on Linux, one through the folder's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

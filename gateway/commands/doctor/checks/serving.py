"""Whether a gateway runs here, and what it says of itself."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import msgspec

from gateway.commands.doctor.finding import Finding, Told, fail, ok, skipped, warn
from gateway.commands.doctor.running import aside
from gateway.config.routing import ServerSpec
from gateway.exchange import Request
from gateway.server import control
from gateway.upstream.free_questions import Heard, Unheard, hear

_NAME: Final = "gateway"
_WITHIN_S: Final = 3.0
_NO_OPERATION: Final = "doctor"


class Part(msgspec.Struct, frozen=True):
    """Of /readyz, as far as it is told of here."""

    ok: bool
    detail: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz."""

    ready: bool
    parts: dict[str, Part] = {}


async def look_at_socket(server: ServerSpec | None, state_dir: Path) -> list[Told]:
    """Ask by the state directory's socket; there is none where Redis has the counters."""
    name = "control socket"
    if server is not None and server.redis_url:
        return [skipped(name, "there is none with server.redis_url: commands ask Redis")]
    try:
        await aside(partial(control.ask, state_dir, _NO_OPERATION, None, _WITHIN_S))
    except control.NotRunning as error:
        return [skipped(name, str(error))]
    except control.Refused:  # it knows no such operation, so it is there
        pass
    return [ok(name, f"a gateway runs with --state {state_dir}")]


async def look_at_gateway(server: ServerSpec) -> list[Told]:
    """Ask /readyz where the configuration has the gateway listen."""
    if not server.port:
        return [skipped(_NAME, "server.port is 0: nobody knows where it listens")]
    place = _place(server)
    try:
        heard = await hear(Request(f"http://{place}/readyz", {}, b"", "GET"), within_s=_WITHIN_S)
    except Unheard as error:
        return [skipped(_NAME, f"none answers at {place}: {error}", "To start it: forebay serve")]
    return [judge_readiness(place, heard)]


def _place(server: ServerSpec) -> str:
    """Say where to ask one that listens there: of all addresses, this machine's own."""
    host = server.host
    try:
        address = ip_address(host)
    except ValueError:
        return f"{host}:{server.port}"
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"


def judge_readiness(place: str, heard: Heard) -> Finding:
    """Say whether it is ready, and of which parts it says that they are not."""
    try:
        told = msgspec.json.decode(heard.body, type=Readiness)
    except msgspec.MsgspecError:
        seen = f"something else answers at {place}"
        return warn(_NAME, seen, "End it, or let the gateway listen elsewhere: server.port")
    wrong = "; ".join(f"{name}: {part.detail}" for name, part in told.parts.items() if not part.ok)
    if told.ready and wrong:
        seen = f"the one at {place} is ready, but: {wrong}"
        return warn(_NAME, seen, "docs/runbooks has a page for each of these.")
    if told.ready:
        return ok(_NAME, f"the one at {place} is ready: {', '.join(told.parts)}")
    return fail(
        _NAME, f"the one at {place} is not ready: {wrong}", f"curl http://{place}/readyz says when it is"
    )

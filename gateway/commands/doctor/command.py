"""`forebay doctor`: gather the checks, run them side by side, show what they found."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gateway.commands.doctor.checks.backends import look_at_backend
from gateway.commands.doctor.checks.clocks import judge_clocks
from gateway.commands.doctor.checks.configuration import judge_configuration, judge_errors
from gateway.commands.doctor.checks.counters import look_at_counters
from gateway.commands.doctor.checks.database import look_at_database as look_at_keys
from gateway.commands.doctor.checks.ledger import look_at_database, look_at_spool
from gateway.commands.doctor.checks.machine import look_at_machine
from gateway.commands.doctor.checks.packages import look_at_packages
from gateway.commands.doctor.checks.receiver import look_at_receiver
from gateway.commands.doctor.checks.serving import look_at_gateway, look_at_socket
from gateway.commands.doctor.finding import Check, Clock, Finding, Told, skipped
from gateway.commands.doctor.running import run_checks
from gateway.commands.doctor.secrets import without_secrets
from gateway.commands.doctor.table import as_json, as_lines, is_well
from gateway.compose.reading import Config, load_config
from gateway.errors import ConfigError, ConfigErrors


def run(args: argparse.Namespace) -> int:
    """Run the command; 0: nothing fails."""
    logging.getLogger().addHandler(logging.NullHandler())  # what is wrong stands in the table
    config, errors = _read(args.config)
    known: list[Told] = [*(judge_errors(errors) if config is None else judge_configuration(config))]
    checks = [check for check in _checks(config, args.state) if not args.only or check.kind in args.only]
    asked = [check for check in checks if not (args.offline and check.asks)]
    found = asyncio.run(run_checks(asked))
    # One that cannot be served is told of in any case: without it most checks are left out.
    is_asked = config is None or not args.only or "configuration" in args.only
    told = [*(known if is_asked else ()), *found]
    findings = [one for one in told if isinstance(one, Finding)]
    findings += [skipped(check.name, "not asked: --offline") for check in checks if check not in asked]
    if not args.only or "clocks" in args.only:
        findings += judge_clocks([one for one in told if isinstance(one, Clock)])
    findings = without_secrets(findings, config)
    sys.stdout.write(as_json(findings) if args.json else as_lines(findings))
    return 0 if is_well(findings) else 1


def _read(folder: Path) -> tuple[Config | None, Sequence[ConfigError]]:
    """Read the configuration as `serve` would; None: it cannot be served."""
    try:
        return load_config(folder), ()
    except ConfigErrors as found:
        return None, found.errors
    except ConfigError as error:
        return None, (error,)


def _checks(config: Config | None, state: Path) -> Iterator[Check]:
    """Name all checks, in the order in which they are shown."""
    if config is not None:
        resolved = config.resolved
        for name, spec in resolved.backends.items():
            yield Check("backends", f"backend {name}", partial(look_at_backend, spec, config.folder))
        yield Check("redis", "redis", partial(look_at_counters, config), bool(resolved.server.redis_url))
        yield Check("ledger", "ledger", partial(look_at_database, config, state))
        yield Check("ledger", "meter", partial(look_at_spool, config, state), asks=False)
        is_remote = not resolved.server.database_url.startswith("sqlite") and resolved.server.database_url
        yield Check("database", "database", partial(look_at_keys, config, state), bool(is_remote))
        yield Check("receiver", "receiver", partial(look_at_receiver, config))
        yield Check("gateway", "gateway", partial(look_at_gateway, resolved.server))
    server = None if config is None else config.resolved.server
    yield Check("gateway", "control socket", partial(look_at_socket, server, state), asks=False)
    resolved_or_none = None if config is None else config.resolved
    yield Check("machine", "machine", partial(look_at_machine, resolved_or_none, state), asks=False)
    yield Check("machine", "packages", look_at_packages, asks=False)

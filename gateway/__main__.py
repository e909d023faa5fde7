"""The command line: forebay serve | meter | check | test | explain | diff | schema | keys | quota | usage...

Imports are late where a command does not need them: `check` runs in a commit hook, and `serve` has to
be ready in a second.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, ConfigErrors

EXIT_CONFIG = 2


def main() -> None:
    """Run one command; exits with 0, 1 (failed) or 2 (what was asked for cannot be done as written)."""
    args = _parser().parse_args()
    try:
        code = args.run(args)
    except (ConfigErrors, ConfigError) as errors:
        from gateway.texts.redactor import Redactor

        print(Redactor().clean(str(errors)), file=sys.stderr)
        code = EXIT_CONFIG
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forebay", description="The AI gateway in front of your models.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the gateway")
    _add_places(serve)
    serve.add_argument("--host", help="address to listen on (default: server.host of routing.yaml)")
    serve.add_argument("--port", type=int, help="port; 0 takes a free one (default: server.port)")
    serve.add_argument("--workers", type=int, help="worker processes (default: server.workers)")
    serve.add_argument(
        "--quickstart", action="store_true", help="make a key for this machine and show how to call"
    )
    serve.add_argument("--worker-fd", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--launched", action="append", default=[], help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="check routing.yaml and policies/, as serve would read them")
    _add_places(check)
    check.set_defaults(run=_check)

    meter = commands.add_parser("meter", help="move what waits in the spool into the ledger")
    meter.add_argument("--quarantine", action="store_true", help="show what the ledger could not take")
    _add_places(meter)
    meter.set_defaults(run=_meter)

    _add_questions(commands)
    schema = commands.add_parser("schema", help="write the JSON Schemas that editors complete the YAML with")
    schema.add_argument("--out", type=Path, default=Path("schemas"), metavar="DIR")
    schema.add_argument("--check", action="store_true", help="write nothing; fail when they are stale")
    schema.set_defaults(run=_schema)

    from gateway.commands import keys
    from gateway.commands.doctor import options as doctor_options
    from gateway.commands.limits import options as limit_options
    from gateway.commands.slo import options as slo_options
    from gateway.commands.usage import options as usage_options

    keys.register(commands)
    limit_options.register(commands)
    usage_options.register(commands, _add_places)
    doctor_options.register(commands, _add_places)
    slo_options.register(commands, _add_places)
    for name, run in (("keys", _keys), ("quota", _quota), ("budget", _budget)):
        _add_places(commands.choices[name])
        commands.choices[name].set_defaults(run=run)
    return parser


def _add_questions(commands: Any) -> None:
    """Add what asks a configuration, or what was kept, where calls go."""
    test = commands.add_parser("test", help="play policies/tests/*.yaml through the configuration")
    test.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: policies/tests/*.yaml")
    test.add_argument("--json", action="store_true", help="print the results as JSON")
    test.add_argument("--junit", type=Path, metavar="FILE", help="also write a JUnit report")
    test.set_defaults(run=_test)

    explain = commands.add_parser("explain", help="say why a call went where it went, or where one would go")
    what = explain.add_mutually_exclusive_group(required=True)
    what.add_argument("call", nargs="?", metavar="CALL_ID", help="of x-forebay-call-id")
    what.add_argument("--file", metavar="CALL.json", help="a call to plan, not to send; -: stdin")
    explain.add_argument("--json", action="store_true", help="print it as JSON")
    explain.set_defaults(run=_explain)

    diff = commands.add_parser("diff", help="say which recorded calls another routing.yaml sends elsewhere")
    diff.add_argument("old", type=Path, metavar="OLD", help="a routing.yaml, or a folder with one")
    diff.add_argument("new", type=Path, metavar="NEW", help="the same; a file goes with --config's policies")
    calls = "lines of the decision log (default: decisions/*.jsonl of the state directory)"
    diff.add_argument("--calls", type=Path, nargs="+", metavar="FILE", help=calls)
    diff.add_argument("--json", action="store_true", help="print it as JSON")
    diff.set_defaults(run=_diff)

    for parser in (explain, diff):
        parser.add_argument("--all-keys", action="store_true", help="take every provider's key to be set")
    for parser in (test, explain, diff):
        _add_places(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=Path(), metavar="DIR", help="where routing.yaml is (default: here)"
    )
    parser.add_argument(
        "--state", type=Path, default=Path(".forebay"), metavar="DIR", help="where data is kept"
    )


def _serve(args: argparse.Namespace) -> int:
    from gateway.commands.serve import serve

    return serve(args)


def _meter(args: argparse.Namespace) -> int:
    from gateway.commands.ledger.meter import run

    return run(args)


def _check(args: argparse.Namespace) -> int:
    from gateway.commands.check import run

    return run(args)


def _test(args: argparse.Namespace) -> int:
    from gateway.commands.scenarios import run

    return run(args)


def _explain(args: argparse.Namespace) -> int:
    from gateway.commands.explain import run

    return run(args)


def _diff(args: argparse.Namespace) -> int:
    from gateway.commands.compare import run

    return run(args)


def _schema(args: argparse.Namespace) -> int:
    from gateway.compose.reading import SCHEMAS
    from gateway.config import schema

    if not args.check:
        schema.write(args.out, SCHEMAS)
        return 0
    stale = schema.stale(args.out, SCHEMAS)
    for name in stale:
        print(f"{args.out / name} is stale; run 'forebay schema'", file=sys.stderr)
    return 1 if stale else 0


def _keys(args: argparse.Namespace) -> int:
    from gateway.commands.keys import run
    from gateway.compose.opening import key_store
    from gateway.compose.reading import as_a_client, load_config

    config = load_config(args.config, environ=as_a_client())
    store = key_store(config, args.state)
    try:
        store.migrate()
        return run(args, store, config.tenants.tenants, sys.stdout)
    finally:
        store.close()


def _quota(args: argparse.Namespace) -> int:
    from gateway.commands.limits.limiting import open_reach
    from gateway.commands.limits.quota import run
    from gateway.compose.reading import as_a_client, load_config

    return run(args, open_reach(load_config(args.config, environ=as_a_client()), args.state), sys.stdout)


def _budget(args: argparse.Namespace) -> int:
    from gateway.commands.limits.budget import run
    from gateway.commands.limits.limiting import open_reach
    from gateway.compose.reading import as_a_client, load_config

    return run(args, open_reach(load_config(args.config, environ=as_a_client()), args.state), sys.stdout)


if __name__ == "__main__":
    main()

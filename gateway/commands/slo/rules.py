"""`forebay slo rules`: write what is promised as recording and alerting rules for Prometheus.

Source: Prometheus 2.42; `promtool check rules` accepts what is written.
"""

from __future__ import annotations

import argparse
import sys

from gateway.compose.reading import as_a_client, load_config
from gateway.slo.rules import as_yaml, rules_of


def run(args: argparse.Namespace) -> int:
    """Run the command. Raises ConfigErrors."""
    config = load_config(args.config, environ=as_a_client())
    header = "# Written by `forebay slo rules` from policies/slo.yaml: edit that, and write this anew.\n"
    text = header + as_yaml(rules_of(config.objectives, config.telemetry.spec.runbooks_url))
    if args.out is None:
        sys.stdout.write(text)
        return 0
    try:
        args.out.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"forebay: cannot write {args.out}: {error.strerror}\n")
        return 1
    return 0

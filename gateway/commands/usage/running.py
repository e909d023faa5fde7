"""`forebay usage`: run the question, or a verb; errors become words and exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from gateway.commands.usage import focus, question, reconcile, reprice, statement, throughput
from gateway.commands.usage.books import Books, opened_books
from gateway.errors import BadQuery, BadRequest, StoreDown

FAILED, REFUSED = 1, 2

VERBS: Mapping[str | None, Callable[[argparse.Namespace, Books], int]] = {
    None: question.run,
    "statement": statement.run,
    "focus": focus.run,
    "reprice": reprice.run,
    "reconcile": reconcile.run,
    "throughput": throughput.run,
}
"""By the verb; each writes its answer and gives the exit status."""


def run(args: argparse.Namespace) -> int:
    """Run a parsed `forebay usage ...`; gives the exit status: 0, 1 (failed) or 2 (refused)."""
    name = f"forebay usage {args.verb or ''}".rstrip()
    try:
        with opened_books(args.config, args.state) as books:
            return VERBS[args.verb](args, books)
    except (BadRequest, ValueError) as refusal:
        sys.stderr.write(f"{name}: {refusal}\n")
        return REFUSED
    except BrokenPipeError:  # whoever read has seen enough
        return 0
    except (StoreDown, BadQuery, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return FAILED

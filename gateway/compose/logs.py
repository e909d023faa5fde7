"""Have log lines written as a configuration says: from which level on, and without what nobody may read.

Must not know what else tells of calls.
"""

from __future__ import annotations

from gateway.compose.reading import Config
from gateway.telemetry import logs
from gateway.texts.redactor import Redactor


def log_by(config: Config) -> Redactor:
    """Go by it from now on, in all of this process; returns what takes secrets and personal data out."""
    redact = config.telemetry.spec.redact
    redactor = Redactor(redact.detect, redact.patterns)
    logs.revise(config.resolved.server.log_level, redactor.clean)
    return redactor

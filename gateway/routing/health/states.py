"""pybreaker, without the redis that it imports whole where that is installed.

That would be a tenth of a second of each start, and 9 MB of each worker, for a storage that is not used here.
Source: pybreaker 1.4.1, which does without where the import fails.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

_REDIS = "redis"

_is_needed_elsewhere = _REDIS in sys.modules
if not _is_needed_elsewhere:
    sys.modules[_REDIS] = cast("ModuleType", None)  # an import of it fails, as if it were not there
try:
    from pybreaker import STATE_HALF_OPEN, CircuitBreaker, CircuitBreakerListener, CircuitBreakerState
finally:
    if not _is_needed_elsewhere:
        del sys.modules[_REDIS]

__all__ = ["STATE_HALF_OPEN", "CircuitBreaker", "CircuitBreakerListener", "CircuitBreakerState"]

"""Open the store of counters that a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.compose.reading import Config
from gateway.errors import ConfigError, ConfigErrors
from gateway.protocols import QuotaStore
from gateway.stores.quotas_memory import MemoryQuotas

if TYPE_CHECKING:
    from gateway.stores.quotas_redis import RedisQuotas


def open_quotas(config: Config) -> QuotaStore:
    """Open Redis where several workers share it, else counters in this process. Asks nobody yet."""
    return open_redis(config) or MemoryQuotas()


def open_redis(config: Config) -> RedisQuotas | None:
    """Open Redis, where there is one. Asks nobody yet."""
    if not (url := config.resolved.server.redis_url):
        return None
    # Late: whoever has none does not pay for its client.
    from gateway.stores.quotas_redis import RedisQuotas

    return RedisQuotas(url)


def check_sharing(config: Config, workers: int) -> None:
    """Raise ConfigErrors where workers would each count for themselves, and let in so many times too much."""
    if (
        workers == 1
        or config.resolved.server.redis_url
        or not any(rule.lines for rule in config.limits.every)
    ):
        return
    message = f"{workers} workers cannot share the counters of policies/quotas.yaml and budgets.yaml"
    hint = "set server.redis_url, or run one worker"
    raise ConfigErrors([ConfigError(str(config.folder / "routing.yaml"), 0, "server.workers", message, hint)])

"""What `serve` loads before it is needed, every worker waits for and keeps in memory."""

from __future__ import annotations

import subprocess
import sys

RARELY_NEEDED = {
    *("redis", "psycopg", "boto3", "botocore", "clickhouse_connect", "alembic"),
    *("opentelemetry", "grpc", "httpx", "jwt", "tiktoken", "genai_prices", "fasttext", "chdb", "xllamacpp"),
}
LOADED = f"import sys, gateway.commands.serve; print(*sorted({RARELY_NEEDED!r} & set(sys.modules)))"


def test_nothing_is_loaded_that_only_some_need() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_who_has_redis_already_keeps_it() -> None:
    check = "import redis, gateway.routing.health.breaker, sys; print(sys.modules['redis'] is redis)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"

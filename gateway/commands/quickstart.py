"""A key and a first command for whoever runs Forebay on their own machine for the first time.

The key is kept in a file that only its owner can read, so that the next start shows the same one. Only
`forebay serve --quickstart` does this: in production no plain key is ever stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.commands.keys import Rights, create, state_of
from gateway.config.resolve import Resolved
from gateway.identity.keys import digest_of
from gateway.routing.matching.globs import is_glob
from gateway.stores.keys_sql import SqlKeyStore

FILE = "quickstart.key"

_WELCOME = """
  Forebay is ready.

    endpoint   {url}/v1
    key        {key}
    models     {models}

  Try it:

    curl {url}/v1/chat/completions \\
      -H "Authorization: Bearer {key}" \\
      -H "Content-Type: application/json" \\
      -d '{{"model": "{model}", "temperature": 0, "messages": [
            {{"role": "system", "content": "You are a helpful assistant."}},
            {{"role": "user", "content": "What is the capital of France?"}}]}}'

  In Python: openai.OpenAI(base_url="{url}/v1", api_key="{key}")
  The API: {url}/docs     Stop: Ctrl-C

"""


def quickstart_key(store: SqlKeyStore, tenants: Mapping[str, object], state_dir: Path) -> str:
    """Return this machine's key, made at the first start: an admin's. Raises StoreDown.

    One from before there were admins works on, and another is made.
    """
    store.migrate()
    path = state_dir / FILE
    if path.exists() and _is_active(store, key := path.read_text().strip()):
        return key
    tenant = "default" if "default" in tenants else next(iter(tenants))
    rights = Rights(tenant, ("*",), name="quickstart", admin=True)  # on one's own machine one sees all
    key, _ = create(store, tenants, rights, int(time.time()))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(key + "\n")
    return key


def _is_active(store: SqlKeyStore, key: str) -> bool:
    digest, now_unix_s = digest_of(key), time.time()
    return any(
        known.digest == digest and known.admin and state_of(known, now_unix_s) == "active"
        for known in store.list()
    )


def welcome(url: str, key: str, resolved: Resolved) -> str:
    """Write what a newcomer needs to make the first call."""
    names = list(resolved.routes)
    model = next((name for name in names if not is_glob(name)), names[0])
    return _WELCOME.format(
        url=url,
        key=key,
        models=", ".join(names),
        model=model,
    )

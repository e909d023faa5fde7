"""Write Grafana's dashboards from the SQL of the panels: `python -m dashboards.grafana.build`.

What they show is said in `ledger` and `metrics`, once. tests/contract/test_grafana.py fails where the
files are others, and asks all of it of a real engine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards.grafana.ledger import cost, operations, usage
from dashboards.grafana.metrics import gateway

FOLDER = Path(__file__).parent
DASHBOARDS = {"cost": cost, "usage": usage, "operations": operations, "gateway": gateway}


def written() -> dict[str, str]:
    """Return what each file has to hold, by its name."""
    return {f"{name}.json": json.dumps(make(), indent=2) + "\n" for name, make in DASHBOARDS.items()}


if __name__ == "__main__":
    for name, text in written().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")

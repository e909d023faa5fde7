"""Plausible traffic for a newcomer's dashboards: its rows have `source` demo, and tenants named demo-..."""

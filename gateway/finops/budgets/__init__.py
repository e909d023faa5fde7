"""Budgets and the ledger: what was spent comes back after a restart, and is told day by day."""

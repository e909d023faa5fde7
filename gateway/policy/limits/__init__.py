"""What quotas.yaml and budgets.yaml share: which calls a limit is for, and who has counters of its own."""

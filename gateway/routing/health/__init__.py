"""How deployments are doing. The one part of routing that changes with time."""
